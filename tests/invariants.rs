//! The rules of ARCHITECTURE.md about what no module does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(source_files(&path)),
            false => files.push(path),
        }
    }
    files
}

/// The files of `src/` whose code contains one of the words. Comments and `#[cfg(test)]` modules are ignored.
fn files_with(words: &[&str]) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for path in source_files(&src) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let mut lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        if lines.any(|line| words.iter().any(|word| line.contains(word))) {
            found.push(
                path.strip_prefix(&src)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
        }
    }
    found.sort();
    found
}

#[test]
fn pure_modules_name_neither_tokio_nor_the_sdk() {
    let found = files_with(&["tokio", "aws_sdk", "async ", ".await"]);
    for pure in [
        "order.rs",
        "change.rs",
        "cors.rs",
        "cursor.rs",
        "customer.rs",
        "dwell.rs",
        "frame.rs",
        "hold.rs",
        "metrics.rs",
        "metrics/delays.rs",
        "metrics/line.rs",
        "metrics/names.rs",
        "number.rs",
        "timestamp.rs",
        "timestamp/iso8601.rs",
        "feed/sources.rs",
        "feed/entry.rs",
        "feed/step.rs",
        "feed/list.rs",
        "feed/listing.rs",
        "feed/log_id.rs",
        "feed/reading.rs",
        "projector/batch.rs",
        "projector/image.rs",
        "projector/json.rs",
        "projector/key.rs",
        "projector/path.rs",
        "projector/pattern.rs",
        "projector/poison.rs",
        "projector/record.rs",
        "prices.rs",
        "request.rs",
        "request/invoker.rs",
        "session/ending.rs",
        "wake/url.rs",
        "access/claims.rs",
        "access/key.rs",
        "access/keys.rs",
        "access/limits.rs",
    ] {
        assert!(!found.contains(&pure.to_owned()), "{pure}");
    }
}

#[test]
fn one_module_names_the_sdk() {
    let found = files_with(&["aws_sdk", "aws_config"]);
    assert!(found.contains(&"feed/dynamodb.rs".to_owned()));
    for file in found {
        assert!(file.starts_with("feed/dynamodb"), "{file}");
    }
    // The SDK's HTTP client also fetches keys.
    assert_eq!(files_with(&["aws_smithy"]), ["access/https.rs"]);
}

#[test]
fn one_module_names_the_library_of_the_wake() {
    assert_eq!(files_with(&["use redis", "redis::aio"]), ["wake/redis.rs"]);
}

#[test]
fn one_module_reads_a_clock() {
    assert_eq!(
        files_with(&["Instant::now", "SystemTime", "Utc::now", ".elapsed()"]),
        ["clock.rs"]
    );
}

#[test]
fn only_the_binaries_read_the_environment() {
    assert_eq!(
        files_with(&["std::env", "env::var"]),
        ["bin/projector.rs", "bin/stream.rs"]
    );
}

#[test]
fn no_module_knows_that_it_runs_locally() {
    assert_eq!(
        files_with(&["localhost", "127.0.0.1", "dynoxide", "cargo lambda"]),
        [] as [&str; 0]
    );
}

#[test]
fn one_file_has_unsafe_code() {
    assert_eq!(files_with(&["unsafe"]), ["lambda/nodelay.rs"]);
}

/// The text of every Rust file below a folder.
fn rust_below(folder: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = source_files(&folder);
    let rust = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn the_tests_that_the_docs_name_exist() {
    let code = ["tests", "src", "dev"].map(rust_below).concat();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut named = 0;
    for path in source_files(&docs) {
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // `file::test`, or `…::test` if the file was named before.
        for name in text.split('`').skip(1).step_by(2) {
            let Some((_, test)) = name.rsplit_once("::") else {
                continue;
            };
            // Test names contain an underscore and no brackets, unlike `ReconnectOptions::reconnect(true)`.
            let is_test =
                test.contains('_') && test.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
            if is_test {
                named += 1;
                assert!(code.contains(test), "{}: {name}", path.display());
            }
        }
    }
    assert!(named > 100, "only {named} names were found");
}

/// `- **P7** A frame …`.
#[test]
fn each_rule_of_the_protocol_has_its_own_number() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let text = fs::read_to_string(path).unwrap();
    let rules = text.lines().filter_map(|line| line.strip_prefix("- **"));
    let mut numbers: Vec<_> = rules.filter_map(|rule| rule.split_once("**")).collect();
    numbers.sort_unstable();
    let twice = numbers.windows(2).find(|pair| pair[0].0 == pair[1].0);
    assert!(numbers.len() > 38, "{numbers:?}");
    assert_eq!(twice, None);
}

/// The modules of `src/` that a file's code names as `crate::…`, without its `#[cfg(test)]` module.
fn imports(code: &str) -> impl Iterator<Item = &str> {
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| {
            let names = line.split("crate::").skip(1);
            names.map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
            })
        })
        .flatten()
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in source_files(&src) {
        let module = path.strip_prefix(&src).unwrap().iter().next().unwrap();
        let module = module.to_str().unwrap().trim_end_matches(".rs").to_owned();
        let code = fs::read_to_string(&path).unwrap();
        let imported = imports(&code).filter(|name| **name != module);
        graph
            .entry(module.clone())
            .or_default()
            .extend(imported.map(str::to_owned));
    }
    assert!(graph["session"].contains("feed"));
    // A module that imports none of the remaining ones is in no circle.
    while let Some(free) = graph
        .iter()
        .find(|(_, imported)| imported.iter().all(|name| !graph.contains_key(name)))
        .map(|(module, _)| module.clone())
    {
        graph.remove(&free);
    }
    assert!(graph.is_empty(), "{graph:?}");
}

//! What ARCHITECTURE.md says that no module does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

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

/// The files of `src/` with one of the words in their code, comments and `#[cfg(test)]` modules left out.
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
        "cursor.rs",
        "dwell.rs",
        "frame.rs",
        "hold.rs",
        "number.rs",
        "timestamp.rs",
        "feed/position.rs",
        "feed/entry.rs",
        "feed/reading.rs",
        "projector/batch.rs",
        "prices.rs",
        "request.rs",
        "session/ending.rs",
        "access/claims.rs",
        "access/keys.rs",
    ] {
        assert!(!found.contains(&pure.to_owned()), "{pure}");
    }
}

#[test]
fn one_module_names_the_sdk() {
    assert_eq!(files_with(&["aws_sdk", "aws_config"]), ["feed/dynamodb.rs"]);
    // Its HTTP client is another matter.
    assert_eq!(files_with(&["aws_smithy"]), ["access/https.rs"]);
}

#[test]
fn one_module_reads_a_clock() {
    assert_eq!(
        files_with(&["Instant::now", "SystemTime", "Utc::now", ".elapsed()"]),
        ["clock.rs"]
    );
}

#[test]
fn the_binaries_alone_read_the_environment() {
    assert_eq!(
        files_with(&["std::env", "env::var"]),
        ["bin/projector.rs", "bin/stream.rs"]
    );
}

#[test]
fn nothing_knows_that_it_is_local() {
    assert_eq!(
        files_with(&["localhost", "127.0.0.1", "dynoxide", "cargo lambda"]),
        [] as [&str; 0]
    );
}

#[test]
fn one_line_is_unsafe() {
    assert_eq!(files_with(&["unsafe"]), ["lambda/nodelay.rs"]);
}

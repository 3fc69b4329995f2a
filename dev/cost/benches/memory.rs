//! How much memory the function `stream` needs to show long histories, and how soon the first change comes.
//!
//! Each scenario has its own process, because a process keeps the memory that it once had. The figures are the kernel's peak of
//! resident memory (`VmHWM`).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use harness::{Harness, bootstrap};
use order_status_stream::feed::Feed;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use serde_json::json;

/// The size of an entry's attribute `n`. 32 entries are a page of DynamoDB.
const BYTES: usize = 32 * 1024;

/// The beginning of a change.
const CHANGE: &str = r#"data: {"orderId""#;

/// The limits that one order must stay within.
const MOST_MEGABYTES: u64 = 40;
const LATEST_FIRST_CHANGE: Duration = Duration::from_millis(200);

struct Scenario {
    what: &'static str,
    path: String,
    cursor: String,
}

struct Measurement {
    megabytes: u64,
    first: Duration,
    last: Duration,
    changes: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let harness = Harness::new().await;
    let feed = harness.feed();
    history(&feed, "long", 1500).await;
    let ten: Vec<_> = (0..10).map(|n| format!("order-{n}")).collect();
    for order in &ten {
        history(&feed, order, 150).await;
    }
    let one = || "/orders/long/events".to_owned();
    let ten = || format!("/orders/events?order={}", ten.join("&order="));
    let scenario = |what, path, cursor: &str| Scenario {
        what,
        path,
        cursor: cursor.to_owned(),
    };
    let scenarios = [
        scenario(
            "an order without changes",
            "/orders/none/events".to_owned(),
            "0",
        ),
        scenario(
            "1 order of 1,500 changes of 32 KB, a new visitor",
            one(),
            "",
        ),
        scenario(
            "1 order of 1,500 changes of 32 KB, from its start",
            one(),
            "1",
        ),
        scenario(
            "10 orders of 150 changes of 32 KB, a new visitor",
            ten(),
            "",
        ),
        scenario(
            "10 orders of 150 changes of 32 KB, from their start",
            ten(),
            &["1"; 10].join("."),
        ),
    ];
    println!(
        "{:54}{:>8}{:>9}{:>9}{:>9}",
        "", "MB", "first ms", "last ms", "changes"
    );
    let mut kept = true;
    for (number, scenario) in scenarios.iter().enumerate() {
        let seen = run(&harness, scenario).await;
        println!(
            "{:54}{:8}{:9}{:9}{:9}",
            scenario.what,
            seen.megabytes,
            seen.first.as_millis(),
            seen.last.as_millis(),
            seen.changes
        );
        if number == 1 || number == 2 {
            kept &= seen.megabytes < MOST_MEGABYTES && seen.first < LATEST_FIRST_CHANGE;
        }
    }
    match kept {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Writes changes of an order, as the projector writes them.
async fn history(feed: &DynamoDbFeed, order: &str, changes: usize) {
    let text = "x".repeat(BYTES);
    for seq in 1..=changes {
        let source =
            "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-22T00:00:00.000";
        let entry = json!({
            "order": order, "seq": seq, "status": "SHIPPED", "view": { "n": text },
            "at": "2026-11-22T17:40:00.123Z", "appendedAt": 1_795_369_200_000_u64,
            "position": format!("{source}/{seq:040}"),
        });
        feed.put(&serde_json::from_value(entry).unwrap())
            .await
            .unwrap();
    }
}

async fn run(harness: &Harness, scenario: &Scenario) -> Measurement {
    let folder = tempfile::tempdir().unwrap();
    let function = harness.direct(writes_pid(folder.path()));
    let function = function.start().await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // The first request starts the process.
    let warm_up = client.get(function.url() + "/").send().await.unwrap();
    warm_up.bytes().await.unwrap();
    let mut request = client.get(function.url() + &scenario.path);
    if !scenario.cursor.is_empty() {
        request = request.header("last-event-id", &scenario.cursor);
    }
    let begun = Instant::now();
    let mut response = request.send().await.unwrap();
    let (mut first, mut last, mut changes) = (None, Duration::ZERO, 0);
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(&String::from_utf8_lossy(&chunk));
        let told = text.matches(CHANGE).count();
        // A chunk may end within the beginning of a change.
        text.drain(..text.len().saturating_sub(CHANGE.len() - 1));
        if told > 0 {
            first.get_or_insert(begun.elapsed());
            last = begun.elapsed();
        }
        changes += told;
    }
    Measurement {
        megabytes: peak(folder.path()),
        first: first.unwrap_or_default(),
        last,
        changes,
    }
}

/// `stream`, with a file that holds its process id.
fn writes_pid(folder: &Path) -> std::path::PathBuf {
    let script = folder.join("bootstrap");
    let text = format!(
        "#!/bin/sh\necho $$ > '{}'\nexec '{}'\n",
        folder.join("pid").display(),
        bootstrap("stream").display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// The peak of the process's memory, in MB.
fn peak(folder: &Path) -> u64 {
    let pid = fs::read_to_string(folder.join("pid")).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap().div_ceil(1024)
}

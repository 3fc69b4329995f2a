//! How long a check-in takes that finds nothing, and where the milliseconds go. Each figure is a median on this machine. What
//! counts is their ratio.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use cost::simulate::record;
use harness::{Harness, bootstrap};
use lambda_stand_in::Function;

/// The number of measurements behind each median.
const TIMES: usize = 300;

#[tokio::main]
async fn main() {
    let harness = Harness::new().await;
    let projector = harness.direct(bootstrap("projector"));
    let projector = projector.start().await.unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let batch = serde_json::json!({ "Records": [record(1, "A", "SHIPPED", now)] });
    projector.invoke(batch.to_string().into()).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let kept = harness.direct(bootstrap("stream")).start().await.unwrap();
    let without = harness.direct(without_nodelay(folder.path()));
    let without = without.start().await.unwrap();

    let refused = median(&kept, "/orders/%25/events").await;
    let check_in = median(&kept, "/orders/A/events").await;
    let delayed = median(&without, "/orders/A/events").await;
    println!(
        "{:58}{:>8}{:>8}",
        "milliseconds, the median of 300", "", "ratio"
    );
    let row = |what: &str, time: f64| println!("{what:58}{time:8.2}{:8.2}", time / check_in);
    row("a check-in", check_in);
    row(
        "  of it: the platform's stand-in and HTTP, as a 400 takes",
        refused,
    );
    row("  of it: the query and the session", check_in - refused);
    row(
        "a check-in without TCP_NODELAY, as lambda_runtime leaves it",
        delayed,
    );
    let stats = kept.stats();
    println!(
        "billed, each rounded up to a millisecond, check-ins and 400s alike: {:.1} ms each",
        stats.billed_ms as f64 / stats.started as f64
    );
    let bytes = check(&kept, "/orders/A/events").await.1;
    println!("a check-in's body: {bytes} bytes");
}

/// `stream`, with a Runtime API address that is a name. `stream` compares numeric addresses to find the sockets to set.
fn without_nodelay(folder: &Path) -> PathBuf {
    let script = folder.join("bootstrap");
    let text = format!(
        "#!/bin/sh\nAWS_LAMBDA_RUNTIME_API=localhost:${{AWS_LAMBDA_RUNTIME_API##*:}} exec '{}'\n",
        bootstrap("stream").display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

async fn median(function: &Function, path: &str) -> f64 {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        times.push(check(function, path).await.0);
    }
    middle(times)
}

/// How long a whole response takes, and how many bytes its body has.
async fn check(function: &Function, path: &str) -> (Duration, usize) {
    thread_local!(static CLIENT: reqwest::Client = reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .unwrap());
    let client = CLIENT.with(Clone::clone);
    let begun = Instant::now();
    let request = client
        .get(function.url() + path)
        .header("last-event-id", "1");
    let body = request.send().await.unwrap().bytes().await.unwrap();
    (begun.elapsed(), body.len())
}

fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

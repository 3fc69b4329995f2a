//! Third-party clients. Their connections are cut by RST at every byte of the response, and by FIN at every seventh.
//!
//! A client follows one order for each cut. Its first visit sends an unknown cursor, and the order changes before the second.
//! Together, the two responses contain each kind of frame:
//!
//! ```text
//! first:  comment hello reset change change ready comment rest
//! second: comment hello change end comment
//! ```
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/browser.rs"]
mod browser_support;
#[path = "clients/crates.rs"]
mod crates;
#[path = "clients/harness.rs"]
mod harness;
#[path = "support/http.rs"]
mod http_support;

use std::process::Stdio;

use browser_support::{Browser, StaticFile, missing, report_server, within_limit};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use harness::{Cut, Harness};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// How many orders a client in this process follows at a time.
const AT_A_TIME: usize = 48;

fn files(harness: &Harness) -> Vec<StaticFile> {
    let html = Bytes::from_static(include_bytes!("clients/stories.html"));
    let script = Bytes::from_static(include_bytes!("clients/story.js"));
    let stories = serde_json::to_vec(&harness.urls()).unwrap().into();
    vec![
        ("/", "text/html", html),
        ("/story.js", "text/javascript", script),
        ("/stories", "application/json", stories),
    ]
}

fn never(_: Cut) -> bool {
    false
}

/// Firefox never comes back if a response ends after the head, without a byte of the body.
fn may_give_up(browser: Browser) -> fn(Cut) -> bool {
    match browser {
        Browser::Firefox => |cut| cut.bytes == 0,
        _ => never,
    }
}

async fn in_browser(browser: Browser) {
    let harness = Harness::new().await;
    let (server, mut reports) = report_server(files(&harness)).await;
    let Some(_window) = browser.open(&server.url).await else {
        return;
    };
    harness
        .check_all(may_give_up(browser), async || reports.recv().await.unwrap())
        .await;
}

/// Runs a client that is a Rust library.
async fn in_process(follow: impl AsyncFn(String, &mut dyn FnMut(&str, &str) -> bool)) {
    let harness = Harness::new().await;
    let follow_order = async |url: String| {
        // Left from an earlier visit with an unknown cursor. Only `reset` removes it.
        let mut changes = vec![json!("stale")];
        follow(url.clone(), &mut |event, data| {
            match event {
                "reset" => changes.clear(),
                "message" => changes.push(serde_json::from_str(data).unwrap()),
                _ => {}
            }
            event == "end"
        })
        .await;
        json!({ "url": url, "changes": changes })
    };
    let mut reports = Box::pin(
        stream::iter(harness.urls())
            .map(&follow_order)
            .buffer_unordered(AT_A_TIME),
    );
    harness
        .check_all(never, async || reports.next().await.unwrap())
        .await;
}

/// Runs a client that is a program. Its arguments are its name and the URL of the test's server.
async fn in_program(interpreter: &str, script: &str, client: &str) {
    let harness = Harness::new().await;
    let (server, mut reports) = report_server(files(&harness)).await;
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let process = Command::new(interpreter)
        .args([&script, client, &server.url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut process) = process else {
        missing::<()>(client, format_args!("there is no {interpreter}"));
        return;
    };
    let first = tokio::select! {
        first = reports.recv() => first.unwrap(),
        ended = process.wait() => {
            missing::<()>(client, format_args!("{interpreter} ended: {}", ended.unwrap()));
            return;
        }
    };
    let mut first = Some(first);
    harness
        .check_all(never, async || match first.take() {
            Some(report) => report,
            None => next(&mut reports, &mut process).await,
        })
        .await;
}

async fn next(reports: &mut mpsc::UnboundedReceiver<Value>, process: &mut Child) -> Value {
    tokio::select! {
        biased;
        report = reports.recv() => report.unwrap(),
        ended = process.wait() => match reports.try_recv() {
            Ok(report) => report,
            Err(_) => panic!("the client ended before the last order: {}", ended.unwrap()),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_source_of_chromium() {
    within_limit(in_browser(Browser::Chromium)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_source_of_firefox() {
    within_limit(in_browser(Browser::Firefox)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_source_of_webkit_gtk() {
    within_limit(in_browser(Browser::WebKitGtk)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_eventsource() {
    within_limit(in_program("node", "watch.js", "eventsource")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_eventsource_client() {
    within_limit(in_program("node", "watch.js", "eventsource-client")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_launchdarkly_eventsource() {
    within_limit(in_program("node", "watch.js", "launchdarkly-eventsource")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_fetch_event_source() {
    within_limit(in_program("node", "watch.js", "fetch-event-source")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pypi_httpx_sse() {
    within_limit(in_program("python3", "watch.py", "httpx-sse")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pypi_sseclient_py() {
    within_limit(in_program("python3", "watch.py", "sseclient-py")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pypi_launchdarkly_eventsource() {
    within_limit(in_program(
        "python3",
        "watch.py",
        "launchdarkly-eventsource",
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crate_eventsource_client() {
    within_limit(in_process(crates::eventsource_client)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crate_reqwest_eventsource() {
    within_limit(in_process(crates::reqwest_eventsource)).await;
}

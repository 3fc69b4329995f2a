//! Clients that others wrote, each cut by RST at every byte of what it is sent, and by FIN at every seventh.
//!
//! A client follows one order for each cut. Its first visit brings a cursor that nobody knows; the order changes before the
//! second. Between them the two responses hold each kind of frame:
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
#[path = "support/http.rs"]
mod http_support;
#[path = "clients/stage.rs"]
mod stage;

use std::process::Stdio;

use browser_support::{Browser, desk, missing, within_limit};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use stage::{Cut, Stage};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

/// Orders that a client in this process follows at a time.
const AT_A_TIME: usize = 48;

fn pages(stage: &Stage) -> Vec<browser_support::Page> {
    let html = Bytes::from_static(include_bytes!("clients/stories.html"));
    let script = Bytes::from_static(include_bytes!("clients/story.js"));
    let stories = serde_json::to_vec(&stage.urls()).unwrap().into();
    vec![
        ("/", "text/html", html),
        ("/story.js", "text/javascript", script),
        ("/stories", "application/json", stories),
    ]
}

fn never(_: Cut) -> bool {
    false
}

/// Firefox takes the end of a response of which it has seen no byte but the head for a reason never to come back.
fn may_give_up(browser: Browser) -> fn(Cut) -> bool {
    match browser {
        Browser::Firefox => |cut| cut.bytes == 0,
        _ => never,
    }
}

async fn in_browser(browser: Browser) {
    let stage = Stage::new().await;
    let (server, mut reports) = desk(pages(&stage)).await;
    let Some(_window) = browser.open(&server.url).await else {
        return;
    };
    stage
        .check_all(may_give_up(browser), async || reports.recv().await.unwrap())
        .await;
}

/// A client that is a library of Rust.
async fn in_process(follow: impl AsyncFn(String, &mut dyn FnMut(&str, &str) -> bool)) {
    let stage = Stage::new().await;
    let story = async |url: String| {
        // Left from an earlier visit, whose cursor nobody knows: only `reset` takes it away.
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
        stream::iter(stage.urls())
            .map(&story)
            .buffer_unordered(AT_A_TIME),
    );
    stage
        .check_all(never, async || reports.next().await.unwrap())
        .await;
}

/// A client that is a program: it is told its name and where the test is.
async fn in_program(interpreter: &str, script: &str, client: &str) {
    let stage = Stage::new().await;
    let (server, mut reports) = desk(pages(&stage)).await;
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
    stage
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
            Err(_) => panic!("it ended before the last order did: {}", ended.unwrap()),
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

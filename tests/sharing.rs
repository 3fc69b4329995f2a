//! The option `share` of the browser's client, and the limit that it is for: six connections to a host over HTTP/1.1.
//! `web/test/share.test.js` and `web/test/share-simulation.test.js` have the other cases.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[macro_use]
#[path = "support/browser.rs"]
mod browser_support;
#[path = "support/cloud.rs"]
mod cloud_support;
#[path = "support/http.rs"]
mod http_support;

use std::collections::BTreeSet;

use browser_support::{Browser, Opened, with_client, within_limit};
use cloud_support::Cloud;
use lambda_stand_in::Function;
use serde_json::Value;

/// A stream function that holds each response for longer than a test takes, and notices when a client leaves.
async fn holding(cloud: &Cloud) -> Function {
    let stream = cloud.stream().env("WINDOW", "10m").env("HEARTBEAT", "1s");
    let stream = stream.timeout(std::time::Duration::from_secs(900));
    stream
        .propagate_disconnect(true)
        .cors("*")
        .start()
        .await
        .unwrap()
}

async fn open(browser: Browser, query: &str) -> Option<Opened> {
    Opened::new(
        browser,
        with_client(include_bytes!("pages/share.html")),
        query,
    )
    .await
}

/// Matches once each of these pages has sent a report that matches.
fn each(names: &[&str], wanted: impl Fn(&Value) -> bool) -> impl FnMut(&Value) -> bool {
    let mut missing: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    move |report| {
        if wanted(report) {
            missing.remove(report["name"].as_str().unwrap_or_default());
        }
        missing.is_empty()
    }
}

fn is_live(report: &Value) -> bool {
    report["type"] == "state" && report["state"] == "live"
}

fn is_change(seq: u64) -> impl Fn(&Value) -> bool {
    move |report| report["type"] == "change" && report["seq"] == seq
}

fn changes_of(reports: &[Value], name: &str) -> Vec<u64> {
    let changes = reports
        .iter()
        .filter(|report| report["type"] == "change" && report["name"] == name);
    changes
        .map(|change| change["seq"].as_u64().unwrap())
        .collect()
}

/// The second window opens its own stream and gives it up. When the first one goes to another page, the second takes over.
async fn two_windows_share_a_stream(browser: Browser) {
    let cloud = Cloud::new().await;
    cloud.append("A", "S1").await;
    let stream = holding(&cloud).await;
    let query = format!("share&name=first&stream={}", stream.url());
    let Some(mut page) = open(browser, &query).await else {
        return;
    };
    let both = ["first", "second"];
    let mut reports = page.until(each(&both, is_live)).await;
    stream
        .wait_for(|stats| stats.started >= 2 && stats.in_flight() == 1)
        .await;
    cloud.append("A", "S2").await;
    reports.extend(page.until(each(&both, is_change(2))).await);
    cloud.append("A", "LEAVE").await;
    reports.extend(page.until(each(&both, is_change(3))).await);
    stream
        .wait_for(|stats| stats.started >= 3 && stats.in_flight() == 1)
        .await;
    cloud.append("A", "S4").await;
    reports.extend(page.until(each(&["second"], is_change(4))).await);
    cloud.append("A", "DELIVERED").await;
    let is_end = |report: &Value| report["type"] == "end";
    reports.extend(page.until(each(&["second"], is_end)).await);
    assert_eq!(changes_of(&reports, "first"), [1, 2, 3]);
    assert_eq!(changes_of(&reports, "second"), [1, 2, 3, 4, 5]);
}

const SEVEN: [&str; 7] = ["1", "2", "3", "4", "5", "6", "7"];

/// While six responses are held, the browser does not send a seventh request to the same host. To another host it does.
async fn the_seventh_stream_of_a_host_waits(browser: Browser) {
    let cloud = Cloud::new().await;
    let (stream, elsewhere) = (holding(&cloud).await, holding(&cloud).await);
    let query = format!(
        "frames=7&stream={}&elsewhere={}",
        stream.url(),
        elsewhere.url()
    );
    let Some(mut page) = open(browser, &query).await else {
        return;
    };
    let live = page.until(each(&["elsewhere"], is_live)).await;
    assert_eq!(live.iter().filter(|report| is_live(report)).count(), 7);
    assert_eq!(stream.stats().started, 6);
}

/// Each of seven frames opens a stream, and all but one give theirs up.
async fn seven_frames_that_share_are_all_live(browser: Browser) {
    let cloud = Cloud::new().await;
    let stream = holding(&cloud).await;
    let query = format!("share&frames=7&stream={}", stream.url());
    let Some(mut page) = open(browser, &query).await else {
        return;
    };
    page.until(each(&SEVEN, is_live)).await;
    stream.wait_for(|stats| stats.in_flight() == 1).await;
    cloud.append("A", "S1").await;
    page.until(each(&SEVEN, is_change(1))).await;
}

in_each_browser!(
    two_windows_share_a_stream,
    the_seventh_stream_of_a_host_waits,
    seven_frames_that_share_are_all_live
);

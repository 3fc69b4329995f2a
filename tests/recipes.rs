//! The recipe of docs/page.md for a bare `EventSource`, unchanged, in real browsers. `web/test/recipes.test.js` has the other cases.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[macro_use]
#[path = "support/browser.rs"]
mod browser_support;
#[path = "support/cloud.rs"]
mod cloud_support;
#[path = "support/http.rs"]
mod http_support;

use browser_support::{Browser, Opened, within_limit};
use bytes::Bytes;
use cloud_support::Cloud;
use http::StatusCode;
use lambda_stand_in::{Fault, Function};
use serde_json::{Value, json};

fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |report| report["type"] == kind
}

/// A stream function whose responses end after a second.
async fn stream(cloud: &Cloud) -> Function {
    let stream = cloud.stream().env("WINDOW", "1s").env("HEARTBEAT", "1s");
    stream.cors("*").start().await.unwrap()
}

/// The second code block under the heading: the page that reconnects.
fn bare_recipe() -> String {
    let page = include_str!("../docs/page.md");
    let (_, section) = page.split_once("\n## A bare EventSource\n").unwrap();
    let recipe = section.split("```").nth(3).unwrap();
    let recipe = recipe.strip_prefix("js\n").unwrap();
    let placeholder = "// … and your own listeners";
    assert!(recipe.contains(placeholder));
    recipe.replace(placeholder, "watched(source);")
}

fn is_change(report: &Value, status: &str) -> bool {
    let change = report["data"].as_str().unwrap_or_default();
    let change = serde_json::from_str::<Value>(change).unwrap_or_default();
    report["type"] == "message" && change["status"] == status
}

/// The platform refuses one request. The page is hidden and shown while the recipe waits.
async fn a_page_keeps_one_bare_event_source(browser: Browser) {
    let cloud = Cloud::new().await;
    cloud.append("A", "S1").await;
    let (stream, other) = (stream(&cloud).await, stream(&cloud).await);
    let page = include_str!("pages/recipe.html").replace("RECIPE", &bare_recipe());
    let cover = Bytes::from_static(include_bytes!("pages/cover.html"));
    let files = vec![
        ("/", "text/html", page.into()),
        ("/cover", "text/html", cover),
    ];
    let (url, cover) = (stream.url(), other.url());
    let query = format!("stream={url}/orders/A/events&cover={cover}/orders/B/events");
    let Some(mut page) = Opened::new(browser, files, &query).await else {
        return;
    };
    page.until(is("ready")).await;
    stream.inject([Fault::Refuse(StatusCode::TOO_MANY_REQUESTS)]);
    page.until(|report| report["readyState"] == 2).await;
    page.until(is("hidden")).await;
    cloud.append("A", "S2").await;
    cloud.append("B", "UNCOVER").await;

    let mut reports = page.until(|report| is_change(report, "S2")).await;
    for _ in 0..3 {
        reports.extend(page.until(is("rest")).await);
    }
    let open = |report: &Value| report["open"].as_u64();
    assert!(reports.iter().filter_map(open).all(|open| open == 1));
    let changes = |report: &&Value| is_change(report, "S1") || is_change(report, "S2");
    assert_eq!(reports.iter().filter(changes).count(), 1);

    cloud.append("A", "DELIVERED").await;
    let end = page.until(is("end")).await.pop().unwrap();
    assert_eq!(end["open"], json!(0));
}

in_each_browser!(a_page_keeps_one_bare_event_source);

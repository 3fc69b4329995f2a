//! React, Vue and Svelte in real browsers: the examples of `web/examples/`, and pages that a server rendered.
//! `web/test/frameworks.test.js` has the other cases.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[macro_use]
#[path = "support/browser.rs"]
mod browser_support;
#[path = "support/cloud.rs"]
mod cloud_support;
#[path = "support/http.rs"]
mod http_support;

use std::path::Path;
use std::time::Duration;

use browser_support::{Browser, Opened, node, within_limit};
use bytes::Bytes;
use cloud_support::Cloud;
use http::{Request, Response};
use http_support::{Server, serve};
use jsonwebtoken::Algorithm;
use lambda_stand_in::Fault;
use local::issuer::Issuer;
use serde_json::{Value, json};
use tokio::sync::mpsc;

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web");

/// The server of a shop: the same requests as those of `make run`. It reports each token that it gives.
async fn shop(
    name: &'static str,
    script: String,
    stream_url: String,
    issuer: Issuer,
) -> (Server, mpsc::UnboundedReceiver<Value>) {
    let (report, reports) = mpsc::unbounded_channel();
    let server = serve(move |request: Request<Bytes>| {
        let path = request.uri().path().to_owned();
        let (content_type, content) = match path.as_str() {
            "/report" => {
                let what = serde_json::from_slice(request.body()).unwrap();
                let _ = report.send(what);
                ("text/plain", String::new())
            }
            "/config.json" => (
                "application/json",
                json!({"streamUrl": stream_url}).to_string(),
            ),
            "/token" => {
                let _ = report.send(json!({"type": "token"}));
                let (token, _) = issuer.token(&["A"], Duration::from_secs(8)).unwrap();
                ("application/json", json!({"token": token}).to_string())
            }
            path if path.ends_with('/') => ("text/html", observed(name)),
            path if path.starts_with("/examples/built/") => ("text/javascript", script.clone()),
            path => ("text/javascript", file(path)),
        };
        async move {
            let response = Response::builder().header("content-type", content_type);
            response.body(content.into()).unwrap()
        }
    });
    (server.await, reports)
}

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(WEB).join(path.trim_start_matches('/'))).unwrap_or_default()
}

/// The example's page, and the script that reports what it shows.
fn observed(name: &str) -> String {
    let page = file(&format!("examples/{name}/index.html"));
    let root = r#"<div id="root"></div>"#;
    assert!(page.contains(root));
    let observer = include_str!("pages/observer.js");
    page.replace(root, &format!("{root}<script>{observer}</script>"))
}

fn shows(state: &'static str, text: &'static str) -> impl FnMut(&Value) -> bool {
    move |report| report["state"] == state && report["text"] == text
}

fn assert_no_error(reports: &[Value]) {
    let error = reports.iter().find(|report| report["type"] == "error");
    assert_eq!(error, None);
}

/// The page rests, a response is cut, and the token ends.
async fn follows_an_order(name: &'static str) {
    let cloud = Cloud::new().await;
    cloud.append("A", "S1").await;
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let stream = cloud.guarded_stream(&issuer).cors("*").start();
    let stream = stream.await.unwrap();
    let script = match name {
        "plain" => String::new(),
        _ => match node("web/test/frameworks/page.js", &["example", name]).await {
            Some(built) => built["script"].as_str().unwrap().to_owned(),
            None => return,
        },
    };
    let served = shop(name, script, stream.url(), issuer).await;
    let path = format!("/examples/{name}/?order=A");
    let Some(mut page) = Opened::at(Browser::Chromium, served, &path).await else {
        return;
    };
    let mut reports = page.until(shows("live", "A: S1")).await;
    stream.inject([Fault::CutAfter {
        bytes: 100,
        reset: true,
    }]);
    reports.extend(page.until(|report| report["state"] == "stale").await);
    cloud.append("A", "S2").await;
    reports.extend(page.until(shows("live", "A: S2")).await);
    reports.extend(page.until(|report| report["type"] == "token").await);
    cloud.append("A", "S3").await;
    reports.extend(page.until(shows("live", "A: S3")).await);
    cloud.append("A", "DELIVERED").await;
    reports.extend(page.until(shows("ended", "A: DELIVERED")).await);
    assert_no_error(&reports);
}

macro_rules! examples {
    ($($name:ident),*) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn an_example_follows_an_order_through_rests_a_cut_and_the_end_of_a_token() {
                super::within_limit(super::follows_an_order(stringify!($name))).await;
            }
        })*
    };
}

examples!(plain, react, vue, svelte);

/// A server renders the page. The framework hydrates it in the browser and continues from its state.
async fn continues_from_what_a_server_rendered(browser: Browser, framework: &str) {
    let cloud = Cloud::new().await;
    cloud.append("A", "S1").await;
    let stream = cloud.stream().env("WINDOW", "1s").env("HEARTBEAT", "1s");
    let stream = stream.cors("*").start().await.unwrap();
    let request = reqwest::Client::new().get(format!("{}/orders/A/events", stream.url()));
    let request = request.header("accept", "application/json");
    let snapshot = request.send().await.unwrap().text().await.unwrap();
    let given = ["hydrated", framework, &stream.url(), &snapshot];
    let Some(rendered) = node("web/test/frameworks/page.js", &given).await else {
        return;
    };
    let html = rendered["html"].as_str().unwrap();
    let page = format!(
        r#"<!doctype html><meta charset="utf-8"><div id="root">{html}</div><script>{}</script>
        <script type="module" src="/script.js"></script>"#,
        include_str!("pages/observer.js")
    );
    let script = rendered["script"].as_str().unwrap().to_owned();
    let files = vec![
        ("/", "text/html", page.into()),
        ("/script.js", "text/javascript", script.into()),
    ];
    let Some(mut page) = Opened::new(browser, files, "").await else {
        return;
    };
    let mut reports = page.until(shows("live", "A: S1")).await;
    cloud.append("A", "S2").await;
    reports.extend(page.until(shows("live", "A: S2")).await);
    cloud.append("A", "DELIVERED").await;
    reports.extend(page.until(shows("ended", "A: DELIVERED")).await);
    assert_no_error(&reports);
    let lost = |report: &&Value| {
        report["text"]
            .as_str()
            .is_some_and(|text| text.contains("Looking"))
    };
    assert_eq!(reports.iter().find(lost), None);
}

async fn react_continues_from_what_a_server_rendered(browser: Browser) {
    continues_from_what_a_server_rendered(browser, "react").await;
}

async fn vue_continues_from_what_a_server_rendered(browser: Browser) {
    continues_from_what_a_server_rendered(browser, "vue").await;
}

async fn svelte_continues_from_what_a_server_rendered(browser: Browser) {
    continues_from_what_a_server_rendered(browser, "svelte").await;
}

in_each_browser!(
    react_continues_from_what_a_server_rendered,
    vue_continues_from_what_a_server_rendered,
    svelte_continues_from_what_a_server_rendered
);

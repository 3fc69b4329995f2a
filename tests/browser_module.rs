//! `web/order-stream.js` in real browsers, with the failures after which a bare `EventSource` gives up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[macro_use]
#[path = "support/browser.rs"]
mod browser_support;
#[path = "support/cloud.rs"]
mod cloud_support;
#[path = "support/http.rs"]
mod http_support;

use std::time::Duration;

use browser_support::{Browser, Opened, report_server, with_client, within_limit};
use cloud_support::Cloud;
use http::{Response, StatusCode};
use http_support::{Server, serve};
use jsonwebtoken::Algorithm;
use lambda_stand_in::{Fault, Function};
use local::issuer::Issuer;
use serde_json::{Value, json};

async fn with_module(browser: Browser, query: &str) -> Option<Opened> {
    let page = include_bytes!("pages/module.html");
    Opened::new(browser, with_client(page), query).await
}

async fn with_event_source(browser: Browser, query: &str) -> Option<Opened> {
    let page = include_bytes!("pages/watch.html");
    Opened::new(browser, with_client(page), query).await
}

fn is_state(state: &'static str) -> impl Fn(&Value) -> bool {
    move |report| report["type"] == "state" && report["state"] == state
}

fn is_change(seq: u64) -> impl Fn(&Value) -> bool {
    move |report| report["type"] == "change" && report["seq"] == seq
}

/// A stream function whose responses end after a second.
async fn stream(cloud: &Cloud) -> Function {
    let stream = cloud.stream().env("WINDOW", "1s").env("HEARTBEAT", "1s");
    stream.cors("*").start().await.unwrap()
}

enum Failure {
    Injected(Fault),
    TokenExpired,
    ConnectionsRefused,
}

fn failures() -> Vec<Failure> {
    let cut = |bytes, reset| Failure::Injected(Fault::CutAfter { bytes, reset });
    let freeze = Fault::SlowRead {
        bytes_per_second: 0,
    };
    vec![
        Failure::Injected(Fault::Refuse(StatusCode::TOO_MANY_REQUESTS)),
        Failure::Injected(Fault::Refuse(StatusCode::BAD_GATEWAY)),
        Failure::TokenExpired,
        Failure::ConnectionsRefused,
        cut(0, false),
        // Within `hello`, and within the change after it.
        cut(20, true),
        cut(100, false),
        cut(100, true),
        Failure::Injected(freeze),
    ]
}

async fn every_change_arrives_once_despite_failures(browser: Browser) {
    let cloud = Cloud::new().await;
    let stream = stream(&cloud).await;
    let query = format!("order=A&stream={}", stream.url());
    let Some(mut page) = with_module(browser, &query).await else {
        return;
    };
    let mut reports = page.until(is_state("live")).await;
    let mut written = 0;
    for failure in failures() {
        match failure {
            Failure::Injected(fault) => stream.inject([fault]),
            Failure::TokenExpired => stream.inject([Fault::Refuse(StatusCode::UNAUTHORIZED)]),
            Failure::ConnectionsRefused => stream.refuse_connections().await.unwrap(),
        }
        let noticed = page.until(|report| match failure {
            Failure::TokenExpired => report["rejected"] == "first",
            Failure::Injected(Fault::Refuse(status)) => report["reason"]
                .as_str()
                .is_some_and(|reason| reason.starts_with(status.as_str())),
            _ => is_state("stale")(report),
        });
        reports.extend(noticed.await);
        written += 1;
        cloud.append("A", &format!("S{written}")).await;
        stream.accept_connections().await.unwrap();
        reports.extend(page.until(is_change(written)).await);
    }
    cloud.append("A", "DELIVERED").await;
    reports.extend(page.until(|report| report["type"] == "end").await);

    let changes = reports.iter().filter(|report| report["type"] == "change");
    let seqs: Vec<_> = changes
        .map(|change| change["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=written + 1).collect::<Vec<_>>());
    assert!(reports.iter().all(|report| report["type"] != "reset"));
    assert_eq!(reports.last().unwrap()["orders"][0]["status"], "DELIVERED");
}

async fn a_bare_event_source_gives_up(browser: Browser) {
    let cloud = Cloud::new().await;
    let stream = stream(&cloud).await;
    let query = format!("stream={}/orders/A/events", stream.url());
    let Some(mut page) = with_event_source(browser, &query).await else {
        return;
    };
    page.until(|report| report["type"] == "ready").await;
    stream.inject([Fault::Refuse(StatusCode::TOO_MANY_REQUESTS)]);
    page.until(|report| report["type"] == "rest").await;
    cloud.append("A", "S1").await;
    let reports = page.until(|report| report["readyState"] == json!(2)).await;
    assert!(reports.iter().all(|report| report["type"] != "message"));
}

/// A stream that needs tokens and rests for a minute if it may, and a server that gives a token to every client. Each token
/// lasts for eight seconds.
async fn guarded(cloud: &Cloud) -> (Function, Server) {
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let stream = cloud.guarded_stream(&issuer).cors("*");
    let tokens = serve(move |_| {
        let (token, _) = issuer.token(&["A"], Duration::from_secs(8)).unwrap();
        let response = Response::builder().header("access-control-allow-origin", "*");
        std::future::ready(response.body(token.into()).unwrap())
    });
    (stream.start().await.unwrap(), tokens.await)
}

/// Three tokens expire. The client rests, and is held in the last seconds of each token.
async fn tokens_that_expire_are_exchanged(browser: Browser) {
    let cloud = Cloud::new().await;
    let (stream, tokens) = guarded(&cloud).await;
    let query = format!("order=A&stream={}&tokens={}", stream.url(), tokens.url);
    let Some(mut page) = with_module(browser, &query).await else {
        return;
    };
    let mut changes = Vec::new();
    for seq in 1..=3 {
        cloud.append("A", &format!("S{seq}")).await;
        let reports =
            page.until(|report| report["type"] == "token" && report["rejected"].is_string());
        changes.extend(reports.await);
    }
    cloud.append("A", "DELIVERED").await;
    changes.extend(page.until(|report| report["type"] == "end").await);
    assert!(changes.iter().all(|report| report["state"] != "denied"));
    changes.retain(|report| report["type"] == "change");
    let seqs: Vec<_> = changes
        .iter()
        .map(|change| change["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
}

/// After its rest it is back in time to get `expired`. With a 401 it would give up.
async fn a_bare_event_source_gets_expired_in_time(browser: Browser) {
    let cloud = Cloud::new().await;
    cloud.append("A", "S1").await;
    let (stream, tokens) = guarded(&cloud).await;
    let query = format!(
        "stream={}/orders/A/events&tokens={}",
        stream.url(),
        tokens.url
    );
    let Some(mut page) = with_event_source(browser, &query).await else {
        return;
    };
    let is_over = |report: &Value| report["type"] == "expired" || report["readyState"] == json!(2);
    let reports = page.until(is_over).await;
    assert_eq!(reports.last().unwrap()["type"], "expired");
    let changes = reports.iter().filter(|report| report["type"] == "message");
    assert_eq!(changes.count(), 1);
}

/// The page sends no token. Its cookie goes to a stream of another origin.
async fn a_cookie_opens_a_stream_of_another_origin(browser: Browser) {
    let cloud = Cloud::new().await;
    cloud.append("A", "S1").await;
    let served = report_server(with_client(include_bytes!("pages/module.html"))).await;
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let (token, _) = issuer.token(&["A"], Duration::from_secs(600)).unwrap();
    let stream = cloud.stream().env("WINDOW", "1s").env("HEARTBEAT", "1s");
    let stream = stream
        .env("ACCESS", "jwt")
        .env("JWKS", issuer.jwks().unwrap());
    let stream = stream
        .cors_with_credentials(&served.0.url)
        .start()
        .await
        .unwrap();
    let path = format!("/?order=A&stream={}&cookie={token}", stream.url());
    let Some(mut page) = Opened::at(browser, served, &path).await else {
        return;
    };
    let mut reports = page.until(is_state("live")).await;
    // The next request has a `last-event-id`, so the browser sends a preflight.
    cloud.append("A", "S2").await;
    reports.extend(page.until(is_change(2)).await);
    cloud.append("A", "DELIVERED").await;
    reports.extend(page.until(|report| report["type"] == "end").await);
    assert!(
        reports.iter().all(|report| report["state"] != "stale"),
        "{reports:?}"
    );
}

/// The page opens another one in front of it. The other one closes after three more check-ins.
async fn a_hidden_page_makes_no_request(browser: Browser) {
    let cloud = Cloud::new().await;
    let (stream, other) = (stream(&cloud).await, stream(&cloud).await);
    let query = format!("order=A&stream={}&other={}", stream.url(), other.url());
    let Some(mut page) = with_module(browser, &query).await else {
        return;
    };
    page.until(is_state("live")).await;
    cloud.append("A", "COVER").await;
    page.until(|report| report["type"] == "hidden").await;
    // Requests that the page sent before it was hidden have arrived by now.
    other.wait_for(|stats| stats.started >= 1).await;
    let before = stream.stats().started;
    other.wait_for(|stats| stats.started >= 4).await;
    assert_eq!(stream.stats().started, before);
    cloud.append("A", "SHIPPED").await;
    cloud.append("B", "UNCOVER").await;
    page.until(|report| report["type"] == "visible" && report["order"] == "A")
        .await;
    page.until(is_change(2)).await;
    page.until(is_state("live")).await;
}

in_each_browser!(
    every_change_arrives_once_despite_failures,
    a_bare_event_source_gives_up,
    tokens_that_expire_are_exchanged,
    a_bare_event_source_gets_expired_in_time,
    a_cookie_opens_a_stream_of_another_origin,
    a_hidden_page_makes_no_request
);

//! `web/order-stream.js` in real browsers, in all the weather that ends a bare `EventSource` for good.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/browser.rs"]
mod browser_support;
#[path = "support/http.rs"]
mod http_support;

use std::time::Duration;

use browser_support::{Browser, Window, desk};
use bytes::Bytes;
use http::StatusCode;
use http_support::Server;
use local::dynamo::{Dynamo, create_tables};
use local::runtime_api::{Fault, Function};
use order_status_stream::change::Change;
use order_status_stream::clock::Clock;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Position, append};
use order_status_stream::order::{OrderId, Status};
use serde_json::{Value, json};
use tokio::sync::mpsc;

macro_rules! web {
    ($path:literal) => {
        (
            concat!("/", $path),
            "text/javascript",
            Bytes::from_static(include_bytes!(concat!("../web/", $path))),
        )
    };
}

/// A page, the browser it is open in, and what it reports.
struct Page {
    reports: mpsc::UnboundedReceiver<Value>,
    _server: Server,
    _window: Window,
}

impl Page {
    async fn open(browser: Browser, page: &'static [u8], query: &str) -> Option<Self> {
        let pages = vec![
            ("/", "text/html", Bytes::from_static(page)),
            web!("order-stream.js"),
            web!("order-stream/connection.js"),
            web!("order-stream/event-stream.js"),
            web!("order-stream/page.js"),
            web!("order-stream/tokens.js"),
        ];
        let (server, reports) = desk(pages).await;
        let window = browser.open(&format!("{}/?{query}", server.url)).await?;
        Some(Self {
            reports,
            _server: server,
            _window: window,
        })
    }

    async fn with_module(browser: Browser, query: &str) -> Option<Self> {
        Self::open(browser, include_bytes!("pages/module.html"), query).await
    }

    async fn with_event_source(browser: Browser, query: &str) -> Option<Self> {
        Self::open(browser, include_bytes!("pages/watch.html"), query).await
    }

    /// Reads reports until one is as wanted; returns all of them.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut reports = Vec::new();
        loop {
            reports.push(self.reports.recv().await.unwrap());
            if wanted(&reports[reports.len() - 1]) {
                return reports;
            }
        }
    }
}

fn is_state(state: &'static str) -> impl Fn(&Value) -> bool {
    move |report| report["type"] == "state" && report["state"] == state
}

fn is_change(seq: u64) -> impl Fn(&Value) -> bool {
    move |report| report["type"] == "change" && report["seq"] == seq
}

/// A feed that is written directly.
struct Stage {
    dynamo: Dynamo,
    feed: DynamoDbFeed,
}

impl Stage {
    async fn new() -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        create_tables(&dynamo.client()).await.unwrap();
        Self {
            feed: DynamoDbFeed::new(dynamo.client(), "OrderFeed"),
            dynamo,
        }
    }

    /// A stream function in front of the feed, which ends a response after a second.
    async fn stream(&self) -> Function {
        Function::builder(env!("CARGO_BIN_EXE_stream"))
            .env("FEED_TABLE", "OrderFeed")
            .env("ACCESS", "open")
            .env("WINDOW", "1s")
            .env("HEARTBEAT", "1s")
            .env("AWS_ENDPOINT_URL_DYNAMODB", self.dynamo.endpoint())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .timeout(Duration::from_secs(60))
            .cors("*")
            .start()
            .await
            .unwrap()
    }

    async fn change(&self, order: &str, n: u64, status: &str) {
        let change = Change {
            order: OrderId::try_from(order).unwrap(),
            position: Position::new("2026-11-22T00:00:00.000", &n.to_string()).unwrap(),
            status: Status::new(status).unwrap(),
            view: Default::default(),
            at: None,
            terminal: status == "DELIVERED",
        };
        let (clock, retention) = (Clock::system(), Duration::from_secs(86_400));
        append(&self.feed, &change, &clock, retention)
            .await
            .unwrap()
            .unwrap();
    }
}

enum Weather {
    Strikes(Fault),
    TokenExpired,
    Refuses,
}

fn weather() -> Vec<Weather> {
    let cut = |bytes, reset| Weather::Strikes(Fault::CutAfter { bytes, reset });
    let freeze = Fault::SlowRead {
        bytes_per_second: 0,
    };
    vec![
        Weather::Strikes(Fault::Refuse(StatusCode::TOO_MANY_REQUESTS)),
        Weather::Strikes(Fault::Refuse(StatusCode::BAD_GATEWAY)),
        Weather::TokenExpired,
        Weather::Refuses,
        cut(0, false),
        // In `hello`, and in the change that follows it.
        cut(20, true),
        cut(100, false),
        cut(100, true),
        Weather::Strikes(freeze),
    ]
}

async fn every_change_once_in_all_weather(browser: Browser) {
    let stage = Stage::new().await;
    let stream = stage.stream().await;
    let query = format!("order=A&stream={}", stream.url());
    let Some(mut page) = Page::with_module(browser, &query).await else {
        return;
    };
    let mut reports = page.until(is_state("live")).await;
    let mut written = 0;
    for weather in weather() {
        match weather {
            Weather::Strikes(fault) => stream.inject([fault]),
            Weather::TokenExpired => stream.inject([Fault::Refuse(StatusCode::UNAUTHORIZED)]),
            Weather::Refuses => stream.refuse_connections().await.unwrap(),
        }
        let struck = page.until(|report| match weather {
            Weather::TokenExpired => report["rejected"] == "first",
            Weather::Strikes(Fault::Refuse(status)) => report["reason"]
                .as_str()
                .is_some_and(|reason| reason.starts_with(status.as_str())),
            _ => is_state("stale")(report),
        });
        reports.extend(struck.await);
        written += 1;
        stage.change("A", written, &format!("S{written}")).await;
        stream.accept_connections().await.unwrap();
        reports.extend(page.until(is_change(written)).await);
    }
    stage.change("A", written + 1, "DELIVERED").await;
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
    let stage = Stage::new().await;
    let stream = stage.stream().await;
    let query = format!("stream={}/orders/A/events", stream.url());
    let Some(mut page) = Page::with_event_source(browser, &query).await else {
        return;
    };
    page.until(|report| report["type"] == "ready").await;
    stream.inject([Fault::Refuse(StatusCode::TOO_MANY_REQUESTS)]);
    page.until(|report| report["type"] == "rest").await;
    stage.change("A", 1, "S1").await;
    let reports = page.until(|report| report["readyState"] == json!(2)).await;
    assert!(reports.iter().all(|report| report["type"] != "message"));
}

/// The page covers itself with another one, and is uncovered once that one has checked in three times.
async fn a_hidden_page_makes_no_request(browser: Browser) {
    let stage = Stage::new().await;
    let (stream, other) = (stage.stream().await, stage.stream().await);
    let query = format!("order=A&stream={}&other={}", stream.url(), other.url());
    let Some(mut page) = Page::with_module(browser, &query).await else {
        return;
    };
    page.until(is_state("live")).await;
    stage.change("A", 1, "COVER").await;
    page.until(|report| report["type"] == "hidden").await;
    // By then, what the page asked for before it was hidden has arrived.
    other.wait_for(|stats| stats.started >= 1).await;
    let before = stream.stats().started;
    other.wait_for(|stats| stats.started >= 4).await;
    assert_eq!(stream.stats().started, before);
    stage.change("A", 2, "SHIPPED").await;
    stage.change("B", 1, "UNCOVER").await;
    page.until(|report| report["type"] == "visible" && report["order"] == "A")
        .await;
    page.until(is_change(2)).await;
    page.until(is_state("live")).await;
}

macro_rules! in_each_browser {
    ($($test:ident),*) => {
        $(mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn chromium() {
                super::$test(super::Browser::Chromium).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn firefox() {
                super::$test(super::Browser::Firefox).await;
            }
        })*
    };
}

in_each_browser!(
    every_change_once_in_all_weather,
    a_bare_event_source_gives_up,
    a_hidden_page_makes_no_request
);

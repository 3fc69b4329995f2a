//! A native `EventSource` in real browsers, without `order-stream.js`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[macro_use]
#[path = "support/browser.rs"]
mod browser_support;
#[path = "support/http.rs"]
mod http_support;

use std::time::Duration;

use browser_support::{Browser, Window, report_server, within_limit};
use bytes::Bytes;
use http_support::Server;
use lambda_stand_in::Function;
use local::dynamo::{Dynamo, create_tables};
use order_status_stream::change::{Change, Position, Write};
use order_status_stream::clock::Clock;
use order_status_stream::feed::append;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::order::{OrderId, Status};
use serde_json::Value;
use tokio::sync::mpsc;

/// A page in a browser, and what it reports.
struct BrowserPage {
    reports: mpsc::UnboundedReceiver<Value>,
    _server: Server,
    _window: Window,
}

impl BrowserPage {
    /// Opens a page that follows a stream. `None` if the browser is missing.
    async fn watch(browser: Browser, stream: &str) -> Option<Self> {
        let page = Bytes::from_static(include_bytes!("pages/watch.html"));
        let (server, reports) = report_server(vec![("/", "text/html", page)]).await;
        let window = browser
            .open(&format!("{}/?stream={stream}", server.url))
            .await?;
        Some(Self {
            reports,
            _server: server,
            _window: window,
        })
    }

    async fn next(&mut self) -> Value {
        self.reports.recv().await.unwrap()
    }

    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let report = self.next().await;
            if report["type"] == kind {
                return report;
            }
        }
    }
}

/// A feed that the test writes directly, and the stream function that reads it.
struct Harness {
    feed: DynamoDbFeed,
    stream: Function,
    _dynamo: Dynamo,
}

impl Harness {
    async fn new(hold: &str) -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        create_tables(&dynamo.client()).await.unwrap();
        let stream = Function::builder(env!("CARGO_BIN_EXE_stream"))
            .env("FEED_TABLE", "OrderFeed")
            .env("ACCESS", "open")
            .env("WINDOW", "2s")
            .env("HOLD", hold)
            .env("AWS_ENDPOINT_URL_DYNAMODB", dynamo.endpoint())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .timeout(Duration::from_secs(60))
            .cors("*");
        let feed = DynamoDbFeed::new(dynamo.client(), "OrderFeed");
        Self {
            feed,
            stream: stream.start().await.unwrap(),
            _dynamo: dynamo,
        }
    }

    async fn change(&self, n: u64, status: &str) {
        let change = Change {
            order: OrderId::try_from("A").unwrap(),
            position: Position::new("2026-11-22T00:00:00.000", &n.to_string()).unwrap(),
            status: Status::new(status).unwrap(),
            view: Default::default(),
            at: None,
            recorded_at: None,
            write: Write::Modify,
            customer: None,
            began: true,
            terminal: status == "DELIVERED",
        };
        append(
            &self.feed,
            &change,
            &Clock::system(),
            Duration::from_secs(86_400),
        )
        .await
        .unwrap()
        .unwrap();
    }

    fn url(&self) -> String {
        format!("{}/orders/A/events", self.stream.url())
    }
}

fn seq(report: &Value) -> u64 {
    serde_json::from_str::<Value>(report["data"].as_str().unwrap()).unwrap()["seq"]
        .as_u64()
        .unwrap()
}

/// The order changes at random times during 20 connections. The function ends each after about 2 s, and the browser decides
/// when it comes back. The test counts connections, not time.
async fn every_change_once_and_in_order_over_twenty_connections(browser: Browser) {
    changes_while_connections_end(browser, "always").await;
}

/// The same with rests: each response ends as soon as everything was sent.
async fn every_change_once_and_in_order_over_twenty_check_ins(browser: Browser) {
    changes_while_connections_end(browser, "auto").await;
}

async fn changes_while_connections_end(browser: Browser, hold: &str) {
    const CONNECTIONS: usize = 20;
    let harness = Harness::new(hold).await;
    let Some(mut page) = BrowserPage::watch(browser, &harness.url()).await else {
        return;
    };
    let (mut written, mut seen, mut connections) = (0, Vec::new(), 0);
    while connections < CONNECTIONS || seen.len() < usize::try_from(written).unwrap() {
        let pause = Duration::from_millis(fastrand::u64(0..800));
        tokio::select! {
            report = page.next() => match report["type"].as_str().unwrap() {
                "hello" => connections += 1,
                "message" => seen.push(seq(&report)),
                "error" => assert_eq!(report["readyState"], 0, "it gave up"),
                "reset" => panic!("reset, although nothing was lost"),
                _ => {}
            },
            () = tokio::time::sleep(pause), if connections < CONNECTIONS => {
                written += 1;
                harness.change(written, &format!("S{written}")).await;
            }
        }
    }
    assert_eq!(seen, (1..=written).collect::<Vec<_>>());
    assert_eq!(harness.stream.stats().timed_out, 0);
}

async fn the_browser_closes_the_stream_after_end(browser: Browser) {
    let harness = Harness::new("always").await;
    harness.change(1, "SHIPPED").await;
    let Some(mut page) = BrowserPage::watch(browser, &harness.url()).await else {
        return;
    };
    page.until("ready").await;
    harness.change(2, "DELIVERED").await;
    assert_eq!(seq(&page.until("message").await), 2);
    page.until("end").await;
    // It comes back once, gets a 204 and closes.
    let closed = loop {
        let error = page.until("error").await;
        if error["readyState"] == 2 {
            break harness.stream.stats().started;
        }
    };
    assert!(closed >= 2);
}

in_each_browser!(
    webkit_gtk:
    every_change_once_and_in_order_over_twenty_connections,
    every_change_once_and_in_order_over_twenty_check_ins,
    the_browser_closes_the_stream_after_end
);

//! What is done in the process: the bytes of a frame, the cursor that is its id, and the refusal of a request.
#![allow(missing_docs, reason = "a benchmark")]

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use bench::rows::Row;
use criterion::Criterion;
use jsonwebtoken::Algorithm;
use local::issuer::Issuer;
use order_status_stream::clock::Clock;
use order_status_stream::cursor::Cursor;
use order_status_stream::endpoint::Endpoint;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::frame::{Event, EventId, Frame};
use order_status_stream::invocation::Invocation;
use order_status_stream::settings::StreamSettings;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

const GROUP: &str = "in the process";
const FRAME: &str = "a change of 200 bytes into a frame";
const LARGE: &str = "a change of 100 KB into a frame";
const FORMAT: &str = "the cursor of 8 orders into text";
const PARSE: &str = "the cursor of 8 orders from text";
const NO_TOKEN: &str = "a request without a token, until refused";
const WRONG_SIGNATURE: &str = "a request with a wrong signature (ES256), until refused";
const CURSOR: &str = "12-9f2c.3-0001.0-0007.4096-ffff.1-abcd.2-1234~.77-00ff.8-c0de";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut criterion = Criterion::default()
        .output_directory(folder.path())
        .configure_from_args();
    let cursor = Cursor::parse(CURSOR, 8).ok_or("not a cursor of 8 orders")?;
    let mut group = criterion.benchmark_group(GROUP);
    for (what, bytes) in [(FRAME, 200), (LARGE, 100_000)] {
        let frame = frame(bytes)?;
        group.bench_function(what, |bencher| bencher.iter(|| black_box(&frame).encode()));
    }
    group.bench_function(FORMAT, |bencher| {
        bencher.iter(|| black_box(&cursor).to_string());
    });
    group.bench_function(PARSE, |bencher| {
        bencher.iter(|| Cursor::parse(black_box(CURSOR), 8));
    });
    let refusing = Refusing::new()?;
    for (what, authorization) in refusing.requests()? {
        let event = event(&authorization);
        group.bench_function(what, |bencher| bencher.iter(|| refusing.refuse(&event)));
    }
    group.finish();
    criterion.final_summary();
    if std::env::var_os("BENCH_ROWS").is_some() {
        for what in [FRAME, LARGE, FORMAT, PARSE, NO_TOKEN, WRONG_SIGNATURE] {
            let row = Row::new(GROUP, what, "µs");
            row.ours(median(folder.path(), what)? / 1e3).record()?;
        }
    }
    Ok(())
}

/// A change of one order, with its id.
fn frame(bytes: usize) -> Result<Frame, Box<dyn Error>> {
    let cursor = Cursor::parse("3-9f2c", 1).ok_or("not a cursor")?;
    let empty = r#"{"orderId":"A-1001","seq":3,"status":"SHIPPED","n":""}"#.len();
    let data = format!(
        r#"{{"orderId":"A-1001","seq":3,"status":"SHIPPED","n":"{}"}}"#,
        "x".repeat(bytes - empty)
    );
    Ok(Frame::new(Event::Change, data).id(EventId::Cursor(cursor)))
}

/// The stream function without Lambda and DynamoDB.
struct Refusing {
    endpoint: Endpoint<MemoryFeed>,
    issuer: Issuer,
    runtime: Runtime,
}

impl Refusing {
    fn new() -> Result<Self, Box<dyn Error>> {
        let issuer = Issuer::new(Algorithm::ES256, "k")?;
        let jwks = issuer.jwks()?;
        let settings = StreamSettings::read(|name| match name {
            "FEED_TABLE" => Some("in memory".to_owned()),
            "JWKS" => Some(jwks.clone()),
            _ => None,
        })?;
        Ok(Self {
            endpoint: Endpoint::new(MemoryFeed::default(), settings),
            issuer,
            runtime: Builder::new_current_thread().enable_time().build()?,
        })
    }

    /// The headers that are refused.
    fn requests(&self) -> Result<[(&'static str, String); 2], Box<dyn Error>> {
        let (token, _) = self.issuer.token(&["A"], Duration::from_secs(3600))?;
        let signed = token.rsplit_once('.').ok_or("not a token")?.0;
        let (other, _) = self.issuer.token(&["B"], Duration::from_secs(3600))?;
        let signature = other.rsplit_once('.').ok_or("not a token")?.1;
        Ok([
            (NO_TOKEN, String::new()),
            (WRONG_SIGNATURE, format!("Bearer {signed}.{signature}")),
        ])
    }

    fn refuse(&self, event: &str) {
        let invocation = Invocation::new(Clock::system(), 0, fastrand::Rng::new());
        let response = self.endpoint.respond_to_event(event, invocation);
        let response = self.runtime.block_on(response);
        assert_eq!(response.status(), 401);
    }
}

/// The event of a Function URL.
fn event(authorization: &str) -> String {
    json!({
        "version": "2.0", "rawPath": "/orders/A/events", "rawQueryString": "",
        "headers": { "accept": "text/event-stream", "authorization": authorization },
        "requestContext": { "http": { "method": "GET", "path": "/orders/A/events" } },
        "isBase64Encoded": false,
    })
    .to_string()
}

/// In nanoseconds, from the file that criterion writes.
fn median(folder: &Path, what: &str) -> Result<f64, Box<dyn Error>> {
    let file = folder.join(GROUP).join(what).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let median = estimates["median"]["point_estimate"].as_f64();
    Ok(median.ok_or("criterion wrote no median")?)
}

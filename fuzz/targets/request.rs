//! The input is an event as JSON, or the fields of a request, one per line: method, path, query, Last-Event-ID, Accept,
//! Cookie, Authorization. The response has a documented status, and a stream consists of complete frames.
#![no_main]

use std::time::Duration;

use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use order_status_stream::change::{Change, Position, Write};
use order_status_stream::clock::Clock;
use order_status_stream::endpoint::Endpoint;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::feed::append;
use order_status_stream::invocation::Invocation;
use order_status_stream::order::{OrderId, Status};
use order_status_stream::settings::StreamSettings;
use serde_json::json;

const FIELDS: [&str; 7] = ["event", "retry", "data", "id", "", "", ""];

fuzz_target!(|text: &str| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(answer(text));
});

async fn answer(text: &str) {
    let event = if text.starts_with('{') { text.to_owned() } else { event(text) };
    let response = endpoint().await.respond_to_event(&event, Invocation::new(clock(), 0, fastrand::Rng::with_seed(7))).await;
    let status = response.status().as_u16();
    assert!([200, 204, 400, 404, 405].contains(&status), "{status}");
    let is_stream = response.headers().get("content-type").is_some_and(|is| is == "text/event-stream; charset=utf-8");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.into()).unwrap();
    if !is_stream || body.is_empty() {
        return;
    }
    // The last frame may be followed by a comment.
    let ending = body.strip_suffix(":\n").unwrap_or(&body);
    assert!(body.starts_with(":\nevent: hello\n") && ending.ends_with("\n\n"), "{body}");
    for line in body.lines() {
        let (name, _) = line.split_once(':').unwrap_or((line, ""));
        assert!(FIELDS.contains(&name), "{body}");
    }
}

fn event(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, path, query) = (line(), line(), line());
    let headers = json!({ "last-event-id": line(), "accept": line(), "cookie": line(), "authorization": line() });
    let event = json!({
        "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers, "isBase64Encoded": false,
        "requestContext": { "http": { "method": method, "path": path }, "timeEpoch": 1, "stage": "$default" },
    });
    event.to_string()
}

async fn endpoint() -> Endpoint<MemoryFeed> {
    let variable = |name: &str| match name {
        "FEED_TABLE" => Some("in memory".to_owned()),
        "ACCESS" => Some("open".to_owned()),
        "WINDOW" => Some("1s".to_owned()),
        _ => None,
    };
    let feed = MemoryFeed::default();
    for (n, (id, status)) in [("A", "PLACED"), ("B", "PLACED"), ("B", "DELIVERED")].into_iter().enumerate() {
        let change = Change {
            order: OrderId::try_from(id).unwrap(),
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
        append(&feed, &change, &clock(), Duration::from_secs(172_800)).await.unwrap();
    }
    Endpoint::new(feed, StreamSettings::read(variable).unwrap())
}

fn clock() -> Clock {
    Clock::starting_at(Duration::from_secs(1_795_369_200))
}

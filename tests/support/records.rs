//! Stream records as Lambda delivers them, and a projector on a feed.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "test files share it; none of them uses all of it"
)]

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event;
use order_status_stream::clock::Clock;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::feed::{Entry, Feed};
use order_status_stream::projector::Projector;
use order_status_stream::settings::ProjectorSettings;
use serde_json::{Value, json};

/// 2026-11-22T17:40:00Z
pub const START: u64 = 1_795_369_200;

pub fn settings(more: &[(&str, &str)]) -> ProjectorSettings {
    let base = [
        ("FEED_TABLE", "in memory"),
        ("PUBLIC_ATTRIBUTES", "eta,carrier,trackingUrl"),
    ];
    let variable = |name: &str| {
        let found = more.iter().chain(&base).find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    ProjectorSettings::read(variable).unwrap()
}

/// A new process of the projector.
pub fn projector<F: Feed>(feed: &F, more: &[(&str, &str)]) -> Projector<F> {
    let settings = settings(more);
    Projector::new(feed.clone(), settings.rules, settings.retention)
}

/// A record of a table's stream. `n` is its time in seconds after [`START`], and its sequence number. A table whose name comes
/// later in the alphabet has a newer stream.
pub fn record(table: &str, id: &str, n: u64, status: &str) -> Value {
    let year = 1900 + u32::from(table.as_bytes()[0]);
    record_of(&format!("{table}/stream/{year}"), id, n, START + n, status)
}

/// A record of a stream `TABLE/stream/YEAR` as Lambda delivers it, which was written at a time in seconds since the Unix
/// epoch. Its sequence number is as long as DynamoDB's.
pub fn record_of(stream: &str, id: &str, n: u64, written_at: u64, status: &str) -> Value {
    json!({
        "eventID": format!("{n:032x}"),
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "eventSourceARN": format!("arn:aws:dynamodb:us-east-1:123456789012:table/{stream}-11-22T00:00:00.000"),
        "dynamodb": {
            "ApproximateCreationDateTime": written_at,
            "Keys": { "orderId": { "S": id } },
            "NewImage": { "orderId": { "S": id }, "status": { "S": status } },
            "SequenceNumber": format!("7000000000000000{n:09}"),
            "SizeBytes": 59,
            "StreamViewType": "NEW_AND_OLD_IMAGES"
        }
    })
}

pub fn insert(table: &str, id: &str, n: u64, status: &str) -> Value {
    named("INSERT", record(table, id, n, status))
}

/// A record with the item's old status.
pub fn modify(table: &str, id: &str, n: u64, old: &str, status: &str) -> Value {
    let mut record = record(table, id, n, status);
    let image = json!({ "orderId": { "S": id }, "status": { "S": old } });
    record["dynamodb"]["OldImage"] = image;
    record
}

pub fn remove(table: &str, id: &str, n: u64) -> Value {
    let mut record = named("REMOVE", record(table, id, n, "GONE"));
    record["dynamodb"]["NewImage"] = json!({});
    record
}

fn named(event: &str, mut record: Value) -> Value {
    record["eventName"] = json!(event);
    record
}

/// Adds an attribute.
pub fn with(mut record: Value, name: &str, value: Value) -> Value {
    record["dynamodb"]["NewImage"][name] = value;
    record
}

/// Sets the time when AWS wrote the record, in seconds after [`START`].
pub fn written(mut record: Value, seconds: u64) -> Value {
    record["dynamodb"]["ApproximateCreationDateTime"] = json!(START + seconds);
    record
}

pub fn sequence_number(record: &Value) -> String {
    let number = record["dynamodb"]["SequenceNumber"].as_str();
    number.unwrap().to_owned()
}

/// Projects a batch at a time in seconds after [`START`]. Returns the sequence numbers that must be delivered again.
pub async fn project_at<F: Feed>(
    projector: &Projector<F>,
    records: &[Value],
    seconds: u64,
) -> Vec<String> {
    let batch: Event = serde_json::from_value(json!({ "Records": records })).unwrap();
    let clock = Clock::starting_at(Duration::from_secs(START + seconds));
    let end = clock.now() + Duration::from_secs(20);
    let failures = projector.project(&batch, &clock, end).await;
    let failures = failures.batch_item_failures.into_iter();
    failures
        .map(|failure| failure.item_identifier.unwrap())
        .collect()
}

pub async fn project<F: Feed>(projector: &Projector<F>, records: &[Value]) -> Vec<String> {
    project_at(projector, records, 10_000).await
}

/// The statuses in an order's log. Checks that its numbers are 1, 2, 3 …
pub fn statuses(feed: &MemoryFeed, id: &str) -> Vec<String> {
    let log = log(feed, id);
    for (entry, n) in log.iter().zip(1..) {
        assert_eq!(entry.seq.0, n, "numbers without a gap");
    }
    log.into_iter()
        .map(|entry| entry.status.as_str().to_owned())
        .collect()
}

pub fn log(feed: &MemoryFeed, id: &str) -> Vec<Entry> {
    let entries = feed.entries().into_iter();
    entries.filter(|entry| entry.order.as_str() == id).collect()
}

/// Collects what this thread logs, until it is dropped.
pub struct Logs {
    lines: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logs {
    pub fn start() -> Self {
        // With a single subscriber, `tracing` asks only the first thread that reaches a line whether the line is enabled, and
        // caches the result for all threads. Another test's thread has no subscriber, so the line would stay disabled.
        static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::fmt().finish()));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        Self {
            lines,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines with this level and message.
    pub fn with(&self, level: &str, message: &str) -> Vec<Value> {
        let lines = String::from_utf8(self.lines.lock().unwrap().clone()).unwrap();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|line: &Value| line["level"] == level && line["fields"]["message"] == message)
            .collect()
    }
}

/// Runs a test of a property on paused time.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(test);
}

//! Events of Kafka as Lambda delivers them, and a projector of them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "test files share it; none of them uses all of it"
)]

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use order_status_stream::clock::Clock;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::projector::{Input, KafkaEvent, Projector, Unfinished};
use serde_json::{Value, json};

use crate::records::{self, START};

pub const MSK: &str = "arn:aws:kafka:us-east-1:123456789012:cluster/vpc-2priv-2pub/751d2973-a626-431c-9d4e-d7975eb44dd7-2";

pub fn read(event: &Value) -> KafkaEvent {
    // From text, as in Lambda: a number of a `Value` has lost digits already.
    match serde_json::from_str(&event.to_string()).unwrap() {
        Input::Kafka(event) => event,
        Input::Stream(event) => panic!("{event:?}"),
    }
}

pub async fn project(projector: &Projector<MemoryFeed>, event: &Value) -> Result<(), Unfinished> {
    let clock = Clock::starting_at(Duration::from_secs(START + 10_000));
    let end = clock.now() + Duration::from_secs(20);
    projector.project_kafka(&read(event), &clock, end).await
}

pub fn projector(feed: &MemoryFeed) -> Projector<MemoryFeed> {
    records::projector(feed, &[])
}

pub fn base64(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => json!(BASE64_STANDARD.encode(text)),
        other => json!(BASE64_STANDARD.encode(other.to_string())),
    }
}

/// A record of the topic `orders`. A text is written as it is, any other value as JSON.
pub fn record(partition: u64, offset: u64, seconds: u64, key: &Value, value: &Value) -> Value {
    json!({
        "topic": "orders",
        "partition": partition,
        "offset": offset,
        "timestamp": (START + seconds) * 1000,
        "timestampType": "CREATE_TIME",
        "key": base64(key),
        "value": base64(value),
        "headers": []
    })
}

pub fn order(partition: u64, n: u64, id: &str, status: &str) -> Value {
    let value = json!({ "orderId": id, "status": status });
    record(partition, n, n, &json!(id), &value)
}

pub fn event(records: &[Value]) -> Value {
    let mut partitions = serde_json::Map::new();
    for record in records {
        let name = format!("orders-{}", record["partition"]);
        let list = partitions.entry(name).or_insert_with(|| json!([]));
        list.as_array_mut().unwrap().push(record.clone());
    }
    json!({ "eventSource": "aws:kafka", "eventSourceArn": MSK, "records": partitions })
}

//! In some worlds, the orders are in Kafka: the records of the table's stream are delivered as Debezium would write them to a topic,
//! and in the shape in which Lambda delivers a topic. The projector reads them as bytes.
//!
//! A shard stands for several partitions. Their offsets have gaps, as in a compacted topic.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fastrand::Rng;
use order_status_stream::clock::Clock;
use order_status_stream::feed::Feed;
use order_status_stream::projector::{Input, Projector, Unfinished};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::chance::Chance;
use crate::platform::Platform;
use crate::table::Shard;
use crate::world::{Kind, World};

/// A table's stream has one to three shards. So all records of a partition are in one shard.
const PARTITIONS: usize = 12;

/// How the orders are written to Kafka and read from it.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// One of so many records is in the topic twice, because its producer was not sure whether it had arrived. 0 means none.
    one_twice_of: u64,
    /// The probability for each batch that another consumer gets its partitions.
    rebalances: f64,
    /// Whether records have the row before the change.
    rows_before: bool,
}

impl Topic {
    /// In three of ten worlds.
    pub fn draw(random: &Rng, on_remove: &str) -> Option<Self> {
        // From a generator of its own, so that worlds without Kafka stay as they were.
        let mut random = Rng::with_seed(!random.clone().u64(..));
        random.chance(0.3).then(|| Self {
            // If deletions are ignored, a repeated creation begins a new life: docs/kafka.md.
            one_twice_of: match on_remove {
                "end" => random.one(&[0, 2, 5, 20]),
                _ => 0,
            },
            rebalances: random.one(&[0.0, 0.05, 0.3]),
            rows_before: random.bool(),
        })
    }

    /// Projects a batch. If it fails, its first record counts as failed: Lambda delivers all of it again.
    pub async fn project<F: Feed>(
        &self,
        projector: &Projector<F>,
        batch: &Event,
        (clock, end): (&Clock, Instant),
        world: &World,
    ) -> DynamoDbEventResponse {
        let event = self.event(&batch.records, world);
        let result = match serde_json::from_slice(event.as_bytes()) {
            Ok(Input::Kafka(event)) => projector.project_kafka(&event, clock, end).await,
            other => {
                world.finding(Kind::Other, format!("no event of Kafka: {other:?}"));
                Err(Unfinished)
            }
        };
        let mut response = DynamoDbEventResponse::default();
        if let (Err(Unfinished), Some(first)) = (result, batch.records.first()) {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = first.change.sequence_number.clone();
            response.batch_item_failures.push(failure);
        }
        response
    }

    /// The event as text. A `Value` would round its numbers.
    fn event(&self, records: &[EventRecord], world: &World) -> String {
        let mut partitions = BTreeMap::<_, Vec<_>>::new();
        for record in records {
            let (topic, number) = (topic(record), number(record));
            let change = serde_json::to_value(&record.change).unwrap_or_default();
            let key = row(&change["Keys"]);
            let partition = key.bytes().map(usize::from).sum::<usize>() % PARTITIONS;
            let before = match self.rows_before {
                true => row(&change["OldImage"]),
                false => "null".to_owned(),
            };
            let (op, after) = (op(record), row(&change["NewImage"]));
            let time = record.change.approximate_creation_date_time;
            let time = time.timestamp_millis();
            let value = format!(
                r#"{{"op":"{op}","before":{before},"after":{after},"source":{{}},"ts_ms":{time}}}"#
            );
            let is_twice = self.one_twice_of > 0 && number % self.one_twice_of == 0;
            if is_twice {
                world.fault("records repeated by the producer", "kafka");
            }
            let (key, value) = (BASE64_STANDARD.encode(key), BASE64_STANDARD.encode(value));
            let list = partitions
                .entry(format!("{topic}-{partition}"))
                .or_default();
            for offset in 2 * number..=2 * number + u64::from(is_twice) {
                list.push(format!(
                    r#"{{"topic":"{topic}","partition":{partition},"offset":{offset},"timestamp":{time},"key":"{key}","value":"{value}"}}"#
                ));
            }
        }
        let partitions = partitions.into_iter();
        let partitions = partitions.map(|(name, list)| format!(r#""{name}":[{}]"#, list.join(",")));
        let partitions: Vec<_> = partitions.collect();
        format!(
            r#"{{"eventSource":"SelfManagedKafka","bootstrapServers":"b1:9092","records":{{{}}}}}"#,
            partitions.join(",")
        )
    }
}

/// The table's name.
fn topic(record: &EventRecord) -> &str {
    let arn = record.event_source_arn.as_deref().unwrap_or_default();
    arn.split('/').nth(1).unwrap_or_default()
}

/// The number of the write. A sequence number has more digits than an offset may have.
fn number(record: &EventRecord) -> u64 {
    let number = record.change.sequence_number.as_deref().unwrap_or_default();
    let digits = &number[number.len().saturating_sub(18)..];
    digits.parse().unwrap_or_default()
}

fn op(record: &EventRecord) -> &'static str {
    match record.event_name.as_str() {
        "INSERT" => "c",
        "REMOVE" => "d",
        _ => "u",
    }
}

/// An item as JSON. `null` if it is empty.
fn row(item: &Value) -> String {
    match item {
        Value::Object(members) if !members.is_empty() => object(members),
        _ => "null".to_owned(),
    }
}

fn object(members: &serde_json::Map<String, Value>) -> String {
    let mut text = String::from("{");
    for (name, value) in members {
        let comma = if text.len() > 1 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{comma}{}:{}",
            Value::from(name.as_str()),
            json(value)
        );
    }
    text + "}"
}

/// DynamoDB's JSON as plain JSON. A number keeps its digits. A list is sorted if it was a set.
fn json(value: &Value) -> String {
    let member = value.as_object().and_then(|value| value.iter().next());
    match member.map(|(kind, value)| (kind.as_str(), value)) {
        Some(("N", number)) => number.as_str().unwrap_or_default().to_owned(),
        Some(("M", Value::Object(members))) => object(members),
        Some(("L", Value::Array(list))) => {
            let list: Vec<_> = list.iter().map(json).collect();
            format!("[{}]", list.join(","))
        }
        Some(("SS", Value::Array(set))) => {
            let mut set: Vec<_> = set.iter().map(Value::to_string).collect();
            set.sort();
            format!("[{}]", set.join(","))
        }
        Some(("S" | "BOOL", value)) => value.to_string(),
        _ => "null".to_owned(),
    }
}

/// Perhaps another consumer gets the partitions of a shard. It begins at an offset that was committed earlier, cuts the batches at
/// other places, and reads while the first consumer has not noticed it yet.
pub fn rebalance(
    platform: &Arc<Platform>,
    shard: &Shard,
    done: usize,
    world: &World,
    random: &mut Rng,
) {
    let Some(topic) = platform.topic() else {
        return;
    };
    if world.faults_have_stopped() || !random.chance(topic.rebalances) {
        return;
    }
    world.fault("rebalances", "source");
    // Without a fixed consumer group, a mapping that is created again reads the whole topic.
    let back = if random.chance(0.1) { done } else { 20 };
    let from = done - random.usize(..=done.min(back));
    let to = shard.count().min(done + random.usize(1..=10));
    let (records, size) = (shard.records(from..to), random.usize(1..=6));
    let later = random.magnitude(0.001, 10.0);
    let platform = Arc::clone(platform);
    tokio::spawn(async move {
        sleep(later).await;
        for batch in records.chunks(size) {
            // Nothing is read after a batch that failed. The first consumer delivers it too.
            if platform.project(batch).await != Some(Vec::new()) {
                return;
            }
        }
    });
}

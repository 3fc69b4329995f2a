//! Not Kafka, but what Lambda would deliver if Debezium wrote the orders table to a topic. There is no broker: the batches, their
//! retries and the sequence of records are those of the stream.

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_dynamo::Item;
use serde_json::{Value, json};

use crate::event_source::{BoxError, Invoke};

/// A function that gets each batch of a stream in the shape of a Kafka event.
#[derive(Clone, Debug)]
pub struct AsKafka<I>(pub I);

impl<I: Invoke> Invoke for AsKafka<I> {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let event: Event = serde_json::from_slice(&payload)?;
        let records = event.records.iter().map(record);
        let records = records.collect::<Result<Vec<_>, BoxError>>()?;
        let event = json!({
            "eventSource": "SelfManagedKafka",
            "bootstrapServers": "no-broker.invalid:9092",
            "records": { "orders-0": records },
        });
        self.0.invoke(Bytes::from(event.to_string())).await
    }
}

/// What Debezium writes to the topic for a record of the stream.
#[derive(Debug)]
pub(crate) struct Message {
    /// The row's key, as JSON.
    pub(crate) key: String,
    /// Debezium's envelope, as JSON.
    pub(crate) value: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) time: i64,
}

impl Message {
    pub(crate) fn of(record: &EventRecord) -> Result<Self, BoxError> {
        let change = &record.change;
        let op = match record.event_name.as_str() {
            "INSERT" => "c",
            "REMOVE" => "d",
            _ => "u",
        };
        let time = change.approximate_creation_date_time.timestamp_millis();
        let value = json!({
            "before": row(&change.old_image)?,
            "after": row(&change.new_image)?,
            "source": { "connector": "stand-in", "ts_ms": time },
            "op": op,
            "ts_ms": time,
        });
        Ok(Self {
            key: row(&change.keys)?.to_string(),
            value: value.to_string(),
            time,
        })
    }
}

fn record(record: &EventRecord) -> Result<Value, BoxError> {
    let Message { key, value, time } = Message::of(record)?;
    // A sequence number has more digits than an offset may have. Its first ones do not change here.
    let number = record.change.sequence_number.as_deref();
    let number = number.unwrap_or_default();
    let offset = &number[number.len().saturating_sub(15)..];
    let place = ("orders", 0, offset.parse()?);
    Ok(lambda_record(
        place,
        time,
        Some(key.as_bytes()),
        Some(value.as_bytes()),
    ))
}

/// A record of Lambda's event. Its place is the topic, the partition and the offset.
pub(crate) fn lambda_record(
    (topic, partition, offset): (&str, i32, i64),
    time: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Value {
    json!({
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "timestamp": time,
        "timestampType": "CREATE_TIME",
        "key": key.map(|key| BASE64_STANDARD.encode(key)),
        "value": value.map(|value| BASE64_STANDARD.encode(value)),
        "headers": [],
    })
}

fn row(item: &Item) -> Result<Value, BoxError> {
    Ok(match item.is_empty() {
        true => Value::Null,
        false => serde_dynamo::from_item(item.clone())?,
    })
}

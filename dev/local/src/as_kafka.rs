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

/// The record with Debezium's envelope.
fn record(record: &EventRecord) -> Result<Value, BoxError> {
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
    // A sequence number has more digits than an offset may have. Its first ones do not change here.
    let number = change.sequence_number.as_deref().unwrap_or_default();
    let offset = &number[number.len().saturating_sub(15)..];
    Ok(json!({
        "topic": "orders",
        "partition": 0,
        "offset": offset.parse::<i64>()?,
        "timestamp": time,
        "timestampType": "CREATE_TIME",
        "key": BASE64_STANDARD.encode(row(&change.keys)?.to_string()),
        "value": BASE64_STANDARD.encode(value.to_string()),
        "headers": [],
    }))
}

fn row(item: &Item) -> Result<Value, BoxError> {
    Ok(match item.is_empty() {
        true => Value::Null,
        false => serde_dynamo::from_item(item.clone())?,
    })
}

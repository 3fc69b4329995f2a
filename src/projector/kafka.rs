//! Lambda's event of Apache Kafka and Amazon MSK, read as the stream records that the same writes to a table would make. Pure.
//!
//! So one set of rules decides what the public sees, whatever the source is.
//!
//! - The event: <https://docs.aws.amazon.com/lambda/latest/dg/with-msk.html> and
//!   <https://docs.aws.amazon.com/lambda/latest/dg/with-kafka.html>
//! - Debezium's envelope:
//!   <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events>

mod value;

use std::collections::{BTreeMap, HashMap};

use aws_lambda_events::event::dynamodb::EventRecord;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;
use serde::Deserialize;
use serde_dynamo::{AttributeValue, Item};

use super::key::OrderKey;
use super::poison::{Poison, shortened};
use value::{ReadError, Surrogates, read};

/// How the source of a Kafka record begins. An ARN begins differently.
const SOURCE: &str = "kafka/";

/// The batch of records that Lambda delivers. `aws_lambda_events` has it too, but fails for the whole batch if one record has no
/// headers or no time.
#[derive(Clone, Debug, Default)]
pub struct KafkaEvent {
    /// The ARN of an MSK cluster. A self-managed cluster has none.
    pub event_source_arn: Option<String>,
    /// `HOST:PORT`, separated by commas.
    pub bootstrap_servers: Option<String>,
    /// The records by topic and partition, such as `orders-0`.
    pub records: BTreeMap<String, Vec<KafkaRecord>>,
}

/// A record of a topic.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct KafkaRecord {
    /// The topic.
    #[serde(default)]
    pub topic: String,
    /// The partition of the topic.
    pub partition: i64,
    /// The position in the partition.
    pub offset: i64,
    /// When the record was written, in milliseconds since the Unix epoch. Negative if it has no time.
    #[serde(default)]
    pub timestamp: Option<i64>,
    /// The order's id, in base64.
    #[serde(default)]
    pub key: Option<String>,
    /// The order, in base64. `None` if it was deleted.
    #[serde(default)]
    pub value: Option<String>,
}

/// A stream record, and why it cannot be read although its position is known.
pub(super) type Translated = (EventRecord, Option<Poison>);

impl KafkaEvent {
    /// The records as stream records, those of a partition in their order.
    pub(super) fn translate(&self, key: &OrderKey, generation: Option<&str>) -> Vec<Translated> {
        let records = self.records.values().flatten();
        records
            .map(|record| {
                let mut translated = EventRecord::default();
                translated.event_id = record.id();
                translated.event_source_arn = Some(self.source(record, generation));
                translated.change.sequence_number = Some(record.offset.to_string());
                translated.change.approximate_creation_date_time = record
                    .timestamp
                    .and_then(DateTime::from_timestamp_millis)
                    .unwrap_or_default();
                let poison = record.fill(&mut translated, key).err();
                (translated, poison)
            })
            .collect()
    }

    /// `kafka/CLUSTER/TOPIC/PARTITION`. Neither a topic nor a generation contains `/` or `@`.
    ///
    /// The cluster is its ARN, or the first of its bootstrap servers in the order of the alphabet: often, the list grows without
    /// another first server.
    fn source(&self, record: &KafkaRecord, generation: Option<&str>) -> String {
        let servers = self.bootstrap_servers.as_deref().unwrap_or_default();
        let first = servers.split(',').map(str::trim).min().unwrap_or_default();
        let cluster = self.event_source_arn.as_deref().unwrap_or(first);
        let KafkaRecord {
            topic, partition, ..
        } = record;
        match generation {
            Some(generation) => format!("{SOURCE}{cluster}/{topic}@{generation}/{partition}"),
            None => format!("{SOURCE}{cluster}/{topic}/{partition}"),
        }
    }
}

/// The source without the partition, because all partitions of a topic are read with the same settings.
pub(super) fn without_partition(source: &str) -> &str {
    match source.rsplit_once('/') {
        Some((topic, _)) if is_source(source) => topic,
        _ => source,
    }
}

pub(super) fn is_source(source: &str) -> bool {
    source.starts_with(SOURCE)
}

impl KafkaRecord {
    fn id(&self) -> String {
        format!("{}-{}@{}", self.topic, self.partition, self.offset)
    }

    /// Reads the key and the value.
    fn fill(&self, translated: &mut EventRecord, key: &OrderKey) -> Result<(), Poison> {
        // Until the key can be read, it only tells one order from another.
        let unread = self.key.clone().unwrap_or_else(|| self.id());
        let unread = ("unread".to_owned(), AttributeValue::S(unread));
        translated.change.keys = HashMap::from([unread]).into();
        let (keys, images) = (self.keys(key), self.images());
        if let Err(operation @ Poison::EventName(_)) = images {
            // A truncate has no key, because it is about the whole table.
            return Err(operation);
        }
        translated.change.keys = keys?;
        let (event, old_image, new_image) = images?;
        event.clone_into(&mut translated.event_name);
        translated.change.old_image = old_image;
        translated.change.new_image = new_image;
        Ok(())
    }

    fn keys(&self, key: &OrderKey) -> Result<Item, Poison> {
        const NO_KEY: &str = "the Kafka record has no key: the order's id must be its key";
        const NO_TEXT: &str = "the Kafka record's key is neither UTF-8 text nor JSON: check the producer's serializer or converter";
        let bytes = self.key.as_deref().ok_or(Poison::Kafka(NO_KEY))?;
        let bytes = BASE64_STANDARD.decode(bytes).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or(Poison::Kafka(NO_TEXT))?;
        // Confluent's formats begin with the byte 0.
        if text.is_empty() || text.starts_with('\0') {
            return Err(Poison::Kafka(NO_TEXT));
        }
        let value = match text.starts_with(['{', '"']) {
            true => {
                let value = read(&text, Surrogates::Refuse);
                value.map_or(AttributeValue::S(text), without_schema)
            }
            false => AttributeValue::S(text),
        };
        Ok(match value {
            AttributeValue::M(attributes) => attributes.into(),
            id => {
                let attribute = key.attributes().next().unwrap_or_default();
                HashMap::from([(attribute.to_owned(), id)]).into()
            }
        })
    }

    /// The event's name, the old image and the new image.
    fn images(&self) -> Result<(&'static str, Item, Item), Poison> {
        let removed = ("REMOVE", Item::default(), Item::default());
        let Some(value) = &self.value else {
            return Ok(removed);
        };
        let members = match self.json(value)? {
            AttributeValue::M(members) if !members.is_empty() => members,
            AttributeValue::Null(_) => return Ok(removed),
            _ => return Err(Poison::Kafka(NO_OBJECT)),
        };
        let Some(AttributeValue::S(op)) = members.get("op").filter(|_| is_envelope(&members))
        else {
            // Nobody knows whether the order existed before.
            return Ok(("MODIFY", Item::default(), members.into()));
        };
        let event = match op.as_str() {
            "c" => "INSERT",
            // `r` is a row of a snapshot: it existed before.
            "u" | "r" => "MODIFY",
            "d" => return Ok(removed),
            other => return Err(Poison::EventName(shortened(&format!("op {other}")))),
        };
        let row = |name: &str| match members.get(name) {
            Some(AttributeValue::M(row)) => row.clone().into(),
            _ => Item::default(),
        };
        match row("after") {
            after if after.is_empty() => Err(Poison::Kafka(NO_AFTER)),
            after => Ok((event, row("before"), after)),
        }
    }

    fn json(&self, value: &str) -> Result<AttributeValue, Poison> {
        let bytes = BASE64_STANDARD.decode(value).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or(Poison::Kafka(NO_OBJECT))?;
        match read(&text, Surrogates::Replace) {
            Ok(value) => Ok(without_schema(value)),
            Err(ReadError::Syntax) => Err(Poison::Kafka(NO_OBJECT)),
            Err(ReadError::Depth) => Err(Poison::Depth),
        }
    }
}

const NO_OBJECT: &str = "the Kafka record's value is not a JSON object with members: check the producer's serializer or converter";
const NO_AFTER: &str =
    "the Kafka record's `after` is empty: Debezium must write the whole row after a change";

/// What Kafka Connect's JSON converter writes beside its schema.
fn without_schema(value: AttributeValue) -> AttributeValue {
    match value {
        AttributeValue::M(mut members)
            if members.len() == 2
                && members.contains_key("schema")
                && members.contains_key("payload") =>
        {
            members
                .remove("payload")
                .unwrap_or(AttributeValue::Null(true))
        }
        other => other,
    }
}

/// Whether this is Debezium's envelope. An order may have an attribute `op`, but not all three. A truncate has no row, only a time.
fn is_envelope(members: &HashMap<String, AttributeValue>) -> bool {
    let has = |name: &str| members.contains_key(name);
    let is_truncate =
        || has("ts_ms") && members.get("op") == Some(&AttributeValue::S("t".to_owned()));
    let is_complete = has("after") || has("before") || is_truncate();
    is_complete && matches!(members.get("source"), Some(AttributeValue::M(_)))
}

//! A record of the Orders table's stream, read as a change of what the public may see.

use std::collections::{BTreeSet, HashMap};

use aws_lambda_events::event::dynamodb::EventRecord;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_dynamo::{AttributeValue, Item};
use serde_json::{Number, Value};
use thiserror::Error;

use crate::feed::Position;
use crate::order::{OrderId, OrderIdError, PublicView, Status};

/// Where the Orders table keeps what, and which of it the public may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The table's partition key, its only key.
    pub order_id_attribute: String,
    /// Holds the status.
    pub status_attribute: String,
    /// Holds the time of the change: RFC 3339 text, or a number of seconds or milliseconds since the Unix epoch.
    pub updated_at_attribute: String,
    /// What the public may see beside the status.
    pub public_attributes: BTreeSet<String>,
    /// After these nothing more is expected.
    pub terminal_statuses: BTreeSet<Status>,
    /// What a deleted item means.
    pub on_remove: OnRemove,
}

/// What a deleted item of the Orders table means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemove {
    /// The order's end, unless DynamoDB's own TTL deleted it.
    End,
    /// Nothing. For global tables, which replicate TTL deletions without saying so.
    Ignore,
}

/// What the public may see of an order after a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Whose it is.
    pub order: OrderId,
    /// Where the record stands in the source.
    pub position: Position,
    /// The status after the write.
    pub status: Status,
    /// The public attributes after the write.
    pub view: PublicView,
    /// When it was written, RFC 3339 in UTC; `None` where neither the shop nor the record says so.
    pub at: Option<String>,
    /// Nothing more is expected.
    pub terminal: bool,
}

/// Why a record can never become a change, however often it is tried.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Poison {
    /// The table's key has further attributes: sibling items would speak for one order.
    #[error("the Orders table has a sort key, so an item is not an order: its keys are {0}")]
    SortKey(String),
    /// The key is another attribute.
    #[error("the key has no attribute `{0}`: is ORDER_ID_ATTRIBUTE right?")]
    NoOrderId(String),
    /// The key is no order id.
    #[error("the attribute `{attribute}` is no order id")]
    OrderId {
        /// Its name.
        attribute: String,
        /// Why not.
        source: OrderIdError,
    },
    /// The stream carries keys only, or old images only.
    #[error(
        "the record has no new image: the stream's view type must be NEW_IMAGE or NEW_AND_OLD_IMAGES"
    )]
    NoImage,
    /// The item has no status, or an empty one.
    #[error("the item has no attribute `{0}`, or an empty one: is STATUS_ATTRIBUTE right?")]
    NoStatus(String),
    /// An attribute holds something else than text.
    #[error("the attribute `{0}` is not a string")]
    NotAString(String),
    /// The record cannot be put in order.
    #[error("the record has no sequence number of up to 40 digits, or no stream ARN")]
    NoPosition,
    /// Neither INSERT nor MODIFY nor REMOVE.
    #[error("the record's event name {0:?} is unknown")]
    EventName(String),
}

impl Rules {
    /// Reads a stream record. `None` where it is a deletion that means nothing.
    ///
    /// # Errors
    ///
    /// [`Poison`] where it will never be a change.
    pub fn read(&self, record: &EventRecord) -> Result<Option<Change>, Poison> {
        let order = self.order(&record.change.keys)?;
        let position = position(record)?;
        let written_at = record.change.approximate_creation_date_time;
        let written_at = (written_at != DateTime::UNIX_EPOCH).then_some(written_at);
        match record.event_name.as_str() {
            "REMOVE" if self.on_remove == OnRemove::Ignore || is_time_to_live(record) => Ok(None),
            "REMOVE" => Ok(Some(Change {
                order,
                position,
                status: Status::removed(),
                view: PublicView::new(),
                at: written_at.map(rfc3339),
                terminal: true,
            })),
            "INSERT" | "MODIFY" => {
                let image = &record.change.new_image;
                let status = self.status(image)?;
                let at = image
                    .get(&self.updated_at_attribute)
                    .and_then(timestamp)
                    .or(written_at);
                Ok(Some(Change {
                    order,
                    position,
                    terminal: self.terminal_statuses.contains(&status),
                    status,
                    view: self.view(image),
                    at: at.map(rfc3339),
                }))
            }
            other => Err(Poison::EventName(other.to_owned())),
        }
    }

    fn order(&self, keys: &Item) -> Result<OrderId, Poison> {
        if keys.len() > 1 {
            let names: BTreeSet<_> = keys.keys().map(String::as_str).collect();
            return Err(Poison::SortKey(
                names.into_iter().collect::<Vec<_>>().join(", "),
            ));
        }
        let attribute = &self.order_id_attribute;
        let id = match keys.get(attribute) {
            Some(AttributeValue::S(id) | AttributeValue::N(id)) => id.as_str(),
            Some(_) => return Err(Poison::NotAString(attribute.clone())),
            None => return Err(Poison::NoOrderId(attribute.clone())),
        };
        OrderId::try_from(id).map_err(|source| Poison::OrderId {
            attribute: attribute.clone(),
            source,
        })
    }

    fn status(&self, image: &Item) -> Result<Status, Poison> {
        if image.is_empty() {
            return Err(Poison::NoImage);
        }
        let attribute = &self.status_attribute;
        match image.get(attribute) {
            Some(AttributeValue::S(status)) => {
                Status::new(status).ok_or_else(|| Poison::NoStatus(attribute.clone()))
            }
            Some(_) => Err(Poison::NotAString(attribute.clone())),
            None => Err(Poison::NoStatus(attribute.clone())),
        }
    }

    fn view(&self, image: &Item) -> PublicView {
        let public = |name: &String| image.get(name).map(|value| (name.clone(), json(value)));
        self.public_attributes.iter().filter_map(public).collect()
    }
}

fn position(record: &EventRecord) -> Result<Position, Poison> {
    // arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL
    let label = record
        .event_source_arn
        .as_deref()
        .and_then(|arn| arn.split_once("/stream/"));
    let sequence_number = record.change.sequence_number.as_deref();
    match (label, sequence_number) {
        (Some((_, label)), Some(sequence_number)) => Position::new(label, sequence_number),
        _ => None,
    }
    .ok_or(Poison::NoPosition)
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html>
fn is_time_to_live(record: &EventRecord) -> bool {
    let by = record.user_identity.as_ref();
    by.is_some_and(|by| by.type_ == "Service" && by.principal_id == "dynamodb.amazonaws.com")
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Up to here a number is read as seconds (the year 5138), from here on as milliseconds (since March 1973).
const SECONDS_BELOW: f64 = 1e11;

/// `None` where the attribute is no time: the stream record's then stands in, for a time alone is no reason to hold back
/// a status.
fn timestamp(value: &AttributeValue) -> Option<DateTime<Utc>> {
    match value {
        AttributeValue::S(text) => Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()),
        AttributeValue::N(number) => {
            let number: f64 = number.parse().ok()?;
            let millis = if number < SECONDS_BELOW {
                number * 1000.0
            } else {
                number
            };
            DateTime::from_timestamp_millis(millis as i64)
        }
        _ => None,
    }
}

/// Sets become sorted lists, for DynamoDB keeps no order in them and another order is no change; bytes become base64, as
/// in DynamoDB's own JSON.
fn json(value: &AttributeValue) -> Value {
    let sorted = |mut list: Vec<Value>| {
        list.sort_by_cached_key(Value::to_string);
        Value::Array(list)
    };
    match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(number) => json_number(number),
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::B(bytes) => json_bytes(bytes),
        AttributeValue::L(list) => list.iter().map(json).collect(),
        AttributeValue::M(map) => json_map(map),
        AttributeValue::Ss(set) => {
            sorted(set.iter().map(|text| Value::String(text.clone())).collect())
        }
        AttributeValue::Ns(set) => sorted(set.iter().map(|number| json_number(number)).collect()),
        AttributeValue::Bs(set) => sorted(set.iter().map(|bytes| json_bytes(bytes)).collect()),
    }
}

fn json_map(map: &HashMap<String, AttributeValue>) -> Value {
    map.iter()
        .map(|(name, value)| (name.clone(), json(value)))
        .collect()
}

fn json_bytes(bytes: &[u8]) -> Value {
    Value::String(BASE64_STANDARD.encode(bytes))
}

/// A browser's numbers are doubles: what does not fit an integer becomes one.
fn json_number(number: &str) -> Value {
    let integer = number.parse::<i64>().ok().map(Number::from);
    let double = || number.parse().ok().and_then(Number::from_f64);
    integer
        .or_else(double)
        .map_or_else(|| Value::String(number.to_owned()), Value::Number)
}

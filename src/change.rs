//! A record of the Orders table's stream, read as a change of what the public may see.

use std::collections::{BTreeSet, HashMap};

use aws_lambda_events::event::dynamodb::EventRecord;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_dynamo::{AttributeValue, Item};
use serde_json::Value;
use thiserror::Error;

use crate::feed::{Position, Seen};
use crate::number::Decimal;
use crate::order::{OrderId, OrderIdError, PublicView, Status};
use crate::timestamp;

/// Where the Orders table keeps what, and which of it the public may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The table's partition key, its only key.
    pub order_id_attribute: String,
    /// Holds the status.
    pub status_attribute: String,
    /// Holds the time of the change, in any form that [`timestamp`] reads.
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
    /// When it was written, RFC 3339 in UTC; `None` if neither the shop nor the record says so.
    pub at: Option<String>,
    /// When AWS wrote the record, in milliseconds since the Unix epoch.
    pub recorded_at: Option<u64>,
    /// What was done to the item.
    pub write: Write,
    /// The state began with this write, as far as the record shows: the state before was another one.
    pub began: bool,
    /// Nothing more is expected.
    pub terminal: bool,
}

/// What was done to an item of the Orders table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It was written, and was not there before.
    Insert,
    /// It was written, and was there before.
    Modify,
    /// It was deleted.
    Remove,
}

impl Change {
    /// The record that it comes from.
    pub fn seen(&self) -> Seen {
        Seen {
            position: self.position.clone(),
            recorded_at: self.recorded_at,
        }
    }
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

impl Poison {
    /// Whether every record would fail like this if the settings named another attribute, table or stream than they should.
    /// The rest can only be the fault of a single item or record.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::SortKey(_)
            | Self::NoOrderId(_)
            | Self::NoImage
            | Self::NoStatus(_)
            | Self::NotAString(_) => true,
            Self::OrderId { .. } | Self::NoPosition | Self::EventName(_) => false,
        }
    }
}

impl Rules {
    /// Reads a stream record. `None` if it is a deletion that means nothing.
    ///
    /// # Errors
    ///
    /// [`Poison`] if it will never be a change.
    pub fn read(&self, record: &EventRecord) -> Result<Option<Change>, Poison> {
        let order = self.order(&record.change.keys)?;
        let position = position(record)?;
        let written_at = timestamp::of_record(record.change.approximate_creation_date_time);
        let recorded_at = written_at.and_then(|at| u64::try_from(at.timestamp_millis()).ok());
        let image = &record.change.new_image;
        let write = match record.event_name.as_str() {
            "REMOVE" if self.on_remove == OnRemove::Ignore || is_time_to_live(record) => {
                return Ok(None);
            }
            "REMOVE" => {
                return Ok(Some(Change {
                    order,
                    position,
                    status: Status::removed(),
                    view: PublicView::new(),
                    at: written_at.map(timestamp::text),
                    recorded_at,
                    write: Write::Remove,
                    began: true,
                    terminal: true,
                }));
            }
            "INSERT" => Write::Insert,
            "MODIFY" => Write::Modify,
            other => return Err(Poison::EventName(other.to_owned())),
        };
        let status = self.status(image)?;
        let view = self.view(image);
        let updated_at = image.get(&self.updated_at_attribute);
        let updated_at = updated_at.and_then(|value| timestamp::read(value, written_at));
        Ok(Some(Change {
            order,
            position,
            at: updated_at.or(written_at).map(timestamp::text),
            recorded_at,
            write,
            began: write == Write::Insert || self.differs(&record.change.old_image, &status, &view),
            terminal: self.terminal_statuses.contains(&status),
            status,
            view,
        }))
    }

    /// Whether the old image shows another state. A stream without old images shows none.
    fn differs(&self, old_image: &Item, status: &Status, view: &PublicView) -> bool {
        !old_image.is_empty()
            && (self.status(old_image).as_ref() != Ok(status) || self.view(old_image) != *view)
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
            Some(AttributeValue::S(id)) => id.clone(),
            // `1` and `1.0` are one key.
            Some(AttributeValue::N(id)) => {
                Decimal::parse(id).map_or_else(|| id.clone(), |id| id.to_string())
            }
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
    let source = record.event_source_arn.as_deref();
    let source = source.filter(|arn| arn.contains("/stream/"));
    let sequence_number = record.change.sequence_number.as_deref();
    source
        .zip(sequence_number)
        .and_then(|(source, sequence_number)| Position::new(source, sequence_number))
        .ok_or(Poison::NoPosition)
}

/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html>
fn is_time_to_live(record: &EventRecord) -> bool {
    let by = record.user_identity.as_ref();
    by.is_some_and(|by| by.type_ == "Service" && by.principal_id == "dynamodb.amazonaws.com")
}

/// One value for what is one to DynamoDB, so that two views are equal exactly if they show the same.
///
/// Sets become sorted lists, because DynamoDB keeps no order in them. Bytes become base64, as in DynamoDB's own JSON. A number
/// that JavaScript cannot hold becomes a string, see [`Decimal::to_json`].
fn json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(number) => json_number(number),
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::B(bytes) => json_bytes(bytes),
        AttributeValue::L(list) => list.iter().map(json).collect(),
        AttributeValue::M(map) => json_map(map),
        AttributeValue::Ss(set) => set
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .cloned()
            .map(Value::String)
            .collect(),
        AttributeValue::Ns(set) => json_numbers(set),
        AttributeValue::Bs(set) => set
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|bytes| json_bytes(bytes))
            .collect(),
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

fn json_number(number: &str) -> Value {
    Decimal::parse(number).map_or_else(|| number.into(), |number| number.to_json())
}

/// In the order of numbers, each once.
fn json_numbers(set: &[String]) -> Value {
    let numbers: BTreeSet<_> = set
        .iter()
        .filter_map(|number| Decimal::parse(number))
        .collect();
    numbers.iter().map(Decimal::to_json).collect()
}

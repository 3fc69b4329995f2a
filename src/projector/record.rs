//! A record of the Orders table's stream, read as a change of what the public may see. Pure.

use std::collections::BTreeSet;

use aws_lambda_events::event::dynamodb::EventRecord;
use chrono::{DateTime, Utc};
use serde_dynamo::{AttributeValue, Item};
use thiserror::Error;

use super::json::json;
use crate::change::{Change, Position, Write};
use crate::customer::CustomerId;
use crate::number::Decimal;
use crate::order::{OrderId, OrderIdError, PublicView, Status};
use crate::timestamp;

/// Which attributes of the Orders table mean what, and which of them the public may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The table's partition key, which must be its only key.
    pub order_id_attribute: String,
    /// Contains the status.
    pub status_attribute: String,
    /// Contains the time of the change, in any form that [`timestamp`] reads.
    pub updated_at_attribute: String,
    /// Contains the customer's id. `None` if customers have no logs.
    pub customer_attribute: Option<String>,
    /// The attributes that the public may see in addition to the status.
    pub public_attributes: BTreeSet<String>,
    /// Statuses after which no further change is expected.
    pub terminal_statuses: BTreeSet<Status>,
    /// What a deleted item means.
    pub on_remove: OnRemove,
}

/// What a deleted item of the Orders table means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemove {
    /// The order has ended, unless DynamoDB's TTL deleted the item.
    End,
    /// Nothing. For global tables, whose replicas do not mark TTL deletions as such.
    Ignore,
}

/// Why a record can never become a change. Another attempt would fail in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Poison {
    /// The table's key has more than one attribute. Then several items would describe one order.
    #[error("the Orders table has a sort key, so an item is not an order: its keys are {0}")]
    SortKey(String),
    /// The key is a different attribute.
    #[error("the key has no attribute `{0}`: check ORDER_ID_ATTRIBUTE")]
    NoOrderId(String),
    /// The key is not a valid order id.
    #[error("the attribute `{attribute}` is not a valid order id")]
    OrderId {
        /// The key's name.
        attribute: String,
        /// Why the id is invalid.
        source: OrderIdError,
    },
    /// The stream contains only keys, or only old images.
    #[error(
        "the record has no new image: the stream's view type must be NEW_IMAGE or NEW_AND_OLD_IMAGES"
    )]
    NoImage,
    /// The item has no status, or an empty one.
    #[error("the attribute `{0}` is missing or empty: check STATUS_ATTRIBUTE")]
    NoStatus(String),
    /// The key or the status has another type.
    #[error("the attribute `{0}` is not a string")]
    NotAString(String),
    /// Without these, the record cannot be put in order.
    #[error("the record has no sequence number of up to 40 digits, or no stream ARN")]
    NoPosition,
    /// The event is not INSERT, MODIFY or REMOVE.
    #[error("the record's event name {0:?} is unknown")]
    EventName(String),
}

impl Poison {
    /// Whether a wrong setting (an attribute's name, the table, the stream's view type) would make every record fail like this.
    /// All other errors can only come from a single item or record.
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
    /// Reads a stream record. `None` if it is a deletion that is ignored.
    ///
    /// # Errors
    ///
    /// [`Poison`] if the record can never become a change.
    pub fn read(&self, record: &EventRecord) -> Result<Option<Change>, Poison> {
        let order = self.order(&record.change.keys)?;
        let position = position(record)?;
        let written_at = timestamp::of_record(record.change.approximate_creation_date_time);
        match record.event_name.as_str() {
            "REMOVE" if self.on_remove == OnRemove::Ignore || is_time_to_live(record) => Ok(None),
            "REMOVE" => Ok(Some(removal(order, position, written_at))),
            "INSERT" => {
                let change = self.change(record, order, position, written_at, Write::Insert)?;
                Ok(Some(change))
            }
            "MODIFY" => {
                let change = self.change(record, order, position, written_at, Write::Modify)?;
                Ok(Some(change))
            }
            other => Err(Poison::EventName(other.to_owned())),
        }
    }

    fn change(
        &self,
        record: &EventRecord,
        order: OrderId,
        position: Position,
        written_at: Option<DateTime<Utc>>,
        write: Write,
    ) -> Result<Change, Poison> {
        let image = &record.change.new_image;
        let status = self.status(image)?;
        let view = self.view(image);
        let customer = self.customer(image, &order);
        let updated_at = image.get(&self.updated_at_attribute);
        let updated_at = updated_at.and_then(|value| timestamp::read(value, written_at));
        Ok(Change {
            order,
            position,
            at: updated_at.or(written_at).map(timestamp::text),
            recorded_at: written_at.and_then(epoch_millis),
            write,
            began: write == Write::Insert || self.differs(&record.change.old_image, &status, &view),
            terminal: self.terminal_statuses.contains(&status),
            status,
            view,
            customer,
        })
    }

    /// Whether the old image shows a different state. False if the stream has no old images.
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
            // `1` and `1.0` are the same key.
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

    /// Whose order it is. An order without the attribute is nobody's. One with an invalid customer must not be lost for those who
    /// watch the order itself.
    fn customer(&self, image: &Item, order: &OrderId) -> Option<CustomerId> {
        let attribute = self.customer_attribute.as_ref()?;
        let id = match image.get(attribute)? {
            AttributeValue::Null(_) => return None,
            AttributeValue::S(id) => Some(id.clone()),
            AttributeValue::N(id) => Decimal::parse(id).map(|id| id.to_string()),
            _ => None,
        };
        let customer = id.and_then(CustomerId::new);
        if customer.is_none() {
            tracing::warn!(
                %order,
                attribute,
                "the order is in no customer's stream: its customer must be a string of 1 to 128 characters without control \
                 characters, or a number"
            );
        }
        customer
    }

    fn view(&self, image: &Item) -> PublicView {
        let public = |name: &String| image.get(name).map(|value| (name.clone(), json(value)));
        self.public_attributes.iter().filter_map(public).collect()
    }
}

/// The order's end. A deletion has no status and no public attributes.
fn removal(order: OrderId, position: Position, written_at: Option<DateTime<Utc>>) -> Change {
    Change {
        order,
        position,
        status: Status::removed(),
        view: PublicView::new(),
        customer: None,
        at: written_at.map(timestamp::text),
        recorded_at: written_at.and_then(epoch_millis),
        write: Write::Remove,
        began: true,
        terminal: true,
    }
}

fn epoch_millis(at: DateTime<Utc>) -> Option<u64> {
    u64::try_from(at.timestamp_millis()).ok()
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

/// Whether DynamoDB's TTL deleted the item:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html>
fn is_time_to_live(record: &EventRecord) -> bool {
    let by = record.user_identity.as_ref();
    by.is_some_and(|by| by.type_ == "Service" && by.principal_id == "dynamodb.amazonaws.com")
}

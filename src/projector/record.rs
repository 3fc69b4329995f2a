//! A record of the Orders table's stream, read as a change of what the public may see. Pure.

use aws_lambda_events::event::dynamodb::EventRecord;
use chrono::{DateTime, Utc};
use serde_dynamo::Item;

use super::image::ImageRules;
use super::kafka;
use super::key::OrderKey;
use super::poison::Poison;
use crate::change::{Change, Position, Write};
use crate::order::{OrderId, PublicView, Status};
use crate::timestamp;

/// How the items of the Orders table are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which items are orders.
    pub key: OrderKey,
    /// What the public may see of an order.
    pub image: ImageRules,
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

/// What a record is, if it can be read.
#[derive(Debug)]
pub(super) enum Reading {
    /// An order changed.
    Change(Change),
    /// An order was deleted, and deletions are ignored.
    IgnoredDeletion,
    /// The item is not an order.
    NotAnOrder,
}

impl Rules {
    /// Reads a stream record. `None` if its item is not an order, or if it is a deletion that is ignored.
    ///
    /// # Errors
    ///
    /// [`Poison`] if the record can never become a change.
    pub fn read(&self, record: &EventRecord) -> Result<Option<Change>, Poison> {
        Ok(match self.reading(record)? {
            Reading::Change(change) => Some(change),
            Reading::IgnoredDeletion | Reading::NotAnOrder => None,
        })
    }

    pub(super) fn reading(&self, record: &EventRecord) -> Result<Reading, Poison> {
        let Some(order) = self.key.order(&record.change.keys)? else {
            return Ok(Reading::NotAnOrder);
        };
        let position = position(record)?;
        let written_at = timestamp::of_record(record.change.approximate_creation_date_time);
        let write = match record.event_name.as_str() {
            "REMOVE" if self.on_remove == OnRemove::Ignore || is_time_to_live(record) => {
                return Ok(Reading::IgnoredDeletion);
            }
            "REMOVE" => {
                return Ok(Reading::Change(removal(order, position, written_at)));
            }
            "INSERT" => Write::Insert,
            "MODIFY" => Write::Modify,
            other => return Err(Poison::EventName(other.to_owned())),
        };
        let change = self.change(record, order, position, written_at, write)?;
        Ok(Reading::Change(change))
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
        let status = self.image.status(image)?;
        let view = self.image.view(image);
        let customer = self.image.customer(image, &order);
        let updated_at = self.image.updated_at(image, written_at);
        Ok(Change {
            order,
            position,
            at: updated_at.or(written_at).map(timestamp::text),
            recorded_at: written_at.and_then(epoch_millis),
            write,
            began: write == Write::Insert || self.differs(&record.change.old_image, &status, &view),
            terminal: self.image.is_terminal(&status),
            status,
            view,
            customer,
        })
    }

    /// Whether the old image shows a different state. False if the stream has no old images.
    fn differs(&self, old_image: &Item, status: &Status, view: &PublicView) -> bool {
        !old_image.is_empty()
            && (self.image.status(old_image).as_ref() != Ok(status)
                || self.image.view(old_image) != *view)
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
    // arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL, or kafka/CLUSTER/TOPIC/PARTITION
    let source = record.event_source_arn.as_deref();
    let source = source.filter(|source| source.contains("/stream/") || kafka::is_source(source));
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

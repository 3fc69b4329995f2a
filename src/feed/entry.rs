//! An entry of an order's log, or of a customer's. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::listing::Listing;
use super::log_id::LogId;
use crate::change::{Position, SourceRecord};
use crate::clock::Clock;
use crate::cursor::{Fingerprint, Mark};
use crate::customer::{CustomerId, Place};
use crate::order::{OrderId, PublicView, Seq, Status};

/// How long a tombstone remains after the history has expired: 400 days. Nobody keeps a tab open for longer, or returns to a
/// finished order later.
pub const TOMBSTONE: Duration = Duration::from_secs(400 * 86_400);

/// One change in an order's log, or in the log of the customer whose order it is.
///
/// The names are those of the attributes in the Feed table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The order that changed.
    pub order: OrderId,
    /// The change's number in the order's log.
    pub seq: Seq,
    /// The status after the change.
    pub status: Status,
    /// The status before the change. `None` in the first entry of an order, or of its new life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Status>,
    /// The public attributes after the change, in addition to the status. Empty in a tombstone.
    #[serde(default)]
    pub view: PublicView,
    /// When the order changed, RFC 3339, by the shop's clock. If the shop does not say, by the stream's.
    pub at: String,
    /// When the projector appended the entry, in milliseconds since the Unix epoch.
    pub appended_at: u64,
    /// When AWS, or the producer of a Kafka record, wrote it: in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<u64>,
    /// The position of the record that the entry comes from; in a customer's log, its [hash](Position::hashed), which is shorter.
    pub position: Position,
    /// The last record of each source. The last element is of the current source. Empty if the only element would be the
    /// entry's own record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceRecord>,
    /// Whether the state began with this record. Then the time until the next record is a dwell time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub began: bool,
    /// Whether the item was deleted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub removed: bool,
    /// Whether a new life of the order begins here: the id was used before, and that history has ended.
    #[serde(default, skip_serializing_if = "is_false")]
    pub begins: bool,
    /// Whether no further change is expected.
    #[serde(default)]
    pub terminal: bool,
    /// When the entry expires, in seconds since the Unix epoch. This is the table's TTL attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Whose order this is after the change, and the change's place in that customer's log. Only in an order's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Place>,
    /// Whose order this was until the change, and the place in that customer's log of the entry that says so. Only in an order's
    /// log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Place>,
    /// Only in a customer's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Listing>,
    /// When a finished order's entry in a customer's log is no longer shown, in seconds since the Unix epoch. It expires later if
    /// it is the newest of its log, because without it the log would not show how far it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_until: Option<u64>,
    /// Whether this is the tombstone of the terminal entry with this number. That entry may have expired.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tombstone: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

impl Entry {
    /// Whose order it is.
    pub fn customer_id(&self) -> Option<&CustomerId> {
        self.customer.as_ref().map(|place| &place.customer)
    }

    /// The last record of each source. The last element is of the current source.
    pub(super) fn sources(&self) -> Vec<SourceRecord> {
        match self.sources.is_empty() {
            true => vec![SourceRecord {
                position: self.position.clone(),
                recorded_at: self.recorded_at,
            }],
            false => self.sources.clone(),
        }
    }

    /// When the order entered this state, in milliseconds since the Unix epoch: the time that the stream gives, or else the
    /// time of the append.
    pub fn since(&self) -> u64 {
        self.recorded_at.unwrap_or(self.appended_at)
    }

    /// The entry's tombstone. It has no attributes.
    #[must_use]
    pub fn into_tombstone(mut self) -> Self {
        let tombstone = TOMBSTONE.as_secs();
        self.expires_at = self.expires_at.map(|at| at.saturating_add(tombstone));
        self.view = PublicView::new();
        self.tombstone = true;
        self
    }

    /// Gives the entry an expiry, unless it has an earlier one.
    pub(super) fn expire(&mut self, at: u64) {
        self.expires_at = Some(self.expires_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Whether another entry followed this one. That entry may have been deleted since.
    pub fn is_superseded(&self) -> bool {
        self.expires_at.is_some() && !self.terminal
    }

    /// Whether later entries may have been deleted before this one. The table's TTL deletes expired entries in any order.
    pub(super) fn may_outlive_later_entries(&self) -> bool {
        !self.tombstone && self.listing.is_none() && self.expires_at.is_some()
    }

    /// Whether this is the tombstone of a later entry than the newest one that remains.
    pub(super) fn replaces(&self, newest: Option<&Self>) -> bool {
        self.tombstone
            && newest
                .is_none_or(|newest| newest.may_outlive_later_entries() && newest.seq < self.seq)
    }

    /// Whether the entry has expired. The table may delete it up to two days later.
    pub fn is_expired(&self, clock: &Clock) -> bool {
        let until = self.shown_until.or(self.expires_at);
        until.is_some_and(|at| at <= clock.epoch_seconds())
    }

    /// The log that this entry is in.
    pub fn log(&self) -> LogId {
        match &self.listing {
            Some(Listing { at, .. }) => LogId::from(&at.customer),
            None => LogId::from(&self.order),
        }
    }

    /// The entry's number in that log.
    pub fn number(&self) -> Seq {
        self.listing
            .as_ref()
            .map_or(self.seq, |listing| listing.at.seq)
    }

    /// The cursor's mark for a client that has seen this entry.
    pub fn mark(&self) -> Mark {
        Mark {
            seq: self.number(),
            fingerprint: Some(Fingerprint::of(self.position.as_str())),
            ..Mark::START
        }
    }
}

/// In seconds since the Unix epoch.
pub(super) fn expiry(clock: &Clock, retention: Duration) -> u64 {
    (clock.epoch() + retention).as_secs()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Each member costs storage, and each write of 1 KB more a unit.
    #[test]
    fn what_an_entry_does_not_have_is_not_stored() {
        let position = Position::new("arn", "1").expect("digits");
        let stored = json!({
            "order": "A",
            "seq": 1,
            "status": "PAID",
            "view": {},
            "at": "2026-11-22T17:40:00.123Z",
            "appendedAt": 1,
            "position": position,
            "terminal": false,
        });
        let entry: Entry = serde_json::from_value(stored.clone()).expect("an entry");
        assert_eq!(serde_json::to_value(entry).ok(), Some(stored));
    }

    #[test]
    fn a_state_stands_since_its_record_was_written() {
        let entry = |recorded_at: Option<u64>| -> Option<Entry> {
            let entry = json!({
                "order": "A",
                "seq": 1,
                "status": "PAID",
                "at": "2026-11-22T17:40:00.123Z",
                "appendedAt": 9000,
                "recordedAt": recorded_at,
                "position": Value::String("arn/1".to_owned()),
            });
            serde_json::from_value(entry).ok()
        };
        assert_eq!(entry(Some(7000)).map(|entry| entry.since()), Some(7000));
        assert_eq!(entry(None).map(|entry| entry.since()), Some(9000));
    }
}

//! An entry of an order's log, and how a change continues the log. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::listing::Listing;
use super::log_id::LogId;
use super::sources::{Verdict, judge};
use crate::change::{Change, Position, SourceRecord, Write};
use crate::clock::Clock;
use crate::cursor::{Fingerprint, Mark};
use crate::customer::{CustomerId, Place};
use crate::order::{OrderId, PublicView, Seq, Status};
use crate::timestamp;

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
    /// When AWS wrote the record, in milliseconds since the Unix epoch.
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

/// What a change requires.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Append this entry to the log.
    Append(Box<Entry>),
    /// Write the newest entry again, as it is here. The public sees no difference.
    Amend(Box<Entry>),
    /// Nothing, because the record was seen before, or changes nothing.
    Nothing,
    /// Nothing, because the record is of a source that another one has replaced.
    Older,
}

impl Entry {
    /// What a change requires if `newest` is the order's newest entry.
    ///
    /// Nobody sees an expired entry or a tombstone. So what follows one of them is always a visible difference.
    pub fn after(
        newest: Option<&Self>,
        change: &Change,
        clock: &Clock,
        retention: Duration,
    ) -> Step {
        let Some(newest) = newest else {
            return Step::Append(Box::new(Self::first(change, clock, retention)));
        };
        let before = newest.sources();
        let shown = !newest.tombstone && !newest.is_expired(clock);
        let looks_same = shown && newest.status == change.status && newest.view == change.view;
        let customer = newest.customer_after(change);
        let same = looks_same && newest.customer_id() == customer;
        let sources = match judge(&before, &change.source_record()) {
            Verdict::New(sources) => sources,
            // The same record, read with different settings.
            Verdict::Duplicate if same && newest.position == change.position => before.clone(),
            Verdict::Duplicate => return Step::Nothing,
            Verdict::Older => return Step::Older,
        };
        let same_source = is_of_source(before.last(), change);
        let begins = newest.is_followed_by_new_life(change.write, same_source);
        if same && (!begins || newest.position == change.position) {
            return newest.amended(change, sources, same_source, expiry(clock, retention));
        }
        let first = Self::first(change, clock, retention);
        Step::Append(Box::new(Self {
            seq: newest.seq.next(),
            previous: (!begins).then(|| newest.status.clone()),
            began: match change.write {
                // The difference from the last record of the same source came with this record.
                Write::Insert | Write::Modify if same_source && shown => !looks_same,
                // The table was copied, so the state is older than this record.
                Write::Insert => begins,
                Write::Modify | Write::Remove => first.began,
            },
            begins,
            sources: without_single(sources),
            customer: customer.map(unplaced),
            former: newest
                .customer_id()
                .filter(|had| shown && customer != Some(had))
                .map(unplaced),
            ..first
        }))
    }

    fn is_followed_by_new_life(&self, write: Write, same_source: bool) -> bool {
        match write {
            Write::Insert => self.removed || same_source,
            // The item was inserted again, but that record could not be read. Perhaps the item had no status yet.
            Write::Modify => self.removed && same_source,
            Write::Remove => false,
        }
    }

    fn first(change: &Change, clock: &Clock, retention: Duration) -> Self {
        Self {
            order: change.order.clone(),
            seq: Seq::ZERO.next(),
            status: change.status.clone(),
            previous: None,
            view: change.view.clone(),
            at: change
                .at
                .clone()
                .unwrap_or_else(|| timestamp::of_millis(clock.epoch_millis())),
            appended_at: clock.epoch_millis(),
            recorded_at: change.recorded_at,
            position: change.position.clone(),
            sources: Vec::new(),
            began: change.began,
            removed: change.write == Write::Remove,
            begins: false,
            terminal: change.terminal,
            expires_at: change.terminal.then(|| expiry(clock, retention)),
            customer: change.customer.as_ref().map(unplaced),
            former: None,
            listing: None,
            shown_until: None,
            tombstone: false,
        }
    }

    /// Whose order it is.
    pub fn customer_id(&self) -> Option<&CustomerId> {
        self.customer.as_ref().map(|place| &place.customer)
    }

    /// Whose order it is after a change. A deletion's record does not say it.
    fn customer_after<'a>(&'a self, change: &'a Change) -> Option<&'a CustomerId> {
        match change.write {
            Write::Remove => self.customer_id(),
            Write::Insert | Write::Modify => change.customer.as_ref(),
        }
    }

    /// The same state. Its source may be a different one now, or the settings may have changed whether it is terminal.
    fn amended(
        &self,
        change: &Change,
        sources: Vec<SourceRecord>,
        same_source: bool,
        expiry: u64,
    ) -> Step {
        let mut amended = self.clone();
        if amended.terminal != change.terminal {
            amended.terminal = change.terminal;
            amended.expires_at = change.terminal.then_some(expiry);
        }
        if !same_source {
            amended.sources = without_single(sources);
        }
        match amended == *self {
            true => Step::Nothing,
            false => Step::Amend(Box::new(amended)),
        }
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

/// A single source is the entry's own, so it is not stored again.
fn without_single(sources: Vec<SourceRecord>) -> Vec<SourceRecord> {
    match sources.len() {
        1 => Vec::new(),
        _ => sources,
    }
}

fn is_of_source(current: Option<&SourceRecord>, change: &Change) -> bool {
    current.is_some_and(|current| current.position.is_of_source(&change.position))
}

/// The place in the log is found when the entry is written.
fn unplaced(customer: &CustomerId) -> Place {
    Place {
        customer: customer.clone(),
        seq: Seq::ZERO,
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

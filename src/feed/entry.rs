//! An entry of an order's log, and what a record makes of the newest one. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::position::{Position, Seen, Verdict, judge};
use crate::change::{Change, Write};
use crate::clock::Clock;
use crate::cursor::{Mark, Tie};
use crate::order::{OrderId, PublicView, Seq, Status};
use crate::timestamp;

/// How long a tombstone outlives the history: longer than anyone keeps a tab open, or comes back to a finished order.
pub const TOMBSTONE: Duration = Duration::from_secs(400 * 86_400);

/// A change in its order's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Whose log.
    pub order: OrderId,
    /// Its number there.
    pub seq: Seq,
    /// The status after the change.
    pub status: Status,
    /// The status before; `None` in the first entry of an order, or of its new life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Status>,
    /// The further public attributes after the change. Empty in a tombstone.
    #[serde(default)]
    pub view: PublicView,
    /// When it changed, RFC 3339: the shop's clock, or the stream's.
    pub at: String,
    /// When the projector appended it, in milliseconds since the Unix epoch.
    pub appended_at: u64,
    /// When AWS wrote the record, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<u64>,
    /// Of the record that it comes from.
    pub position: Position,
    /// The last record that was seen of each source. The last one is of the source that speaks for the order now. Empty if
    /// that is the entry's own record alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Seen>,
    /// The state after the change began with the record, so the time until the next one is a dwell time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub began: bool,
    /// The item was deleted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub removed: bool,
    /// A new life begins: the id was used before, and that history is over.
    #[serde(default, skip_serializing_if = "is_false")]
    pub begins: bool,
    /// Nothing more is expected.
    #[serde(default)]
    pub terminal: bool,
    /// From when on it does not count any more, in seconds since the Unix epoch: the table's TTL attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// It stands for the terminal entry of this number, which may have expired.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tombstone: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a record asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Append this entry.
    Append(Box<Entry>),
    /// Write the newest entry again, as it is here: the public sees no difference.
    Amend(Box<Entry>),
    /// Nothing: the record was seen before, or makes no difference.
    Nothing,
    /// Nothing: it is of a source that does not speak for the order any more.
    Older,
}

impl Entry {
    /// What a change makes of an order's newest entry.
    ///
    /// An entry that has expired is no longer seen, and neither is a tombstone, so what follows them is always a difference.
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
        let same = shown && newest.status == change.status && newest.view == change.view;
        let sources = match judge(&before, &change.seen()) {
            Verdict::News(sources) => sources,
            // The same record, read by other settings.
            Verdict::Duplicate if same && newest.position == change.position => before.clone(),
            Verdict::Duplicate => return Step::Nothing,
            Verdict::Older => return Step::Older,
        };
        let goes_on = is_of_source(before.last(), change);
        let begins = newest.is_followed_by_new_life(change.write, goes_on);
        if same && (!begins || newest.position == change.position) {
            return newest.amended(change, sources, goes_on, expiry(clock, retention));
        }
        let first = Self::first(change, clock, retention);
        Step::Append(Box::new(Self {
            seq: newest.seq.next(),
            previous: (!begins).then(|| newest.status.clone()),
            began: match change.write {
                // What differs from the last record of the same source came with this one.
                Write::Insert | Write::Modify if goes_on && shown => true,
                // A copied table: the state is older than its copy.
                Write::Insert => begins,
                Write::Modify | Write::Remove => first.began,
            },
            begins,
            sources: alone(sources),
            ..first
        }))
    }

    fn is_followed_by_new_life(&self, write: Write, goes_on: bool) -> bool {
        match write {
            Write::Insert => self.removed || goes_on,
            // It was inserted again, by a record that could not be read: perhaps it had no status yet.
            Write::Modify => self.removed && goes_on,
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
            tombstone: false,
        }
    }

    /// The same state: another source may speak now, or the settings call it terminal now, or not any more.
    fn amended(&self, change: &Change, sources: Vec<Seen>, goes_on: bool, expiry: u64) -> Step {
        let mut amended = self.clone();
        if amended.terminal != change.terminal {
            amended.terminal = change.terminal;
            amended.expires_at = change.terminal.then_some(expiry);
        }
        if !goes_on {
            amended.sources = alone(sources);
        }
        match amended == *self {
            true => Step::Nothing,
            false => Step::Amend(Box::new(amended)),
        }
    }

    /// The last record that was seen of each source, the one that speaks now last.
    pub(super) fn sources(&self) -> Vec<Seen> {
        match self.sources.is_empty() {
            true => vec![Seen {
                position: self.position.clone(),
                recorded_at: self.recorded_at,
            }],
            false => self.sources.clone(),
        }
    }

    /// Since when the order is in this state, in milliseconds since the Unix epoch: the stream's word, or else the time of
    /// the append.
    pub fn since(&self) -> u64 {
        self.recorded_at.unwrap_or(self.appended_at)
    }

    /// The entry's tombstone, without what only its customer may see.
    #[must_use]
    pub fn buried(mut self) -> Self {
        let tombstone = TOMBSTONE.as_secs();
        self.expires_at = self.expires_at.map(|at| at.saturating_add(tombstone));
        self.view = PublicView::new();
        self.tombstone = true;
        self
    }

    /// Whether another entry followed it, although that one may be gone.
    pub fn is_superseded(&self) -> bool {
        self.expires_at.is_some() && !self.terminal
    }

    /// Whether later entries may have been deleted before this one: the table's TTL deletes what has expired in any order.
    pub(super) fn may_be_left(&self) -> bool {
        !self.tombstone && self.expires_at.is_some()
    }

    /// Whether it is a tombstone of a later entry than the newest that is left.
    pub(super) fn stands_for(&self, left: Option<&Self>) -> bool {
        self.tombstone && left.is_none_or(|left| left.may_be_left() && left.seq < self.seq)
    }

    /// Whether it does not count any more, although the table may still hold it.
    pub fn is_expired(&self, clock: &Clock) -> bool {
        self.expires_at
            .is_some_and(|at| at <= clock.epoch_seconds())
    }

    /// How far a client has seen that was shown this entry.
    pub fn mark(&self) -> Mark {
        Mark {
            seq: self.seq,
            tie: Some(Tie::of(self.position.as_str())),
            ..Mark::START
        }
    }
}

/// A single source is the entry's own.
fn alone(sources: Vec<Seen>) -> Vec<Seen> {
    match sources.len() {
        1 => Vec::new(),
        _ => sources,
    }
}

fn is_of_source(current: Option<&Seen>, change: &Change) -> bool {
    current.is_some_and(|current| current.position.is_of_source(&change.position))
}

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

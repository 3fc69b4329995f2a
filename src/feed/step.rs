//! How a change continues an order's log. Pure.

use std::time::Duration;

use super::entry::{Entry, TOMBSTONE, expiry};
use super::sources::{Verdict, judge};
use crate::change::{Change, SourceRecord, Write};
use crate::clock::Clock;
use crate::customer::{CustomerId, Place};
use crate::order::Seq;
use crate::timestamp;

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
        if !shown && same_source && !begins && newest.was_not_changed_by(change) {
            return Step::Nothing;
        }
        let first = Self::first(change, clock, retention);
        Step::Append(Box::new(Self {
            seq: newest.seq.next(),
            previous: (!begins).then(|| newest.status.clone()),
            began: match change.write {
                // The difference from the last record of the same source came with this record. A change of the customer alone is
                // no new state.
                Write::Insert | Write::InsertOrRepetition | Write::Modify
                    if same_source && shown =>
                {
                    begins || !looks_same
                }
                // The table was copied, so the state is older than this record.
                Write::Insert | Write::InsertOrRepetition => begins,
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
            Write::InsertOrRepetition => self.removed,
            // The item was inserted again, but that record could not be read. Perhaps the item had no status yet.
            Write::Modify => self.removed && same_source,
            Write::Remove => false,
        }
    }

    /// Whether the record was written while this entry was shown, and changed nothing. It comes again after the entry has expired if a
    /// topic of Kafka is read from its beginning. A tombstone does not have the attributes.
    fn was_not_changed_by(&self, change: &Change) -> bool {
        let looks_same =
            self.view == change.view && self.customer_id() == self.customer_after(change);
        let tombstone = match self.tombstone {
            true => TOMBSTONE.as_secs(),
            false => 0,
        };
        let hidden_at = self.expires_at.map(|at| at.saturating_sub(tombstone));
        let times = change.recorded_at.zip(hidden_at);
        let was_shown = times.is_some_and(|(recorded, hidden)| recorded < hidden * 1000);
        was_shown && (looks_same || self.tombstone) && self.status == change.status
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

    /// Whose order it is after a change. A deletion's record does not say it.
    fn customer_after<'a>(&'a self, change: &'a Change) -> Option<&'a CustomerId> {
        match change.write {
            Write::Remove => self.customer_id(),
            Write::Insert | Write::InsertOrRepetition | Write::Modify => change.customer.as_ref(),
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

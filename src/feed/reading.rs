//! What a client is told of an order's log, and whether it can go on from where it was. Pure.

use serde::Serialize;

use super::Entry;
use crate::clock::Clock;
use crate::cursor::Mark;
use crate::order::Seq;

/// What stands in an order's log: the unexpired entries of its present life, in order, without a gap. If there are none, the
/// order's tombstone.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading(Vec<Entry>);

/// Why a client cannot go on from where it was. The names are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discontinuity {
    /// What it saw last has expired.
    Trimmed,
    /// What it saw last is not in this log.
    UnknownCursor,
}

impl Reading {
    /// Makes a reading of what [`Feed::read`](super::Feed::read) gave.
    ///
    /// If entries in the middle are gone, what stands before them is no use to anyone. What stands before a new life of the
    /// order is not for those who watch it now.
    pub fn new(mut entries: Vec<Entry>, clock: &Clock) -> Self {
        let tombstone = entries.iter().find(|entry| entry.tombstone).cloned();
        entries.retain(|entry| !entry.tombstone && !entry.is_expired(clock));
        let gap = entries
            .windows(2)
            .rposition(|pair| pair[1].seq != pair[0].seq.next());
        entries.drain(..gap.map_or(0, |before| before + 1));
        let life = entries.iter().rposition(|entry| entry.begins);
        entries.drain(..life.unwrap_or(0));
        let newest = entries.last().map_or(Seq::ZERO, |newest| newest.seq);
        match tombstone.filter(|tombstone| !tombstone.is_expired(clock)) {
            Some(tombstone) if tombstone.seq > newest => Self(vec![tombstone]),
            _ => Self(entries),
        }
    }

    /// Makes a reading of what [`Feed::latest`](super::Feed::latest) gave.
    ///
    /// The table deletes an expired entry up to two days later. Until then the newest one can stand in for its tombstone, which
    /// may be on an earlier page. A reading that began later in the log must not rely on that: the table deletes in any order, so
    /// the entry that is left may not have been the newest.
    pub fn latest(mut entries: Vec<Entry>, clock: &Clock) -> Self {
        let finished = entries.last().filter(|newest| newest.terminal);
        let buried = |seq| move |entry: &Entry| entry.tombstone && entry.seq >= seq;
        let stand_in = finished.filter(|newest| !entries.iter().any(buried(newest.seq)));
        if let Some(stand_in) = stand_in.cloned() {
            entries.insert(0, stand_in.buried());
        }
        Self::new(entries, clock)
    }

    /// What comes after a mark.
    ///
    /// # Errors
    ///
    /// A [`Discontinuity`] if the mark is not in this log.
    pub fn after(&self, mark: &Mark) -> Result<&[Entry], Discontinuity> {
        if mark.seq == Seq::ZERO {
            return Ok(&self.0);
        }
        match self.0.iter().position(|entry| entry.seq == mark.seq) {
            Some(at) if mark.tie.is_none() || mark.tie == self.0[at].mark().tie => {
                Ok(&self.0[at + 1..])
            }
            None if self.newest().is_some_and(|newest| newest.seq > mark.seq) => {
                Err(Discontinuity::Trimmed)
            }
            _ => Err(Discontinuity::UnknownCursor),
        }
    }

    /// All entries.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// All entries, without a copy of them.
    pub fn into_entries(self) -> Vec<Entry> {
        self.0
    }

    /// The newest entry: the order's current state.
    pub fn newest(&self) -> Option<&Entry> {
        self.0.last()
    }

    /// Whether it begins where the order's present life began, so that nothing is left out.
    pub fn is_whole(&self) -> bool {
        let first = self.0.first();
        first.is_none_or(|first| !first.tombstone && (first.seq == Seq(1) || first.begins))
    }
}

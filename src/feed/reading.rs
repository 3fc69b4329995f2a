//! Which entries of a log a client is shown, and whether it can continue at its cursor. Pure.

use serde::Serialize;

use super::Entry;
use crate::clock::Clock;
use crate::cursor::Mark;
use crate::order::Seq;

/// The part of an order's log that clients may see: the unexpired entries of the order's current life, in order, without a
/// gap. If there are none, it contains the order's tombstone.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading(Vec<Entry>);

/// Why a client cannot continue at its cursor. The names are those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discontinuity {
    /// The entry that the client saw last has expired.
    Trimmed,
    /// The entry that the client saw last is not in this log.
    UnknownCursor,
}

impl Reading {
    /// From the entries that [`Feed::read`](super::Feed::read) returned.
    ///
    /// If entries in the middle are missing, the entries before the gap are left out. If a new life of the order begins, the
    /// entries before it are left out too, because a client must not see a previous life of the order.
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

    /// From the entries that [`Feed::latest`](super::Feed::latest) returned.
    ///
    /// The table deletes an expired entry up to two days after it expired. Until then the newest entry can replace its
    /// tombstone, which may be on an earlier page. [`Reading::new`] must not rely on that. The table deletes in any order, so
    /// the last entry that remains may not have been the newest.
    pub fn latest(mut entries: Vec<Entry>, clock: &Clock) -> Self {
        let finished = entries.last().filter(|newest| newest.terminal);
        let has_tombstone = |seq| move |entry: &Entry| entry.tombstone && entry.seq >= seq;
        let finished = finished.filter(|newest| !entries.iter().any(has_tombstone(newest.seq)));
        if let Some(finished) = finished.cloned() {
            entries.insert(0, finished.into_tombstone());
        }
        Self::new(entries, clock)
    }

    /// The entries after a mark.
    ///
    /// # Errors
    ///
    /// A [`Discontinuity`] if the mark is not in this log.
    pub fn after(&self, mark: &Mark) -> Result<&[Entry], Discontinuity> {
        if mark.seq == Seq::ZERO {
            return Ok(&self.0);
        }
        match self.0.iter().position(|entry| entry.seq == mark.seq) {
            Some(at)
                if mark.fingerprint.is_none()
                    || mark.fingerprint == self.0[at].mark().fingerprint =>
            {
                Ok(&self.0[at + 1..])
            }
            None if self.newest().is_some_and(|newest| newest.seq > mark.seq) => {
                Err(Discontinuity::Trimmed)
            }
            _ => Err(Discontinuity::UnknownCursor),
        }
    }

    /// All entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// All entries, in order, without copying them.
    pub fn into_entries(self) -> Vec<Entry> {
        self.0
    }

    /// The newest entry, which is the order's current state.
    pub fn newest(&self) -> Option<&Entry> {
        self.0.last()
    }

    /// Whether no entry of the order's current life is left out.
    pub fn is_whole(&self) -> bool {
        let first = self.0.first();
        first.is_none_or(|first| !first.tombstone && (first.seq == Seq(1) || first.begins))
    }
}

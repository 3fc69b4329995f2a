//! What a page of a customer's log shows a client, and whether the client can continue at its cursor. Pure.

use super::{Discontinuity, Entry};
use crate::clock::Clock;
use crate::cursor::Mark;
use crate::order::Seq;

/// What a page of a customer's log holds that is new to a client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// What the client is sent, in order.
    pub entries: Vec<Entry>,
    /// How far the client has seen after that: the page's last entry, even if it is not sent.
    pub reached: Option<Mark>,
}

impl News {
    /// From the entries that [`Feed::read`](super::Feed::read) returned from the client's mark on.
    ///
    /// A client whose mark is partial has not seen every order yet: it began with nothing. It is owed the newest state of each. So
    /// superseded and expired entries are left out, and gaps do not matter: the table has deleted such entries. Any other client is
    /// owed each entry. The numbers show whether one is missing, because the newest entry of a log remains.
    ///
    /// # Errors
    ///
    /// A [`Discontinuity`] if the mark is not in this log, or an entry after it is missing or has expired.
    pub fn after(
        mark: &Mark,
        mut entries: Vec<Entry>,
        clock: &Clock,
    ) -> Result<Self, Discontinuity> {
        if mark.seq > Seq::ZERO {
            check_mark(mark, entries.first())?;
            entries.remove(0);
        }
        let reached = entries.last().map(Entry::mark);
        if mark.partial {
            entries.retain(|entry| !entry.is_expired(clock) && !entry.is_superseded());
        } else {
            let mut next = mark.seq.next();
            for entry in &entries {
                if entry.number() != next || entry.is_expired(clock) {
                    return Err(Discontinuity::Trimmed);
                }
                next = next.next();
            }
        }
        Ok(Self { entries, reached })
    }
}

/// Checks whether the entry that the client saw last is the first of those that were read.
fn check_mark(mark: &Mark, first: Option<&Entry>) -> Result<(), Discontinuity> {
    let Some(found) = first.map(Entry::mark) else {
        return Err(Discontinuity::UnknownCursor);
    };
    if found.seq > mark.seq {
        return Err(Discontinuity::Trimmed);
    }
    match mark.fingerprint.is_none() || mark.fingerprint == found.fingerprint {
        true => Ok(()),
        false => Err(Discontinuity::UnknownCursor),
    }
}

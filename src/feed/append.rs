//! A change is appended to its order's log, once, however often and by however many projectors that is tried.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::entry::{Entry, Step, expiry};
use super::{Consistency, Feed, FeedError, Put};
use crate::change::{Change, Write};
use crate::clock::Clock;
use crate::order::{OrderId, Seq, Status};

/// Entries of a former life that are expired at once. An order may have thousands.
const CONCURRENT_EXPIRIES: usize = 16;

/// An entry that was appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended {
    /// The entry.
    pub entry: Entry,
    /// The one that was the newest before.
    pub superseded: Option<Entry>,
}

impl Appended {
    /// For how long the superseded state stood, by the times of the records: a backlog is read within seconds.
    ///
    /// `None` if it is not known when either began, if nothing was expected after it, or if two clocks would be compared.
    pub fn dwelt(&self) -> Option<(&Status, Duration)> {
        let superseded = self.superseded.as_ref()?;
        let counts = superseded.began && self.entry.began && !superseded.terminal;
        let one_source = superseded.position < self.entry.position;
        if !counts || !one_source || self.entry.begins {
            return None;
        }
        let dwell = self
            .entry
            .recorded_at?
            .checked_sub(superseded.recorded_at?)?;
        Some((&superseded.status, Duration::from_millis(dwell)))
    }
}

/// Appends a change to its order's log. `None` if there was nothing to append.
///
/// Any number of projectors may do this at once, be killed in the middle and do it again: the log becomes what one clean
/// delivery makes of it.
///
/// # Errors
///
/// As the feed's.
pub async fn append(
    feed: &impl Feed,
    change: &Change,
    clock: &Clock,
    retention: Duration,
) -> Result<Option<Appended>, FeedError> {
    let mut appended = None;
    let mut change = change.clone();
    loop {
        let newest = feed.newest(&change.order).await?;
        let overlooked = match Entry::after(newest.as_ref(), &change, clock, retention) {
            Step::Append(entry) => {
                if entry.begins {
                    forget_before(feed, newest.as_ref(), clock).await?;
                }
                if feed.put(&entry).await? == Put::Taken {
                    continue;
                }
                let overlooked = settle(feed, &entry, clock, retention).await?;
                appended.get_or_insert(Appended {
                    entry: *entry,
                    superseded: newest,
                });
                overlooked
            }
            Step::Amend(amended) => {
                if let Some(newest) = &newest {
                    amend(feed, newest, &amended).await?;
                }
                // The log must not have grown in the meantime without knowing what was amended.
                continue;
            }
            Step::Nothing => match newest.filter(|newest| may_be_unsettled(newest, &change)) {
                // A projector that died between its writes left the rest of them undone. Its record comes again, and finds
                // itself to be the newest.
                Some(newest) => settle(feed, &newest, clock, retention).await?,
                None => None,
            },
            Step::Older => {
                log_older(&change, newest.as_ref());
                None
            }
        };
        match overlooked {
            Some(overlooked) => change = overlooked,
            None => return Ok(appended),
        }
    }
}

/// Writes the newest entry again. If it is terminal now, its tombstone comes first: after the amendment the record makes no
/// difference any more, so nobody would make good what is missing. A tombstone too early is hidden by its entry.
async fn amend(feed: &impl Feed, was: &Entry, is: &Entry) -> Result<Put, FeedError> {
    if is.terminal && !was.terminal {
        feed.bury(&is.clone().buried()).await?;
    }
    feed.amend(was, is).await
}

/// Whether the record may be of the projector that appended the entry and died then. If several sources tell of the order, that
/// projector may have appended what another one of them had said.
fn may_be_unsettled(newest: &Entry, change: &Change) -> bool {
    newest.position == change.position || !newest.sources.is_empty()
}

/// Does what an entry leads to, once it is the newest: the one before it expires, and if it is terminal, its tombstone is kept.
///
/// Returns the change that another projector found to make no difference while this one appended: if its source took over, the
/// entry must follow it, or be told of it.
async fn settle(
    feed: &impl Feed,
    entry: &Entry,
    clock: &Clock,
    retention: Duration,
) -> Result<Option<Change>, FeedError> {
    if entry.tombstone {
        return Ok(None);
    }
    if entry.terminal {
        feed.bury(&entry.clone().buried()).await?;
    }
    let Some(before) = entry.seq.0.checked_sub(1).filter(|seq| *seq > 0) else {
        return Ok(None);
    };
    let at = match entry.begins {
        true => clock.epoch_seconds(),
        false => expiry(clock, retention),
    };
    let superseded = feed.expire(&entry.order, Seq(before), at).await?;
    if let Some(superseded) = &superseded
        && superseded.position.source() != entry.position.source()
        && before > 1
    {
        // Its projector may have died before it did this. Its record may come again, but it is not of the newest entry then.
        feed.expire(&entry.order, Seq(before - 1), at).await?;
    }
    Ok(superseded
        .filter(|_| !entry.begins)
        .and_then(|superseded| overlooked(&superseded, entry)))
}

fn overlooked(superseded: &Entry, entry: &Entry) -> Option<Change> {
    let sources = superseded.sources();
    let last = sources.last()?;
    let known = entry.sources();
    let known = known.iter().any(|known| known.position >= last.position);
    (!known).then(|| Change {
        order: superseded.order.clone(),
        position: last.position.clone(),
        status: superseded.status.clone(),
        view: superseded.view.clone(),
        at: Some(superseded.at.clone()),
        recorded_at: last.recorded_at,
        write: Write::Modify,
        began: false,
        terminal: superseded.terminal,
    })
}

/// Before a new life begins, what stands before the newest entry expires. That entry stays until the new one is there, because
/// it says which records were seen.
async fn forget_before(
    feed: &impl Feed,
    newest: Option<&Entry>,
    clock: &Clock,
) -> Result<(), FeedError> {
    let Some(newest) = newest else {
        return Ok(());
    };
    let now = clock.epoch_seconds();
    let mut from = Seq(1);
    loop {
        let page = feed.read(&newest.order, from, Consistency::Strong).await?;
        from = page.entries.last().map_or(from, |last| last.seq.next());
        let older = page
            .entries
            .iter()
            .filter(|entry| entry.seq < newest.seq && !entry.is_expired(clock));
        let older: Vec<(OrderId, Seq)> = older
            .map(|entry| (entry.order.clone(), entry.seq))
            .collect();
        stream::iter(older)
            .map(|(order, seq)| async move { feed.expire(&order, seq, now).await.map(|_| ()) })
            .buffer_unordered(CONCURRENT_EXPIRIES)
            .try_collect::<()>()
            .await?;
        if !page.more {
            return Ok(());
        }
    }
}

fn log_older(change: &Change, newest: Option<&Entry>) {
    let sources = newest.map(Entry::sources).unwrap_or_default();
    tracing::warn!(
        order = %change.order,
        sequence_number = change.position.sequence_number(),
        source = change.position.source(),
        newest_source = sources.last().map(|seen| seen.position.source()),
        "dropped a record of an older stream"
    );
}

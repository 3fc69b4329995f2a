//! Appends a change to its order's log exactly once, even if several projectors try it, or one tries it again.

mod customers;

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::entry::{Entry, expiry};
use super::step::Step;
use super::{Consistency, Feed, FeedError, Put};
use crate::change::{Change, Write};
use crate::clock::Clock;
use crate::order::{OrderId, Seq, Status};
use customers::Heads;

/// How many entries of a previous life are given an expiry concurrently. An order may have thousands.
const CONCURRENT_EXPIRIES: usize = 16;

/// An appended entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended {
    /// The entry, as it was written.
    pub entry: Entry,
    /// The entry that was the newest before.
    pub superseded: Option<Entry>,
}

impl Appended {
    /// The dwell time of the superseded state: the time between the two records. The time between the two appends would be
    /// wrong, because a backlog is appended within seconds.
    ///
    /// `None` if it is not known when one of the states began, if the superseded state was terminal, or if the records come
    /// from two sources, whose clocks may differ.
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
/// Several projectors may do this at the same time. A projector may be killed at any point, and another one may repeat its
/// work. The log is always the same as after one undisturbed delivery.
///
/// # Errors
///
/// [`FeedError`] if a call of the feed fails. Then the change must be delivered again, because some writes may be missing.
pub async fn append(
    feed: &impl Feed,
    change: &Change,
    clock: &Clock,
    retention: Duration,
) -> Result<Option<Appended>, FeedError> {
    append_and_tell(feed, change, clock, retention, &|_| {}).await
}

/// What [`append_and_tell`] tells.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// An entry is in the log. The writes that follow it are not made yet.
    Appended(&'a Entry),
    /// An entry is in a customer's log.
    Listed(&'a Entry),
    /// The change was dropped, because it is of a source that another one has replaced.
    Older,
}

/// As [`append`]. Calls `tell` as soon as something is known.
///
/// # Errors
///
/// As [`append`].
pub async fn append_and_tell(
    feed: &impl Feed,
    change: &Change,
    clock: &Clock,
    retention: Duration,
    tell: &(dyn Fn(Told<'_>) + Sync),
) -> Result<Option<Appended>, FeedError> {
    let appender = Appender {
        feed,
        clock,
        retention,
        tell,
    };
    let mut appended = None;
    let mut change = change.clone();
    loop {
        match appender.attempt(&change, &mut appended).await? {
            Next::Retry => {}
            Next::Append(missed) => change = missed,
            Next::Done => return Ok(appended),
        }
    }
}

/// What to do after an attempt.
enum Next {
    /// The log has changed in the meantime. Try the same change again.
    Retry,
    /// Append this change too, see [`Appender::finish`].
    Append(Change),
    Done,
}

/// What all writes of an append need.
struct Appender<'a, F> {
    feed: &'a F,
    clock: &'a Clock,
    retention: Duration,
    tell: &'a (dyn Fn(Told<'_>) + Sync),
}

impl<F: Feed> Appender<'_, F> {
    /// Reads the newest entry, and makes the writes that the change requires.
    async fn attempt(
        &self,
        change: &Change,
        appended: &mut Option<Appended>,
    ) -> Result<Next, FeedError> {
        let newest = self.feed.newest(&change.order).await?;
        let missed = match Entry::after(newest.as_ref(), change, self.clock, self.retention) {
            Step::Append(mut entry) => {
                let heads = self.place(&mut entry).await?;
                if entry.begins {
                    self.expire_earlier_entries(newest.as_ref()).await?;
                }
                if self.feed.put(&entry).await? == Put::Taken {
                    return Ok(Next::Retry);
                }
                (self.tell)(Told::Appended(&entry));
                let missed = self.finish(&entry, heads).await?;
                appended.get_or_insert(Appended {
                    entry: *entry,
                    superseded: newest,
                });
                missed
            }
            Step::Amend(amended) => {
                if let Some(newest) = &newest {
                    self.amend(newest, &amended).await?;
                }
                // Another projector may have appended an entry in the meantime that does not contain the amendment.
                return Ok(Next::Retry);
            }
            Step::Nothing => match newest.filter(|newest| may_be_unfinished(newest, change)) {
                Some(newest) => self.finish(&newest, Heads::default()).await?,
                None => None,
            },
            Step::Older => {
                log_older(change, newest.as_ref());
                (self.tell)(Told::Older);
                None
            }
        };
        Ok(missed.map_or(Next::Done, Next::Append))
    }

    /// Writes the newest entry again. If it becomes terminal, the tombstone is written first: after the amendment the record
    /// changes nothing, so nobody would write a missing tombstone later. A tombstone that is too early does no harm, because
    /// its entry hides it.
    async fn amend(&self, was: &Entry, is: &Entry) -> Result<Put, FeedError> {
        if is.terminal && !was.terminal {
            self.feed
                .put_tombstone(&is.clone().into_tombstone())
                .await?;
        }
        if is.terminal != was.terminal && self.relist(is).await? == Put::Taken {
            return Ok(Put::Taken);
        }
        self.feed.amend(was, is).await
    }

    /// Makes the writes that follow an append: the entry before gets an expiry, a terminal entry gets a tombstone, and the
    /// customer's log gets an entry.
    ///
    /// Returns the change that another projector wrote into the entry before, while this projector appended. If that change's
    /// source took over, the new entry must follow it, or must contain its position.
    async fn finish(&self, entry: &Entry, heads: Heads) -> Result<Option<Change>, FeedError> {
        if entry.tombstone {
            return Ok(None);
        }
        if entry.terminal {
            self.feed
                .put_tombstone(&entry.clone().into_tombstone())
                .await?;
        }
        let Some(before) = entry.seq.0.checked_sub(1).filter(|seq| *seq > 0) else {
            self.list(entry, None, heads).await?;
            return Ok(None);
        };
        let at = match entry.begins {
            true => self.clock.epoch_seconds(),
            false => expiry(self.clock, self.retention),
        };
        let superseded = self.expire(&entry.order, Seq(before), at).await?;
        if let Some(superseded) = &superseded
            && !superseded.position.is_of_source(&entry.position)
        {
            // The other source's projector may have died before it did this. Its record may come again, but then it is no
            // longer the record of the newest entry.
            let earlier = match before > 1 {
                true => self.expire(&entry.order, Seq(before - 1), at).await?,
                false => None,
            };
            self.list(superseded, earlier.as_ref(), Heads::default())
                .await?;
        }
        self.list(entry, superseded.as_ref(), heads).await?;
        Ok(superseded
            .filter(|_| !entry.begins)
            .and_then(|superseded| missed_change(&superseded, entry)))
    }

    /// Gives an entry an expiry. An entry of the maximum size has no room for one: it remains, and its order must continue.
    async fn expire(&self, order: &OrderId, seq: Seq, at: u64) -> Result<Option<Entry>, FeedError> {
        match self.feed.expire(order, seq, at).await {
            Err(reason @ FeedError::Refused { .. }) => {
                tracing::warn!(%order, seq = seq.0, %reason, "an entry has no room for its expiry");
                Ok(None)
            }
            expired => expired,
        }
    }

    /// Before a new life begins, all entries before the newest one expire. The newest one remains until the new life's first
    /// entry is written, because it contains the positions of the records that were seen.
    async fn expire_earlier_entries(&self, newest: Option<&Entry>) -> Result<(), FeedError> {
        let Some(newest) = newest else {
            return Ok(());
        };
        let now = self.clock.epoch_seconds();
        let mut from = Seq(1);
        loop {
            let page = self
                .feed
                .read(&newest.order, from, Consistency::Strong)
                .await?;
            from = page.entries.last().map_or(from, |last| last.seq.next());
            let older = page
                .entries
                .iter()
                .filter(|entry| entry.seq < newest.seq && !entry.is_expired(self.clock));
            let older: Vec<(OrderId, Seq)> = older
                .map(|entry| (entry.order.clone(), entry.seq))
                .collect();
            stream::iter(older)
                .map(|(order, seq)| async move { self.expire(&order, seq, now).await.map(|_| ()) })
                .buffer_unordered(CONCURRENT_EXPIRIES)
                .try_collect::<()>()
                .await?;
            if !page.more {
                return Ok(());
            }
        }
    }
}

/// Whether writes that follow the newest entry may be missing.
///
/// If a projector died between its writes, its record is delivered again, and is recognised as the newest entry. If the order
/// has several sources, that projector may have appended the change of another source.
fn may_be_unfinished(newest: &Entry, change: &Change) -> bool {
    newest.position == change.position || !newest.sources.is_empty()
}

/// The last change of the superseded entry, if the entry after it does not contain that change's position.
fn missed_change(superseded: &Entry, entry: &Entry) -> Option<Change> {
    let sources = superseded.sources();
    let last = sources.last()?;
    let known = entry.sources();
    let known = known.iter().any(|known| known.position >= last.position);
    (!known).then(|| Change {
        order: superseded.order.clone(),
        position: last.position.clone(),
        status: superseded.status.clone(),
        view: superseded.view.clone(),
        customer: superseded.customer_id().cloned(),
        at: Some(superseded.at.clone()),
        recorded_at: last.recorded_at,
        write: Write::Modify,
        began: false,
        terminal: superseded.terminal,
    })
}

fn log_older(change: &Change, newest: Option<&Entry>) {
    let sources = newest.map(Entry::sources).unwrap_or_default();
    tracing::warn!(
        order = %change.order,
        sequence_number = change.position.sequence_number(),
        source = change.position.source(),
        newest_source = sources.last().map(|last| last.position.source()),
        "dropped a record of an older stream"
    );
}

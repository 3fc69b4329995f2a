//! The newest change of each order, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::cursor::{Cursor, Mark};
use crate::feed::{Consistency, Entry, Feed, FeedError, LogId, Page, Reading, list};
use crate::order::{OrderId, Seq};
use crate::request::Invoker;
use crate::session::{PublicChange, show_only};

/// Where the snapshot of a customer with many orders ends. Its cursor then says that there are more, and a stream from that cursor
/// sends them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// The most bytes of JSON. A single longer change is shown all the same.
    bytes: usize,
    /// The log is read until then.
    until: Instant,
}

impl Limit {
    /// Of a response that is streamed, or of one that is sent whole.
    pub(super) fn new(streams: bool, until: Instant) -> Self {
        let bytes = match streams {
            true => 1024 * 1024,
            false => Invoker::LONGEST_BODY,
        };
        Self { bytes, until }
    }

    /// A page of a log. `None` if the time is over. But without the first page there is nothing to show, so that is waited for.
    async fn read<F: Feed>(
        self,
        feed: &F,
        log: &LogId,
        from: Seq,
        clock: &Clock,
    ) -> Result<Option<Page>, FeedError> {
        let reading = feed.read(log, from, Consistency::Eventual);
        if from == Seq::ZERO {
            return reading.await.map(Some);
        }
        // A `timeout_at` lets a reading that is ready at once go on for ever.
        if clock.now() >= self.until {
            return Ok(None);
        }
        timeout_at(self.until, reading).await.ok().transpose()
    }
}

/// The newest change of each order that has one, and the cursor from which a stream continues.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) newest: Vec<Entry>,
    pub(super) cursor: Cursor,
}

impl Snapshot {
    /// Of the orders of these logs. The entries have their public attributes only.
    pub(super) async fn read<F: Feed>(
        feed: &F,
        logs: &[LogId],
        public_attributes: &BTreeSet<String>,
        limit: Limit,
        clock: &Clock,
    ) -> Result<Self, FeedError> {
        match logs {
            [customers @ LogId::Customer(_)] => {
                Self::of_customer(feed, customers, public_attributes, limit, clock).await
            }
            orders => Self::of_orders(feed, orders, public_attributes, clock).await,
        }
    }

    async fn of_orders<F: Feed>(
        feed: &F,
        orders: &[LogId],
        public_attributes: &BTreeSet<String>,
        clock: &Clock,
    ) -> Result<Self, FeedError> {
        let readings = orders.iter().map(|order| async move {
            let mut newest = newest(feed, order, clock).await?;
            if let Some(entry) = &mut newest {
                show_only(public_attributes, entry);
            }
            Ok(newest)
        });
        let newest = try_join_all(readings).await?;
        let mark = |entry: &Option<Entry>| entry.as_ref().map_or(Mark::START, Entry::mark);
        Ok(Self {
            cursor: Cursor(newest.iter().map(mark).collect()),
            newest: newest.into_iter().flatten().collect(),
        })
    }

    async fn of_customer<F: Feed>(
        feed: &F,
        log: &LogId,
        public_attributes: &BTreeSet<String>,
        limit: Limit,
        clock: &Clock,
    ) -> Result<Self, FeedError> {
        let mut shown = Shown::default();
        let (mut mark, mut more) = (Mark::START, true);
        'pages: while more {
            let Some(page) = limit.read(feed, log, mark.seq, clock).await? else {
                break;
            };
            // From the beginning or from the last entry of the page before, every order is owed.
            let from = Mark {
                partial: true,
                ..mark
            };
            let Ok(news) = list::News::after(&from, page.entries, clock) else {
                // A replica lags behind the one before, or the table deletes: the stream goes on from here.
                break;
            };
            for mut entry in news.entries {
                let reached = entry.mark();
                show_only(public_attributes, &mut entry);
                if !shown.take(entry, limit.bytes) {
                    break 'pages;
                }
                mark = reached;
            }
            mark = news.reached.unwrap_or(mark);
            more = page.more;
        }
        mark.partial = more && mark.seq > Seq::ZERO;
        Ok(Self {
            newest: shown.newest.into_values().collect(),
            cursor: Cursor(vec![mark]),
        })
    }
}

/// The orders of a customer that a snapshot shows.
#[derive(Default)]
struct Shown {
    newest: BTreeMap<OrderId, Entry>,
    /// The bytes of JSON that they take.
    bytes: usize,
}

impl Shown {
    /// Shows an order's newest entry, if the JSON does not become too long.
    #[must_use]
    fn take(&mut self, entry: Entry, limit: usize) -> bool {
        let others = self.bytes - self.newest.get(&entry.order).map_or(0, size);
        let new = match entry.is_gone() {
            true => 0,
            false => size(&entry),
        };
        if others > 0 && FRAME + others + new > limit {
            return false;
        }
        self.bytes = others + new;
        match entry.is_gone() {
            true => self.newest.remove(&entry.order),
            false => self.newest.insert(entry.order.clone(), entry),
        };
        true
    }
}

/// More than the bytes of the JSON around the changes: the names of the members, and the cursor.
const FRAME: usize = 100;

/// The bytes of a change, and of a comma.
fn size(entry: &Entry) -> usize {
    serde_json::to_string(&PublicChange::from(entry)).map_or(0, |json| json.len() + 1)
}

async fn newest<F: Feed>(
    feed: &F,
    order: &LogId,
    clock: &Clock,
) -> Result<Option<Entry>, FeedError> {
    let newest = feed.newest(order).await?;
    if newest.as_ref().is_some_and(|entry| entry.is_expired(clock)) {
        let page = feed.latest(order, Consistency::Strong).await?;
        return Ok(Reading::latest(page.entries, clock).into_entries().pop());
    }
    Ok(newest)
}

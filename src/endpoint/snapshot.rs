//! The newest change of each order, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::clock::Clock;
use crate::cursor::{Cursor, Mark};
use crate::feed::{Consistency, Entry, Feed, FeedError, LogId, Reading, list};
use crate::order::{OrderId, Seq};
use crate::session::{PublicChange, show_only};

/// A snapshot of a customer with many orders ends after this number of bytes. The cursor then says that there are more, and a
/// stream from that cursor sends them.
const MAX_BYTES: usize = 1024 * 1024;

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
        clock: &Clock,
    ) -> Result<Self, FeedError> {
        match logs {
            [customers @ LogId::Customer(_)] => {
                Self::of_customer(feed, customers, public_attributes, clock).await
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
        clock: &Clock,
    ) -> Result<Self, FeedError> {
        let mut newest: BTreeMap<OrderId, Entry> = BTreeMap::new();
        let (mut mark, mut bytes, mut more) = (Mark::START, 0, true);
        while more && bytes < MAX_BYTES {
            let page = feed.read(log, mark.seq, Consistency::Eventual).await?;
            more = page.more;
            // From the beginning or from the last entry of the page before, every order is owed.
            let from = Mark {
                partial: true,
                ..mark
            };
            let Ok(news) = list::News::after(&from, page.entries, clock) else {
                // A replica lags behind the one before, or the table deletes: the stream goes on from here.
                more = true;
                break;
            };
            mark = news.reached.unwrap_or(mark);
            for mut entry in news.entries {
                show_only(public_attributes, &mut entry);
                bytes += size(&entry);
                match entry.is_gone() {
                    true => newest.remove(&entry.order),
                    false => newest.insert(entry.order.clone(), entry),
                };
            }
        }
        mark.partial = more && mark.seq > Seq::ZERO;
        Ok(Self {
            newest: newest.into_values().collect(),
            cursor: Cursor(vec![mark]),
        })
    }
}

fn size(entry: &Entry) -> usize {
    serde_json::to_string(&PublicChange::from(entry)).map_or(0, |json| json.len())
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

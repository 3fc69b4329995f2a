//! Collects the dwell times of a projector's batches, and writes them to the feed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use crate::clock::Clock;
use crate::dwell::{Dwells, weight};
use crate::feed::Feed;
use crate::order::Status;

/// A status's pending dwell times are written when their weight reaches this share of the stored weight. Fewer would not change
/// the statistics. So the number of writes grows with the logarithm of the number of orders: 150 writes for the first million.
/// If a process dies, less than a tenth of the known dwell times is lost.
const MIN_SHARE: f64 = 0.1;

/// Dwell times that are pending for longer are always written. If most of the stored dwell times are wrong, the right ones must
/// not wait until they are a tenth of them.
const MAX_PENDING_SECONDS: u64 = 60 * 60;

/// The dwell times of a status are deleted if no order has left the status for this time.
const DWELLS_EXPIRE_AFTER: Duration = Duration::from_secs(180 * 86_400);

/// Collects dwell times, and writes at most once per status and batch.
///
/// Dwell times only decide when the feed is polled. So if some are lost because a process dies or a write fails, no change is
/// lost.
#[derive(Debug, Default)]
pub(super) struct Learner(Mutex<BTreeMap<Status, Pending>>);

/// The dwell times of a frequent status, which wait until they are written.
#[derive(Debug, Default)]
struct Pending {
    dwells: Dwells,
    /// The weight that the feed had after this process's last write.
    written: f64,
    /// When the first pending dwell time was collected, in seconds since the Unix epoch.
    since: Option<u64>,
}

impl Learner {
    /// Adds the dwell times of a batch.
    pub(super) async fn learn(
        &self,
        feed: &impl Feed,
        dwelt: Vec<(Status, Duration)>,
        clock: &Clock,
    ) {
        let now = weight(clock.epoch_seconds());
        let expires_at = (clock.epoch() + DWELLS_EXPIRE_AFTER).as_secs();
        let writes = self.collect(dwelt, clock.epoch_seconds()).into_iter().map(
            |(status, dwells)| async move {
                match feed.learn(&status, &dwells, expires_at).await {
                    Ok(written) => self.wrote(status, written, now),
                    Err(error) => tracing::warn!(%error, "dwell times could not be stored"),
                }
            },
        );
        join_all(writes).await;
    }

    /// Adds dwell times to the pending ones. Returns those that must be written now.
    fn collect(&self, dwelt: Vec<(Status, Duration)>, now: u64) -> BTreeMap<Status, Dwells> {
        let mut batch = BTreeMap::<_, Dwells>::new();
        for (status, dwell) in dwelt {
            batch.entry(status).or_default().add(dwell, weight(now));
        }
        let mut pending = self.pending();
        batch.retain(|status, dwells| {
            let Some(pending) = pending.get_mut(status) else {
                return true;
            };
            pending.dwells.merge(dwells);
            let since = *pending.since.get_or_insert(now);
            let due = pending.dwells.total() >= MIN_SHARE * pending.written
                || now.saturating_sub(since) >= MAX_PENDING_SECONDS;
            if due {
                *dwells = std::mem::take(&mut pending.dwells);
                pending.since = None;
            }
            due
        });
        batch
    }

    /// A status that few orders have does not become pending. So statuses that each order generates for itself need no memory.
    fn wrote(&self, status: Status, written: f64, now: f64) {
        let mut pending = self.pending();
        if MIN_SHARE * written > now {
            pending.entry(status).or_default().written = written;
        } else {
            pending.remove(&status);
        }
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<Status, Pending>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An order that generates a status for itself must leave nothing in memory.
    #[test]
    fn only_a_status_of_more_than_ten_orders_is_kept() {
        let (learner, now) = (Learner::default(), 2.0);
        let paid = Status::new("PAID").expect("a status");
        for (orders, kept) in [(1.0, 0), (10.0, 0), (11.0, 1), (10.0, 0)] {
            learner.wrote(paid.clone(), orders * now, now);
            assert_eq!(learner.pending().len(), kept, "{orders} orders");
        }
    }
}

//! Dwell times, from a projector's batches to the feed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use crate::clock::Clock;
use crate::dwell::{Dwells, weight};
use crate::feed::Feed;
use crate::order::Status;

/// A status's dwell times are written once they are this part of all that are known of it: fewer would tell nothing new. So
/// what a process writes for a status goes with the logarithm of its orders, not with their number: 150 writes for the first
/// million. What is lost with a process is less than a tenth of what is known.
const WORTH_WRITING: f64 = 0.1;

/// What is pending for longer is written, whatever part of the whole it is: if much of what is known is wrong, the rest must
/// not wait for a tenth of that.
const LONGEST_WAIT_SECONDS: u64 = 60 * 60;

/// A status that no order was in for this long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(180 * 86_400);

/// Collects dwell times, and writes those that are worth it: at most once a status and batch.
///
/// They only say when to look, so whatever is lost of them, with a process or a write that fails, costs no more than a later
/// one would have told.
#[derive(Debug, Default)]
pub(super) struct Learner(Mutex<BTreeMap<Status, Pending>>);

/// Of a status that is in use enough for its dwell times to wait.
#[derive(Debug, Default)]
struct Pending {
    dwells: Dwells,
    /// The weight of what was written before, by anyone, as far as known.
    written: f64,
    /// When the first of the dwell times that wait came, in seconds since the Unix epoch.
    since: Option<u64>,
}

impl Learner {
    /// Takes the dwell times of a batch.
    pub(super) async fn learn(
        &self,
        feed: &impl Feed,
        dwelt: Vec<(Status, Duration)>,
        clock: &Clock,
    ) {
        let now = weight(clock.epoch_seconds());
        let expires_at = (clock.epoch() + FORGOTTEN_AFTER).as_secs();
        let writes = self.collect(dwelt, clock.epoch_seconds()).into_iter().map(
            |(status, dwells)| async move {
                match feed.learn(&status, &dwells, expires_at).await {
                    Ok(written) => self.wrote(status, written, now),
                    Err(error) => tracing::warn!(%error, "dwell times were not kept"),
                }
            },
        );
        join_all(writes).await;
    }

    /// Adds to what is pending, and takes out what is worth writing.
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
            let worth = pending.dwells.total() >= WORTH_WRITING * pending.written
                || now.saturating_sub(since) >= LONGEST_WAIT_SECONDS;
            if worth {
                *dwells = std::mem::take(&mut pending.dwells);
                pending.since = None;
            }
            worth
        });
        batch
    }

    /// Statuses of which each order has its own are never waited for, so never kept.
    fn wrote(&self, status: Status, written: f64, now: f64) {
        let mut pending = self.pending();
        if WORTH_WRITING * written > now {
            pending.entry(status).or_default().written = written;
        } else {
            pending.remove(&status);
        }
    }

    fn pending(&self) -> MutexGuard<'_, BTreeMap<Status, Pending>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

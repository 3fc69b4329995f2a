//! The hazards that the sessions of a process share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::Clock;
use crate::dwell::{Dwells, Hazard, weight};
use crate::feed::Feed;
use crate::order::Status;

/// The time between two readings. Dwell times change over weeks, but a new shop learns by the minute. A reading costs as much as
/// one or two check-ins.
const REFRESH_SECONDS: u64 = 10 * 60;

/// The time until the next reading if one failed, or found nothing.
const RETRY_SECONDS: u64 = 60;

/// A longer reading is given up, because the client waits for it.
pub(super) const READ_LIMIT: Duration = Duration::from_millis(500);

/// The hazard of each status of which dwell times were learned.
pub(super) type Hazards = Arc<BTreeMap<Status, Hazard>>;

/// The hazards that the sessions of a process know. It is empty until one of them has read the dwell times.
#[derive(Clone, Debug, Default)]
pub(super) struct HazardCache(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    hazards: Hazards,
    /// When to read next, in seconds since the Unix epoch.
    next_read: u64,
}

impl HazardCache {
    /// The known hazards. `None` if a reading is due: then this session must [`read`](Self::read). The others go on with what is
    /// known.
    pub(super) fn known(&self, clock: &Clock) -> Option<Hazards> {
        let now = clock.epoch_seconds();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now < state.next_read {
            return Some(state.hazards.clone());
        }
        state.next_read = now + RETRY_SECONDS;
        None
    }

    /// Reads the dwell times. If this fails, or takes longer than the limit, the known hazards stay.
    pub(super) async fn read(self, feed: impl Feed, limit: Duration, clock: Clock) -> Hazards {
        match timeout(limit, feed.learned()).await {
            Ok(Ok(dwells)) => self.replace(dwells, clock.epoch_seconds()),
            Ok(Err(error)) => self.unchanged(&error.to_string()),
            Err(_) => self.unchanged("the read took too long"),
        }
    }

    fn replace(&self, dwells: BTreeMap<Status, Dwells>, now: u64) -> Hazards {
        let hazard = |(status, dwells): (_, Dwells)| (status, dwells.hazard(weight(now)));
        let hazards = Arc::new(dwells.into_iter().map(hazard).collect::<BTreeMap<_, _>>());
        let until_next = match hazards.is_empty() {
            true => RETRY_SECONDS,
            false => REFRESH_SECONDS,
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State {
            hazards,
            next_read: now + until_next,
        };
        state.hazards.clone()
    }

    fn unchanged(&self, reason: &str) -> Hazards {
        tracing::warn!(reason, "dwell times could not be read");
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.hazards.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::memory::{Fault, MemoryFeed};

    /// 2026-11-22T17:40:00Z
    const NOW: u64 = 1_795_369_200;

    fn clock(seconds: u64) -> Clock {
        Clock::starting_at(Duration::from_secs(NOW + seconds))
    }

    async fn feed() -> MemoryFeed {
        let feed = MemoryFeed::default();
        let mut dwells = Dwells::default();
        dwells.add(Duration::from_secs(600), weight(NOW));
        let paid = Status::new("PAID").expect("a status");
        feed.learn(&paid, &dwells, u64::MAX).await.expect("learned");
        feed
    }

    #[tokio::test(start_paused = true)]
    async fn one_session_reads_and_the_others_go_on_with_what_there_is() {
        let cache = HazardCache::default();
        assert_eq!(cache.known(&clock(0)), None);
        assert_eq!(cache.known(&clock(0)), Some(Hazards::default()));
        assert_eq!(cache.known(&clock(59)), Some(Hazards::default()));
        // The session that had to read has ended without a result.
        assert_eq!(cache.known(&clock(60)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_read_again_after_ten_minutes() {
        let (cache, feed) = (HazardCache::default(), feed().await);
        let read = cache.clone().read(feed, READ_LIMIT, clock(0)).await;
        assert_eq!(read.len(), 1);
        assert_eq!(cache.known(&clock(599)), Some(read));
        assert_eq!(cache.known(&clock(600)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn if_there_are_none_they_are_read_again_after_a_minute() {
        let cache = HazardCache::default();
        let read = cache
            .clone()
            .read(MemoryFeed::default(), READ_LIMIT, clock(0))
            .await;
        assert_eq!(read.len(), 0);
        assert_eq!(cache.known(&clock(59)), Some(read));
        assert_eq!(cache.known(&clock(60)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_known_outlives_a_reading_that_fails() {
        let (cache, feed) = (HazardCache::default(), feed().await);
        let known = cache.clone().read(feed.clone(), READ_LIMIT, clock(0)).await;
        assert_eq!(known.len(), 1);
        for fault in [Fault::Throttled, Fault::Hangs] {
            feed.inject([Some(fault)]);
            let read = cache
                .clone()
                .read(feed.clone(), READ_LIMIT, clock(700))
                .await;
            assert_eq!(read, known, "{fault:?}");
        }
    }
}

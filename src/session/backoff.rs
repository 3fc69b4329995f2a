//! When clients come back if the feed fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The shortest time. A herd that checks in every ten seconds has all got its first failure by the time this one is over, so
/// that the requests that return do not add up with those that come for the first time.
const FIRST_RETRY: Duration = Duration::from_secs(6);

/// The longest time. The session adds as much at random, so every client is back 56 s after an outage.
const LONGEST_RETRY: Duration = Duration::from_secs(28);

/// Since when calls have failed, in milliseconds since the Unix epoch; 0 if they do not fail. The sessions of a process share it.
///
/// The time counts, and not the number of failures: a process that serves two hundred clients a second counts five failures
/// within some milliseconds. Its own clock does not count either, because it stands still while Lambda freezes the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff(Arc<AtomicU64>);

impl Backoff {
    pub(super) fn succeeded(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Returns the time after which the client comes back: twice the time that the failures have lasted.
    pub(super) fn failed(&self, now: u64) -> Duration {
        let since = self
            .0
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed)
            .map_or_else(|since| since, |_| now);
        let lasted = Duration::from_millis(now.saturating_sub(since));
        lasted.saturating_mul(2).clamp(FIRST_RETRY, LONGEST_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_twice_the_time_that_the_failures_have_lasted() {
        let backoff = Backoff::default();
        let failed = |after| backoff.failed(1_795_369_200_000 + after).as_millis();
        assert_eq!([0, 10, 3000].map(failed), [6000; 3], "six seconds at least");
        assert_eq!(failed(5000), 10_000);
        assert_eq!([14_000, 300_000].map(failed), [28_000; 2]);
        backoff.succeeded();
        assert_eq!(failed(300_100), 6000);
    }
}

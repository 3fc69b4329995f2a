//! When clients come back if the feed fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The time after one failure. It doubles with each further one …
const FIRST_RETRY: Duration = Duration::from_secs(3);

/// … up to this, if the failures began just now: a process with hundreds of clients fails often within a second. It is longer than
/// most rests, so an outage does not raise the rate of requests …
const LONGEST_AT_FIRST: Duration = Duration::from_secs(12);

/// … and up to this, or half as much again by the jitter, if they have lasted as long. So a minute after an outage, all clients are
/// back (`docs/cost.md`, Herds).
const LONGEST_RETRY: Duration = Duration::from_secs(24);

/// The failures in a row. The sessions of a process share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff(Arc<Failures>);

#[derive(Debug, Default)]
struct Failures {
    count: AtomicU32,
    /// The time of the first failure, in milliseconds since the Unix epoch. Not used while `count` is 0.
    first: AtomicU64,
}

impl Backoff {
    pub(super) fn succeeded(&self) {
        self.0.count.store(0, Ordering::Relaxed);
    }

    /// Returns the time after which the client comes back. `now` is in milliseconds since the Unix epoch.
    pub(super) fn failed(&self, now: u64) -> Duration {
        let failures_before = self.0.count.fetch_add(1, Ordering::Relaxed);
        if failures_before == 0 {
            self.0.first.store(now, Ordering::Relaxed);
        }
        let lasted = now.saturating_sub(self.0.first.load(Ordering::Relaxed));
        let longest = Duration::from_millis(lasted).clamp(LONGEST_AT_FIRST, LONGEST_RETRY);
        (FIRST_RETRY * 2u32.pow(failures_before.min(16))).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times after which clients come back whose requests fail at these seconds.
    fn retries(backoff: &Backoff, seconds: &[u64]) -> Vec<u64> {
        let failed = |at: &u64| backoff.failed(1_795_392_000_000 + at * 1000).as_secs();
        seconds.iter().map(failed).collect()
    }

    #[test]
    fn many_failures_at_once_make_no_rest_longer_than_twelve_seconds() {
        let found = retries(&Backoff::default(), &[0; 100]);
        assert_eq!(found[..4], [3, 6, 12, 12]);
        assert_eq!(found.last(), Some(&12));
    }

    #[test]
    fn rests_grow_with_the_time_that_the_outage_lasts() {
        let backoff = Backoff::default();
        let found = retries(&backoff, &[0, 0, 0, 11, 18, 24, 300]);
        assert_eq!(found, [3, 6, 12, 12, 18, 24, 24]);
        backoff.succeeded();
        assert_eq!(retries(&backoff, &[400, 400, 400, 401]), [3, 6, 12, 12]);
    }
}

//! When a transport connects again.

use std::time::Duration;

use tokio::time::Instant;

/// The longest pause before the second attempt. It doubles with each further one …
const FIRST: Duration = Duration::from_millis(100);

/// … up to this.
const LONGEST: Duration = Duration::from_secs(5);

/// A connection that worked is made again at once, because a process that was frozen often finds it closed. But a server that
/// closes each connection soon must not be asked for thousands of them a second.
const AT_ONCE_AGAIN: Duration = Duration::from_secs(1);

/// The attempts of a transport.
#[derive(Debug, Default)]
pub(super) struct Retries {
    failures: u32,
    at_once_again: Option<Instant>,
}

impl Retries {
    /// Whether the last attempt has failed too.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// The pause after a connection has ended. `worked` says that something was done with it. `random` is in 0..1: processes
    /// that lost their connections together must not come back together. `None` means at once.
    pub(super) fn pause(&mut self, worked: bool, now: Instant, random: f64) -> Option<Duration> {
        if worked {
            self.failures = 0;
            if self.at_once_again.is_none_or(|at| now >= at) {
                self.at_once_again = Some(now + AT_ONCE_AGAIN);
                return None;
            }
        }
        let longest = (FIRST * 2u32.pow(self.failures.min(10))).min(LONGEST);
        self.failures += 1;
        Some(longest.mul_f64(random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(millis))
    }

    #[test]
    fn pauses_double_up_to_five_seconds_and_begin_again_after_a_success() {
        let (now, mut retries) = (Instant::now(), Retries::default());
        let pauses: Vec<_> = (0..8).map(|_| retries.pause(false, now, 1.0)).collect();
        let expected = [100, 200, 400, 800, 1600, 3200, 5000, 5000].map(ms);
        assert_eq!(pauses, expected);
        assert!(retries.has_failed());
        assert_eq!(retries.pause(true, now, 0.5), None);
        assert!(!retries.has_failed());
        assert_eq!(retries.pause(false, now, 0.5), ms(50));
    }

    #[test]
    fn a_server_that_closes_each_connection_soon_is_not_asked_again_at_once() {
        let (start, mut retries) = (Instant::now(), Retries::default());
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(retries.pause(true, start, 1.0), None);
        assert_eq!(retries.pause(true, after(1), 1.0), ms(100));
        assert_eq!(retries.pause(true, after(102), 1.0), ms(100));
        assert_eq!(retries.pause(true, after(1000), 1.0), None);
    }
}

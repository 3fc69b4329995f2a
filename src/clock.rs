//! The only module that reads a clock.
//!
//! All other code gets a [`Clock`] as an argument. So tests can pause time (`tokio::time::pause`) and choose the date.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The time during one request or one batch.
///
/// The date is read once and moves on with tokio's monotonic clock. Do not use it after the invocation: Lambda freezes the process
/// between two invocations, and the monotonic clock with it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_epoch: Duration,
}

impl Clock {
    /// A clock that starts at this machine's date.
    pub fn system() -> Self {
        // If the machine's date is before 1970, 1970 is used.
        Self::starting_at(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }

    /// A clock that starts at the given time since the Unix epoch.
    pub fn starting_at(start_epoch: Duration) -> Self {
        Self {
            start: Instant::now(),
            start_epoch,
        }
    }

    /// The monotonic time.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// When this clock was made.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The date, as the time since the Unix epoch.
    pub fn epoch(&self) -> Duration {
        self.start_epoch + self.start.elapsed()
    }

    /// The date, in milliseconds since the Unix epoch.
    pub fn epoch_millis(&self) -> u64 {
        self.epoch().as_millis().try_into().unwrap_or(u64::MAX)
    }

    /// The date, in seconds since the Unix epoch.
    pub fn epoch_seconds(&self) -> u64 {
        self.epoch().as_secs()
    }

    /// The time until a date in milliseconds since the Unix epoch, such as a function's deadline.
    ///
    /// `None` if the date has passed: `cargo lambda watch` sends a deadline in January 1970, which means none.
    pub fn remaining(&self, epoch_millis: u64) -> Option<Duration> {
        Duration::from_millis(epoch_millis).checked_sub(self.epoch())
    }
}

//! The date by which the age of a record is computed.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

/// A date that moves on with tokio's clock, so tests can pause it. They can move it too.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    date: DateTime<Utc>,
    ahead: watch::Sender<Duration>,
}

impl Default for Clock {
    /// This machine's date.
    fn default() -> Self {
        Self::starting_at(SystemTime::now().into())
    }
}

impl Clock {
    pub(super) fn starting_at(date: DateTime<Utc>) -> Self {
        Self {
            start: Instant::now(),
            date,
            ahead: watch::Sender::default(),
        }
    }

    /// From now on, the date is so far ahead. Zero ends that.
    pub fn set_ahead(&self, ahead: Duration) {
        self.ahead.send_replace(ahead);
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.date + self.start.elapsed() + *self.ahead.borrow()
    }
}

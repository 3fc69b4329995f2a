//! When clients come back if the feed fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The time after one failure. It doubles with each further one …
const FIRST_RETRY: Duration = Duration::from_secs(3);

/// … up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(48);

/// The number of failures in a row. The sessions of a process share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff(Arc<AtomicU32>);

impl Backoff {
    pub(super) fn succeeded(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Returns the time after which the client comes back.
    pub(super) fn failed(&self) -> Duration {
        let failures_before = self.0.fetch_add(1, Ordering::Relaxed).min(16);
        (FIRST_RETRY * 2u32.pow(failures_before)).min(LONGEST_RETRY)
    }
}

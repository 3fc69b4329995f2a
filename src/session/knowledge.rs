//! What the sessions of a process know of dwell times.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::dwell::{Hazard, weight};
use crate::feed::Feed;
use crate::order::Status;

/// They change over weeks, but a shop that has just begun learns by the minute. A reading costs as much as a check-in or two.
const REFRESH_SECONDS: u64 = 10 * 60;

/// After a reading that failed, or found nothing.
const TRY_AGAIN_SECONDS: u64 = 60;

/// A reading that takes longer is no better than none.
const PATIENCE: Duration = Duration::from_millis(500);

/// The hazard of each status that something was learned of.
pub(super) type Hazards = Arc<BTreeMap<Status, Hazard>>;

/// What the sessions of a process know of dwell times: nothing, until one of them has read it.
#[derive(Clone, Debug, Default)]
pub(super) struct Knowledge(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    hazards: Hazards,
    /// When to read next, in seconds since the Unix epoch.
    due: u64,
}

impl Knowledge {
    /// What is known, read anew where that is due. Where it cannot be read, what was known stays.
    pub(super) async fn hazards(&self, feed: &impl Feed, clock: &Clock, end: Instant) -> Hazards {
        let now = clock.epoch_seconds();
        if let Some(known) = self.known(now) {
            return known;
        }
        let end = end.min(clock.now() + PATIENCE);
        match timeout_at(end, feed.learned()).await {
            Ok(Ok(dwells)) => {
                let hazard = |(status, dwells): (_, crate::dwell::Dwells)| {
                    (status, dwells.hazard(weight(now)))
                };
                let hazards = Arc::new(dwells.into_iter().map(hazard).collect::<BTreeMap<_, _>>());
                let in_a_while = match hazards.is_empty() {
                    true => TRY_AGAIN_SECONDS,
                    false => REFRESH_SECONDS,
                };
                let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                *state = State {
                    hazards,
                    due: now + in_a_while,
                };
                state.hazards.clone()
            }
            Ok(Err(error)) => self.unchanged(&error.to_string()),
            Err(_) => self.unchanged("out of time"),
        }
    }

    /// `None` to the one session whose turn it is to read; the others go on with what there is.
    fn known(&self, now: u64) -> Option<Hazards> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now < state.due {
            return Some(state.hazards.clone());
        }
        state.due = now + TRY_AGAIN_SECONDS;
        None
    }

    fn unchanged(&self, reason: &str) -> Hazards {
        tracing::warn!(reason, "dwell times could not be read");
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hazards
            .clone()
    }
}

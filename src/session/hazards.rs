//! The hazards that the sessions of a process share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::Clock;
use crate::dwell::{Dwells, Hazard, weight};
use crate::feed::Feed;
use crate::order::Status;

/// Dwell times change over weeks, but a new shop learns by the minute. Reading them costs as much as a check-in or two.
const REFRESH_SECONDS: u64 = 10 * 60;

/// After a reading that failed, or found nothing.
const TRY_AGAIN_SECONDS: u64 = 60;

/// A reading that takes longer is not worth the wait.
const PATIENCE: Duration = Duration::from_millis(500);

/// The hazard of each status that something was learned of.
pub(super) type Hazards = Arc<BTreeMap<Status, Hazard>>;

/// What the sessions of a process know of dwell times: nothing, until one of them has read them.
#[derive(Clone, Debug, Default)]
pub(super) struct HazardCache(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    hazards: Hazards,
    /// When to read next, in seconds since the Unix epoch.
    due: u64,
}

impl HazardCache {
    /// What is known. `None` if a reading is due: the session that gets it must [`read`](Self::read). The others go on with
    /// what there is.
    pub(super) fn known(&self, clock: &Clock) -> Option<Hazards> {
        let now = clock.epoch_seconds();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now < state.due {
            return Some(state.hazards.clone());
        }
        state.due = now + TRY_AGAIN_SECONDS;
        None
    }

    /// Reads the dwell times. If that fails, what was known stays.
    pub(super) async fn read(self, feed: impl Feed, clock: Clock) -> Hazards {
        match timeout(PATIENCE, feed.learned()).await {
            Ok(Ok(dwells)) => self.replace(dwells, clock.epoch_seconds()),
            Ok(Err(error)) => self.unchanged(&error.to_string()),
            Err(_) => self.unchanged("out of time"),
        }
    }

    fn replace(&self, dwells: BTreeMap<Status, Dwells>, now: u64) -> Hazards {
        let hazard = |(status, dwells): (_, Dwells)| (status, dwells.hazard(weight(now)));
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

    fn unchanged(&self, reason: &str) -> Hazards {
        tracing::warn!(reason, "dwell times could not be read");
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.hazards.clone()
    }
}

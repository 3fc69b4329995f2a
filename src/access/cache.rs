//! Keys that are fetched when they are needed, and kept.

use std::error::Error;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::Header;
use tokio::sync::Mutex;

use super::https::Fetch;
use super::keys::{Key, KeySet};
use crate::clock::Clock;

/// After so long a key that its issuer has withdrawn is no longer taken.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// Between two fetches, however many tokens name a key that is not known: whoever invents key ids must not make us hammer
/// the issuer.
const FLOOR: Duration = Duration::from_secs(30);

/// The same after a fetch that failed.
const FLOOR_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The last good key set of a URL.
///
/// Times are dates, for a monotonic clock stands still while Lambda freezes the process.
#[derive(Debug)]
pub(super) struct Cache<F> {
    source: F,
    state: RwLock<State>,
    /// Held by the one that fetches.
    fetching: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<KeySet>,
    /// When `keys` were fetched, since the Unix epoch.
    fetched: Duration,
    /// When the next fetch may be made, since the Unix epoch.
    next: Duration,
    /// The last fetch did.
    failed: bool,
}

impl State {
    fn find(&self, header: &Header) -> Option<Key> {
        self.keys.as_ref()?.find(header).cloned()
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The issuer has none such.
    Unknown,
    /// The issuer could not be asked: it is not known whether it has one.
    Unavailable,
}

impl<F: Fetch> Cache<F> {
    pub(super) fn new(source: F) -> Self {
        Self {
            source,
            state: RwLock::default(),
            fetching: Mutex::new(()),
        }
    }

    /// The key that a token's header names.
    pub(super) async fn find(&self, header: &Header, clock: &Clock) -> Result<Key, KeyError> {
        let (found, fetched) = self.read(|state| (state.find(header), state.fetched));
        let stale = clock.epoch().saturating_sub(fetched) >= MAX_AGE;
        let _fetching = match found {
            Some(key) if !stale => return Ok(key),
            // Only one waits for the new set, the others go on with the old one.
            Some(key) => match self.fetching.try_lock() {
                Ok(fetching) => fetching,
                Err(_) => return Ok(key),
            },
            None => self.fetching.lock().await,
        };
        // Whoever fetched meanwhile has set the time of the next one.
        if clock.epoch() >= self.read(|state| state.next) {
            self.fetch(clock).await;
        }
        self.read(|state| match state.find(header) {
            Some(key) => Ok(key),
            None if state.failed || state.keys.is_none() => Err(KeyError::Unavailable),
            None => Err(KeyError::Unknown),
        })
    }

    async fn fetch(&self, clock: &Clock) {
        let fetched = self.source.fetch().await;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let now = clock.epoch();
        state.failed = fetched.is_err();
        match fetched {
            Ok(keys) => {
                (state.keys, state.fetched) = (Some(keys), now);
                state.next = now + FLOOR;
            }
            Err(error) => {
                let cause = error.source().map(ToString::to_string);
                tracing::warn!(%error, cause, "the key set could not be fetched");
                state.next = now + FLOOR_AFTER_FAILURE;
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        // The lock is never held across a panic or an await: a poisoned one holds good data.
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

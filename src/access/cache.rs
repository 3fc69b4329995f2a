//! Fetches a key set when a token needs it, and caches it.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::Header;
use tokio::sync::Mutex;

use super::https::{Fetch, FetchError};
use super::key::Key;
use super::keys::{KeySet, KeySetError};
use crate::clock::Clock;
use crate::telemetry::with_causes;

/// A key set is fetched again after this time. So a key that its issuer has withdrawn is accepted for this time.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// The minimum time between two fetches, even if tokens name unknown keys. A client that invents key ids must not cause many
/// requests to the issuer.
const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(30);

/// The minimum time between a failed fetch and the next one.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The last valid key set from a URL.
///
/// Times are measured by the time of day, because a monotonic clock stops while Lambda freezes the process.
#[derive(Debug)]
pub(super) struct Cache<F> {
    source: F,
    state: RwLock<State>,
    /// Locked by the request that fetches.
    fetching: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<KeySet>,
    /// When `keys` were fetched, since the Unix epoch.
    fetched: Duration,
    /// When the next fetch may be made, since the Unix epoch.
    next: Duration,
    /// Whether the last fetch failed.
    failed: bool,
}

impl State {
    fn find(&self, header: &Header) -> Option<Vec<Key>> {
        let found = self.keys.as_ref()?.find(header);
        (!found.is_empty()).then_some(found)
    }
}

/// Why no key was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// The key set could not be fetched, so the issuer may have the key.
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

    /// The keys that may have signed a token with this header.
    pub(super) async fn find(&self, header: &Header, clock: &Clock) -> Result<Vec<Key>, KeyError> {
        let (found, fetched) = self.read(|state| (state.find(header), state.fetched));
        let stale = clock.epoch().saturating_sub(fetched) >= MAX_AGE;
        let _fetching = match found {
            Some(keys) if !stale => return Ok(keys),
            // Only one request waits for the new set. The others use the old one.
            Some(keys) => match self.fetching.try_lock() {
                Ok(fetching) => fetching,
                Err(_) => return Ok(keys),
            },
            None => self.fetching.lock().await,
        };
        // If another request has fetched in the meantime, it has set the time of the next fetch.
        if clock.epoch() >= self.read(|state| state.next) {
            self.fetch(clock).await;
        }
        self.read(|state| match state.find(header) {
            Some(keys) => Ok(keys),
            None if state.failed || state.keys.is_none() => Err(KeyError::Unavailable),
            None => Err(KeyError::Unknown),
        })
    }

    /// Fetches the key set before a token needs it. If this fails, the first token causes another attempt at once.
    pub(super) async fn prepare(&self, clock: &Clock) {
        let _fetching = self.fetching.lock().await;
        self.fetch(clock).await;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.failed {
            state.next = Duration::ZERO;
        }
    }

    async fn fetch(&self, clock: &Clock) {
        let fetched = self.source.fetch().await;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let now = clock.epoch();
        state.failed = fetched.is_err();
        match fetched {
            Ok(keys) => {
                keys.warn(state.keys.as_ref());
                (state.keys, state.fetched) = (Some(keys), now);
                state.next = now + MIN_FETCH_INTERVAL;
            }
            Err(error) => {
                // If the new set contains no key, the issuer has withdrawn its earlier keys.
                let withdrawn = matches!(error, FetchError::KeySet(KeySetError::NoKey(_)));
                let error = with_causes(&error);
                tracing::warn!(error, "the key set could not be fetched");
                state.next = now + MIN_RETRY_INTERVAL;
                if withdrawn {
                    state.keys = None;
                }
            }
        }
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        // Nothing panics or awaits while the lock is held, so the data of a poisoned lock is intact.
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Lock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use jsonwebtoken::Algorithm;
    use local::issuer::Issuer;
    use serde_json::json;
    use tokio::time::{advance, sleep};

    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(50);

    /// An issuer's server, which counts its requests. Without a key set to serve, it responds with status 500.
    #[derive(Default)]
    struct Server {
        serves: Lock<Option<String>>,
        asked: AtomicUsize,
    }

    impl Fetch for &Server {
        async fn fetch(&self) -> Result<KeySet, FetchError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            sleep(ROUND_TRIP).await;
            let served = self.serves.lock().expect("no panic").clone();
            let served = served.ok_or(FetchError::Status(500))?;
            Ok(KeySet::parse(served.as_bytes())?)
        }
    }

    impl Server {
        fn serves(&self, key_ids: &[&str]) {
            let keys = key_ids.iter().map(|id| {
                let issuer = Issuer::new(Algorithm::EdDSA, id).expect("a key");
                issuer.jwk().expect("a key")
            });
            let set = json!({ "keys": keys.collect::<Vec<_>>() }).to_string();
            *self.serves.lock().expect("no panic") = Some(set);
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    fn named(key_id: &str) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key_id.to_owned());
        header
    }

    fn clock() -> Clock {
        Clock::starting_at(Duration::from_secs(1_795_369_200))
    }

    async fn find(cache: &Cache<&Server>, key_id: &str, clock: &Clock) -> Result<(), KeyError> {
        cache.find(&named(key_id), clock).await.map(|_| ())
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_cause_one_fetch() {
        let server = Server::default();
        server.serves(&["a"]);
        let (cache, clock) = (Cache::new(&server), clock());
        let all = (0..50).map(|_| find(&cache, "a", &clock));
        let found = futures_util::future::join_all(all).await;
        assert_eq!(found, vec![Ok(()); 50]);
        assert_eq!(server.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_key_is_found_and_unknown_key_ids_cause_few_fetches() {
        let server = Server::default();
        server.serves(&["a"]);
        let (cache, clock) = (Cache::new(&server), clock());
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
        server.serves(&["a", "b"]);
        for _ in 0..100 {
            assert_eq!(find(&cache, "b", &clock).await, Err(KeyError::Unknown));
        }
        assert_eq!(server.asked(), 1);
        advance(MIN_FETCH_INTERVAL).await;
        assert_eq!(find(&cache, "b", &clock).await, Ok(()));
        assert_eq!(find(&cache, "c", &clock).await, Err(KeyError::Unknown));
        assert_eq!(server.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_valid_set_is_used_while_the_issuer_fails() {
        let server = Server::default();
        server.serves(&["a"]);
        let (cache, clock) = (Cache::new(&server), clock());
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
        *server.serves.lock().expect("no panic") = None;
        advance(MAX_AGE).await;
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
        assert_eq!(server.asked(), 2);
        // The issuer may have a new key, but it cannot be asked.
        assert_eq!(find(&cache, "b", &clock).await, Err(KeyError::Unavailable));
        assert_eq!(server.asked(), 2, "no second fetch at once");
        server.serves(&["b"]);
        advance(MIN_RETRY_INTERVAL).await;
        assert_eq!(find(&cache, "b", &clock).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn while_one_request_fetches_the_others_use_the_old_set() {
        let server = Server::default();
        server.serves(&["a"]);
        let (cache, clock) = (Cache::new(&server), clock());
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
        advance(MAX_AGE).await;
        let before = clock.now();
        let one = find(&cache, "a", &clock);
        let other = async {
            let found = find(&cache, "a", &clock).await;
            (found, clock.now() - before)
        };
        let (one, other) = futures_util::future::join(one, other).await;
        assert_eq!((one, other), (Ok(()), (Ok(()), Duration::ZERO)));
        assert_eq!(server.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_withdrawn_key_is_forgotten() {
        let server = Server::default();
        server.serves(&["a", "b"]);
        let (cache, clock) = (Cache::new(&server), clock());
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
        server.serves(&["b"]);
        advance(MAX_AGE).await;
        assert_eq!(find(&cache, "a", &clock).await, Err(KeyError::Unknown));
    }

    /// An issuer whose keys were stolen may have no other keys yet.
    #[tokio::test(start_paused = true)]
    async fn withdrawn_keys_are_forgotten_even_if_the_new_set_is_empty() {
        let server = Server::default();
        server.serves(&["a"]);
        let (cache, clock) = (Cache::new(&server), clock());
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
        server.serves(&[]);
        advance(MAX_AGE).await;
        assert_eq!(find(&cache, "a", &clock).await, Err(KeyError::Unavailable));
        server.serves(&["b"]);
        advance(MIN_RETRY_INTERVAL).await;
        assert_eq!(find(&cache, "a", &clock).await, Err(KeyError::Unknown));
        assert_eq!(find(&cache, "b", &clock).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_that_was_fetched_at_the_start_is_not_fetched_by_the_first_token() {
        let server = Server::default();
        server.serves(&["a"]);
        let (cache, clock) = (Cache::new(&server), clock());
        cache.prepare(&clock).await;
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
        assert_eq!(server.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn if_the_fetch_at_the_start_fails_the_first_token_makes_another() {
        let server = Server::default();
        let (cache, clock) = (Cache::new(&server), clock());
        cache.prepare(&clock).await;
        server.serves(&["a"]);
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
        assert_eq!(server.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_cached_set_a_failed_fetch_is_retried_later() {
        let server = Server::default();
        let (cache, clock) = (Cache::new(&server), clock());
        assert_eq!(find(&cache, "a", &clock).await, Err(KeyError::Unavailable));
        assert_eq!(find(&cache, "a", &clock).await, Err(KeyError::Unavailable));
        assert_eq!(server.asked(), 1);
        server.serves(&["a"]);
        advance(MIN_RETRY_INTERVAL).await;
        assert_eq!(find(&cache, "a", &clock).await, Ok(()));
    }
}

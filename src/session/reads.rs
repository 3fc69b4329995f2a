//! Equal reads of the sessions of a process, joined to one.
//!
//! If a message wakes a thousand sessions that watch the same order, the feed is read once.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::watched::Query;
use crate::feed::{FeedError, LogId, Page};
use crate::order::Seq;

type Reading = BoxFuture<'static, Result<Page, FeedError>>;
type SharedReading = BoxFuture<'static, Result<Arc<Page>, Arc<FeedError>>>;

/// What is read. Two reads with the same key have the same result if they begin together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) log: LogId,
    pub(super) query: Query,
    pub(super) from: Seq,
    /// The number that was heard of the order, if the read is made because of it.
    pub(super) heard: Option<Seq>,
}

impl Key {
    /// Whether a read that has begun already is as good as one that begins now: it is an eventually consistent one, or it began
    /// after the same number was heard, and so after that entry was written.
    fn may_have_begun(&self) -> bool {
        self.heard.is_some() || self.query.may_lag()
    }
}

/// The reads that are being made. With `None`, every read is made for itself: a process of Lambda has one session at a time,
/// unless it is told otherwise, and then there is nothing to join.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads(Option<Arc<Flights>>);

#[derive(Debug, Default)]
struct Flights(Mutex<HashMap<Key, Flight>>);

/// A read that was requested. A consistent read waits until the one of the same key that has begun ends, and others join it
/// meanwhile. If all of them leave, the next request does not know of the one that has begun, and begins beside it.
#[derive(Debug)]
struct Flight {
    reading: WeakShared<SharedReading>,
    begun: Arc<AtomicBool>,
}

impl Reads {
    /// Reads that are joined.
    pub(super) fn joined() -> Self {
        Self(Some(Arc::default()))
    }

    /// Makes the read, or joins one that is being made.
    pub(super) fn read(
        &self,
        key: Key,
        read: impl Fn() -> Reading + Clone + Send + 'static,
    ) -> Reading {
        let Some(flights) = &self.0 else {
            return read();
        };
        let (reading, is_own) = flights.clone().join(key, read.clone());
        let outcome = async move {
            match reading.await {
                Ok(page) => Ok(Arc::unwrap_or_clone(page)),
                Err(error) if is_own => Err(own(error)),
                // It may have failed because its session's client was slow. That must not end other responses.
                Err(_) => read().await,
            }
        };
        outcome.boxed()
    }
}

impl Flights {
    /// The read to wait for, and whether it was made for this caller.
    fn join(
        self: Arc<Self>,
        key: Key,
        read: impl FnOnce() -> Reading + Send + 'static,
    ) -> (Shared<SharedReading>, bool) {
        let mut flights = self.lock();
        let earlier = flights.get(&key).and_then(|flight| {
            let begun = flight.begun.load(Ordering::Relaxed);
            Some((flight.reading.upgrade()?, begun))
        });
        let earlier = match earlier {
            Some((reading, begun)) if !begun || key.may_have_begun() => return (reading, false),
            earlier => earlier.map(|(reading, _)| reading),
        };
        let begun = Arc::<AtomicBool>::default();
        let landing = Landing {
            flights: Arc::clone(&self),
            key: key.clone(),
            begun: Arc::clone(&begun),
        };
        let reading = async move {
            if let Some(earlier) = earlier {
                earlier.await.ok();
            }
            landing.begun.store(true, Ordering::Relaxed);
            let page = AssertUnwindSafe(read()).catch_unwind().await;
            let page = page.unwrap_or_else(|_| Err(panicked()));
            page.map(Arc::new).map_err(Arc::new)
        };
        let reading = reading.boxed().shared();
        if let Some(weak) = reading.downgrade() {
            let flight = Flight {
                reading: weak,
                begun,
            };
            flights.insert(key, flight);
        }
        (reading, true)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a read when it ends, or when nobody waits for it any more.
struct Landing {
    flights: Arc<Flights>,
    key: Key,
    begun: Arc<AtomicBool>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        let is_this = |flight: &Flight| Arc::ptr_eq(&flight.begun, &self.begun);
        if flights.get(&self.key).is_some_and(is_this) {
            flights.remove(&self.key);
        }
    }
}

fn panicked() -> FeedError {
    FeedError::Unavailable {
        message: "the read panicked".to_owned(),
        source: "the read panicked".into(),
    }
}

fn own(error: Arc<FeedError>) -> FeedError {
    Arc::try_unwrap(error).unwrap_or_else(|shared| FeedError::Unavailable {
        message: shared.to_string(),
        source: Box::new(shared),
    })
}

#[cfg(test)]
mod tests;

//! The feed in memory, for tests and simulations. A test can make its reads stale, and its calls fail.

mod limits;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Consistency, Entry, Feed, FeedError, LogId, Page, Put};
use crate::customer::Place;
use crate::dwell::Dwells;
use crate::order::{Seq, Status};
use limits::{check_size, page, refused, stored, unavailable};

/// A tombstone has the key 0.
type Log = BTreeMap<(LogId, Seq), Entry>;

/// A slow call fails after this time, like a call of DynamoDB's client.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A feed in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFeed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    log: Log,
    /// If set, eventually consistent reads see this instead of the log.
    replica: Option<Log>,
    dwells: BTreeMap<Status, Dwells>,
    learnings: usize,
    forgotten_at: Option<u64>,
    confirmed_settings: BTreeSet<u64>,
    faults: VecDeque<Option<Fault>>,
    calls: usize,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call returns [`FeedError::Unavailable`].
    Throttled,
    /// The call returns [`FeedError::Refused`].
    Refused,
    /// The write takes place, and the call returns [`FeedError::Unavailable`], as if the response was lost.
    AnswerLost,
    /// The call never returns.
    Hangs,
    /// The call returns its result after this time. Like DynamoDB's client, the feed gives up 5 s after the call began.
    Slow(Duration),
    /// The call panics, as if the code had an unknown bug.
    Panics,
}

impl MemoryFeed {
    /// From now on, eventually consistent reads see the log as it is now, until [`MemoryFeed::thaw_replica`].
    pub fn freeze_replica(&self) {
        let mut state = self.state();
        state.replica = Some(state.log.clone());
    }

    /// From now on, eventually consistent reads see all writes again.
    pub fn thaw_replica(&self) {
        self.state().replica = None;
    }

    /// Makes the next calls fail, one fault each. `None` lets a call succeed.
    pub fn inject(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.state().faults.extend(faults);
    }

    /// All stored entries, including expired ones, without tombstones.
    pub fn entries(&self) -> Vec<Entry> {
        let state = self.state();
        let entries = state.log.values().filter(|entry| !entry.tombstone);
        entries.cloned().collect()
    }

    /// All stored tombstones.
    pub fn tombstones(&self) -> Vec<Entry> {
        let state = self.state();
        let tombstones = state.log.values().filter(|entry| entry.tombstone);
        tombstones.cloned().collect()
    }

    /// How many calls were made, reads and writes.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// How many times dwell times were added.
    pub fn learnings(&self) -> usize {
        self.state().learnings
    }

    /// How many settings were confirmed.
    pub fn confirmed_settings(&self) -> usize {
        self.state().confirmed_settings.len()
    }

    /// When the dwell times that were added last are forgotten, in seconds since the Unix epoch.
    pub fn forgotten_at(&self) -> Option<u64> {
        self.state().forgotten_at
    }

    /// Deletes an entry, as the table's TTL does some time after the expiry. [`Seq::ZERO`] deletes the order's tombstone.
    pub fn delete(&self, log: impl Into<LogId>, seq: Seq) {
        self.state().log.remove(&(log.into(), seq));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics or awaits while the lock is held, so the data of a poisoned lock is intact.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, FeedError> {
        let fault = self.state().begin();
        if fault == Some(Fault::Hangs) {
            return std::future::pending().await;
        }
        if let Some(Fault::Slow(time)) = fault {
            // A response arrives in parts. So a call that nobody polls does not end.
            let parts = async {
                sleep(time / 2).await;
                sleep(time / 2).await;
            };
            let in_time = timeout(CALL_TIMEOUT, parts).await;
            in_time.map_err(|_| unavailable("injected: timeout"))?;
        }
        #[expect(clippy::panic, reason = "a test injected it")]
        if fault == Some(Fault::Panics) {
            panic!("injected");
        }
        let mut state = self.state();
        match fault {
            None | Some(Fault::Slow(_)) => Ok(effect(&mut state)),
            Some(Fault::Refused) => Err(refused("injected: refused")),
            Some(fault) => {
                if fault == Fault::AnswerLost {
                    effect(&mut state);
                }
                Err(unavailable("injected: throttled"))
            }
        }
    }
}

impl State {
    fn begin(&mut self) -> Option<Fault> {
        self.calls += 1;
        self.faults.pop_front().flatten()
    }

    fn log(&self, consistency: Consistency) -> &Log {
        match (consistency, &self.replica) {
            (Consistency::Eventual, Some(replica)) => replica,
            _ => &self.log,
        }
    }
}

fn entries(log: &Log, id: &LogId, from: Seq) -> impl DoubleEndedIterator<Item = Entry> {
    log.range((id.clone(), from)..=(id.clone(), Seq(u64::MAX)))
        .map(|(_, entry)| entry.clone())
}

impl Feed for MemoryFeed {
    async fn newest(&self, log: impl Into<LogId> + Send) -> Result<Option<Entry>, FeedError> {
        let id = log.into();
        self.call(|state| {
            let newest = entries(&state.log, &id, Seq(1)).next_back();
            let tombstone = state.log.get(&(id, Seq::ZERO));
            let tombstone = tombstone.filter(|tombstone| tombstone.replaces(newest.as_ref()));
            tombstone.cloned().or(newest)
        })
        .await
    }

    async fn put(&self, entry: &Entry) -> Result<Put, FeedError> {
        check_size(entry)?;
        let stored = stored(entry)?;
        self.call(|state| {
            let key = (entry.log(), entry.number());
            if state.log.contains_key(&key) {
                return Put::Taken;
            }
            state.log.insert(key, stored);
            Put::Done
        })
        .await
    }

    async fn amend(&self, was: &Entry, is: &Entry) -> Result<Put, FeedError> {
        let amendable = |entry: &Entry| {
            let Entry {
                terminal,
                expires_at,
                sources,
                customer,
                former,
                shown_until,
                ..
            } = entry.clone();
            (
                (terminal, expires_at, sources),
                (customer, former, shown_until),
            )
        };
        self.call(|state| {
            let entry = state.log.get_mut(&(was.log(), was.number()));
            match entry.filter(|entry| amendable(entry) == amendable(was)) {
                Some(entry) => {
                    (
                        (entry.terminal, entry.expires_at, entry.sources),
                        (entry.customer, entry.former, entry.shown_until),
                    ) = amendable(is);
                    Put::Done
                }
                None => Put::Taken,
            }
        })
        .await
    }

    async fn expire(
        &self,
        log: impl Into<LogId> + Send,
        seq: Seq,
        at: u64,
    ) -> Result<Option<Entry>, FeedError> {
        let key = (log.into(), seq);
        self.call(|state| {
            let entry = state.log.get_mut(&key)?;
            entry.expire(at);
            Some(entry.clone())
        })
        .await
    }

    async fn expire_listed(&self, place: &Place, of: &Entry, at: u64) -> Result<bool, FeedError> {
        let key = (LogId::from(&place.customer), place.seq);
        self.call(|state| {
            let listed = state.log.get_mut(&key).filter(|found| found.lists(of));
            listed.map(|listed| listed.expire(at)).is_some()
        })
        .await
    }

    async fn put_tombstone(&self, tombstone: &Entry) -> Result<(), FeedError> {
        let stored = stored(tombstone)?;
        self.call(|state| {
            let key = (tombstone.log(), Seq::ZERO);
            let older = state.log.get(&key);
            if older.is_none_or(|older| older.seq <= stored.seq) {
                state.log.insert(key, stored);
            }
        })
        .await
    }

    async fn read(
        &self,
        log: impl Into<LogId> + Send,
        from: Seq,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        let id = log.into();
        self.call(|state| page(entries(state.log(consistency), &id, from.max(Seq(1)))))
            .await
    }

    async fn latest(
        &self,
        log: impl Into<LogId> + Send,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        let id = log.into();
        self.call(|state| {
            let log = state.log(consistency);
            let mut page = page(entries(log, &id, Seq::ZERO).rev());
            if page.more
                && page
                    .entries
                    .first()
                    .is_some_and(Entry::may_outlive_later_entries)
            {
                let tombstone = log.get(&(id, Seq::ZERO));
                page.entries.extend(tombstone.cloned());
            }
            page.entries.reverse();
            page
        })
        .await
    }

    async fn confirm_settings(&self, settings: u64) -> Result<(), FeedError> {
        self.call(|state| {
            state.confirmed_settings.insert(settings);
        })
        .await
    }

    async fn settings_confirmed(&self, settings: u64) -> Result<bool, FeedError> {
        self.call(|state| state.confirmed_settings.contains(&settings))
            .await
    }

    async fn learn(
        &self,
        status: &Status,
        dwells: &Dwells,
        expires_at: u64,
    ) -> Result<f64, FeedError> {
        self.call(|state| {
            state.learnings += 1;
            state.forgotten_at = Some(expires_at);
            let kept = state.dwells.entry(status.clone()).or_default();
            kept.merge(dwells);
            kept.total()
        })
        .await
    }

    async fn learned(&self) -> Result<BTreeMap<Status, Dwells>, FeedError> {
        self.call(|state| state.dwells.clone()).await
    }
}

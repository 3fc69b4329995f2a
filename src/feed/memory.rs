//! The feed in memory, for tests and simulation. It can be told to be stale or to fail.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Consistency, Entry, Feed, FeedError, PAGE_ENTRIES, Page, Put};
use crate::dwell::Dwells;
use crate::order::{OrderId, Seq, Status};

type Log = BTreeMap<(OrderId, Seq), Entry>;

/// DynamoDB's limit. Its way of counting is not JSON's, but near enough.
const MAX_ITEM_BYTES: usize = 400 * 1024;

/// DynamoDB's limit. The entry that reaches it still belongs to the page.
const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// After this time a slow call fails.
const LONGEST_CALL: Duration = Duration::from_secs(5);

/// A feed in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFeed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    log: Log,
    /// What eventually consistent readings see instead of the log.
    replica: Option<Log>,
    dwells: BTreeMap<Status, Dwells>,
    learnings: usize,
    faults: VecDeque<Option<Fault>>,
}

/// What the feed answers instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// [`FeedError::Unavailable`].
    Throttled,
    /// [`FeedError::Refused`].
    Refused,
    /// The write takes place, and then [`FeedError::Unavailable`]: what a lost answer looks like.
    AnswerLost,
    /// Nothing, ever.
    Hangs,
    /// The answer, after this time. Like the client of DynamoDB, the feed gives up 5 s after the call began.
    Slow(Duration),
    /// A panic, where the code has an error that nobody has thought of.
    Panics,
}

impl MemoryFeed {
    /// From here on, eventually consistent readings see the log as it is now…
    pub fn freeze_replica(&self) {
        let mut state = self.state();
        state.replica = Some(state.log.clone());
    }

    /// … and from here on as it is then.
    pub fn thaw_replica(&self) {
        self.state().replica = None;
    }

    /// What the next calls meet, one each; `None` lets one through.
    pub fn inject(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.state().faults.extend(faults);
    }

    /// Everything that is stored, expired or not.
    pub fn entries(&self) -> Vec<Entry> {
        self.state().log.values().cloned().collect()
    }

    /// How often dwell times were added.
    pub fn learnings(&self) -> usize {
        self.state().learnings
    }

    /// Deletes an entry, as the table's TTL does some time after it expired.
    pub fn delete(&self, order: &OrderId, seq: Seq) {
        self.state().log.remove(&(order.clone(), seq));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The lock is never held across a panic or an await: a poisoned one holds good data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, FeedError> {
        let fault = self.state().faults.pop_front().flatten();
        if fault == Some(Fault::Hangs) {
            return std::future::pending().await;
        }
        if let Some(Fault::Slow(time)) = fault {
            // An answer comes in parts. So a call that nobody polls does not end.
            let parts = async {
                sleep(time / 2).await;
                sleep(time / 2).await;
            };
            let in_time = timeout(LONGEST_CALL, parts).await;
            in_time.map_err(|_| unavailable("out of time on demand"))?;
        }
        #[expect(clippy::panic, reason = "a test asked for it")]
        if fault == Some(Fault::Panics) {
            panic!("on demand");
        }
        let mut state = self.state();
        match fault {
            None | Some(Fault::Slow(_)) => Ok(effect(&mut state)),
            Some(Fault::Refused) => Err(refused("refused on demand")),
            Some(fault) => {
                if fault == Fault::AnswerLost {
                    effect(&mut state);
                }
                Err(unavailable("throttled on demand"))
            }
        }
    }
}

impl State {
    fn log(&self, consistency: Consistency) -> &Log {
        match (consistency, &self.replica) {
            (Consistency::Eventual, Some(replica)) => replica,
            _ => &self.log,
        }
    }
}

fn size(entry: &Entry) -> usize {
    serde_json::to_string(entry).map_or(0, |json| json.len())
}

fn page(mut entries: impl Iterator<Item = Entry>) -> Page {
    let mut page = Page::default();
    let mut bytes = 0;
    while page.entries.len() < PAGE_ENTRIES && bytes < MAX_PAGE_BYTES {
        let Some(entry) = entries.next() else {
            return page;
        };
        bytes += size(&entry);
        page.entries.push(entry);
    }
    page.more = entries.next().is_some();
    page
}

fn unavailable(message: &str) -> FeedError {
    FeedError::Unavailable {
        message: message.to_owned(),
        source: message.into(),
    }
}

fn refused(message: &str) -> FeedError {
    FeedError::Refused {
        message: message.to_owned(),
        source: message.into(),
    }
}

fn entries(log: &Log, order: &OrderId, from: Seq) -> impl DoubleEndedIterator<Item = Entry> {
    log.range((order.clone(), from)..=(order.clone(), Seq(u64::MAX)))
        .map(|(_, entry)| entry.clone())
}

impl Feed for MemoryFeed {
    async fn newest(&self, order: &OrderId) -> Result<Option<Entry>, FeedError> {
        self.call(|state| entries(&state.log, order, Seq::ZERO).next_back())
            .await
    }

    async fn put(&self, entry: &Entry) -> Result<Put, FeedError> {
        if size(entry) > MAX_ITEM_BYTES {
            return Err(refused("an entry is 400 KB at most"));
        }
        self.call(|state| {
            let key = (entry.order.clone(), entry.seq);
            if state.log.contains_key(&key) {
                return Put::Taken;
            }
            state.log.insert(key, entry.clone());
            Put::Done
        })
        .await
    }

    async fn expire(&self, order: &OrderId, seq: Seq, at: u64) -> Result<(), FeedError> {
        self.call(|state| {
            if let Some(entry) = state.log.get_mut(&(order.clone(), seq)) {
                entry.expires_at.get_or_insert(at);
            }
        })
        .await
    }

    async fn read(
        &self,
        order: &OrderId,
        from: Seq,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        self.call(|state| page(entries(state.log(consistency), order, from)))
            .await
    }

    async fn latest(&self, order: &OrderId, consistency: Consistency) -> Result<Page, FeedError> {
        self.call(|state| {
            let mut page = page(entries(state.log(consistency), order, Seq::ZERO).rev());
            page.entries.reverse();
            page
        })
        .await
    }

    async fn learn(&self, status: &Status, dwells: &Dwells, _: u64) -> Result<f64, FeedError> {
        self.call(|state| {
            state.learnings += 1;
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

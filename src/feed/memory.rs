//! The feed in memory, for tests and simulation. It can be told to be stale or to fail.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use serde_dynamo::{AttributeValue, Item};

use super::{Consistency, Entry, Feed, FeedError, PAGE_ENTRIES, Page, Put};
use crate::dwell::Dwells;
use crate::number::Decimal;
use crate::order::{OrderId, Seq, Status};

/// A tombstone has the number zero here.
type Log = BTreeMap<(OrderId, Seq), Entry>;

/// DynamoDB's limit to a number.
const MAX_DIGITS: usize = 38;

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
    forgotten_at: Option<u64>,
    vouched: BTreeSet<u64>,
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

    /// Every entry that is stored, expired or not. Tombstones are not among them.
    pub fn entries(&self) -> Vec<Entry> {
        let state = self.state();
        let entries = state.log.values().filter(|entry| !entry.tombstone);
        entries.cloned().collect()
    }

    /// Every tombstone that is stored.
    pub fn tombstones(&self) -> Vec<Entry> {
        let state = self.state();
        let tombstones = state.log.values().filter(|entry| entry.tombstone);
        tombstones.cloned().collect()
    }

    /// How often dwell times were added.
    pub fn learnings(&self) -> usize {
        self.state().learnings
    }

    /// When the dwell times that were added last are forgotten, in seconds since the Unix epoch.
    pub fn forgotten_at(&self) -> Option<u64> {
        self.state().forgotten_at
    }

    /// Deletes an entry, as the table's TTL does some time after it expired. [`Seq::ZERO`] is the order's tombstone.
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

/// The entry as DynamoDB gives it back.
fn stored(entry: &Entry) -> Result<Entry, FeedError> {
    let item: Item = serde_dynamo::to_item(entry).map_err(|error| refused(&error.to_string()))?;
    let item = stored_map(item.into_inner());
    let item = item.ok_or_else(|| refused("a number has 38 digits at most"))?;
    let item = Item::from(item);
    serde_dynamo::from_item(item).map_err(|error| refused(&error.to_string()))
}

/// Numbers lose the zeros that say nothing. `None` if one has too many digits.
fn stored_value(value: AttributeValue) -> Option<AttributeValue> {
    Some(match value {
        AttributeValue::N(number) => {
            let number = Decimal::parse(&number).filter(|number| number.digits() <= MAX_DIGITS)?;
            AttributeValue::N(number.to_string())
        }
        AttributeValue::L(list) => {
            AttributeValue::L(list.into_iter().map(stored_value).collect::<Option<_>>()?)
        }
        AttributeValue::M(map) => AttributeValue::M(stored_map(map)?),
        other => other,
    })
}

fn stored_map(map: HashMap<String, AttributeValue>) -> Option<HashMap<String, AttributeValue>> {
    let map = map.into_iter();
    map.map(|(name, value)| Some((name, stored_value(value)?)))
        .collect()
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
        self.call(|state| {
            let newest = entries(&state.log, order, Seq(1)).next_back();
            let tombstone = state.log.get(&(order.clone(), Seq::ZERO));
            let tombstone = tombstone.filter(|tombstone| tombstone.stands_for(newest.as_ref()));
            tombstone.cloned().or(newest)
        })
        .await
    }

    async fn put(&self, entry: &Entry) -> Result<Put, FeedError> {
        if size(entry) > MAX_ITEM_BYTES {
            return Err(refused("an entry is 400 KB at most"));
        }
        let stored = stored(entry)?;
        self.call(|state| {
            let key = (entry.order.clone(), entry.seq);
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
                ..
            } = entry;
            (*terminal, *expires_at, sources.clone())
        };
        self.call(|state| {
            let entry = state.log.get_mut(&(was.order.clone(), was.seq));
            match entry.filter(|entry| amendable(entry) == amendable(was)) {
                Some(entry) => {
                    (entry.terminal, entry.expires_at, entry.sources) = amendable(is);
                    Put::Done
                }
                None => Put::Taken,
            }
        })
        .await
    }

    async fn expire(&self, order: &OrderId, seq: Seq, at: u64) -> Result<Option<Entry>, FeedError> {
        self.call(|state| {
            let entry = state.log.get_mut(&(order.clone(), seq))?;
            entry.expires_at = Some(entry.expires_at.map_or(at, |earlier| earlier.min(at)));
            Some(entry.clone())
        })
        .await
    }

    async fn bury(&self, tombstone: &Entry) -> Result<(), FeedError> {
        let stored = stored(tombstone)?;
        self.call(|state| {
            let key = (tombstone.order.clone(), Seq::ZERO);
            let older = state.log.get(&key);
            if older.is_none_or(|older| older.seq <= stored.seq) {
                state.log.insert(key, stored);
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
        self.call(|state| page(entries(state.log(consistency), order, from.max(Seq(1)))))
            .await
    }

    async fn latest(&self, order: &OrderId, consistency: Consistency) -> Result<Page, FeedError> {
        self.call(|state| {
            let log = state.log(consistency);
            let mut page = page(entries(log, order, Seq::ZERO).rev());
            if page.more && page.entries.first().is_some_and(Entry::may_be_left) {
                let tombstone = log.get(&(order.clone(), Seq::ZERO));
                page.entries.extend(tombstone.cloned());
            }
            page.entries.reverse();
            page
        })
        .await
    }

    async fn vouch(&self, settings: u64) -> Result<(), FeedError> {
        self.call(|state| {
            state.vouched.insert(settings);
        })
        .await
    }

    async fn vouched(&self, settings: u64) -> Result<bool, FeedError> {
        self.call(|state| state.vouched.contains(&settings)).await
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

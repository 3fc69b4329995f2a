//! The feed as a process sees it: replicas lag, and calls take time, fail, hang, or kill the process.
//!
//! This is the only module that implements the library's `Feed`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use order_status_stream::customer::Place;
use order_status_stream::dwell::Dwells;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::feed::{
    Consistency, Entry, Feed, FeedError, LogId, PAGE_ENTRIES, Page, Put,
};
use order_status_stream::order::{OrderId, Seq, Status};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::chance::Chance;
use crate::journal::Journal;
use crate::plan::FeedFaults;
use crate::reads;
use crate::world::{Kind, World, lock};

/// The number of copies. An eventually consistent read sees one of them. Writes go to the first.
const COPIES: usize = 3;

/// The feed's table, its replicas and its journal.
#[derive(Debug)]
pub struct Storage {
    world: Arc<World>,
    leader: MemoryFeed,
    replicas: Vec<Mutex<Replica>>,
    lag: Duration,
    random: Mutex<Rng>,
    /// Everything that was ever appended.
    pub journal: Journal,
}

#[derive(Debug, Default)]
struct Replica {
    feed: MemoryFeed,
    pending: VecDeque<(Instant, Op)>,
}

/// A write.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "few are alive at a time")]
enum Op {
    Put(Entry),
    Amend(Entry, Entry),
    Expire(LogId, Seq, u64),
    ExpireListed(Place, Box<Entry>, u64),
    PutTombstone(Entry),
    Delete(LogId, Seq),
}

/// What a write returns.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "few are alive at a time")]
enum Written {
    Put(Put),
    Expired(Option<Entry>),
    ExpiredListed(bool),
    Done,
}

fn immediately<T>(call: impl Future<Output = Result<T, FeedError>>) -> Result<T, FeedError> {
    // A feed in memory never waits.
    call.now_or_never()
        .unwrap_or_else(|| Err(unavailable("the memory is busy")))
}

fn unavailable(message: &str) -> FeedError {
    FeedError::Unavailable {
        message: message.to_owned(),
        source: message.into(),
    }
}

impl Replica {
    fn catch_up(&mut self, now: Instant) {
        while self.pending.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, op)) = self.pending.pop_front() {
                // A replica accepts what the leader accepted.
                let _ = op.apply(&self.feed);
            }
        }
    }

    /// Whether a write to a log has not arrived yet.
    fn lacks(&self, log: &LogId) -> bool {
        self.pending.iter().any(|(_, op)| op.log() == *log)
    }
}

impl Op {
    fn log(&self) -> LogId {
        match self {
            Self::Put(entry) | Self::Amend(_, entry) | Self::PutTombstone(entry) => entry.log(),
            Self::Expire(log, ..) | Self::Delete(log, _) => log.clone(),
            Self::ExpireListed(place, ..) => LogId::from(&place.customer),
        }
    }

    fn apply(&self, feed: &MemoryFeed) -> Result<Written, FeedError> {
        match self {
            Self::Put(entry) => immediately(feed.put(entry)).map(Written::Put),
            Self::Amend(was, is) => immediately(feed.amend(was, is)).map(Written::Put),
            Self::Expire(log, seq, at) => {
                immediately(feed.expire(log, *seq, *at)).map(Written::Expired)
            }
            Self::ExpireListed(place, of, at) => {
                immediately(feed.expire_listed(place, of, *at)).map(Written::ExpiredListed)
            }
            Self::PutTombstone(tombstone) => {
                immediately(feed.put_tombstone(tombstone)).map(|()| Written::Done)
            }
            Self::Delete(log, seq) => {
                feed.delete(log, *seq);
                Ok(Written::Done)
            }
        }
    }
}

impl Storage {
    /// An empty table, whose replicas lag by up to `lag`.
    pub fn new(world: Arc<World>, lag: Duration, random: Rng) -> Self {
        Self {
            world,
            leader: MemoryFeed::default(),
            replicas: (1..COPIES).map(|_| Mutex::default()).collect(),
            lag,
            random: Mutex::new(random),
            journal: Journal::default(),
        }
    }

    fn write(&self, op: Op) -> Result<Written, FeedError> {
        let written = op.apply(&self.leader)?;
        match (&op, &written) {
            (_, Written::Put(Put::Taken)) => return Ok(written),
            (Op::Put(entry), _) => self.journal.appended(entry),
            (Op::Amend(_, entry), _) | (_, Written::Expired(Some(entry))) => {
                self.journal.changed(entry);
            }
            (Op::ExpireListed(place, ..), Written::ExpiredListed(true)) => {
                let log = LogId::from(&place.customer);
                let page = immediately(self.leader.read(&log, place.seq, Consistency::Strong));
                for entry in page.iter().flat_map(|page| page.entries.first()) {
                    self.journal.changed(entry);
                }
            }
            _ => {}
        }
        let now = Instant::now();
        for replica in &self.replicas {
            let mut replica = lock(replica);
            let earliest = replica.pending.back().map_or(now, |(due, _)| *due);
            let lag = if self.world.faults_have_stopped() {
                0.0
            } else {
                self.lag.as_secs_f64()
            };
            let due = earliest.max(now + lock(&self.random).magnitude(0.001, lag.max(0.002)));
            replica.pending.push_back((due, op.clone()));
        }
        Ok(written)
    }

    /// The longest time by which a read may lag.
    pub fn lag(&self) -> Duration {
        self.lag
    }

    /// DynamoDB's TTL deletes most of what has expired.
    pub fn sweep(&self) {
        let now = self.world.epoch().as_secs();
        for entry in self.leader.entries() {
            let expired = entry.expires_at.is_some_and(|at| at < now);
            if expired && lock(&self.random).chance(0.8) {
                self.world.fault("entries deleted by TTL", "table");
                self.world
                    .note(|| format!("ttl: {} {} is deleted", entry.log(), entry.number()));
                let _ = self.write(Op::Delete(entry.log(), entry.number()));
            }
        }
    }

    /// The newest entry of an order.
    pub fn newest(&self, order: &OrderId) -> Option<Entry> {
        immediately(self.leader.newest(order)).ok().flatten()
    }

    /// The dwell times that were learned.
    pub fn learned(&self) -> BTreeMap<Status, Dwells> {
        immediately(self.leader.learned()).unwrap_or_default()
    }

    /// The number of streams of which the projector has read an order.
    pub fn confirmed_streams(&self) -> usize {
        self.leader.confirmed_settings()
    }

    fn read_copy<T>(
        &self,
        log: &LogId,
        consistency: Consistency,
        random: &Mutex<Rng>,
        read: impl Fn(&MemoryFeed) -> Result<T, FeedError>,
    ) -> Result<T, FeedError> {
        let copy = lock(random).usize(..COPIES);
        match (consistency, self.replicas.get(copy)) {
            (Consistency::Eventual, Some(replica)) => {
                let mut replica = lock(replica);
                replica.catch_up(Instant::now());
                if !self.world.faults_have_stopped() && replica.lacks(log) {
                    self.world.fault("readings that lag", "replica");
                }
                read(&replica.feed)
            }
            _ => read(&self.leader),
        }
    }
}

/// A process that calls the feed. A call may kill it.
#[derive(Debug)]
pub struct Caller {
    /// For the trace.
    pub name: String,
    faults: FeedFaults,
    random: Mutex<Rng>,
    dead: Mutex<bool>,
    died: Notify,
}

impl Caller {
    /// A process whose calls have these faults.
    pub fn new(name: String, faults: FeedFaults, random: Rng) -> Self {
        Self {
            name,
            faults,
            random: Mutex::new(random),
            dead: Mutex::new(false),
            died: Notify::new(),
        }
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        *lock(&self.dead)
    }

    /// Returns when it has died.
    pub async fn death(&self) {
        let died = self.died.notified();
        if !self.is_dead() {
            died.await;
        }
    }

    fn die(&self) {
        *lock(&self.dead) = true;
        self.died.notify_waiters();
    }
}

/// The fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallFault {
    None,
    Throttled,
    AnswerLost,
    Hangs,
    Killed,
    KilledAfter,
    Panics,
}

/// A process's handle to the feed.
#[derive(Clone, Debug)]
pub struct SimulatedFeed {
    storage: Arc<Storage>,
    caller: Arc<Caller>,
}

impl SimulatedFeed {
    /// A handle for this process.
    pub fn new(storage: Arc<Storage>, caller: Arc<Caller>) -> Self {
        Self { storage, caller }
    }

    fn draw_fault(&self) -> (CallFault, Duration) {
        if self.storage.world.faults_have_stopped() {
            return (CallFault::None, Duration::from_millis(2));
        }
        let FeedFaults {
            throttled,
            answer_lost,
            hangs,
            slow,
            killed,
            panics,
            ..
        } = self.caller.faults;
        let mut random = lock(&self.caller.random);
        let slow = random.chance(slow);
        let takes = if slow {
            random.magnitude(0.05, 5.0)
        } else {
            Duration::from_millis(random.u64(1..8))
        };
        let kinds = [
            (CallFault::Throttled, throttled, "throttled calls"),
            (CallFault::AnswerLost, answer_lost, "answers lost"),
            (CallFault::Hangs, hangs, "calls that hang"),
            (CallFault::Killed, killed / 2.0, "processes killed"),
            (CallFault::KilledAfter, killed / 2.0, "processes killed"),
            (CallFault::Panics, panics, "panics"),
        ];
        let fault = kinds
            .into_iter()
            .find(|(_, probability, _)| random.chance(*probability));
        drop(random);
        if slow {
            self.storage.world.fault("slow calls", &self.caller.name);
        }
        if let Some((_, _, kind)) = fault {
            self.storage.world.fault(kind, &self.caller.name);
        }
        (fault.map_or(CallFault::None, |(fault, ..)| fault), takes)
    }

    async fn call<T>(
        &self,
        what: impl Fn(&T) -> String,
        effect: impl FnOnce(&Storage) -> Result<T, FeedError>,
    ) -> Result<T, FeedError> {
        let (fault, takes) = self.draw_fault();
        sleep(takes).await;
        match fault {
            _ if self.caller.is_dead() => return std::future::pending().await,
            CallFault::Throttled => return Err(unavailable("throttled")),
            CallFault::Hangs => return std::future::pending().await,
            CallFault::Killed => {
                self.caller.die();
                return std::future::pending().await;
            }
            // `panic!` would call the panic hook, which prints.
            CallFault::Panics => std::panic::resume_unwind(Box::new("simulated")),
            CallFault::None | CallFault::AnswerLost | CallFault::KilledAfter => {}
        }
        let result = effect(&self.storage);
        if let Ok(result) = &result {
            self.storage
                .world
                .note(|| format!("{}: {}", self.caller.name, what(result)));
        }
        match fault {
            CallFault::AnswerLost => Err(unavailable("the answer was lost")),
            CallFault::KilledAfter => {
                self.caller.die();
                std::future::pending().await
            }
            _ => result,
        }
    }

    async fn conditional(&self, about: impl Fn(&Put) -> String, op: Op) -> Result<Put, FeedError> {
        let put = |storage: &Storage| match storage.write(op)? {
            Written::Put(put) => Ok(put),
            _ => Ok(Put::Done),
        };
        self.call(about, put).await
    }

    async fn page(
        &self,
        what: &str,
        log: &LogId,
        consistency: Consistency,
        read: impl Fn(&MemoryFeed) -> Result<Page, FeedError>,
    ) -> Result<Page, FeedError> {
        let about = |page: &Page| {
            let seqs: Vec<_> = page.entries.iter().map(|entry| entry.number().0).collect();
            format!(
                "{what} {log} {consistency:?}: {seqs:?}{}",
                if page.more { " …" } else { "" }
            )
        };
        let read =
            |storage: &Storage| storage.read_copy(log, consistency, &self.caller.random, read);
        reads::begins(log);
        let page = self.call(about, read).await?;
        // A full page may have a tombstone besides.
        let log_entries = page.entries.iter().filter(|entry| !entry.tombstone);
        if log_entries.count() > PAGE_ENTRIES {
            self.storage.world.finding(
                Kind::Other,
                format!("a page has {} entries", page.entries.len()),
            );
        }
        if !reads::ended(log, &page) {
            let text = "a read ended before that of another order began";
            self.storage.world.finding(Kind::Other, text.to_owned());
        }
        Ok(page)
    }
}

impl Feed for SimulatedFeed {
    async fn newest(&self, log: impl Into<LogId> + Send) -> Result<Option<Entry>, FeedError> {
        let log = log.into();
        let about = |newest: &Option<Entry>| {
            format!(
                "newest {log}: {:?}",
                newest.as_ref().map(|newest| newest.number().0)
            )
        };
        self.call(about, |storage| immediately(storage.leader.newest(&log)))
            .await
    }

    async fn put(&self, entry: &Entry) -> Result<Put, FeedError> {
        let about = |put: &Put| {
            let Entry {
                status,
                view,
                position,
                order,
                seq,
                ..
            } = entry;
            let (log, number) = (entry.log(), entry.number());
            let view = serde_json::to_string(view).unwrap_or_default();
            let (status, position) = (status.as_str(), position.as_str());
            format!("put {log} {number}: {order} {seq} {status} {view} of {position}: {put:?}")
        };
        self.conditional(about, Op::Put(entry.clone())).await
    }

    async fn amend(&self, was: &Entry, is: &Entry) -> Result<Put, FeedError> {
        let about = |put: &Put| {
            let Entry {
                terminal,
                expires_at,
                sources,
                customer,
                ..
            } = is;
            let (log, number) = (is.log(), is.number());
            format!(
                "amend {log} {number} {terminal} {expires_at:?} {sources:?} {customer:?}: {put:?}"
            )
        };
        self.conditional(about, Op::Amend(was.clone(), is.clone()))
            .await
    }

    async fn expire(
        &self,
        log: impl Into<LogId> + Send,
        seq: Seq,
        at: u64,
    ) -> Result<Option<Entry>, FeedError> {
        let log = log.into();
        let about = |_: &_| format!("expire {log} {seq} at {at}");
        let op = Op::Expire(log.clone(), seq, at);
        match self.call(about, |storage| storage.write(op)).await? {
            Written::Expired(entry) => Ok(entry),
            _ => Ok(None),
        }
    }

    async fn expire_listed(&self, place: &Place, of: &Entry, at: u64) -> Result<bool, FeedError> {
        let about = |_: &_| format!("expire {place:?} at {at}");
        let op = Op::ExpireListed(place.clone(), Box::new(of.clone()), at);
        match self.call(about, |storage| storage.write(op)).await? {
            Written::ExpiredListed(found) => Ok(found),
            _ => Ok(false),
        }
    }

    async fn put_tombstone(&self, tombstone: &Entry) -> Result<(), FeedError> {
        let about = |_: &_| format!("put tombstone {} {}", tombstone.order, tombstone.seq);
        let op = Op::PutTombstone(tombstone.clone());
        self.call(about, |storage| storage.write(op))
            .await
            .map(|_| ())
    }

    async fn read(
        &self,
        log: impl Into<LogId> + Send,
        from: Seq,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        let log = log.into();
        let read = |feed: &MemoryFeed| immediately(feed.read(&log, from, consistency));
        self.page("read", &log, consistency, read).await
    }

    async fn latest(
        &self,
        log: impl Into<LogId> + Send,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        let log = log.into();
        let read = |feed: &MemoryFeed| immediately(feed.latest(&log, consistency));
        self.page("latest", &log, consistency, read).await
    }

    async fn confirm_settings(&self, settings: u64) -> Result<(), FeedError> {
        let about = |_: &_| format!("confirm settings {settings}");
        let confirm = |storage: &Storage| immediately(storage.leader.confirm_settings(settings));
        self.call(about, confirm).await
    }

    async fn settings_confirmed(&self, settings: u64) -> Result<bool, FeedError> {
        let about = |confirmed: &bool| format!("settings {settings} confirmed: {confirmed}");
        let confirmed =
            |storage: &Storage| immediately(storage.leader.settings_confirmed(settings));
        self.call(about, confirmed).await
    }

    async fn learn(
        &self,
        status: &Status,
        dwells: &Dwells,
        expires_at: u64,
    ) -> Result<f64, FeedError> {
        let about = |_: &_| format!("learn {}", status.as_str());
        self.call(about, |storage| {
            immediately(storage.leader.learn(status, dwells, expires_at))
        })
        .await
    }

    async fn learned(&self) -> Result<BTreeMap<Status, Dwells>, FeedError> {
        let about = |_: &_| "learned".to_owned();
        self.call(about, |storage| Ok(storage.learned())).await
    }
}

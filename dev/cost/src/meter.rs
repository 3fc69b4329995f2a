//! A feed that counts what DynamoDB bills and takes as long as DynamoDB takes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use order_status_stream::customer::Place;
use order_status_stream::dwell::Dwells;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::feed::{Consistency, Entry, Feed, FeedError, LogId, Page, Put};
use order_status_stream::order::{Seq, Status};
use tokio::time::{Instant, sleep};

use crate::bill::Usage;
use crate::journey::Journeys;
use crate::trace::FOLDS;

/// How long a call to DynamoDB takes, and so nearly all of a check-in. `make bench` measured 2 ms on one machine. A function of
/// 128 MB has a smaller part of a processor.
pub const CALL: Duration = Duration::from_millis(5);

pub type Meter = Arc<Mutex<Usage>>;

/// DynamoDB's client gives up on a call after this time. `src/feed/dynamodb.rs` sets it.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Two calls, and half of the longest time before the second one: `src/feed/dynamodb.rs` sets one more attempt, after up to 20 ms.
const REPEATS: Duration = Duration::from_millis(20);

/// What happens to calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outage {
    #[default]
    None,
    /// A call fails after the client has repeated it.
    Repeats,
    /// A call fails after the client has repeated it twice, as the AWS SDK does by default: after up to 1 s, and after up to 2 s.
    RepeatsSlowly,
    /// A call takes as long as the client lets it.
    Hangs,
}

/// A feed in memory with meters.
#[derive(Clone, Debug, Default)]
pub struct MeteredFeed {
    /// All feeds of a run share it.
    pub log: MemoryFeed,
    /// The dwell times that were learned before, from other orders.
    pub learned: Arc<BTreeMap<Status, Dwells>>,
    pub watching: Meter,
    /// Used to put changes into the log, whether or not anybody watches.
    pub projecting: Meter,
    /// The weight of the dwell times that were written. No run reads them again.
    pub written: Arc<Mutex<BTreeMap<Status, f64>>>,
    /// When each change was appended.
    pub journeys: Journeys,
    pub outage: Arc<Mutex<Outage>>,
}

pub fn lock(meter: &Meter) -> MutexGuard<'_, Usage> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of an item. DynamoDB's count is close to the length of the JSON.
fn size(entry: &Entry) -> usize {
    thread_local!(static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut *buffer, entry);
        buffer.len()
    })
}

/// One unit for each 4 KB of a page that was read strongly consistent, half of one otherwise.
fn read_units(bytes: usize, consistency: Consistency) -> f64 {
    let units = bytes.div_ceil(4096).max(1) as f64;
    match consistency {
        Consistency::Eventual => units / 2.0,
        Consistency::Strong => units,
    }
}

fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(1024).max(1) as f64
}

impl MeteredFeed {
    /// Takes the time of a call.
    ///
    /// # Errors
    ///
    /// There is an outage.
    async fn call(&self) -> Result<(), FeedError> {
        let outage = *self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        let time = match outage {
            Outage::None => CALL,
            Outage::Repeats => REPEATS,
            Outage::RepeatsSlowly => Duration::from_millis(1500),
            Outage::Hangs => CALL_TIMEOUT,
        };
        sleep(time).await;
        match outage {
            Outage::None => Ok(()),
            _ => Err(FeedError::Unavailable {
                message: format!("{outage:?}"),
                source: "an outage".into(),
            }),
        }
    }

    fn metered(&self, page: Page, consistency: Consistency) -> Page {
        let bytes = page.entries.iter().map(size).sum();
        lock(&self.watching).read_units += read_units(bytes, consistency);
        page
    }
}

impl Feed for MeteredFeed {
    async fn newest(&self, log: impl Into<LogId> + Send) -> Result<Option<Entry>, FeedError> {
        self.call().await?;
        let newest = self.log.newest(log).await?;
        let bytes = newest.as_ref().map_or(0, size);
        lock(&self.projecting).read_units += read_units(bytes, Consistency::Strong);
        Ok(newest)
    }

    async fn put(&self, entry: &Entry) -> Result<Put, FeedError> {
        self.call().await?;
        lock(&self.projecting).write_units += write_units(size(entry));
        let put = self.log.put(entry).await?;
        if put == Put::Done {
            let (order, seq) = (entry.order.as_str(), entry.seq.0);
            self.journeys.appended(order, seq, Instant::now());
        }
        Ok(put)
    }

    async fn amend(&self, was: &Entry, is: &Entry) -> Result<Put, FeedError> {
        self.call().await?;
        lock(&self.projecting).write_units += write_units(size(is));
        self.log.amend(was, is).await
    }

    async fn expire(
        &self,
        log: impl Into<LogId> + Send,
        seq: Seq,
        at: u64,
    ) -> Result<Option<Entry>, FeedError> {
        self.call().await?;
        // The whole item counts. No item of a trace is larger than 1 KB.
        lock(&self.projecting).write_units += 1.0;
        self.log.expire(log, seq, at).await
    }

    async fn expire_listed(&self, place: &Place, of: &Entry, at: u64) -> Result<bool, FeedError> {
        self.call().await?;
        lock(&self.projecting).write_units += 1.0;
        self.log.expire_listed(place, of, at).await
    }

    async fn put_tombstone(&self, tombstone: &Entry) -> Result<(), FeedError> {
        self.call().await?;
        lock(&self.projecting).write_units += write_units(size(tombstone));
        self.log.put_tombstone(tombstone).await
    }

    async fn confirm_settings(&self, settings: u64) -> Result<(), FeedError> {
        self.call().await?;
        lock(&self.projecting).write_units += 1.0;
        self.log.confirm_settings(settings).await
    }

    async fn settings_confirmed(&self, settings: u64) -> Result<bool, FeedError> {
        self.call().await?;
        lock(&self.projecting).read_units += 1.0;
        self.log.settings_confirmed(settings).await
    }

    async fn read(
        &self,
        log: impl Into<LogId> + Send,
        from: Seq,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        self.call().await?;
        let page = self.log.read(log, from, consistency).await?;
        Ok(self.metered(page, consistency))
    }

    async fn latest(
        &self,
        log: impl Into<LogId> + Send,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        self.call().await?;
        let page = self.log.latest(log, consistency).await?;
        Ok(self.metered(page, consistency))
    }

    /// Counts as watching, because only watching uses dwell times.
    async fn learn(&self, status: &Status, dwells: &Dwells, _: u64) -> Result<f64, FeedError> {
        self.call().await?;
        // The stored item is read first, strongly consistent.
        let mut watching = lock(&self.watching);
        watching.read_units += 1.0;
        watching.write_units += 1.0;
        drop(watching);
        let known = self.learned.get(status).map_or(0.0, Dwells::total);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written.entry(status.clone()).or_insert(known);
        *written += dwells.total();
        Ok(*written)
    }

    async fn learned(&self) -> Result<BTreeMap<Status, Dwells>, FeedError> {
        self.call().await?;
        // A bucket's name and number take some 20 bytes.
        let bytes = self
            .learned
            .values()
            .map(|dwells| 120 + 20 * dwells.filled().count())
            .sum();
        // An environment reads for each group of orders. A real one would read once for all of them.
        let units = read_units(bytes, Consistency::Eventual) / FOLDS as f64;
        lock(&self.watching).read_units += units;
        Ok((*self.learned).clone())
    }
}

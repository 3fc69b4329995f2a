//! A feed that counts what DynamoDB bills and takes as long as DynamoDB takes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use order_status_stream::dwell::Dwells;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::feed::{Consistency, Entry, Feed, FeedError, Page, Put};
use order_status_stream::order::{OrderId, Seq, Status};

use crate::bill::Usage;

/// How long a call to DynamoDB takes, and so nearly all of a check-in. `make bench` measured 2 ms on one machine. A function of
/// 128 MB has a smaller part of a processor.
pub const CALL: Duration = Duration::from_millis(5);

pub type Meter = Arc<Mutex<Usage>>;

/// A feed in memory with meters.
#[derive(Clone, Debug)]
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
    fn metered(&self, page: Page, consistency: Consistency) -> Page {
        let bytes = page.entries.iter().map(size).sum();
        lock(&self.watching).read_units += read_units(bytes, consistency);
        page
    }
}

impl Feed for MeteredFeed {
    async fn newest(&self, order: &OrderId) -> Result<Option<Entry>, FeedError> {
        let newest = self.log.newest(order).await?;
        let bytes = newest.as_ref().map_or(0, size);
        lock(&self.projecting).read_units += read_units(bytes, Consistency::Strong);
        Ok(newest)
    }

    async fn put(&self, entry: &Entry) -> Result<Put, FeedError> {
        lock(&self.projecting).write_units += write_units(size(entry));
        self.log.put(entry).await
    }

    async fn amend(&self, was: &Entry, is: &Entry) -> Result<Put, FeedError> {
        lock(&self.projecting).write_units += write_units(size(is));
        self.log.amend(was, is).await
    }

    async fn expire(&self, order: &OrderId, seq: Seq, at: u64) -> Result<Option<Entry>, FeedError> {
        // The whole item counts. No item of a trace is larger than 1 KB.
        lock(&self.projecting).write_units += 1.0;
        self.log.expire(order, seq, at).await
    }

    async fn put_tombstone(&self, tombstone: &Entry) -> Result<(), FeedError> {
        lock(&self.projecting).write_units += write_units(size(tombstone));
        self.log.put_tombstone(tombstone).await
    }

    async fn confirm_settings(&self, settings: u64) -> Result<(), FeedError> {
        lock(&self.projecting).write_units += 1.0;
        self.log.confirm_settings(settings).await
    }

    async fn settings_confirmed(&self, settings: u64) -> Result<bool, FeedError> {
        lock(&self.projecting).read_units += 1.0;
        self.log.settings_confirmed(settings).await
    }

    async fn read(
        &self,
        order: &OrderId,
        from: Seq,
        consistency: Consistency,
    ) -> Result<Page, FeedError> {
        tokio::time::sleep(CALL).await;
        let page = self.log.read(order, from, consistency).await?;
        Ok(self.metered(page, consistency))
    }

    async fn latest(&self, order: &OrderId, consistency: Consistency) -> Result<Page, FeedError> {
        tokio::time::sleep(CALL).await;
        let page = self.log.latest(order, consistency).await?;
        Ok(self.metered(page, consistency))
    }

    /// Counts as watching, because only watching uses dwell times.
    async fn learn(&self, status: &Status, dwells: &Dwells, _: u64) -> Result<f64, FeedError> {
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
        tokio::time::sleep(CALL).await;
        // A bucket's name and number take some 20 bytes.
        let bytes = self
            .learned
            .values()
            .map(|dwells| 120 + 20 * dwells.filled().count())
            .sum();
        lock(&self.watching).read_units += read_units(bytes, Consistency::Eventual);
        Ok((*self.learned).clone())
    }
}

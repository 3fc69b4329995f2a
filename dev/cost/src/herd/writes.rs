//! The writes of a herd's orders, and their way into the feed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use order_status_stream::clock::Clock;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::projector::Projector;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::{BEFORE, Event, Herd, PAID, PLACED};
use crate::journey::stream_lag;
use crate::meter::MeteredFeed;
use crate::simulate::{EPOCH, project, projector};

/// How many batches of the stream are projected at once: four shards (assumed), and the template's `ParallelizationFactor`.
const LANES: usize = 40;

/// Lambda's default batch.
const BATCH: usize = 100;

/// Lambda delivers a batch again after this time. Assumed.
const RETRY: Duration = Duration::from_secs(1);

/// A write of an order, in seconds from the beginning of the run.
#[derive(Clone, Copy, Debug)]
struct Write {
    at: f64,
    order: usize,
    status: &'static str,
}

/// All writes of a run, in the order of time. The first of each order is before the beginning.
#[derive(Debug)]
pub(super) struct Writes {
    all: Vec<Write>,
    of_order: BTreeMap<usize, Vec<f64>>,
    seed: u64,
}

/// The id of an order.
pub(super) fn name(order: usize) -> String {
    format!("herd-{order}")
}

impl Writes {
    pub(super) fn new(herd: &Herd) -> Self {
        let mut random = Rng::with_seed(herd.seed ^ 0x5eed);
        let placed = |order| Write {
            at: -1.0 - random.f64() * PLACED.1,
            order,
            status: PLACED.0,
        };
        let mut all: Vec<_> = (0..herd.watchers).map(placed).collect();
        // Changes of all orders come one after the other, without a memory.
        let apart = PLACED.1 / herd.watchers as f64;
        let mut at = 0.0;
        while at < herd.event.end() as f64 {
            at += -apart * (1.0 - random.f64()).ln();
            let order = random.usize(0..herd.watchers);
            let status = PLACED.0;
            all.push(Write { at, order, status });
        }
        if herd.event == Event::Sale {
            for order in 0..herd.watchers / 5 {
                let (at, status) = (BEFORE as f64 + random.f64(), PAID.0);
                all.push(Write { at, order, status });
            }
        }
        all.sort_by(|one, other| one.at.total_cmp(&other.at));
        let mut of_order = BTreeMap::<_, Vec<_>>::new();
        for write in &all {
            of_order.entry(write.order).or_default().push(write.at);
        }
        Self {
            all,
            of_order,
            seed: herd.seed,
        }
    }

    /// When an order is written.
    pub(super) fn of(&self, order: usize) -> Vec<f64> {
        self.of_order.get(&order).cloned().unwrap_or_default()
    }

    /// How many writes there are in these seconds.
    pub(super) fn count(&self, seconds: Range<f64>) -> usize {
        let counted = self.all.iter().filter(|write| seconds.contains(&write.at));
        counted.count()
    }

    /// Appends what was written before the beginning.
    ///
    /// # Errors
    ///
    /// A bug.
    pub(super) async fn preload(&self, log: &MemoryFeed) -> Result<(), String> {
        let projector = projector(log.clone())?;
        let before = self.all.partition_point(|write| write.at < 0.0);
        let numbered: Vec<_> = self.all[..before].iter().copied().enumerate().collect();
        for batch in numbered.chunks(BATCH) {
            let at = batch.first().map_or(0.0, |(_, write)| write.at);
            let clock = Clock::starting_at(EPOCH - Duration::from_secs_f64(-at));
            append(&projector, batch, &clock).await?;
        }
        Ok(())
    }

    /// Delivers each write when the stream would. Stops if the result is dropped.
    ///
    /// # Errors
    ///
    /// A bug.
    pub(super) fn deliver(
        &self,
        feed: &MeteredFeed,
        start: Instant,
    ) -> Result<JoinSet<()>, String> {
        let mut lanes = vec![Vec::new(); LANES];
        for (n, write) in self.all.iter().copied().enumerate() {
            if write.at >= 0.0 {
                lanes[write.order % LANES].push((n, write));
            }
        }
        let projector = Arc::new(projector(feed.clone())?);
        let mut deliveries = JoinSet::new();
        for (number, writes) in (0..).zip(lanes) {
            let lane = Lane {
                projector: Arc::clone(&projector),
                start,
                random: Rng::with_seed(self.seed << 16 | number),
                writes,
            };
            deliveries.spawn(lane.deliver());
        }
        Ok(deliveries)
    }
}

/// A part of a shard, of which one batch after the other is delivered.
struct Lane {
    projector: Arc<Projector<MeteredFeed>>,
    start: Instant,
    random: Rng,
    writes: Vec<(usize, Write)>,
}

impl Lane {
    async fn deliver(mut self) {
        let mut from = 0;
        while let Some((_, next)) = self.writes.get(from) {
            sleep_until(self.start + Duration::from_secs_f64(next.at)).await;
            sleep(stream_lag(self.random.f64())).await;
            let now = (Instant::now() - self.start).as_secs_f64();
            let due = self.writes.partition_point(|(_, write)| write.at < now);
            let batch = &self.writes[from..due.min(from + BATCH)];
            let clock = Clock::starting_at(EPOCH + (Instant::now() - self.start));
            match append(&self.projector, batch, &clock).await {
                Ok(appended) if appended == batch.len() => from += appended,
                Ok(appended) => {
                    from += appended;
                    sleep(RETRY).await;
                }
                Err(_) => return,
            }
        }
    }
}

/// Projects a batch. Returns how many of its records come before the first that failed.
async fn append<F: order_status_stream::feed::Feed>(
    projector: &Projector<F>,
    batch: &[(usize, Write)],
    clock: &Clock,
) -> Result<usize, String> {
    let names: Vec<_> = batch.iter().map(|(_, write)| name(write.order)).collect();
    let records: Vec<_> = batch
        .iter()
        .zip(&names)
        .map(|((n, write), name)| {
            let written = EPOCH.as_secs_f64() + write.at;
            (*n, name.as_str(), write.status, written as u64)
        })
        .collect();
    let failed = project(projector, &records, clock).await?;
    let first = failed.iter().filter_map(|number| number.parse().ok()).min();
    Ok(first.map_or(batch.len(), |first: usize| {
        batch.partition_point(|(n, _)| *n < first)
    }))
}

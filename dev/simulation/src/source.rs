//! Lambda's event source mapping: it reads each shard of a stream in order, in batches, at least once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Chance;
use crate::kafka::rebalance;
use crate::plan::SourceFaults;
use crate::platform::Platform;
use crate::table::{Record, Shard, Stream};
use crate::world::{World, lock};

/// A mapping from a stream to the projector.
#[derive(Debug)]
pub struct Mapping {
    stream: Arc<Stream>,
    /// How many records of each shard are done.
    done: Vec<AtomicUsize>,
    closed: AtomicBool,
    /// Nothing is read before this time.
    paused_until: Mutex<Instant>,
}

impl Mapping {
    /// Starts to read a stream from its first record.
    pub fn open(
        stream: Arc<Stream>,
        platform: &Arc<Platform>,
        world: &Arc<World>,
        faults: SourceFaults,
        random: &mut Rng,
    ) -> Arc<Self> {
        world.note(|| format!("source: reads {}", stream.arn));
        let done = stream.shards.iter().map(|_| AtomicUsize::new(0)).collect();
        let mapping = Arc::new(Self {
            stream,
            done,
            closed: AtomicBool::new(false),
            paused_until: Mutex::new(Instant::now()),
        });
        for shard in 0..mapping.stream.shards.len() {
            let reader = Reader {
                mapping: Arc::clone(&mapping),
                shard,
                platform: Arc::clone(platform),
                world: Arc::clone(world),
                faults,
                random: random.fork(),
            };
            tokio::spawn(reader.run());
        }
        mapping
    }

    /// Whether all records were read. If the projector has not yet read an order of every stream, an item that is no order may
    /// wait for ever, because the settings may be wrong.
    pub fn is_drained(&self, all_confirmed: bool) -> bool {
        let shards = self.stream.shards.iter().zip(&self.done);
        let mut left = shards
            .flat_map(|(shard, done)| shard.records(done.load(Ordering::Relaxed)..shard.count()));
        self.closed.load(Ordering::Relaxed)
            || left.all(|record| !all_confirmed && record.item == "draft")
    }

    /// Reads nothing for some time, so that the stream lags.
    pub fn pause(&self, time: Duration, world: &World) {
        world.fault("stalls of the source", "source");
        *lock(&self.paused_until) = Instant::now() + time;
    }

    /// Stops reading.
    pub fn close(&self, world: &World) {
        world.note(|| format!("source: no longer reads {}", self.stream.arn));
        self.closed.store(true, Ordering::Relaxed);
    }
}

struct Reader {
    mapping: Arc<Mapping>,
    shard: usize,
    platform: Arc<Platform>,
    world: Arc<World>,
    faults: SourceFaults,
    random: Rng,
}

impl Reader {
    fn shard(&self) -> &Shard {
        &self.mapping.stream.shards[self.shard]
    }

    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let done = self.mapping.done[self.shard].load(Ordering::Relaxed);
            if self.mapping.closed.load(Ordering::Relaxed) {
                return;
            }
            if self.shard().count() == done {
                self.shard().written.notified().await;
            }
            self.wait().await;
            let (from, batch) = self.batch(done);
            self.deliver_again(&batch);
            self.rebalance(done);
            let failed = self.platform.project(&batch).await;
            let progress = from + progress(&batch, failed.as_deref());
            self.mapping.done[self.shard].fetch_max(progress, Ordering::Relaxed);
            failures = if failed.is_some_and(|failed| failed.is_empty()) {
                0
            } else {
                failures + 1
            };
            if failures > 0 {
                // Lambda waits longer after each failure.
                let wait = 2_u64.pow(failures.min(6)) * 250;
                sleep(Duration::from_millis(wait)).await;
            }
        }
    }

    /// Lambda polls a shard a few times a second, unless it stalls.
    async fn wait(&mut self) {
        let polled = self.random.between(0.05, 0.4);
        sleep(polled).await;
        let paused_until = *lock(&self.mapping.paused_until);
        sleep_until(paused_until).await;
        if !self.world.faults_have_stopped() && self.random.chance(self.faults.stalls) {
            self.world.fault("stalls of the source", "source");
            // One of ten stalls takes up to two hours.
            let stall = if self.random.chance(0.1) {
                self.random.magnitude(60.0, 7200.0)
            } else {
                self.random.magnitude(1.0, 60.0)
            };
            sleep(stall).await;
        }
    }

    fn batch(&mut self, done: usize) -> (usize, Vec<Record>) {
        let mut from = done;
        if !self.world.faults_have_stopped() && self.random.chance(self.faults.repeated) {
            self.world.fault("batches repeated", "source");
            from -= self.random.usize(..=done.min(5));
        }
        let to = self.shard().count().min(done + self.random.usize(1..=10));
        (from, self.shard().records(from..to))
    }

    fn rebalance(&mut self, done: usize) {
        let shard = &self.mapping.stream.shards[self.shard];
        rebalance(&self.platform, shard, done, &self.world, &mut self.random);
    }

    /// Delivers the batch a second time, while later ones are delivered.
    fn deliver_again(&mut self, batch: &[Record]) {
        if self.world.faults_have_stopped() || !self.random.chance(self.faults.doubled) {
            return;
        }
        self.world.fault("batches doubled", "source");
        let (platform, batch) = (Arc::clone(&self.platform), batch.to_vec());
        let later = self.random.magnitude(0.001, 10.0);
        tokio::spawn(async move {
            sleep(later).await;
            platform.project(&batch).await;
        });
    }
}

/// How many records of a batch are done: those before the first that failed.
fn progress(batch: &[Record], failed: Option<&[String]>) -> usize {
    let Some(failed) = failed else { return 0 };
    let lowest = failed.iter().map(|number| {
        batch
            .iter()
            .position(|record| &record.number == number)
            .unwrap_or(0)
    });
    lowest.min().unwrap_or(batch.len())
}

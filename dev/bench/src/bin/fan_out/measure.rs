//! What is measured of a server with so many watchers.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Result;
use super::publisher::Published;
use super::server::{Kind, LIMIT, Server};
use super::tools::quantile;
use super::watchers::Watchers;

/// After the streams are open, and before anything is measured.
const SETTLE: Duration = Duration::from_secs(3);

/// So many streams open together. If thousands do, their calls need as many connections to DynamoDB, and its queue overflows.
const TOGETHER: usize = 100;

/// As long as two heartbeats.
const IDLE: Duration = Duration::from_secs(30);

/// Between two changes of an order. `stream` reads an order that is woken again within 20 ms only after them.
const PAUSE: Duration = Duration::from_millis(100);

/// From the publication of a change to its receipts, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delays {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The last receipt of a change: the median over the changes.
    pub(crate) last: f64,
    /// As `p50` and `p99`, but from the time when the change is in the feed.
    pub(crate) appended: [f64; 2],
    /// The server's CPU for each frame, in microseconds.
    pub(crate) cpu: f64,
}

/// Every watcher has an order of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    /// Bytes for each stream.
    pub(crate) memory: f64,
    /// Percent of a core, while nothing changes.
    pub(crate) idle: f64,
    pub(crate) delays: Delays,
}

/// The watchers of a server, and their server.
pub(crate) struct Open {
    pub(crate) server: Server,
    pub(crate) watchers: Watchers,
    streams: usize,
}

impl Open {
    /// Starts a server and opens so many streams. `order` names the order of each.
    pub(crate) async fn new(
        kind: Kind,
        streams: usize,
        order: impl Fn(usize) -> String,
    ) -> Result<Self> {
        Self::with_history(kind, streams, 1, order).await
    }

    /// The same, after so many changes of each order.
    pub(crate) async fn with_history(
        kind: Kind,
        streams: usize,
        history: u64,
        order: impl Fn(usize) -> String,
    ) -> Result<Self> {
        // Fewer than two would be an environment for one request at a time.
        let mut server = kind.start(streams.max(2)).await?;
        let mut watchers = Watchers::new();
        let mut prepared = String::new();
        let numbers: Vec<_> = (0..streams).collect();
        for together in numbers.chunks(TOGETHER) {
            for number in together {
                let order = order(*number);
                if order != prepared {
                    server.prepare(&order, history).await?;
                }
                let watcher = watchers.watcher(*number, server.opened());
                server.open(&order, watcher).await?;
                prepared = order;
            }
            watchers.opened(together.len(), LIMIT).await?;
        }
        sleep(SETTLE).await;
        watchers.forget();
        Ok(Self {
            server,
            watchers,
            streams,
        })
    }

    /// Publishes a change of each of these orders, and waits for the receipts.
    ///
    /// The watcher of a receipt has the order of its number, or the only one.
    async fn publish(&mut self, orders: &[String], rounds: usize) -> Result<Delays> {
        let (mut begun, mut appended, mut last) = (Vec::new(), Vec::new(), Vec::new());
        let cpu = self.server.process.cpu()?;
        for _ in 0..rounds {
            sleep(PAUSE).await;
            self.server.publisher.next();
            let mut published = Vec::with_capacity(orders.len());
            for order in orders {
                published.push(self.server.publisher.publish(order).await?);
            }
            let receipts = self.watchers.receipts(self.streams, LIMIT).await?;
            let of = |watcher: usize| published[watcher.min(orders.len() - 1)];
            let delay = |from: fn(Published) -> Instant| {
                let delays = receipts.iter().map(move |receipt| {
                    let delay = receipt
                        .at
                        .saturating_duration_since(from(of(receipt.watcher)));
                    delay.as_secs_f64() * 1e3
                });
                delays.collect::<Vec<_>>()
            };
            let round = delay(|published| published.begun);
            last.push(round.iter().copied().fold(0.0, f64::max));
            begun.extend(round);
            appended.extend(delay(|published| published.appended));
        }
        let cpu = self.server.process.cpu()?.saturating_sub(cpu);
        for values in [&mut begun, &mut appended, &mut last] {
            values.sort_by(f64::total_cmp);
        }
        Ok(Delays {
            p50: quantile(&begun, 0.5),
            p99: quantile(&begun, 0.99),
            last: quantile(&last, 0.5),
            appended: [quantile(&appended, 0.5), quantile(&appended, 0.99)],
            cpu: cpu.as_secs_f64() * 1e6 / begun.len() as f64,
        })
    }

    /// The server's CPU in this time, in percent of a core.
    pub(crate) async fn cpu_in(&self, time: Duration) -> Result<f64> {
        let (from, cpu) = (Instant::now(), self.server.process.cpu()?);
        sleep(time).await;
        let cpu = self.server.process.cpu()?.saturating_sub(cpu);
        Ok(cpu.as_secs_f64() * 100.0 / from.elapsed().as_secs_f64())
    }

    pub(crate) async fn close(mut self) -> Result<()> {
        self.server.process.check()?;
        self.server.process.stop().await
    }
}

pub(crate) fn own_order(number: usize) -> String {
    format!("order-{number}")
}

/// The server's memory with one stream, and what else it needs once.
pub(crate) async fn base_memory(kind: Kind) -> Result<u64> {
    let one = Open::new(kind, 1, own_order).await?;
    let memory = one.server.process.memory()?;
    one.close().await?;
    Ok(memory)
}

pub(crate) async fn own(kind: Kind, streams: usize, base: u64) -> Result<Own> {
    let mut open = Open::new(kind, streams, own_order).await?;
    let memory = open.server.process.memory()?.saturating_sub(base);
    let idle = open.cpu_in(IDLE).await?;
    let orders: Vec<_> = (0..streams).map(own_order).collect();
    let delays = open.publish(&orders, (3200 / streams).max(1)).await?;
    open.close().await?;
    Ok(Own {
        memory: memory as f64 / (streams - 1) as f64,
        idle,
        delays,
    })
}

/// All watchers have the same order.
pub(crate) async fn shared(kind: Kind, streams: usize) -> Result<Delays> {
    let order = "shared".to_owned();
    let mut open = Open::new(kind, streams, |_| order.clone()).await?;
    let rounds = (20_000 / streams).clamp(5, 100);
    let delays = open.publish(std::slice::from_ref(&order), rounds).await?;
    open.close().await?;
    Ok(delays)
}

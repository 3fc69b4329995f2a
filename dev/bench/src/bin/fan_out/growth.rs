//! What a stream costs as streams, changes and histories grow.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

use super::Result;
use super::growth_picture::draw;
use super::measure::{Open, base_memory, own_order};
use super::server::{Kind, LIMIT};
use super::tools::{open_files, say};

const STREAMS: [usize; 5] = [64, 256, 1_024, 4_096, 10_000];

/// Changes a second, of all streams together.
const RATES: [u32; 5] = [1, 5, 20, 80, 320];

/// The entries of an order before it is watched.
const HISTORIES: [u64; 5] = [1, 10, 100, 1_000, 10_000];

/// The streams while something else grows.
const FEW: usize = 256;

/// As long as two heartbeats, and a poll of each stream that has the wake. The polls of streams that were opened together come
/// together, so a shorter time would have all of them or none.
const WHILE: Duration = Duration::from_secs(30);

/// Files that a process needs besides its sockets.
const OTHER_FILES: usize = 200;

/// A measurement: what grows, CPU, and the memory of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    /// The unit differs, see [`Growth`].
    pub(crate) cpu: f64,
    pub(crate) kilobytes: f64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Growth {
    /// CPU: microseconds a second for each stream, while nothing changes.
    pub(crate) streams: Vec<Point>,
    /// CPU: percent of a core, with the heartbeats and polls of all streams.
    pub(crate) rates: Vec<Point>,
    /// CPU: microseconds for each frame.
    pub(crate) histories: Vec<Point>,
}

pub(crate) async fn run(file: &str) -> Result<()> {
    let base = base_memory(Kind::Ours).await?;
    let mut growth = Growth::default();
    let files = open_files()?;
    for streams in STREAMS {
        match files < streams + OTHER_FILES {
            true => say(&format!(
                "{streams} streams: not measured, ulimit -n is {files}"
            )),
            false => growth.streams.push(idle(streams, base).await?),
        }
    }
    for rate in RATES {
        growth.rates.push(at_rate(rate, base).await?);
    }
    for history in HISTORIES {
        growth.histories.push(after(history, base).await?);
    }
    draw(Path::new(file), &growth).map_err(|error| format!("{file}: {error}").into())
}

/// The memory of a stream, in KB.
fn memory(open: &Open, streams: usize, base: u64) -> Result<f64> {
    let memory = open.server.process.memory()?.saturating_sub(base);
    Ok(memory as f64 / (streams - 1) as f64 / 1024.0)
}

async fn idle(streams: usize, base: u64) -> Result<Point> {
    let open = Open::new(Kind::Ours, streams, own_order).await?;
    let kilobytes = memory(&open, streams, base)?;
    let percent = open.cpu_in(WHILE).await?;
    open.close().await?;
    let point = Point {
        x: streams as f64,
        cpu: percent * 1e4 / streams as f64,
        kilobytes,
    };
    say(&format!("streams: {point:?}"));
    Ok(point)
}

/// One order after the other changes. If the machine cannot keep the rate, the one that it kept is shown.
async fn at_rate(rate: u32, base: u64) -> Result<Point> {
    let mut open = Open::new(Kind::Ours, FEW, own_order).await?;
    let changes = (WHILE.as_secs_f64() * f64::from(rate)) as usize;
    let (from, cpu) = (Instant::now(), open.server.process.cpu()?);
    for number in 0..changes {
        sleep_until((from + WHILE.mul_f64(number as f64 / changes as f64)).into()).await;
        if number % FEW == 0 {
            open.server.publisher.next();
        }
        open.server
            .publisher
            .publish(&own_order(number % FEW))
            .await?;
    }
    open.watchers.receipts(changes, LIMIT).await?;
    let took = from.elapsed().as_secs_f64();
    let cpu = open.server.process.cpu()?.saturating_sub(cpu).as_secs_f64();
    let point = Point {
        x: changes as f64 / took,
        cpu: cpu * 100.0 / took,
        kilobytes: memory(&open, FEW, base)?,
    };
    open.close().await?;
    say(&format!("changes a second: {point:?}"));
    Ok(point)
}

/// Everybody watches one order, which has so many entries.
async fn after(history: u64, base: u64) -> Result<Point> {
    let order = "long".to_owned();
    let mut open = Open::with_history(Kind::Ours, FEW, history, |_| order.clone()).await?;
    let kilobytes = memory(&open, FEW, base)?;
    let cpu = open.server.process.cpu()?;
    let rounds = 40;
    for _ in 0..rounds {
        sleep(Duration::from_millis(100)).await;
        open.server.publisher.next();
        open.server.publisher.publish(&order).await?;
        open.watchers.receipts(FEW, LIMIT).await?;
    }
    let cpu = open.server.process.cpu()?.saturating_sub(cpu);
    open.close().await?;
    let point = Point {
        x: history as f64,
        cpu: cpu.as_secs_f64() * 1e6 / (FEW * rounds) as f64,
        kilobytes,
    };
    say(&format!("history: {point:?}"));
    Ok(point)
}

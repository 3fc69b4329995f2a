//! The way of a change from the write of its order to the page, and how long each part of it takes.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// From the write of an item to the invocation of a function by the table's stream: shares, and seconds. 10, 50, 90 and 99 % are
/// published (2022). The ends are assumed: half of the first, and twice the last.
const STREAM_LAG: [(f64, f64); 6] = [
    (0.0, 0.059),
    (0.1, 0.118),
    (0.5, 0.213),
    (0.9, 0.341),
    (0.99, 0.552),
    (1.0, 1.104),
];

/// The lag of the stream for a random number in 0..1: linear between the published quantiles.
pub fn stream_lag(random: f64) -> Duration {
    let mut seconds = STREAM_LAG[0].1;
    for pair in STREAM_LAG.windows(2) {
        let [(from, shortest), (to, longest)] = [pair[0], pair[1]];
        if random >= from {
            let part = ((random - from) / (to - from)).min(1.0);
            seconds = shortest + (longest - shortest) * part;
        }
    }
    Duration::from_secs_f64(seconds)
}

/// When a change passed each part of its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Journey {
    /// The stream delivered it.
    pub delivered: Option<Instant>,
    /// It is in the feed.
    pub appended: Option<Instant>,
}

/// The journey of each change, by its order and its number.
#[derive(Clone, Debug, Default)]
pub struct Journeys(Arc<Mutex<BTreeMap<(String, u64), Journey>>>);

impl Journeys {
    fn all(&self) -> MutexGuard<'_, BTreeMap<(String, u64), Journey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn delivered(&self, order: &str, seq: u64, at: Instant) {
        self.all()
            .entry((order.to_owned(), seq))
            .or_default()
            .delivered = Some(at);
    }

    pub fn appended(&self, order: &str, seq: u64, at: Instant) {
        self.all()
            .entry((order.to_owned(), seq))
            .or_default()
            .appended = Some(at);
    }

    /// The parts of the delay of a change that was written and shown at these times.
    pub fn parts(&self, order: &str, seq: u64, written: Instant, shown: Instant) -> Parts {
        let journey = self.all().get(&(order.to_owned(), seq)).copied();
        let journey = journey.unwrap_or_default();
        let delivered = journey.delivered.unwrap_or(written);
        let appended = journey.appended.unwrap_or(delivered);
        let left = shown.saturating_duration_since(appended).as_secs_f64();
        let network = crate::browser::ONE_WAY.as_secs_f64().min(left);
        Parts {
            stream: (delivered - written).as_secs_f64(),
            projector: (appended - delivered).as_secs_f64(),
            wait: left - network,
            network,
        }
    }
}

/// The parts of a delay, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Parts {
    /// From the write of the order to the projector's invocation.
    pub stream: f64,
    /// From there until the change is in the feed.
    pub projector: f64,
    /// Until a read of the feed finds it.
    pub wait: f64,
    /// From the function to the page.
    pub network: f64,
}

impl AddAssign for Parts {
    fn add_assign(&mut self, other: Self) {
        self.stream += other.stream;
        self.projector += other.projector;
        self.wait += other.wait;
        self.network += other.network;
    }
}

impl Parts {
    /// The parts of the mean of this number of delays.
    #[must_use]
    pub fn mean(self, count: usize) -> Self {
        let count = count.max(1) as f64;
        Self {
            stream: self.stream / count,
            projector: self.projector / count,
            wait: self.wait / count,
            network: self.network / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_quantiles_are_those_of_the_lag() {
        let mut lags: Vec<_> = (0..10_000)
            .map(|part| stream_lag(f64::from(part) / 10_000.0).as_millis())
            .collect();
        lags.sort_unstable();
        let quantiles = [1000, 5000, 9000, 9900].map(|index| lags[index]);
        assert_eq!(quantiles, [118, 213, 341, 552]);
        assert_eq!((lags[0], lags[9999]), (59, 1098));
    }

    #[tokio::test(start_paused = true)]
    async fn the_parts_of_a_delay_are_all_of_it() {
        let (journeys, written) = (Journeys::default(), Instant::now());
        let after = |millis| written + Duration::from_millis(millis);
        journeys.delivered("A", 1, after(200));
        journeys.appended("A", 1, after(230));
        let parts = journeys.parts("A", 1, written, after(1000));
        let millis = [parts.stream, parts.projector, parts.wait, parts.network]
            .map(|part| (part * 1000.0).round());
        assert_eq!(millis, [200.0, 30.0, 750.0, 20.0]);
    }
}

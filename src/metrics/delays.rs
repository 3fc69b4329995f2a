//! A bounded histogram of delays in milliseconds. Pure.
//!
//! EMF allows at most 100 values for a metric, and no counts beside them. So delays are put into buckets, eight for each power of
//! two, and a line has up to 100 values with the same distribution. A value is at most 1/16 wrong; the longest delay is exact.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The most values of a metric in a line.
pub(super) const MAX_VALUES: u64 = 100;

/// A power of two has this many buckets. Delays below twice this number have a bucket each.
const PARTS: u64 = 8;

/// The last bucket begins at 23 days. A stream record does not exist for that long.
const BUCKETS: usize = 232;

/// Delays that were recorded.
pub(super) struct Delays {
    counts: [AtomicU32; BUCKETS],
    longest: AtomicU64,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU32::default()),
            longest: AtomicU64::default(),
        }
    }
}

impl Delays {
    /// Records a delay, in milliseconds.
    pub(super) fn record(&self, millis: u64) {
        self.longest.fetch_max(millis, Ordering::Relaxed);
        self.counts[bucket(millis)].fetch_add(1, Ordering::Relaxed);
    }

    /// At most [`MAX_VALUES`] values that stand for the delays, in order.
    pub(super) fn values(&self) -> Vec<u64> {
        let counts = (self.counts.each_ref()).map(|count| count.load(Ordering::Relaxed));
        values(&counts, self.longest.load(Ordering::Relaxed))
    }

    /// As [`values`](Self::values), and forgets the delays.
    pub(super) fn take(&self) -> Vec<u64> {
        let counts = (self.counts.each_ref()).map(|count| count.swap(0, Ordering::Relaxed));
        values(&counts, self.longest.swap(0, Ordering::Relaxed))
    }
}

/// The bucket of a delay.
fn bucket(millis: u64) -> usize {
    let shift = u64::from(millis.max(PARTS).ilog2() - PARTS.ilog2());
    let bucket = shift * PARTS + (millis >> shift);
    usize::try_from(bucket).map_or(BUCKETS - 1, |bucket| bucket.min(BUCKETS - 1))
}

/// The middle of a bucket.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / PARTS).saturating_sub(1);
    let begin = (bucket - shift * PARTS) << shift;
    begin + (1 << shift) / 2
}

/// Up to a hundred delays are all listed. Of more, every n-th one of the sorted list is.
fn values(counts: &[u32], longest: u64) -> Vec<u64> {
    let total: u64 = counts.iter().copied().map(u64::from).sum();
    let number = total.min(MAX_VALUES);
    let mut values = Vec::with_capacity(usize::try_from(number).unwrap_or_default());
    let mut ranks = (0..number).map(|value| (2 * value + 1) * total / (2 * number));
    let mut next = ranks.next();
    let mut passed = 0;
    for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        passed += u64::from(*count);
        while next.is_some_and(|rank| rank < passed) {
            values.push(middle(bucket).min(longest));
            next = ranks.next();
        }
    }
    if let Some(last) = values.last_mut() {
        *last = longest;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn recorded(delays: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let recorder = Delays::default();
        delays
            .into_iter()
            .for_each(|millis| recorder.record(millis));
        let values = recorder.values();
        assert_eq!(recorder.take(), values);
        assert_eq!(recorder.take(), [0; 0], "everything was taken");
        values
    }

    #[test]
    fn short_delays_are_exact_and_a_distribution_keeps_its_quantiles() {
        assert_eq!(recorded([]), [0; 0]);
        assert_eq!(recorded(0..16), Vec::from_iter(0..16));
        assert_eq!(recorded([u64::MAX, 3]), [3, u64::MAX]);
        let values = recorded(1..=10_000);
        assert_eq!(values.len(), 100);
        for (quantile, expected) in [(0, 50.0), (49, 4950.0), (89, 8950.0), (99, 10_000.0)] {
            let found = values[quantile] as f64;
            assert!((found / expected - 1.0).abs() < 0.07, "{found}: {expected}");
        }
    }

    #[test]
    fn a_rare_long_delay_is_never_left_out() {
        let values = recorded((0..100_000).map(|_| 5).chain([60_000]));
        assert_eq!(values.len(), 100);
        assert_eq!(values[98..], [5, 60_000]);
    }

    proptest! {
        #[test]
        fn a_value_is_at_most_a_sixteenth_wrong(mut delays in prop::collection::vec(0u64..2_000_000_000, 0..=100)) {
            let values = recorded(delays.clone());
            delays.sort_unstable();
            prop_assert_eq!(values.len(), delays.len());
            for (value, delay) in values.iter().zip(&delays) {
                prop_assert!(value.abs_diff(*delay) * 16 <= *delay, "{} for {}", value, delay);
            }
            prop_assert_eq!(values.last(), delays.last());
        }
    }
}

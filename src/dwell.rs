//! How long orders stay in a status, and what this says about the time of the next change. Pure.
//!
//! A *dwell time* is the time between the records of two entries of an order's log. It is kept under the status of the first entry.
//! Dwell times are counted in buckets. Each bucket is wider than the one before by a constant factor, because only the order of
//! magnitude matters: dwell times last from seconds at a checkout to weeks at sea.

use std::time::Duration;

/// The number of buckets. The last one begins at 97 days.
pub const BUCKETS: usize = 48;

/// The upper end of a bucket, divided by its lower end. With wider buckets the time of a change is less exact. Narrower ones need
/// more orders to learn as much. Half and twice the width were tried.
const FACTOR: f64 = std::f64::consts::SQRT_2;

/// The weight of the prior, in orders. It is spread evenly over the buckets, so that a dwell time that was never seen is still
/// possible.
const PRIOR_ORDERS: f64 = 1.0;

/// After this time an observation counts half. With four weeks, the hazards follow a season and do not forget a weekend.
const HALF_LIFE_SECONDS: f64 = 28.0 * 86_400.0;

/// 2026-01-01T00:00:00Z. An observation at this time has the weight 1.
const LANDMARK_SECONDS: f64 = 1_767_225_600.0;

/// The weight of an observation at a time in seconds since the Unix epoch.
///
/// Old observations count less because new ones weigh more (forward decay, Cormode et al. 2009). So weights are only ever added.
/// A double can hold them until 2104. DynamoDB's numbers cannot, see `feed/dynamodb/dwells.rs`.
pub fn weight(epoch_seconds: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds fit a double")]
    let age = epoch_seconds as f64 - LANDMARK_SECONDS;
    (age / HALF_LIFE_SECONDS).exp2()
}

/// A histogram of dwell times. It holds the sum of the weights for each bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Dwells([f64; BUCKETS]);

impl Default for Dwells {
    fn default() -> Self {
        Self([0.0; BUCKETS])
    }
}

impl Dwells {
    /// Adds a dwell time.
    pub fn add(&mut self, dwell: Duration, weight: f64) {
        self.0[bucket(dwell.as_secs_f64())] += weight;
    }

    /// Adds a weight to a bucket. Does nothing if there is no such bucket, or if the weight is not a positive, finite number.
    pub fn add_to_bucket(&mut self, bucket: usize, weight: f64) {
        if let Some(sum) = self.0.get_mut(bucket)
            && weight.is_finite()
            && weight > 0.0
        {
            *sum += weight;
        }
    }

    /// Adds another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (sum, weight) in self.0.iter_mut().zip(other.0) {
            *sum += weight;
        }
    }

    /// The sum of the weights.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// The buckets that are not empty.
    pub fn filled(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let buckets = self.0.iter().copied().enumerate();
        buckets.filter(|(_, weight)| *weight > 0.0)
    }

    /// The hazard, at a time when an observation weighs `now`, see [`weight`].
    pub fn hazard(&self, now: f64) -> Hazard {
        let orders = self.0.map(|weight| weight / now);
        let seen: f64 = orders.iter().sum();
        let prior = PRIOR_ORDERS / BUCKETS as f64;
        let mut rates = [0.0; BUCKETS];
        let mut stayed = 0.0;
        for bucket in (0..BUCKETS).rev() {
            let near = |other: Option<usize>| other.and_then(|at| orders.get(at)).unwrap_or(&0.0);
            // A bucket shares half of its weight with its neighbours. So the hazard does not drop to almost nothing between
            // two of a few orders.
            let left = prior
                + orders[bucket] / 2.0
                + (near(bucket.checked_sub(1)) + near(Some(bucket + 1))) / 4.0;
            let (from, to) = (start(bucket), start(bucket + 1));
            // Orders that left in this bucket stayed half of it on average. `left` is never zero, so the divisor is not zero.
            let learned = left / ((stayed + left / 2.0) * (to - from));
            stayed += left;
            // The geometric mean of the learned hazard and the unlearned one. The more orders were seen, the more the learned
            // one counts: one order counts half, ten count ten elevenths.
            let trust = seen / (seen + 1.0);
            rates[bucket] = learned.powf(trust) * unlearned((from + to) / 2.0).powf(1.0 - trust);
        }
        Hazard(rates)
    }
}

/// The chance per second that an order's next change comes now.
#[derive(Clone, Debug, PartialEq)]
pub struct Hazard([f64; BUCKETS]);

impl Hazard {
    /// The hazard if the order has not changed for this number of seconds. It is positive and finite.
    pub fn at(&self, quiet: f64) -> f64 {
        self.0[bucket(quiet)]
    }
}

/// The hazard if nothing was learned, and the order has not changed for this number of seconds.
///
/// An order that has not changed for long mostly stays so. So the hazard falls, but slowly, with the square root of the time. If it
/// fell with the time itself, check-ins would be a third cheaper in shops whose orders take days. But in shops where every order
/// takes the same time, they would cost half as much again as check-ins at fixed intervals (`make cost SHAPES=1`).
pub fn unlearned(quiet: f64) -> f64 {
    1.0 / (30.0 * (quiet / 60.0).sqrt().max(1.0))
}

/// The bucket of a number of seconds.
fn bucket(seconds: f64) -> usize {
    if seconds < 1.0 {
        return 0;
    }
    // A cast saturates, so no number is out of range.
    let bucket = 1 + (seconds.ln() / FACTOR.ln()) as usize;
    bucket.min(BUCKETS - 1)
}

/// Where a bucket starts, in seconds.
fn start(bucket: usize) -> f64 {
    match bucket {
        0 => 0.0,
        _ => FACTOR.powi(i32::try_from(bucket - 1).unwrap_or(i32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The dwell times of a thousand orders in a status that orders leave with the same chance at any time.
    fn memoryless(mean: f64) -> Dwells {
        let mut dwells = Dwells::default();
        for part in 0..1000 {
            let seconds = -mean * (1.0 - (f64::from(part) + 0.5) / 1000.0).ln();
            dwells.add(Duration::from_secs_f64(seconds), 1.0);
        }
        dwells
    }

    #[test]
    fn a_bucket_holds_what_is_between_its_start_and_the_next() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(start(at) * 1.0001), at);
            assert_eq!(bucket(start(at + 1) * 0.9999), at);
        }
        assert_eq!(bucket(1.0), 1);
        assert_eq!(bucket(f64::MAX), BUCKETS - 1);
    }

    #[test]
    fn empty_buckets_are_not_filled() {
        let mut dwells = Dwells::default();
        dwells.add(Duration::from_secs(1), 2.0);
        assert_eq!(dwells.filled().collect::<Vec<_>>(), [(1, 2.0)]);
    }

    /// Computed by another program.
    #[test]
    fn what_a_few_orders_say() {
        let mut dwells = Dwells::default();
        for (seconds, weight) in [(0.5, 1.0), (10.0, 3.0), (40.0, 1.0)] {
            dwells.add(Duration::from_secs_f64(seconds), weight);
        }
        let hazard = dwells.hazard(2.0);
        for (quiet, expected) in [
            (0.2, 6.428_616e-2),
            (3.0, 9.931_291e-3),
            (10.0, 7.876_581e-2),
            (15.0, 4.823_743e-2),
            (20.0, 5.111_159e-3),
            (40.0, 2.332_609e-2),
            (100.0, 2.124_396e-3),
            (1e4, 6.344_815e-5),
            (1e9, 2.366_739e-6),
        ] {
            let found = hazard.at(quiet);
            let error = (found / expected - 1.0).abs();
            assert!(error < 1e-5, "{found} after {quiet} s");
        }
    }

    #[test]
    fn what_was_not_learned_falls_with_the_root_of_the_quiet_time() {
        for (quiet, seconds) in [(0.0, 30.0), (60.0, 30.0), (240.0, 60.0), (6000.0, 300.0)] {
            assert!((unlearned(quiet) * seconds - 1.0).abs() < 1e-9, "{quiet}");
        }
    }

    #[test]
    fn a_constant_hazard_is_learned() {
        let hazard = memoryless(600.0).hazard(1.0);
        for quiet in [15.0, 60.0, 300.0, 600.0, 1200.0] {
            let rate = hazard.at(quiet) * 600.0;
            assert!((0.85..1.2).contains(&rate), "{rate} after {quiet} s");
        }
    }

    #[test]
    fn a_status_of_a_day_is_expected_to_end_after_a_day_and_not_within_a_minute() {
        let mut dwells = Dwells::default();
        for hours in 18..30 {
            dwells.add(Duration::from_secs(hours * 3600), 1.0);
        }
        let hazard = dwells.hazard(1.0);
        assert!(hazard.at(60.0) < hazard.at(86_400.0) * 50.0);
        assert!(hazard.at(3_600.0) < hazard.at(86_400.0) / 5.0);
    }

    #[test]
    fn after_a_half_life_an_observation_counts_half() {
        let then = 1_795_369_200;
        let later = then + HALF_LIFE_SECONDS as u64;
        assert!((weight(later) / weight(then) - 2.0).abs() < 1e-9);
        // 2100-01-01T00:00:00Z
        assert!(weight(4_102_444_800).is_finite());
    }

    proptest! {
        #[test]
        fn a_hazard_is_positive_and_finite_whatever_was_learned(
            seconds in prop::collection::vec(0.0..1e9, 0..50), weight in 1e-30..1e100, now in 1e-3..1e60, quiet in 0.0..1e12,
        ) {
            let mut dwells = Dwells::default();
            for dwell in seconds {
                dwells.add(Duration::from_secs_f64(dwell), weight);
            }
            let at = dwells.hazard(now).at(quiet);
            prop_assert!(at.is_finite() && at > 0.0, "{at}");
        }

        #[test]
        fn buckets_and_merging_keep_every_weight(seconds in prop::collection::vec(0.0..1e7, 0..50)) {
            let (mut dwells, mut copy) = (Dwells::default(), Dwells::default());
            for dwell in &seconds {
                dwells.add(Duration::from_secs_f64(*dwell), 2.0);
            }
            for (bucket, weight) in dwells.filled() {
                copy.add_to_bucket(bucket, weight);
            }
            prop_assert_eq!(&copy, &dwells);
            copy.merge(&dwells);
            prop_assert_eq!(copy.total(), 4.0 * seconds.len() as f64);
        }
    }
}

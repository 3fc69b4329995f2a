//! Hold or rest, and for how long. Pure.
//!
//! A held second costs as much as six check-ins. So a response ends if no change is due soon, and the client is told when to
//! check in.
//!
//! Check-ins every `R` seconds cost `1/R` a second. A change that comes with the chance `h` a second is then shown `R/2`
//! late on average. For a given delay, the check-ins are fewest if `R` is proportional to `1/√h`.
//!
//! The longer an order has not changed, the longer its client rests:
//!
//! ```
//! use std::time::Duration;
//! use order_status_stream::hold::{Decision, Forecast, Policy};
//! use order_status_stream::prices::Prices;
//!
//! let policy = Policy {
//!     freshness: Duration::from_millis(900),
//!     max_rest: Duration::from_secs(60),
//!     poll_interval: Duration::from_millis(500),
//!     prices: Prices::default(),
//! };
//! let rest_after = |seconds| match policy.decide(&[Forecast::Unlearned(seconds)], 1, None, 0.5) {
//!     Decision::Rest(rest) => rest,
//!     Decision::Hold => Duration::ZERO,
//! };
//! assert!(rest_after(3600.0) > rest_after(60.0));
//! assert!(rest_after(60.0) >= Duration::from_secs(1));
//! ```

use std::time::Duration;

use crate::dwell::{Hazard, unlearned};
use crate::prices::{POLL, Prices};

/// No client is told to come back sooner. Clients reuse the last `retry` during an outage; a short one would hammer the server.
pub const SHORTEST_REST: Duration = Duration::from_secs(1);

/// The time for which a client's first response is held at least if an order has no entries yet. Often the page was opened just
/// before the order's first change arrives.
pub const FIRST_HOLD: Duration = Duration::from_secs(5);

/// The setting `FRESHNESS` is the mean delay of a change that comes about once in this many seconds.
const FRESHNESS_AT: f64 = 600.0;

/// The first step of the integration over the time ahead, in seconds. Later steps are longer.
const STEP: f64 = 0.25;

/// Decides when a response ends, and when its client comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The mean delay of a change that comes about once in ten minutes. A change that comes four times as often is shown with
    /// half the delay: the delay goes with the square root.
    pub freshness: Duration,
    /// The longest time between two check-ins.
    pub max_rest: Duration,
    /// The time between two polls of the feed while a response is held.
    pub poll_interval: Duration,
    /// What check-ins and held responses cost.
    pub prices: Prices,
}

/// Whether a response that has sent everything is held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// It is held until the next poll.
    Hold,
    /// It ends, and the client comes back after this time.
    Rest(Duration),
}

/// What is known about the next change of an unfinished order.
#[derive(Clone, Copy, Debug)]
pub enum Forecast<'a> {
    /// The order has not changed for this number of seconds, in a status whose hazard was learned.
    Learned(&'a Hazard, f64),
    /// The order has not changed for this number of seconds, in a status of which nothing was learned.
    Unlearned(f64),
    /// The order has no entries. This number of check-ins have found that before.
    Unknown(u16),
}

/// The number of check-ins after which an order without entries is checked less and less often.
const STEADY_CHECK_INS: u16 = 10;

/// How many times longer the rests are for an order without entries, after a number of check-ins.
///
/// They grow in proportion to the time that the client has waited so far. The first ten rests are equal, so the next one is a
/// tenth of that time. Each later one adds a tenth to the time, so it is a tenth longer than the one before.
fn stretch(check_ins: u16) -> f64 {
    // 1.1²⁰⁰ is longer than any useful `MAX_REST`.
    let longer = check_ins.saturating_sub(STEADY_CHECK_INS).min(200);
    1.1_f64.powi(i32::from(longer))
}

impl Forecast<'_> {
    /// The chance of a change per second, this number of seconds from now.
    fn hazard(&self, ahead: f64) -> f64 {
        match self {
            Self::Learned(hazard, quiet) => hazard.at(quiet + ahead),
            Self::Unlearned(quiet) => unlearned(quiet + ahead),
            // Rests are proportional to the inverse square root of the hazard.
            Self::Unknown(check_ins) => 1.0 / FRESHNESS_AT / stretch(*check_ins).powi(2),
        }
    }
}

impl Policy {
    /// Hold or rest, for a client that watches a number of orders. There is a forecast for each unfinished order. `wake` is the
    /// time between two polls if a held response is told of a change at once. `random` is in 0..1 and is for the jitter.
    pub fn decide(
        &self,
        unfinished: &[Forecast<'_>],
        watched: usize,
        wake: Option<Duration>,
        random: f64,
    ) -> Decision {
        let (rest, changes) = self.rest(unfinished);
        if self.hold_pays(watched, wake, rest, changes) {
            return Decision::Hold;
        }
        // Clients that were told to rest together must not come back together, so the rest is up to a tenth longer or shorter.
        // The range is cut at the shortest rest, and not the result: otherwise many rests would be exactly the shortest one.
        let shortest = (rest * 0.9).max(SHORTEST_REST.as_secs_f64());
        let longest = rest * 1.1;
        Decision::Rest(Duration::from_secs_f64(
            shortest + (longest - shortest) * random,
        ))
    }

    /// The number of seconds to rest, and the number of changes that are expected in this time.
    ///
    /// The hazard changes with time, and `R(t)` with it. The next check-in is due when `∫ dt/R(t)` reaches one. So if the hazard
    /// is about to rise, the check-in comes when it rises.
    fn rest(&self, orders: &[Forecast<'_>]) -> (f64, f64) {
        let freshness = self.freshness.as_secs_f64();
        let longest = self.max_rest.max(SHORTEST_REST).as_secs_f64();
        // All orders of a customer are finished. Another order may come, but nothing says when.
        if orders.is_empty() {
            return (longest, 0.0);
        }
        // `due` is the integral so far.
        let (mut rest, mut due, mut changes) = (0.0, 0.0, 0.0);
        while rest < longest && (due < 1.0 || rest < SHORTEST_REST.as_secs_f64()) {
            // Far ahead, the hazard changes slowly: a sixteenth of the time is a step.
            let step = STEP.max(rest / 16.0);
            let hazard: f64 = orders
                .iter()
                .map(|order| order.hazard(rest + step / 2.0))
                .sum();
            // 1/R, where R/2 is the freshness if the hazard is 1/FRESHNESS_AT.
            let due_a_second = (FRESHNESS_AT * hazard).sqrt() / (2.0 * freshness);
            // The last step ends where the integral reaches one, or at the shortest rest.
            let left = ((1.0 - due) / due_a_second).max(SHORTEST_REST.as_secs_f64() - rest);
            let step = step.min(left).min(longest - rest);
            rest += step;
            due += due_a_second * step;
            changes += hazard * step;
        }
        (rest, changes)
    }

    /// Whether a hold is worth more than it costs, compared with this rest.
    ///
    /// A hold saves delay. The price of a second of delay is the one at which `R` is the cheapest interval:
    /// `check-in · FRESHNESS_AT / 2 / FRESHNESS²`.
    fn hold_pays(&self, watched: usize, wake: Option<Duration>, rest: f64, changes: f64) -> bool {
        let (check_in, second) = (self.prices.check_in(), self.prices.second.usd());
        let price_of_delay = check_in * FRESHNESS_AT / 2.0 / self.freshness.as_secs_f64().powi(2);
        let poll_interval = wake.unwrap_or(self.poll_interval).as_secs_f64();
        // With a wake, a change does not wait for a poll.
        let until_poll = wake.map_or(poll_interval, |_| 0.0);
        let saved = changes * (rest - until_poll) / 2.0 * price_of_delay;
        let held = rest * (second + POLL * watched as f64 / poll_interval);
        saved > held - check_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::{Price, SECOND};
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn policy(freshness: f64) -> Policy {
        Policy {
            freshness: Duration::from_secs_f64(freshness),
            max_rest: s(60),
            poll_interval: Duration::from_millis(500),
            prices: Prices::default(),
        }
    }

    /// A status without a memory: the time until it changes is `mean` on average, no matter how long it has lasted.
    fn memoryless(mean: f64) -> Hazard {
        let mut dwells = crate::dwell::Dwells::default();
        for part in 0..2000 {
            let seconds = -mean * (1.0 - (f64::from(part) + 0.5) / 2000.0).ln();
            dwells.add(Duration::from_secs_f64(seconds), 1.0);
        }
        dwells.hazard(1.0)
    }

    #[track_caller]
    fn rests(next: Decision) -> f64 {
        match next {
            Decision::Rest(rest) => rest.as_secs_f64(),
            Decision::Hold => panic!("held"),
        }
    }

    #[test]
    fn a_change_once_in_ten_minutes_is_shown_with_the_delay_that_was_set() {
        let hazard = memoryless(600.0);
        for freshness in [0.7, 1.0, 2.0, 5.0] {
            let rest =
                rests(policy(freshness).decide(&[Forecast::Learned(&hazard, 300.0)], 1, None, 0.5));
            let mean_delay = rest / 2.0;
            assert!(
                (mean_delay / freshness - 1.0).abs() < 0.15,
                "{mean_delay} for {freshness}"
            );
        }
    }

    #[test]
    fn the_response_is_held_if_a_change_is_due_within_seconds() {
        let hazard = memoryless(4.0);
        assert_eq!(
            policy(1.0).decide(&[Forecast::Learned(&hazard, 3.0)], 1, None, 0.5),
            Decision::Hold
        );
        let thrifty = policy(10.0).decide(&[Forecast::Learned(&hazard, 3.0)], 1, None, 0.5);
        assert!(rests(thrifty) < 2.0);
    }

    #[test]
    fn no_check_in_skips_a_rise() {
        // All orders stay for 30 to 31 s: no change is due before. A rest of a minute would show it half a minute late.
        let mut dwells = crate::dwell::Dwells::default();
        for hundredth in 0..100 {
            dwells.add(Duration::from_millis(30_000 + hundredth * 10), 1.0);
        }
        let hazard = dwells.hazard(1.0);
        for quiet in [1.0, 3.0, 10.0, 20.0] {
            let rest =
                rests(policy(5.0).decide(&[Forecast::Learned(&hazard, quiet)], 1, None, 0.5));
            assert!(
                (12.0..36.0).contains(&(quiet + rest)),
                "{rest} after {quiet}"
            );
        }
    }

    /// The integral in steps of 10 ms, computed by another program.
    #[test]
    fn a_rest_is_the_integral_of_the_hazard_ahead() {
        for (quiet, freshness, longest, rest, changes) in [
            (0.0, 200.0, 10_000, 91.12, 2.9294),
            (0.0, 1000.0, 10_000, 631.03, 10.9721),
            (0.0, 1000.0, 300, 300.0, 6.9443),
            (100.0, 3000.0, 100_000, 2780.28, 22.5502),
            (300.0, 5.0, 60, 3.3484, 0.049_776),
            (600.0, 0.2, 60, 1.0, 0.010_537),
        ] {
            let policy = Policy {
                max_rest: s(longest),
                ..policy(freshness)
            };
            let found = policy.rest(&[Forecast::Unlearned(quiet)]);
            let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.002;
            assert!(
                near(found.0, rest) && near(found.1, changes),
                "{found:?} after {quiet} s for {freshness} s"
            );
        }
    }

    #[test]
    fn a_hold_pays_from_the_changes_on_that_are_worth_its_price() {
        for (freshness, poll_millis, watched, rest) in [
            (1.0, 500, 1, 5.0),
            (1.0, 500, 10, 20.0),
            (3.0, 2000, 10, 20.0),
            (0.5, 250, 3, 2.0),
        ] {
            let policy = Policy {
                poll_interval: Duration::from_millis(poll_millis),
                ..policy(freshness)
            };
            let poll_interval = poll_millis as f64 / 1000.0;
            let polls = rest / poll_interval * watched as f64;
            let price = rest * SECOND + polls * POLL - policy.prices.check_in();
            // One change is expected. On average it comes in the middle of the time that a hold saves.
            let delay = (rest - poll_interval) / 2.0;
            let worth = delay * policy.prices.check_in() * 300.0 / (freshness * freshness);
            let enough = price / worth;
            assert!(policy.hold_pays(watched, None, rest, enough * 1.0005));
            assert!(!policy.hold_pays(watched, None, rest, enough * 0.9995));
        }
    }

    /// The delay that a hold saves is the whole one of a rest, and it costs few polls.
    #[test]
    fn with_a_wake_a_hold_pays_from_fewer_changes_on() {
        let (watched, rest, slow) = (10, 20.0, s(30));
        let policy = policy(1.0);
        let check_in = policy.prices.check_in();
        let price = rest * SECOND + rest / 30.0 * 10.0 * POLL - check_in;
        let worth = rest / 2.0 * check_in * 300.0;
        let enough = price / worth;
        assert!(policy.hold_pays(watched, Some(slow), rest, enough * 1.0005));
        assert!(!policy.hold_pays(watched, Some(slow), rest, enough * 0.9995));
        assert!(!policy.hold_pays(watched, None, rest, enough * 1.0005));
    }

    /// Behind CloudFront, a request costs several times as much, and a held second the same.
    #[test]
    fn the_dearer_a_request_is_the_sooner_a_hold_pays() {
        let at = |request: &str| {
            let policy = policy(0.9);
            let request = Price::parse(request).expect("a price");
            Policy {
                prices: Prices {
                    request,
                    ..policy.prices
                },
                ..policy
            }
        };
        // A rest of two seconds in which a change comes with this chance.
        let enough = |policy: Policy| {
            let chances = (0..1000).map(|part| f64::from(part) / 1000.0);
            let mut pays = chances.filter(|chance| policy.hold_pays(1, None, 2.0, *chance));
            pays.next()
        };
        let [direct, behind] = ["0.20", "1.30"].map(|request| enough(at(request)));
        assert!(
            behind < direct.map(|chance| chance / 3.0),
            "{behind:?} {direct:?}"
        );
        assert!(behind.is_some());
    }

    #[test]
    fn without_an_unfinished_order_the_rest_is_the_longest() {
        assert_eq!(rests(policy(0.9).decide(&[], 1, None, 0.5)), 60.0);
        let impatient = Policy {
            max_rest: s(1),
            ..policy(0.1)
        };
        assert!(rests(impatient.decide(&[], 1, Some(s(30)), 0.5)) >= 1.0);
    }

    #[test]
    fn the_shortest_rests_are_spread_too() {
        let hazard = memoryless(4.0);
        let mut millis = std::collections::BTreeSet::new();
        for part in 0..1000 {
            let random = f64::from(part) / 1000.0;
            let rest =
                rests(policy(10.0).decide(&[Forecast::Learned(&hazard, 3.0)], 1, None, random));
            millis.insert((rest * 1000.0) as u64);
        }
        assert!(millis.first() >= Some(&1000), "{millis:?}");
        // A thousand clients, at most twenty of them in a millisecond.
        assert!(millis.len() > 50, "{millis:?}");
    }

    #[test]
    fn the_rest_for_an_order_without_entries_is_a_tenth_of_the_time_so_far() {
        let rest =
            |check_ins| rests(policy(0.9).decide(&[Forecast::Unknown(check_ins)], 1, None, 0.5));
        let mut so_far = 0.0;
        for check_ins in 0..10 {
            assert!((rest(check_ins) - 1.8).abs() < 0.1, "{}", rest(check_ins));
            so_far += rest(check_ins);
        }
        for check_ins in 10..45 {
            let share = rest(check_ins) / so_far;
            assert!((0.09..0.11).contains(&share), "{share} at {check_ins}");
            so_far += rest(check_ins);
        }
        for check_ins in [60, 1000, u16::MAX] {
            assert_eq!(rest(check_ins), 60.0);
        }
    }

    proptest! {
        #[test]
        fn a_rest_is_never_shorter_than_a_second_nor_longer_than_the_longest(
            freshness in 0.1..1000.0, longest in prop_oneof![Just(1), 1u64..10_000], quiet in 0.0..1e8,
            mean in 0.1..1e7, check_ins: u16, random in 0.0..1.0,
        ) {
            let hazard = memoryless(mean);
            let policy = Policy { max_rest: s(longest), ..policy(freshness) };
            for orders in [&[Forecast::Learned(&hazard, quiet)][..], &[Forecast::Unlearned(quiet)], &[Forecast::Unknown(check_ins)]] {
                if let Decision::Rest(rest) = policy.decide(orders, 1, None, random) {
                    prop_assert!(rest >= SHORTEST_REST && rest <= s(longest).mul_f64(1.1), "{rest:?}");
                }
            }
        }

        #[test]
        fn intervals_fall_as_the_hazard_rises_and_as_orders_are_added(quiet in 0.0..1e6, mean in 100.0..1e6, random in 0.0..1.0) {
            let (slow, fast) = (memoryless(mean * 4.0), memoryless(mean));
            let (slow, fast) = (Forecast::Learned(&slow, mean), Forecast::Learned(&fast, mean));
            let rest = |orders: &[Forecast<'_>]| match policy(2.0).decide(orders, orders.len(), None, random) {
                Decision::Rest(rest) => rest,
                Decision::Hold => Duration::ZERO,
            };
            prop_assert!(rest(&[fast]) <= rest(&[slow]));
            prop_assert!(rest(&[slow, Forecast::Unlearned(quiet)]) <= rest(&[slow]));
        }
    }
}

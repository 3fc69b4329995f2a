//! Hold or rest, and for how long. Pure.
//!
//! A held second costs as much as six check-ins. So a response ends where no change is due, and the client is told when to
//! check in. Check-ins every `R` seconds cost `1/R` a second, and show a change that comes with the chance `h` a second `R/2`
//! late: the fewest for the delay that they leave are those where `R` goes as `1/√h`.

use std::time::Duration;

use crate::dwell::{Hazard, unlearned};
use crate::prices::{CHECK_IN, LOOK, SECOND};

/// No client is told to come back sooner: a short reconnection time outlives its frame, and during an outage hammers.
pub const SHORTEST_REST: Duration = Duration::from_secs(1);

/// How long a client's first response is held at least where an order has no entries yet: the page was opened just before the
/// order's first change came through.
pub const FIRST_HOLD: Duration = Duration::from_secs(5);

/// `FRESHNESS` is the delay of a change that comes about once in so many seconds.
const FRESHNESS_AT: f64 = 600.0;

/// The first step in which hazards are added up, in seconds; they grow with the time ahead.
const STEP: f64 = 0.25;

/// Spaces check-ins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The mean delay of a change that comes about once in ten minutes; others by the square root.
    pub freshness: Duration,
    /// The longest time between two check-ins.
    pub max_rest: Duration,
    /// Between two looks at the feed while a response is held.
    pub poll_interval: Duration,
}

/// What becomes of a response that has told everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// It is held until the next look.
    Hold,
    /// It ends, and the client comes back after this time.
    Rest(Duration),
}

/// What is known of an unfinished order's next change.
#[derive(Clone, Copy, Debug)]
pub enum Outlook<'a> {
    /// The order has been quiet for so many seconds, in a status of which this was learned.
    Learned(&'a Hazard, f64),
    /// The order has been quiet for so many seconds, in a status of which nothing was learned.
    Unlearned(f64),
    /// The order has no entries, as so many check-ins found before.
    Unknown(u16),
}

/// After so many check-ins, an order without entries is asked for less and less often.
const PATIENT_CHECK_INS: u16 = 10;

/// How many times longer the rests are for an order without entries, after so many check-ins.
///
/// They grow in proportion to the time that the client has asked so far: the first ten rests are equal, so the next one is a
/// tenth of that time. Each later one adds a tenth to the time, so it is a tenth longer than the one before.
fn patience(asked: u16) -> f64 {
    // More than that is longer than any `MAX_REST` of use.
    let longer = asked.saturating_sub(PATIENT_CHECK_INS).min(200);
    1.1_f64.powi(i32::from(longer))
}

impl Outlook<'_> {
    /// The chance a second of a change, so many seconds from now.
    fn hazard(&self, ahead: f64) -> f64 {
        match self {
            Self::Learned(hazard, quiet) => hazard.at(quiet + ahead),
            Self::Unlearned(quiet) => unlearned(quiet + ahead),
            // Rests go as the square root of the hazard.
            Self::Unknown(asked) => 1.0 / FRESHNESS_AT / patience(*asked).powi(2),
        }
    }
}

impl Policy {
    /// Hold or rest, if these are the unfinished ones of so many watched orders. `random` lies in 0..1 and is for the jitter.
    pub fn next(&self, unfinished: &[Outlook<'_>], watched: usize, random: f64) -> Next {
        let (rest, changes) = self.rest(unfinished);
        if self.hold_pays(watched, rest, changes) {
            return Next::Hold;
        }
        // Clients that were told to rest together must not come back together: a tenth more or less. The shortest rest is
        // the lower end of the range. If shorter rests were made longer, many would be exactly the shortest one.
        let shortest = (rest * 0.9).max(SHORTEST_REST.as_secs_f64());
        let longest = rest * 1.1;
        Next::Rest(Duration::from_secs_f64(
            shortest + (longest - shortest) * random,
        ))
    }

    /// How many seconds to rest, and the changes to be expected in them.
    ///
    /// The next check-in is due when `∫ dt/R(t)` reaches one: where the hazard is about to rise, no check-in skips the rise.
    fn rest(&self, orders: &[Outlook<'_>]) -> (f64, f64) {
        let freshness = self.freshness.as_secs_f64();
        let longest = self.max_rest.max(SHORTEST_REST).as_secs_f64();
        let (mut rest, mut due, mut changes) = (0.0, 0.0, 0.0);
        while rest < longest && (due < 1.0 || rest < SHORTEST_REST.as_secs_f64()) {
            let step = STEP.max(rest / 16.0);
            let hazard: f64 = orders
                .iter()
                .map(|order| order.hazard(rest + step / 2.0))
                .sum();
            let due_a_second = (FRESHNESS_AT * hazard).sqrt() / (2.0 * freshness);
            let left = ((1.0 - due) / due_a_second).max(SHORTEST_REST.as_secs_f64() - rest);
            let step = step.min(left).min(longest - rest);
            rest += step;
            due += due_a_second * step;
            changes += hazard * step;
        }
        (rest, changes)
    }

    /// Whether the delay that is saved by a hold instead of that rest is worth what the hold costs, at the price of delay at
    /// which `R` is the cheapest interval: `CHECK_IN · FRESHNESS_AT / 2 / FRESHNESS²` a second.
    fn hold_pays(&self, watched: usize, rest: f64, changes: f64) -> bool {
        let price_of_delay = CHECK_IN * FRESHNESS_AT / 2.0 / self.freshness.as_secs_f64().powi(2);
        let between_looks = self.poll_interval.as_secs_f64();
        let saved = changes * (rest - between_looks) / 2.0 * price_of_delay;
        let held = rest * (SECOND + LOOK * watched as f64 / between_looks);
        saved > held - CHECK_IN
    }
}

/// How long before its token expires a client must be back: the request takes some time, and clocks differ.
const LAST_SECONDS: Duration = Duration::from_secs(3);

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client comes back after this time.
    Rest(Duration),
    /// Not yet: it is held until the token expires.
    Hold,
    /// The client is told that its token expires, and fetches another one.
    Expired,
}

impl Ending {
    /// The end of a response that wants to rest for some time. Every rest passes this function.
    ///
    /// A client that comes back with an expired token is refused, and an `EventSource` then gives up for good. So a rest ends
    /// some seconds before that. If there is no time for a rest, the response is held until the token expires. If the response
    /// cannot be held that long, the client is told early.
    ///
    /// `left` is the time until the token expires, `None` if it never does.
    pub fn new(rest: Duration, left: Option<Duration>, can_hold: bool) -> Self {
        let Some(left) = left else {
            return Self::Rest(rest);
        };
        let longest = left.saturating_sub(LAST_SECONDS);
        match longest >= SHORTEST_REST {
            true => Self::Rest(rest.min(longest)),
            false if can_hold && !left.is_zero() => Self::Hold,
            false => Self::Expired,
        }
    }
}

/// What is left of the deadline for the goodbye to be written and read: a response that the deadline cuts has no clean
/// end.
const MARGIN: Duration = Duration::from_secs(1);

/// For how long a response is held: the window, and the deadline less a margin, whichever is less.
///
/// `remaining` is the time until the function's deadline, and `None` where there is none. `random` lies in 0..1 and
/// shortens the window by up to a fifth, so that streams that were opened together do not end together.
pub fn held_for(window: Duration, remaining: Option<Duration>, random: f64) -> Duration {
    let window = window.mul_f64(1.0 - random / 5.0);
    // A function with a timeout of a few seconds still has most of it to show something.
    let until_deadline = remaining.map(|remaining| remaining - MARGIN.min(remaining / 4));
    until_deadline.map_or(window, |until_deadline| window.min(until_deadline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[track_caller]
    fn check(window: Duration, remaining: Option<Duration>, random: f64, expected: Duration) {
        assert_eq!(held_for(window, remaining, random), expected);
    }

    #[test]
    fn the_window_the_deadline_and_the_jitter() {
        check(s(60), None, 0.0, s(60));
        check(s(60), None, 0.5, s(54));
        check(s(60), Some(s(900)), 0.0, s(60));
        check(s(60), Some(s(10)), 0.0, s(9));
        check(s(60), Some(s(2)), 0.0, Duration::from_millis(1500));
        check(s(60), Some(s(0)), 0.0, s(0));
    }

    fn policy(freshness: f64) -> Policy {
        Policy {
            freshness: Duration::from_secs_f64(freshness),
            max_rest: s(60),
            poll_interval: Duration::from_millis(500),
        }
    }

    /// A status that takes about so long, however long it has taken.
    fn memoryless(mean: f64) -> Hazard {
        let mut dwells = crate::dwell::Dwells::default();
        for part in 0..2000 {
            let seconds = -mean * (1.0 - (f64::from(part) + 0.5) / 2000.0).ln();
            dwells.add(Duration::from_secs_f64(seconds), 1.0);
        }
        dwells.hazard(1.0)
    }

    #[track_caller]
    fn rests(next: Next) -> f64 {
        match next {
            Next::Rest(rest) => rest.as_secs_f64(),
            Next::Hold => panic!("held"),
        }
    }

    #[test]
    fn a_memoryless_ten_minute_status_is_shown_freshness_late() {
        let hazard = memoryless(600.0);
        for freshness in [0.7, 1.0, 2.0, 5.0] {
            let rest = rests(policy(freshness).next(&[Outlook::Learned(&hazard, 300.0)], 1, 0.5));
            let mean_delay = rest / 2.0;
            assert!(
                (mean_delay / freshness - 1.0).abs() < 0.15,
                "{mean_delay} for {freshness}"
            );
        }
    }

    #[test]
    fn a_change_that_is_due_within_seconds_is_waited_for() {
        let hazard = memoryless(4.0);
        assert_eq!(
            policy(1.0).next(&[Outlook::Learned(&hazard, 3.0)], 1, 0.5),
            Next::Hold
        );
        let thrifty = policy(10.0).next(&[Outlook::Learned(&hazard, 3.0)], 1, 0.5);
        assert!(rests(thrifty) < 2.0);
    }

    #[test]
    fn no_check_in_skips_a_rise() {
        // All orders stay for 30 to 31 s: nothing is due before, and a rest of a minute would be a change half a minute late.
        let mut dwells = crate::dwell::Dwells::default();
        for hundredth in 0..100 {
            dwells.add(Duration::from_millis(30_000 + hundredth * 10), 1.0);
        }
        let hazard = dwells.hazard(1.0);
        for quiet in [1.0, 3.0, 10.0, 20.0] {
            let rest = rests(policy(5.0).next(&[Outlook::Learned(&hazard, quiet)], 1, 0.5));
            assert!(
                (12.0..36.0).contains(&(quiet + rest)),
                "{rest} after {quiet}"
            );
        }
    }

    #[test]
    fn rests_at_the_floor_are_spread_too() {
        let hazard = memoryless(4.0);
        let mut millis = std::collections::BTreeSet::new();
        for part in 0..1000 {
            let random = f64::from(part) / 1000.0;
            let rest = rests(policy(10.0).next(&[Outlook::Learned(&hazard, 3.0)], 1, random));
            millis.insert((rest * 1000.0) as u64);
        }
        assert!(millis.first() >= Some(&1000), "{millis:?}");
        // A thousand clients, at most twenty of them in a millisecond.
        assert!(millis.len() > 50, "{millis:?}");
    }

    #[test]
    fn an_order_that_nobody_knows_is_asked_for_a_tenth_of_the_time_so_far() {
        let rest = |asked| rests(policy(0.9).next(&[Outlook::Unknown(asked)], 1, 0.5));
        let mut so_far = 0.0;
        for asked in 0..10 {
            assert!((rest(asked) - 1.8).abs() < 0.1, "{}", rest(asked));
            so_far += rest(asked);
        }
        for asked in 10..45 {
            let share = rest(asked) / so_far;
            assert!((0.09..0.11).contains(&share), "{share} at {asked}");
            so_far += rest(asked);
        }
        for asked in [60, 1000, u16::MAX] {
            assert_eq!(rest(asked), 60.0);
        }
    }

    #[test]
    fn endings() {
        let check = |rest, left: Option<u64>, can_hold, expected| {
            let found = Ending::new(s(rest), left.map(s), can_hold);
            assert_eq!(found, expected, "{rest} {left:?} {can_hold}");
        };
        check(60, None, false, Ending::Rest(s(60)));
        check(60, Some(90), true, Ending::Rest(s(60)));
        check(60, Some(60), true, Ending::Rest(s(57)));
        check(60, Some(4), true, Ending::Rest(s(1)));
        check(60, Some(3), true, Ending::Hold);
        check(60, Some(3), false, Ending::Expired);
        check(1, Some(0), true, Ending::Expired);
    }

    proptest! {
        #[test]
        fn a_client_is_back_before_its_token_expires(
            rest in 1000u64..100_000, left: Option<u32>, can_hold: bool,
        ) {
            let rest = Duration::from_millis(rest);
            let left = left.map(|left| Duration::from_millis(u64::from(left % 200_000)));
            match Ending::new(rest, left, can_hold) {
                Ending::Rest(found) => {
                    prop_assert!(found >= SHORTEST_REST && found <= rest);
                    prop_assert!(left.is_none_or(|left| found + s(3) <= left));
                }
                Ending::Hold => prop_assert!(can_hold && left.is_some_and(|left| left < s(4))),
                Ending::Expired => prop_assert!(left.is_some_and(|left| left < s(4))),
            }
        }

        #[test]
        fn a_rest_is_never_shorter_than_a_second_nor_longer_than_the_longest(
            freshness in 0.1..1000.0, longest in prop_oneof![Just(1), 1u64..10_000], quiet in 0.0..1e8,
            mean in 0.1..1e7, asked: u16, random in 0.0..1.0,
        ) {
            let hazard = memoryless(mean);
            let policy = Policy { max_rest: s(longest), ..policy(freshness) };
            for orders in [&[Outlook::Learned(&hazard, quiet)][..], &[Outlook::Unlearned(quiet)], &[Outlook::Unknown(asked)]] {
                if let Next::Rest(rest) = policy.next(orders, 1, random) {
                    prop_assert!(rest >= SHORTEST_REST && rest <= s(longest).mul_f64(1.1), "{rest:?}");
                }
            }
        }

        #[test]
        fn intervals_fall_as_the_hazard_rises_and_as_orders_are_added(quiet in 0.0..1e6, mean in 100.0..1e6, random in 0.0..1.0) {
            let (slow, fast) = (memoryless(mean * 4.0), memoryless(mean));
            let (slow, fast) = (Outlook::Learned(&slow, mean), Outlook::Learned(&fast, mean));
            let rest = |orders: &[Outlook<'_>]| match policy(2.0).next(orders, orders.len(), random) {
                Next::Rest(rest) => rest,
                Next::Hold => Duration::ZERO,
            };
            prop_assert!(rest(&[fast]) <= rest(&[slow]));
            prop_assert!(rest(&[slow, Outlook::Unlearned(quiet)]) <= rest(&[slow]));
        }

        #[test]
        fn never_past_the_deadline_and_never_far_below_the_window(
            window in 1u64..10_000_000, remaining in 0u64..10_000_000, random in 0.0..1.0,
        ) {
            let (window, remaining) = (Duration::from_millis(window), Duration::from_millis(remaining));
            let held = held_for(window, Some(remaining), random);
            prop_assert!(held <= window && held <= remaining);
            prop_assert!(remaining.is_zero() || held < remaining);
            prop_assert!(held >= window.mul_f64(0.79).min(remaining.mul_f64(0.74)));
        }
    }
}

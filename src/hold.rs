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
    /// The order has no entries: who can say.
    Unknown,
}

impl Outlook<'_> {
    /// The chance a second of a change, so many seconds from now.
    fn hazard(&self, ahead: f64) -> f64 {
        match self {
            Self::Learned(hazard, quiet) => hazard.at(quiet + ahead),
            Self::Unlearned(quiet) => unlearned(quiet + ahead),
            Self::Unknown => 1.0 / FRESHNESS_AT,
        }
    }
}

impl Policy {
    /// Hold or rest, where these are the unfinished orders that are watched. `random` lies in 0..1 and is for the jitter.
    pub fn next(&self, orders: &[Outlook<'_>], random: f64) -> Next {
        let (rest, changes) = self.rest(orders);
        if self.hold_pays(orders.len(), rest, changes) {
            return Next::Hold;
        }
        // Clients that were told to rest together do not come back together: a tenth more or less.
        let jittered = Duration::from_secs_f64(rest * (0.9 + random / 5.0));
        Next::Rest(jittered.max(SHORTEST_REST))
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
            let hazard: f64 = orders.iter().map(|order| order.hazard(rest + step / 2.0)).sum();
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
    fn hold_pays(&self, orders: usize, rest: f64, changes: f64) -> bool {
        let price_of_delay = CHECK_IN * FRESHNESS_AT / 2.0 / self.freshness.as_secs_f64().powi(2);
        let between_looks = self.poll_interval.as_secs_f64();
        let saved = changes * (rest - between_looks) / 2.0 * price_of_delay;
        let held = rest * (SECOND + LOOK * orders as f64 / between_looks);
        saved > held - CHECK_IN
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

    proptest! {
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

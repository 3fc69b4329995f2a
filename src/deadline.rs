//! Every time limit of a response, computed from the time that is left when its invocation begins.
//!
//! Lambda ends an invocation at its deadline. A response that is cut there has no clean end. So each step is over some time
//! before the next limit. `R` is the time from the start to the deadline:
//!
//! ```text
//! start ──▶ read until ──▶ begin by ──▶ end ──▶ drop ──▶ give up ──▶ deadline
//!
//! read until three quarters of the time until *begin by*
//! begin by   3 s after the access check, or half of the time that is left then
//! end        1 s before the deadline, or R/4
//! drop       0.1 s after the end, or R/16
//! give up    0.25 s before the deadline, or R/8
//! ```
//!
//! In each row, the smaller of the two times counts.
//!
//! From `R` = 6 s on, the limits are constants. Below, they are parts of `R`, so that a function with a timeout of a few seconds
//! still has most of it to show something.
//!
//! - *read until*: the reading of a long log stops, and what was read is sent.
//! - *begin by*: reads that must end before the response begins have ended by then, or are given up.
//! - *end*: the session says goodbye. The window or the token's expiry can bring it forward.
//! - *drop*: a client that still has not read everything gets the goodbye in its place.
//! - *give up*: a response that nobody has read to its end is abandoned, so that its worker is free.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// The longest time until a response begins: clients and proxies wait no longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The time before the deadline in which the goodbye is written and read.
const GOODBYE: Duration = Duration::from_secs(1);

/// The time after its end in which a session goes on sending what it has. A slower client gets the rest next time.
const OVERTIME: Duration = Duration::from_millis(100);

/// The time before the deadline at which a response is abandoned if nobody has read it to its end.
const ABANDONED: Duration = Duration::from_millis(250);

/// The deadline of an invocation, and the limits that follow from it.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: Instant,
    /// From the start to the deadline; `None` if there is none.
    remaining: Option<Duration>,
}

/// When a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The session says goodbye.
    pub end: Instant,
    /// What the client has not read by now is dropped.
    pub drop: Instant,
    /// The client's token expires. This may be before or after `end`; `None` if it never expires.
    pub expiry: Option<Instant>,
}

impl Deadline {
    /// The deadline of an invocation that starts at a time, and has this much time left. `None` means no deadline.
    pub const fn new(start: Instant, remaining: Option<Duration>) -> Self {
        Self { start, remaining }
    }

    /// The deadline of an invocation that starts now, in milliseconds since the Unix epoch, as Lambda gives it.
    ///
    /// A deadline that has passed counts as no deadline: see [`Clock::remaining`].
    pub fn at(epoch_millis: u64, clock: &Clock) -> Self {
        Self::new(clock.now(), clock.remaining(epoch_millis))
    }

    /// The time by which a response must begin whose first reading begins now.
    pub fn begin_by(&self, now: Instant) -> Instant {
        let latest = now + LONGEST_WAIT;
        let Some(remaining) = self.remaining else {
            return latest;
        };
        let left = (self.start + remaining).saturating_duration_since(now);
        self.end(latest.min(now + left / 2))
    }

    /// The time until which a long log is read before a response begins. It is before [`Self::begin_by`], so that what was read is
    /// sent in time.
    pub fn read_until(&self, now: Instant) -> Instant {
        now + self.begin_by(now).saturating_duration_since(now) * 3 / 4
    }

    /// The end of a response or a batch: the wanted time, or earlier if the goodbye would not fit before the deadline.
    pub fn end(&self, wanted: Instant) -> Instant {
        let latest = self.before_deadline(GOODBYE, 4);
        latest.map_or(wanted, |latest| latest.min(wanted))
    }

    /// The limits of a response that is held for a window from now on, and no longer than its client's token is valid.
    pub fn limits(&self, now: Instant, window: Duration, expiry: Option<Instant>) -> Limits {
        let whole = now + window;
        let end = self.end(expiry.map_or(whole, |expiry| expiry.clamp(now, whole)));
        let overtime = self
            .remaining
            .map_or(OVERTIME, |left| OVERTIME.min(left / 16));
        Limits {
            end,
            drop: end + overtime,
            expiry,
        }
    }

    /// When a response is abandoned that nobody has read to its end; `None` if there is no deadline.
    pub fn give_up(&self) -> Option<Instant> {
        self.before_deadline(ABANDONED, 8)
    }

    /// The time before the deadline by a margin, or by a part of the remaining time if that is less.
    fn before_deadline(&self, margin: Duration, part: u32) -> Option<Instant> {
        let remaining = self.remaining?;
        Some(self.start + (remaining - margin.min(remaining / part)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The limits of a response that begins at once, as the time from the start.
    #[track_caller]
    fn check(remaining: Option<u64>, begin_by: u64, end: u64, drop: u64, give_up: Option<u64>) {
        let start = Instant::now();
        let deadline = Deadline::new(start, remaining.map(ms));
        let limits = deadline.limits(start, ms(60_000), None);
        assert_eq!(deadline.begin_by(start) - start, ms(begin_by), "begin by");
        assert_eq!(limits.end - start, ms(end), "end");
        assert_eq!(limits.drop - start, ms(drop), "drop");
        let given_up = deadline.give_up().map(|give_up| give_up - start);
        assert_eq!(given_up, give_up.map(ms), "give up");
    }

    #[test]
    fn limits_of_a_window_of_a_minute() {
        check(None, 3000, 60_000, 60_100, None);
        check(Some(900_000), 3000, 60_000, 60_100, Some(899_750));
        check(Some(10_000), 3000, 9000, 9100, Some(9750));
        check(Some(4000), 2000, 3000, 3100, Some(3750));
        check(Some(2000), 1000, 1500, 1600, Some(1750));
        check(Some(1600), 800, 1200, 1300, Some(1400));
        check(Some(800), 400, 600, 650, Some(700));
        check(Some(0), 0, 0, 0, Some(0));
    }

    #[test]
    fn a_token_that_expires_brings_the_end_forward() {
        let start = Instant::now();
        let limits = |expiry: u64| {
            Deadline::new(start, Some(ms(10_000))).limits(
                start,
                ms(60_000),
                Some(start + ms(expiry)),
            )
        };
        assert_eq!(limits(5000).end, start + ms(5000));
        assert_eq!(limits(9500).end, start + ms(9000));
        assert_eq!(limits(9500).expiry, Some(start + ms(9500)));
        // It expired while something was read: the end is now.
        let now = start + ms(3000);
        let limits = Deadline::new(start, None).limits(now, ms(60_000), Some(start + ms(1000)));
        assert_eq!((limits.end, limits.drop), (now, now + OVERTIME));
    }

    /// From 0 ms to 15 minutes, and as many short ones as long ones.
    fn any_deadline() -> impl Strategy<Value = Duration> {
        prop_oneof![0u64..=5000, 0u64..=900_000].prop_map(ms)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The access check takes some time, then so does the reading before the response.
        #[test]
        fn the_limits_nest(
            remaining in any_deadline(), window in 1u64..=900_000, expiry in prop::option::of(0u64..=1_000_000),
            access in 0.0..=1.0, reading in 0.0..=1.0,
        ) {
            let start = Instant::now();
            let deadline = Deadline::new(start, Some(remaining));
            let hold_end = deadline.end(start + ms(1_000_000));
            let asked = start + (hold_end - start).mul_f64(access).min(hold_end - start);
            let begin_by = deadline.begin_by(asked);
            prop_assert!(asked <= begin_by && begin_by <= hold_end);
            let read_until = deadline.read_until(asked);
            prop_assert!(asked <= read_until && read_until <= begin_by);
            prop_assert!(asked == begin_by || read_until < begin_by);

            let began = asked + (begin_by - asked).mul_f64(reading).min(begin_by - asked);
            let limits = deadline.limits(began, ms(window), expiry.map(|expiry| start + ms(expiry)));
            let give_up = deadline.give_up().unwrap();
            prop_assert!(began <= limits.end && limits.end <= hold_end);
            prop_assert!(limits.end <= limits.drop && limits.drop <= give_up);
            prop_assert!(give_up <= start + remaining);
            // There is time between them, for the goodbye to be written and read.
            if !remaining.is_zero() {
                prop_assert!(limits.end < limits.drop && limits.drop < give_up && give_up < start + remaining);
            }
        }

        #[test]
        fn a_response_is_not_held_far_below_its_window(window in 1u64..=900_000, remaining in any_deadline()) {
            let start = Instant::now();
            let held = Deadline::new(start, Some(remaining)).limits(start, ms(window), None).end - start;
            prop_assert!(held <= ms(window));
            prop_assert!(held >= ms(window).min(remaining.mul_f64(0.74)));
        }

        /// The runtime starts an invocation some milliseconds before the endpoint does: `lambda::delivery` computes its
        /// limit from that earlier start.
        #[test]
        fn the_limits_nest_if_the_delivery_starts_earlier(remaining in any_deadline(), earlier in 0u64..=50) {
            let start = Instant::now();
            let earlier = Deadline::new(start, Some(remaining + ms(earlier.min(remaining.as_millis() as u64 / 20))));
            let later = Deadline::new(start + (earlier.remaining.unwrap() - remaining), Some(remaining));
            let limits = later.limits(later.start, ms(900_000), None);
            prop_assert!(limits.drop <= earlier.give_up().unwrap());
        }
    }
}

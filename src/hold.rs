//! For how long a response is held. Pure.

use std::time::Duration;

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

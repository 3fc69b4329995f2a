//! How a response ends if its client's token expires soon. Pure.

use std::time::Duration;

use crate::hold::SHORTEST_REST;

/// A client must come back this long before its token expires, because the request takes some time and clocks differ.
const BACK_BEFORE_EXPIRY: Duration = Duration::from_secs(3);

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client comes back after this time.
    Rest(Duration),
    /// Not yet: it is held until the token expires.
    Hold,
    /// The client is told that its token expires, and fetches another one.
    Expired,
}

impl Ending {
    /// The end of a response whose client is to rest for some time. Every rest passes this function.
    ///
    /// A client that comes back with an expired token is refused, and an `EventSource` then gives up for good. So a rest ends
    /// 3 s before that. If there is no time for a rest, the response is held until the token expires. If the response cannot be
    /// held that long, the client is told early.
    ///
    /// `left` is the time until the token expires, `None` if it never does.
    pub(super) fn new(rest: Duration, left: Option<Duration>, can_hold: bool) -> Self {
        let Some(left) = left else {
            return Self::Rest(rest);
        };
        let longest = left.saturating_sub(BACK_BEFORE_EXPIRY);
        match longest >= SHORTEST_REST {
            true => Self::Rest(rest.min(longest)),
            false if can_hold && !left.is_zero() => Self::Hold,
            false => Self::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
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
    }
}

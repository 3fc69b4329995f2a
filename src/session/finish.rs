//! The end of a response: `end` if every order is finished, else `rest` or `expired`.

use std::time::Duration;

use serde_json::json;

use super::ending::Ending;
use super::outbox::Message;
use super::{Phase, Session};
use crate::feed::Feed;
use crate::hold::SHORTEST_REST;
use crate::metrics::Count;
use crate::order::Seq;

/// Why a response ends before its orders are finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The policy expects no change in this time.
    NothingDue(Duration),
    /// The window is over, the deadline is near, or the token expires.
    WindowOver,
    /// The client has not read in time what it was sent.
    SlowReader,
    /// The feed cannot be read.
    FeedFailed,
    /// The keys cannot be fetched. So it is not known whether the client may watch the orders.
    KeysUnavailable,
    /// The client's token has opened too much. It may try again after this time.
    TooMuchOpen(Duration),
    /// A bug.
    Panicked,
}

impl Cause {
    /// The stream cannot be served at the moment.
    fn is_unavailable(self) -> bool {
        matches!(
            self,
            Self::FeedFailed | Self::KeysUnavailable | Self::TooMuchOpen(_) | Self::Panicked
        )
    }

    /// What was not sent is dropped. The client continues after the last frame that it was sent.
    fn drops_unsent(self) -> bool {
        matches!(self, Self::SlowReader | Self::Panicked)
    }

    /// The response can go on until the token expires.
    fn can_hold(self) -> bool {
        matches!(self, Self::NothingDue(_) | Self::FeedFailed)
    }
}

impl<F: Feed> Session<F> {
    /// Ends the response, because every order is finished.
    pub(super) fn end(&mut self) {
        let mut orders = serde_json::Map::new();
        for watched in &self.watched {
            let status = watched.newest.as_ref().map(|(status, _)| status);
            orders.insert(watched.log.to_string(), json!(status));
        }
        self.outbox.push(Message::End(orders));
        self.outbox.push(Message::Comment);
        self.account.end(Count::EndedFinished, Duration::ZERO);
        self.phase = Phase::Over;
    }

    /// Ends the response with `rest`, or with `expired` if the client would come back too late. Returns `false` if the response
    /// must be held until the token expires. Every end except `end` is made here.
    pub(super) fn rest(&mut self, cause: Cause) -> bool {
        let retry = self.retry_after(cause);
        // Without `hello`, no other frame is sent.
        if cause.drops_unsent() && !self.outbox.clear() {
            self.phase = Phase::Over;
            return true;
        }
        let now = self.clock.now();
        let limits = self.timing.limits;
        let left = limits.expiry;
        let left = left.map(|expiry| expiry.saturating_duration_since(now));
        let until_expiry = limits.expiry.is_some_and(|at| at <= limits.end);
        let message = match Ending::new(retry, left, cause.can_hold() && until_expiry) {
            Ending::Hold => return false,
            Ending::Expired => {
                self.account.end(Count::EndedExpired, Duration::ZERO);
                Message::Expired
            }
            Ending::Rest(retry) => {
                let unavailable = cause.is_unavailable();
                if !unavailable && self.caught_up {
                    self.count_check_in();
                }
                self.account.end(cause.count(), retry);
                Message::Rest { retry, unavailable }
            }
        };
        self.outbox.push(message);
        self.phase = Phase::Over;
        true
    }

    fn retry_after(&mut self, cause: Cause) -> Duration {
        match cause {
            // The policy has added its own jitter.
            Cause::NothingDue(rest) => rest,
            Cause::TooMuchOpen(rest) => self.jittered(rest),
            Cause::WindowOver | Cause::SlowReader => self.jittered(SHORTEST_REST),
            Cause::FeedFailed | Cause::KeysUnavailable | Cause::Panicked => {
                let retry = self.shared.backoff.failed(self.clock.epoch_millis());
                self.jittered(retry)
            }
        }
    }

    /// Counts the check-in in the marks of orders without entries.
    fn count_check_in(&mut self) {
        for (order, watched) in self.watched.iter().enumerate() {
            if watched.newest.is_none() && self.outbox.mark(order).seq == Seq::ZERO {
                self.outbox.count_check_in(order);
            }
        }
    }

    /// Up to a half longer, so that clients that were cut off together do not come back together.
    pub(super) fn jittered(&mut self, retry: Duration) -> Duration {
        retry.mul_f64(1.0 + self.random.f64() / 2.0)
    }
}

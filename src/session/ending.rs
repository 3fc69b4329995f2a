//! What becomes of a response: it is held, or it ends.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;

use super::hazards::Hazards;
use super::outbox::Message;
use super::watched::Watched;
use super::{Answer, Phase, Session};
use crate::feed::Feed;
use crate::hold::{Ending, FIRST_HOLD, Next, Outlook, SHORTEST_REST};
use crate::order::Seq;

impl<F: Feed> Session<F> {
    pub(super) fn postpone(&mut self) {
        let retry = self.shared.backoff.failed();
        let retry = self.jittered(retry);
        self.rest(retry, true, false);
    }

    pub(super) fn end(&mut self) {
        let mut orders = serde_json::Map::new();
        for watched in &self.watched {
            let status = watched.newest.as_ref().map(|(status, _)| status);
            orders.insert(watched.order.to_string(), json!(status));
        }
        self.outbox.push(Message::End(orders));
        self.outbox.push(Message::Comment);
        self.phase = Phase::Over;
    }

    /// Everything is told: holds the response until the next look, or ends it.
    pub(super) fn decide(&mut self) {
        let known = match self.pace.policy {
            Some(_) if !self.is_first_hold() => self.shared.hazards.known(&self.clock),
            _ => return self.hold(),
        };
        if let Some(hazards) = known {
            return self.hold_or_rest(&hazards);
        }
        let hazards = self.shared.hazards.clone();
        let hazards = hazards.read(self.feed.clone(), self.clock);
        self.readings.push(hazards.map(Answer::Hazards).boxed());
        self.phase = Phase::Learning;
    }

    /// The page was opened just now, and an order has no entries: its first change may be on its way.
    fn is_first_hold(&self) -> bool {
        let unknown = self.watched.iter().any(|watched| watched.newest.is_none());
        let first = self.pace.first_visit && self.clock.now() < self.clock.start() + FIRST_HOLD;
        unknown && first
    }

    pub(super) fn hold_or_rest(&mut self, hazards: &Hazards) {
        let Some(policy) = self.pace.policy else {
            return self.hold();
        };
        let now = self.clock.epoch_millis();
        let unfinished = self.watched.iter().enumerate();
        let unfinished = unfinished.filter(|(_, watched)| !watched.finished);
        let outlook = |(order, watched): (usize, &Watched)| {
            let Some((status, since)) = &watched.newest else {
                return Outlook::Unknown(self.outbox.mark(order).asked);
            };
            let quiet = Duration::from_millis(now.saturating_sub(*since)).as_secs_f64();
            match hazards.get(status) {
                Some(hazard) => Outlook::Learned(hazard, quiet),
                None => Outlook::Unlearned(quiet),
            }
        };
        let outlooks: Vec<_> = unfinished.map(outlook).collect();
        match policy.next(&outlooks, self.watched.len(), self.random.f64()) {
            Next::Rest(rest) if self.rest(rest, false, true) => {}
            _ => self.hold(),
        }
    }

    fn hold(&mut self) {
        self.phase = Phase::Live;
        if self.told {
            // Node's clients were reported to hold a small chunk back until the next one comes.
            self.outbox.push(Message::Comment);
        }
    }

    pub(super) fn bad_weather(&mut self) {
        let retry = self.shared.backoff.failed();
        let retry = self.jittered(retry);
        if !self.rest(retry, true, true) {
            self.phase = Phase::Expiring;
        }
    }

    pub(super) fn end_of_window(&mut self) {
        let retry = self.jittered(SHORTEST_REST);
        self.rest(retry, false, false);
    }

    /// Ends the response in place of all that waits: the client goes on from what it was sent.
    pub(super) fn break_off(&mut self, retry: Duration, unavailable: bool) {
        self.phase = Phase::Over;
        if self.outbox.clear() {
            let retry = self.jittered(retry);
            self.rest(retry, unavailable, false);
        }
    }

    /// Ends the response with `rest`, or with `expired` if the client would come back too late. Returns `false` if it must be
    /// held until its token expires. Every rest of a session is made here.
    fn rest(&mut self, retry: Duration, unavailable: bool, may_hold: bool) -> bool {
        let now = self.clock.now();
        let left = self.pace.expiry;
        let left = left.map(|expiry| expiry.saturating_duration_since(now));
        let until_expiry = self.pace.expiry.is_some_and(|at| at <= self.pace.end);
        let goodbye = match Ending::new(retry, left, may_hold && until_expiry) {
            Ending::Hold => return false,
            Ending::Expired => Message::Expired,
            Ending::Rest(retry) => {
                if !unavailable && self.caught_up {
                    self.count_unknown();
                }
                Message::Rest { retry, unavailable }
            }
        };
        self.outbox.push(goodbye);
        self.phase = Phase::Over;
        true
    }

    /// Counts the check-in in the marks of orders without entries.
    fn count_unknown(&mut self) {
        for (order, watched) in self.watched.iter().enumerate() {
            if watched.newest.is_none() && self.outbox.mark(order).seq == Seq::ZERO {
                self.outbox.asked_again(order);
            }
        }
    }

    /// Up to a half longer, so that clients that were cut off together do not come back together.
    pub(super) fn jittered(&mut self, retry: Duration) -> Duration {
        retry.mul_f64(1.0 + self.random.f64() / 2.0)
    }
}

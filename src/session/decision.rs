//! Whether a response that has sent everything is held, or ends.

use std::iter::repeat_n;
use std::time::Duration;

use futures_util::FutureExt;

use super::finish::Cause;
use super::hazards::{Hazards, READ_LIMIT};
use super::outbox::Message;
use super::round::Outcome;
use super::watched::Watched;
use super::{Phase, Session};
use crate::feed::Feed;
use crate::hold::{Decision, FIRST_HOLD, Forecast};
use crate::wake::Wake;

/// With more orders in a status, its next change is due at once anyway.
const MOST_FORECASTS: usize = 1000;

impl<F: Feed> Session<F> {
    /// Holds the response until the next poll, or ends it. If the dwell times must be read first, begins that reading.
    pub(super) fn decide(&mut self) {
        let known = match self.timing.policy {
            Some(_) if !self.is_first_hold() => self.shared.hazards.known(&self.clock),
            _ => return self.hold(),
        };
        if let Some(hazards) = known {
            return self.hold_or_rest(&hazards);
        }
        let hazards = self.shared.hazards.clone();
        let hazards = hazards.read(self.feed.clone(), READ_LIMIT, self.clock);
        self.round.push(hazards.map(Outcome::Hazards).boxed());
        self.phase = Phase::Learning;
    }

    /// The page was opened just now, and an order has no entries: its first change may come soon.
    fn is_first_hold(&self) -> bool {
        let unknown = self.watched.iter().any(|watched| watched.newest.is_none());
        let first = self.timing.first_visit && self.clock.now() < self.clock.start() + FIRST_HOLD;
        unknown && first
    }

    pub(super) fn hold_or_rest(&mut self, hazards: &Hazards) {
        let Some(policy) = self.timing.policy else {
            return self.hold();
        };
        let watched = self.watched.iter().enumerate();
        let forecasts = watched.flat_map(|(log, watched)| self.forecasts(log, watched, hazards));
        let forecasts: Vec<_> = forecasts.collect();
        let wake = self.shared.wake.as_ref();
        let wake = wake
            .filter(|wake| wake.is_connected())
            .map(Wake::poll_interval);
        match policy.decide(&forecasts, self.watched.len(), wake, self.random.f64()) {
            Decision::Rest(rest) if self.rest(Cause::NothingDue(rest)) => {}
            _ => self.hold(),
        }
    }

    /// A forecast for each unfinished order.
    fn forecasts<'a>(
        &self,
        log: usize,
        watched: &Watched,
        hazards: &'a Hazards,
    ) -> Vec<Forecast<'a>> {
        if watched.newest.is_none() {
            return vec![Forecast::Unknown(self.outbox.mark(log).check_ins)];
        }
        let now = self.clock.epoch_millis();
        let groups = watched
            .unfinished
            .iter()
            .flat_map(|(status, orders, since)| {
                let quiet = Duration::from_millis(now.saturating_sub(*since)).as_secs_f64();
                match hazards.get(status) {
                    Some(hazard) => {
                        let orders = usize::try_from(*orders).unwrap_or(MOST_FORECASTS);
                        repeat_n(Forecast::Learned(hazard, quiet), orders.min(MOST_FORECASTS))
                    }
                    // No order was ever seen to leave this status. So more orders in it do not make a change more likely.
                    None => repeat_n(Forecast::Unlearned(quiet), 1),
                }
            });
        groups.collect()
    }

    fn hold(&mut self) {
        if !self.timing.streams {
            self.rest(Cause::WindowOver);
            return;
        }
        self.phase = Phase::Held;
        self.account.hold(self.clock.now());
        if self.round.has_news {
            // Clients on Node were reported to keep a small chunk until the next one comes.
            self.outbox.push(Message::Comment);
            self.round.has_news = false;
        }
        self.watch_wake();
    }
}

//! A round of readings: every order, side by side, until everything that came is told.

use futures_util::FutureExt;
use tokio::time::Instant;

use super::outbox::Message;
use super::watched::{News, Query, Watched};
use super::{Answer, Phase, Session, show_only};
use crate::feed::{Consistency, Feed};

impl<F: Feed> Session<F> {
    /// Reads every order, the finished ones too: something may have come after all.
    pub(super) fn begin_round(&mut self, consistency: Consistency) {
        for watched in &mut self.watched {
            watched.due = Some(Query::Next(consistency));
            watched.again = false;
        }
        self.verifying = consistency == Consistency::Strong;
        // A verification belongs to the round before it.
        self.told &= self.verifying;
        self.phase = Phase::Reading;
    }

    /// While a response is held and an order is read slowly, the others are looked at as ever. Returns when that is due next.
    ///
    /// `None` if every order was read in this round: otherwise looks that overlap would never let it end.
    pub(super) fn look_again(&mut self, now: Instant) -> Option<Instant> {
        let slow = |it: &Watched| !it.again && (it.is_read || it.due.is_some());
        let held = self.phase == Phase::Reading && self.caught_up && !self.verifying;
        if !held || self.failed || !self.watched.iter().any(slow) {
            return None;
        }
        if now >= self.next_look {
            self.next_look = now + self.pace.poll_interval;
            let idle = |it: &&mut Watched| !it.is_read && it.due.is_none();
            for watched in self.watched.iter_mut().filter(idle) {
                watched.due = Some(Query::Next(Consistency::Eventual));
                watched.again = true;
            }
        }
        Some(self.next_look)
    }

    pub(super) fn begin_readings(&mut self) {
        let began = self.clock.now();
        for (order, watched) in self.watched.iter_mut().enumerate() {
            let Some(query) = watched.due.take() else {
                continue;
            };
            watched.is_read = true;
            let page = query.run(&self.feed, &watched.order, self.outbox.mark(order));
            let answer = page.map(move |page| Answer::Page {
                order,
                query,
                began,
                page,
            });
            self.readings.push(answer.boxed());
        }
    }

    pub(super) fn take(&mut self, answer: Answer) {
        if let Answer::Page { order, .. } = &answer {
            self.watched[*order].is_read = false;
        }
        match answer {
            Answer::Page {
                order,
                query,
                page: Ok(page),
                ..
            } => {
                let mark = self.outbox.mark(order);
                let news = self.watched[order].take(query, page, &mark, &self.clock);
                self.tell(order, news);
            }
            // The DynamoDB client gives up after some seconds, even if it was not allowed to go on.
            Answer::Page {
                order,
                query,
                began,
                ..
            } if began < self.neglected => {
                self.watched[order].due = Some(query);
            }
            Answer::Page {
                page: Err(error), ..
            } => {
                tracing::warn!(%error, "the feed could not be read, the client is asked to come back");
                // What can be read of the other orders is told first.
                self.failed = true;
            }
            Answer::Hazards(hazards) => self.hold_or_rest(&hazards),
        }
    }

    fn tell(&mut self, order: usize, news: News) {
        if let Some(reason) = news.reset {
            // A page shows what it was told before until it is told that the replay is whole.
            self.caught_up = false;
            self.push_reset(order..order + 1, reason);
        }
        for mut entry in news.entries {
            show_only(&self.shared.public_attributes, &mut entry);
            self.outbox.push(Message::Change(order, Box::new(entry)));
        }
        self.told |= self.outbox.len() > 0;
    }

    /// Every reading of the round has ended.
    pub(super) fn end_round(&mut self) {
        if self.failed {
            return self.bad_weather();
        }
        self.shared.backoff.succeeded();
        let finished = self.watched.iter().all(|watched| watched.finished);
        if finished && !self.verifying {
            // `end` closes the tab: a replica that lags must not be the one to say so.
            return self.begin_round(Consistency::Strong);
        }
        if finished {
            return self.end();
        }
        if !self.caught_up {
            self.outbox.push(Message::Ready);
            self.caught_up = true;
            self.told = true;
        }
        self.next_look = self.clock.now() + self.pace.poll_interval;
        self.phase = Phase::Deciding;
    }
}

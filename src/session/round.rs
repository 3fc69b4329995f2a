//! A round of readings: every order, side by side, until everything that is new is sent.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::finish::Cause;
use super::hazards::Hazards;
use super::outbox::Message;
use super::watched::{News, Query, Watched};
use super::{Phase, Session, show_only};
use crate::clock::Clock;
use crate::feed::{Consistency, Feed, FeedError, Page};
use crate::metrics::Count;

/// Readings are not polled while the client takes chunks. If a reading waited for this time and then fails, it may have failed
/// because of the wait. So it is repeated.
const STALL: Duration = Duration::from_millis(500);

/// What a reading gave.
#[derive(Debug)]
pub(super) enum Outcome {
    Page {
        order: usize,
        query: Query,
        began: Instant,
        page: Result<Page, FeedError>,
    },
    Hazards(Hazards),
}

/// The readings of a round, and what is known of the round.
#[derive(Debug)]
pub(super) struct Round {
    readings: FuturesUnordered<BoxFuture<'static, Outcome>>,
    /// A reading failed.
    failed: bool,
    /// The readings are consistent: the round verifies that every order is finished.
    verifying: bool,
    /// Only the orders that a message named are read.
    woken: bool,
    /// The round found something to send.
    pub(super) has_news: bool,
    /// When the readings were last polled.
    polled: Instant,
    /// Readings that began before this time had to wait for the client.
    stalled: Instant,
}

impl Round {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            readings: FuturesUnordered::new(),
            failed: false,
            verifying: false,
            woken: false,
            has_news: false,
            polled: start,
            stalled: start,
        }
    }

    fn begin(&mut self, consistency: Consistency) {
        self.verifying = consistency == Consistency::Strong;
        self.woken = false;
        // A verification belongs to the round before it.
        self.has_news &= self.verifying;
    }

    pub(super) fn push(&mut self, reading: BoxFuture<'static, Outcome>) {
        self.readings.push(reading);
    }

    /// Notes that the session goes on, perhaps after the client took a chunk slowly.
    pub(super) fn resume(&mut self, now: Instant) {
        if now >= self.polled + STALL {
            self.stalled = now;
        }
    }

    /// The outcome of the reading that ends first. `None` if no reading is being made; an error if none ends in time.
    pub(super) async fn next(
        &mut self,
        until: Instant,
        clock: &Clock,
    ) -> Result<Option<Outcome>, Elapsed> {
        let outcome = timeout_at(until, self.readings.next()).await;
        self.polled = clock.now();
        outcome
    }
}

impl<F: Feed> Session<F> {
    /// Reads every order, the finished ones too: another change may have come after all.
    pub(super) fn begin_round(&mut self, consistency: Consistency) {
        for watched in &mut self.watched {
            watched.due = Some(Query::Next(consistency));
            watched.again = false;
        }
        self.round.begin(consistency);
        self.phase = Phase::Reading;
    }

    /// Reads the orders whose reads are due because of a message, and no others.
    pub(super) fn begin_woken_round(&mut self) {
        for watched in &mut self.watched {
            watched.again = false;
        }
        self.round.begin(Consistency::Eventual);
        self.round.woken = true;
        self.phase = Phase::Reading;
    }

    /// Waits for the reading that ends first, and takes its outcome.
    pub(super) async fn read(&mut self, now: Instant, until: Instant) {
        self.round.resume(now);
        let again = self.poll_again(now);
        let until = again.map_or(until, |at| until.min(at));
        self.begin_readings();
        let watched = &self.watched;
        let idle = |order: usize| watched[order].is_idle();
        tokio::select! {
            biased;
            outcome = self.round.next(until, &self.clock) => match outcome {
                Ok(Some(outcome)) => self.take(outcome),
                Ok(None) => self.end_round(),
                Err(_) => {}
            },
            // The readings were polled until now.
            () = self.waking.changed(now, idle), if again.is_some() => {
                self.round.polled = self.clock.now();
            }
        }
    }

    /// Polls the other orders again if a response is held and an order is read slowly. Returns when this is due next.
    ///
    /// `None` if every order was read in this round: otherwise the round would never end, because polls overlap.
    pub(super) fn poll_again(&mut self, now: Instant) -> Option<Instant> {
        let is_slow = |it: &Watched| !it.again && (it.is_read || it.due.is_some());
        let held = self.phase == Phase::Reading && self.caught_up && !self.round.verifying;
        if !held || self.round.failed || !self.watched.iter().any(is_slow) {
            return None;
        }
        if now >= self.next_poll {
            self.next_poll = now + self.timing.poll_interval;
            for watched in self.watched.iter_mut().filter(|it| it.is_idle()) {
                watched.due = Some(Query::Next(Consistency::Eventual));
                watched.again = true;
            }
        }
        self.read_woken(now, true);
        let woken = self.waking.next_read(now);
        Some(woken.map_or(self.next_poll, |at| at.min(self.next_poll)))
    }

    /// Begins each query that is due.
    pub(super) fn begin_readings(&mut self) {
        let began = self.clock.now();
        for (order, watched) in self.watched.iter_mut().enumerate() {
            let Some(query) = watched.due.take() else {
                continue;
            };
            watched.is_read = true;
            let mark = self.outbox.mark(order);
            let heard = watched.heard.take();
            let page = query.run(&self.feed, &self.shared, &watched.log, mark, heard);
            let outcome = page.map(move |page| Outcome::Page {
                order,
                query,
                began,
                page,
            });
            self.round.push(outcome.boxed());
        }
    }

    pub(super) fn take(&mut self, outcome: Outcome) {
        if let Outcome::Page { order, .. } = &outcome {
            self.watched[*order].is_read = false;
        }
        match outcome {
            Outcome::Page {
                order,
                query,
                page: Ok(page),
                ..
            } => {
                let mark = self.outbox.mark(order);
                let news = self.watched[order].take(query, page, &mark, &self.clock);
                self.send(order, news);
            }
            // This reading waited while the client was slow, and may have failed only because of that: the DynamoDB client
            // gives up after some seconds, even if it was not polled. So it is repeated.
            Outcome::Page {
                order,
                query,
                began,
                ..
            } if began < self.round.stalled => {
                self.watched[order].due = Some(query);
            }
            Outcome::Page {
                page: Err(error), ..
            } => {
                tracing::warn!(%error, "the feed could not be read, the client is asked to come back");
                self.shared.metrics.count(Count::ReadsFailed);
                // What can be read of the other orders is sent first.
                self.round.failed = true;
            }
            Outcome::Hazards(hazards) => self.hold_or_rest(&hazards),
        }
    }

    fn send(&mut self, order: usize, news: News) {
        if let Some(reason) = news.reset {
            // A page shows the old changes until `ready` says that the new ones are complete.
            self.caught_up = false;
            self.push_reset(order..order + 1, reason);
        }
        for mut entry in news.entries {
            self.record_delay(&entry);
            show_only(&self.shared.public_attributes, &mut entry);
            self.outbox.push(Message::Change(order, Box::new(entry)));
        }
        self.round.has_news |= self.outbox.len() > 0;
        if let Some(reached) = news.reached {
            self.outbox.push(Message::Seen(order, reached));
        }
    }

    /// Goes on after every reading of the round has ended.
    pub(super) fn end_round(&mut self) {
        if self.round.failed {
            if !self.rest(Cause::FeedFailed) {
                self.phase = Phase::Expiring;
            }
            return;
        }
        self.shared.backoff.succeeded();
        let finished = self.watched.iter().all(|watched| watched.finished);
        if finished && !self.round.verifying {
            // `end` closes the tab, so a replica that lags must not decide it.
            return self.begin_round(Consistency::Strong);
        }
        if finished {
            return self.end();
        }
        if !self.caught_up {
            self.outbox.push(Message::Ready);
            self.caught_up = true;
            self.round.has_news = true;
        }
        // An order with many messages must not put off the poll of the others.
        if !self.round.woken {
            self.next_poll = self.clock.now() + self.until_next_poll();
        }
        self.phase = Phase::Deciding;
    }
}

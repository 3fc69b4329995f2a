//! A held response: it polls the feed, and is woken if there is a wake.

use std::time::Duration;

use futures_util::future::pending;
use tokio::time::{Instant, sleep_until};

use super::outbox::Outbox;
use super::watched::Query;
use super::{Phase, Session};
use crate::feed::{Consistency, Feed, LogId};
use crate::hold::SHORTEST_REST;
use crate::order::Seq;
use crate::wake::{Subscription, Wake};

/// The time between two reads of an order that is woken again and again. The first read is made at once. At most fifty reads a
/// second follow, and they cost less than the writes of fifty changes.
const WOKEN_AGAIN: Duration = Duration::from_millis(20);

/// What a session knows of the wake. Without a wake, nothing.
#[derive(Debug)]
pub(super) struct Waking {
    subscription: Option<Subscription>,
    /// The connection that was confirmed when the last poll began. If it is still there, no message was missed since.
    covered: Option<u64>,
    /// No poll has begun in a confirmed connection yet.
    uncovered_so_far: bool,
    /// Of each order: the highest number for which it was read, and when it may be read again.
    orders: Vec<(Seq, Instant)>,
    /// Whether the response ends is decided again. Without a wake, each poll does that.
    next_decision: Instant,
}

impl Waking {
    pub(super) fn new(orders: usize, start: Instant) -> Self {
        Self {
            subscription: None,
            covered: None,
            uncovered_so_far: true,
            orders: vec![(Seq::ZERO, start); orders],
            next_decision: start,
        }
    }

    /// Subscribes, unless this was done before. A response that rests at once does not: it would not be woken.
    pub(super) fn subscribe<'a>(&mut self, wake: &Wake, logs: impl IntoIterator<Item = &'a LogId>) {
        self.subscription
            .get_or_insert_with(|| wake.subscribe(logs));
    }

    fn connection(&self) -> Option<u64> {
        self.subscription.as_ref()?.connection()
    }

    /// Every change since the last poll has a message, unless it is lost.
    pub(super) fn is_covered(&self) -> bool {
        self.covered.is_some() && self.connection() == self.covered
    }

    /// The number that was heard of an order, if the client has not seen it and the order was not read for it.
    fn heard(&self, order: usize, outbox: &Outbox) -> Option<Seq> {
        let newest = self.subscription.as_ref()?.newest(order);
        let (read, _) = self.orders[order];
        (newest > read.max(outbox.mark(order).seq)).then_some(newest)
    }

    fn may_read(&self, order: usize, now: Instant) -> bool {
        now >= self.orders[order].1
    }

    /// When an order may be read again that was read a moment ago.
    pub(super) fn next_read(&self, now: Instant) -> Option<Instant> {
        let times = self.orders.iter().map(|(_, at)| *at);
        times.filter(|at| *at > now).min()
    }

    /// Waits for news of the orders that are wanted and may be read. So an order with thousands of messages wakes its sessions
    /// seldom.
    pub(super) async fn changed(&mut self, now: Instant, wanted: impl Fn(usize) -> bool) {
        let Some(subscription) = &mut self.subscription else {
            return pending().await;
        };
        let may_read = |order: usize| now >= self.orders[order].1;
        let news = subscription.changed(|order| may_read(order) && wanted(order));
        news.await;
    }
}

impl<F: Feed> Session<F> {
    /// Waits for what comes first: the next poll, a message about an order, or the given time.
    pub(super) async fn stay_held(&mut self, now: Instant, until: Instant) {
        self.follow_connection(now);
        if now >= self.next_poll {
            return self.poll();
        }
        let decides = self.timing.policy.is_some() && self.waking.is_covered();
        if decides && now >= self.waking.next_decision {
            self.phase = Phase::Deciding;
            return;
        }
        if self.read_woken(now, false) {
            return self.begin_woken_round();
        }
        let mut until = until.min(self.next_poll);
        if decides {
            until = until.min(self.waking.next_decision);
        }
        let until = self.waking.next_read(now).map_or(until, |at| until.min(at));
        tokio::select! {
            // In an order that the simulation can replay.
            biased;
            () = sleep_until(until) => {}
            () = self.waking.changed(now, |_| true) => {}
        }
    }

    /// If the connection is lost, polls begin again. If the first subscription is confirmed, the feed is read once, because
    /// a message may have been sent before.
    fn follow_connection(&mut self, now: Instant) {
        let connection = self.waking.connection();
        if self.waking.covered.is_some() && connection != self.waking.covered {
            self.waking.covered = None;
            // All sessions of the process notice this together.
            let soon = self.timing.poll_interval.mul_f64(self.random.f64());
            self.next_poll = self.next_poll.min(now + soon);
        }
        if self.waking.uncovered_so_far && connection.is_some() {
            self.next_poll = now;
        }
    }

    /// Reads every order. The first time in a connection, a replica that lags must not hide what had no message.
    fn poll(&mut self) {
        let connection = self.waking.connection();
        let is_first = connection.is_some() && connection != self.waking.covered;
        let consistency = match is_first {
            true => Consistency::Strong,
            false => Consistency::Eventual,
        };
        self.waking.covered = connection;
        self.waking.uncovered_so_far &= connection.is_none();
        self.begin_round(consistency);
    }

    /// The time from one poll to the next. With a wake, it is up to a fifth shorter, so that sessions that began together do
    /// not poll together.
    pub(super) fn until_next_poll(&mut self) -> Duration {
        let poll_interval = self.timing.poll_interval;
        match &self.shared.wake {
            Some(wake) if self.waking.is_covered() => {
                let jitter = 1.0 - self.random.f64() / 5.0;
                wake.poll_interval().mul_f64(jitter).max(poll_interval)
            }
            _ => poll_interval,
        }
    }

    /// Makes the read due of each order that has a new number. A number comes after its entry was written, so a consistent read
    /// finds it. If not, the message is wrong, and the order is not read for it again.
    ///
    /// `again` says that a round goes on, and only the orders that are not being read can be read.
    pub(super) fn read_woken(&mut self, now: Instant, again: bool) -> bool {
        let mut any = false;
        for (order, watched) in self.watched.iter_mut().enumerate() {
            let heard = self.waking.heard(order, &self.outbox);
            let Some(heard) = heard.filter(|_| self.waking.may_read(order, now)) else {
                continue;
            };
            if again && !watched.is_idle() {
                continue;
            }
            self.waking.orders[order] = (heard, now + WOKEN_AGAIN);
            watched.due = Some(Query::Next(Consistency::Strong));
            watched.heard = Some(heard);
            watched.again = again;
            any = true;
        }
        any
    }

    /// Subscribes when the response is held for the first time, and sets when that is decided again.
    pub(super) fn watch_wake(&mut self) {
        if let Some(wake) = &self.shared.wake {
            let logs = self.watched.iter().map(|watched| &watched.log);
            self.waking.subscribe(wake, logs);
            let interval = self.timing.poll_interval.max(SHORTEST_REST);
            self.waking.next_decision = self.clock.now() + interval;
        }
    }
}

//! One response: from a cursor, through the feed, to a clean ending.
//!
//! ```text
//! Opening ──▶ Reading ──▶ Deciding ──▶ Live ──▶ Over
//!  hello    │  (reset)      hold, or    │  ▲      end, expired or rest
//!           │  changes      rest        │  │
//!           │  ready                    │  │
//!           └──────◀────────────────────┘  │
//!                  every poll interval     │ comments, whenever it is quiet
//! ```
//!
//! A session reads a page of an order when everything that it read before is sent. Orders are read side by side. Each time it
//! waits, it waits for a reading, for the next heartbeat and for its end at once.

mod backoff;
mod ending;
mod frames;
mod hazards;
mod outbox;
mod reading;
mod watched;

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::Clock;
use crate::cursor::Cursor;
use crate::feed::{Consistency, Discontinuity, Feed, FeedError, Page};
use crate::hold::{Policy, SHORTEST_REST};
use crate::order::OrderId;

use backoff::Backoff;
pub use frames::PublicChange;
pub(crate) use frames::show_only;
use hazards::{HazardCache, Hazards};
use outbox::{Message, Outbox};
use watched::{Query, Watched};

/// How long after its end a session goes on sending what it has: a slower reader gets the rest of it next time.
/// It is a part of what `hold` leaves before the deadline.
const OVERTIME: Duration = Duration::from_millis(100);

/// A reading waits while the client takes chunks. After this time, its failure may come from that wait.
const NEGLECT: Duration = Duration::from_millis(500);

/// When a session looks at the feed, breathes and ends.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks at the feed.
    pub poll_interval: Duration,
    /// Silence after which a comment is sent.
    pub heartbeat: Duration,
    /// When the response is over at the latest.
    pub end: Instant,
    /// When the client's token expires, which is not before `end`.
    pub expiry: Option<Instant>,
    /// What ends it earlier; `None` holds it until then.
    pub policy: Option<Policy>,
    /// The client has just opened the stream.
    pub first_visit: bool,
}

/// What the sessions of a process share.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    backoff: Backoff,
    hazards: HazardCache,
    public_attributes: Arc<BTreeSet<String>>,
}

impl Shared {
    /// What sessions share that show these attributes of an order.
    pub fn new(public_attributes: BTreeSet<String>) -> Self {
        Self {
            public_attributes: Arc::new(public_attributes),
            ..Self::default()
        }
    }
}

/// One response to one client.
#[derive(Debug)]
pub struct Session<F> {
    feed: F,
    watched: Vec<Watched>,
    outbox: Outbox,
    clock: Clock,
    pace: Pace,
    phase: Phase,
    /// What is being read, an answer each.
    readings: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// A reading of this round failed.
    failed: bool,
    /// This round of readings is consistent: it verifies that every order is finished.
    verifying: bool,
    /// `ready` was sent, and no `reset` after it.
    caught_up: bool,
    /// This round of readings found something to tell.
    told: bool,
    next_look: Instant,
    next_heartbeat: Instant,
    /// When the readings were last polled.
    polled: Instant,
    /// Readings that began before this time had to wait while the client took chunks.
    neglected: Instant,
    shared: Shared,
    random: fastrand::Rng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    /// As `Opening`, and the client is asked to come back.
    Postponing,
    Postponed,
    Reading,
    /// Everything that was read is told.
    Deciding,
    /// Dwell times are being read, for the decision.
    Learning,
    Live,
    /// Nothing is read any more: the client is told when its token expires.
    Expiring,
    Over,
}

/// What a reading gave.
#[derive(Debug)]
enum Answer {
    Page {
        order: usize,
        query: Query,
        began: Instant,
        page: Result<Page, FeedError>,
    },
    Hazards(Hazards),
}

impl<F: Feed> Session<F> {
    /// A session on orders, from a cursor on; `None` stands for a cursor that could not be read.
    pub fn new(
        feed: F,
        orders: Vec<OrderId>,
        cursor: Option<Cursor>,
        clock: Clock,
        pace: Pace,
        shared: Shared,
        random: fastrand::Rng,
    ) -> Self {
        Self {
            feed,
            outbox: Outbox::new(cursor, orders.len()),
            watched: orders.into_iter().map(Watched::new).collect(),
            clock,
            pace,
            phase: Phase::Opening,
            readings: FuturesUnordered::new(),
            failed: false,
            verifying: false,
            caught_up: false,
            told: false,
            next_look: clock.start(),
            next_heartbeat: clock.start() + pace.heartbeat,
            polled: clock.start(),
            neglected: clock.start(),
            shared,
            random,
        }
    }

    /// A session that ends before it looks at the feed, because it cannot be told now whether the client may see it.
    #[must_use]
    pub fn postponed(mut self) -> Self {
        self.phase = Phase::Postponing;
        self
    }

    /// The next bytes of the response; `None` at its end.
    ///
    /// A session never fails: a body that breaks off looks to a client like any other, so whatever happens ends in a frame.
    pub async fn next(&mut self) -> Option<Bytes> {
        // After a panic, nothing is used but what was sent before.
        let next = AssertUnwindSafe(self.proceed()).catch_unwind().await;
        let chunk = next.unwrap_or_else(|_| {
            tracing::error!("a session panicked, the client is asked to come back");
            let retry = self.shared.backoff.failed();
            self.break_off(retry, true);
            self.outbox.take()
        });
        self.next_heartbeat = self.clock.now() + self.pace.heartbeat;
        chunk
    }

    async fn proceed(&mut self) -> Option<Bytes> {
        loop {
            if self.outbox.len() > 1 && self.is_overdue() {
                self.break_off(SHORTEST_REST, false);
            }
            if let Some(chunk) = self.outbox.take() {
                return Some(chunk);
            }
            match self.phase {
                Phase::Opening | Phase::Postponing => self.open(),
                Phase::Postponed => self.postpone(),
                Phase::Deciding => self.decide(),
                Phase::Reading | Phase::Learning | Phase::Live | Phase::Expiring => {
                    self.wait().await;
                }
                Phase::Over => return None,
            }
        }
    }

    fn is_overdue(&self) -> bool {
        self.clock.now() >= self.pace.end + OVERTIME
    }

    /// The first chunk, before the feed was asked: `onopen` fires, proxies flush, and the client has a cursor.
    fn open(&mut self) {
        let retry = self.jittered(SHORTEST_REST);
        self.outbox.push(Message::Hello(retry));
        if self.phase == Phase::Postponing {
            self.phase = Phase::Postponed;
            return;
        }
        if self.outbox.unreadable() {
            self.push_reset(0..self.watched.len(), Discontinuity::UnknownCursor);
            for watched in &mut self.watched {
                watched.was_reset = true;
            }
        }
        self.begin_round(Consistency::Eventual);
    }

    fn push_reset(&mut self, orders: Range<usize>, reason: Discontinuity) {
        let orders = orders.map(|order| (order, self.watched[order].order.clone()));
        let reset = Message::Reset(orders.collect(), reason);
        self.outbox.push(reset);
    }

    /// Waits for whatever comes first: what the phase waits for, the next heartbeat or the end.
    async fn wait(&mut self) {
        let now = self.clock.now();
        if now >= self.pace.end {
            return self.end_of_window();
        }
        if now >= self.next_heartbeat {
            return self.outbox.push(Message::Comment);
        }
        let until = self.pace.end.min(self.next_heartbeat);
        match self.phase {
            Phase::Live if now >= self.next_look => self.begin_round(Consistency::Eventual),
            Phase::Live => sleep_until(until.min(self.next_look)).await,
            Phase::Reading | Phase::Learning => {
                if now >= self.polled + NEGLECT {
                    self.neglected = now;
                }
                let until = self.look_again(now).map_or(until, |at| until.min(at));
                self.begin_readings();
                let answer = timeout_at(until, self.readings.next()).await;
                self.polled = self.clock.now();
                match answer {
                    Ok(Some(answer)) => self.take(answer),
                    Ok(None) => self.end_round(),
                    Err(_) => {}
                }
            }
            _ => sleep_until(until).await,
        }
    }
}

//! One response: from a cursor, through the feed, to a clean end.
//!
//! ```text
//! Opening ──▶ Reading ──▶ Deciding ──▶ Held ──▶ Over
//!  hello    │  (reset)      hold, or    │  ▲      end, expired or rest
//!           │  changes      rest        │  │
//!           │  ready                    │  │
//!           └──────◀────────────────────┘  │
//!                  every poll interval     │ comments, if nothing else is sent
//! ```
//!
//! A session reads the next page of an order when everything that it read before is sent. It reads the orders side by side.
//! Whenever it waits, it waits for three things at once: a reading, the next heartbeat and its end.

mod account;
mod backoff;
mod decision;
mod ending;
mod finish;
mod frames;
mod hazards;
mod held;
mod listed;
mod outbox;
mod reads;
mod round;
mod watched;

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use crate::clock::Clock;
use crate::cursor::Cursor;
use crate::deadline::Limits;
use crate::feed::{Consistency, Discontinuity, Feed, LogId};
use crate::hold::{Policy, SHORTEST_REST};
use crate::invocation::Invocation;
use crate::metrics::{self, Metrics};
use crate::wake::Wake;

use account::Account;
use backoff::Backoff;
use finish::Cause;
pub use frames::PublicChange;
pub(crate) use frames::show_only;
use hazards::HazardCache;
use held::Waking;
use outbox::{Message, Outbox};
use reads::Reads;
use round::Round;
use watched::Watched;

/// When a session polls the feed, sends a heartbeat and ends.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two polls of the feed.
    pub poll_interval: Duration,
    /// After this time without a chunk, a comment is sent.
    pub heartbeat: Duration,
    /// When the response ends at the latest.
    pub limits: Limits,
    /// Decides whether the response ends earlier. With `None`, it is held until then.
    pub policy: Option<Policy>,
    /// The client has just opened the stream.
    pub first_visit: bool,
    /// The client gets what is written at once. If not, a change during a hold would be late, so the response is not held.
    pub streams: bool,
}

/// What the sessions of a process share.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    backoff: Backoff,
    hazards: HazardCache,
    public_attributes: Arc<BTreeSet<String>>,
    wake: Option<Wake>,
    reads: Reads,
    metrics: Metrics,
}

impl Shared {
    /// For sessions that show these attributes of an order.
    pub fn new(public_attributes: BTreeSet<String>) -> Self {
        Self {
            public_attributes: Arc::new(public_attributes),
            ..Self::default()
        }
    }

    /// Wakes the sessions. Then many of them read at the same moment, so their reads are joined.
    pub(crate) fn set_wake(&mut self, wake: Wake) {
        self.wake = Some(wake);
        self.reads = Reads::joined();
    }

    /// Counts here what sessions do, and not in counts of their own.
    pub(crate) fn set_metrics(&mut self, metrics: Metrics) {
        self.metrics = metrics;
    }

    /// Reads the dwell times before a session needs them.
    pub(crate) async fn prepare(&self, feed: impl Feed, limit: Duration, clock: Clock) {
        self.hazards.clone().read(feed, limit, clock).await;
    }
}

/// One response to one client.
#[derive(Debug)]
pub struct Session<F> {
    feed: F,
    shared: Shared,
    clock: Clock,
    random: fastrand::Rng,
    timing: Timing,
    phase: Phase,
    watched: Vec<Watched>,
    round: Round,
    next_poll: Instant,
    waking: Waking,
    outbox: Outbox,
    next_heartbeat: Instant,
    /// `ready` was sent, and no `reset` after it.
    caught_up: bool,
    account: Account,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    /// As `Opening`, but the feed is not read and the client is asked to come back.
    Postponing(Cause),
    Postponed(Cause),
    Reading,
    /// Everything that was read is sent.
    Deciding,
    /// Dwell times are being read, for the decision.
    Learning,
    Held,
    /// Nothing more is read: the client is told when its token expires.
    Expiring,
    Over,
}

impl<F: Feed> Session<F> {
    /// A session on logs, from a cursor on. `None` stands for a cursor that could not be read.
    pub fn new(
        feed: F,
        shared: Shared,
        logs: Vec<LogId>,
        cursor: Option<Cursor>,
        timing: Timing,
        invocation: Invocation,
    ) -> Self {
        let start = invocation.clock.start();
        Self {
            feed,
            shared,
            clock: invocation.clock,
            random: invocation.random,
            timing,
            phase: Phase::Opening,
            outbox: Outbox::new(cursor, logs.len()),
            waking: Waking::new(logs.len(), start),
            watched: logs.into_iter().map(Watched::new).collect(),
            round: Round::new(start),
            next_poll: start,
            next_heartbeat: start + timing.heartbeat,
            caught_up: false,
            account: Account::new(),
        }
    }

    /// A session that ends before it reads the feed, because it is not known now whether the client may watch the orders.
    #[must_use]
    pub fn postponed(mut self) -> Self {
        self.phase = Phase::Postponing(Cause::KeysUnavailable);
        self
    }

    /// A session that ends before it reads the feed, because the client's token has opened too much. The client comes back after
    /// this time.
    #[must_use]
    pub fn refused(mut self, rest: Duration) -> Self {
        self.phase = Phase::Postponing(Cause::TooMuchOpen(rest));
        self
    }

    /// The next bytes of the response; `None` at its end.
    ///
    /// A session never fails, because a client cannot tell a body that breaks off from one that ends. So every end is a frame.
    pub async fn next(&mut self) -> Option<Bytes> {
        // The runtime polls a response outside the invocation's span.
        let span = self.account.span.clone();
        let next = self.proceed().instrument(span);
        let next = AssertUnwindSafe(next).catch_unwind().await;
        let chunk = next.unwrap_or_else(|_| {
            tracing::error!("a session panicked, the client is asked to come back");
            // After a panic, only what was sent before is relied on.
            self.rest(Cause::Panicked);
            self.outbox.take()
        });
        let now = self.clock.now();
        self.next_heartbeat = now + self.timing.heartbeat;
        // The end of a shorter response reports it.
        if now >= self.clock.start() + metrics::INTERVAL {
            self.shared.metrics.flush(&self.clock);
        }
        chunk
    }

    async fn proceed(&mut self) -> Option<Bytes> {
        loop {
            // A single message is sent, because it may be the end itself.
            if self.outbox.len() > 1 && self.clock.now() >= self.timing.limits.drop {
                self.rest(Cause::SlowReader);
            }
            if let Some(chunk) = self.outbox.take() {
                return Some(chunk);
            }
            match self.phase {
                Phase::Opening | Phase::Postponing(_) => self.open(),
                Phase::Postponed(cause) => {
                    self.rest(cause);
                }
                Phase::Deciding => self.decide(),
                Phase::Reading | Phase::Learning | Phase::Held | Phase::Expiring => {
                    self.wait().await;
                }
                Phase::Over => return None,
            }
        }
    }

    /// The first chunk, sent before the feed is read: `onopen` fires, proxies flush, and the client has a cursor.
    fn open(&mut self) {
        let retry = self.jittered(SHORTEST_REST);
        self.outbox.push(Message::Hello(retry));
        self.count_opened();
        if let Phase::Postponing(cause) = self.phase {
            self.phase = Phase::Postponed(cause);
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
        let logs = self.watched[orders.clone()].iter();
        let logs = logs.map(|watched| watched.log.clone()).collect();
        let reset = Message::Reset(orders, logs, reason);
        self.count_reset(reason);
        self.outbox.push(reset);
    }

    /// Waits for what comes first: what the phase waits for, the next heartbeat, or the end.
    async fn wait(&mut self) {
        let now = self.clock.now();
        if now >= self.timing.limits.end {
            self.rest(Cause::WindowOver);
            return;
        }
        if now >= self.next_heartbeat {
            return self.outbox.push(Message::Comment);
        }
        let until = self.timing.limits.end.min(self.next_heartbeat);
        match self.phase {
            Phase::Held => self.stay_held(now, until).await,
            Phase::Reading | Phase::Learning => self.read(now, until).await,
            _ => sleep_until(until).await,
        }
    }
}

//! One response: from a cursor, through the feed, to a clean ending.
//!
//! ```text
//! Opening ──▶ CatchingUp ──▶ Deciding ◀──▶ Live ──▶ Over
//!  hello       (reset)        hold, or     changes   end, expired or rest
//!              changes        rest         comments
//!              ready
//! ```

mod frames;
mod knowledge;
mod weather;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::Clock;
use crate::cursor::{Cursor, Mark, UNREADABLE};
use crate::feed::{Consistency, Discontinuity, Entry, Feed, FeedError, Reading, read_all};
use crate::frame::{COMMENT, Frame, FrameError};
use crate::hold::{FIRST_HOLD, Next, Outlook, Policy, SHORTEST_REST};
use crate::order::{OrderId, Seq, Status};

pub use frames::PublicChange;
use knowledge::Knowledge;
use weather::Weather;

/// A client does not rest beyond its token's last seconds: they are held, so that it is told `expired`. Had it come back with a
/// token that has expired, it would be refused, and an `EventSource` gives up on that.
const LAST_SECONDS: Duration = Duration::from_secs(3);

/// How long after its end a session goes on sending what it has: a reader that takes longer gets the rest of it next time.
/// It is a part of what `hold` leaves before the deadline.
const OVERTIME: Duration = Duration::from_millis(100);

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
    weather: Weather,
    knowledge: Knowledge,
}

/// One response to one client.
#[derive(Debug)]
pub struct Session<F> {
    feed: F,
    watched: Vec<Watched>,
    /// The client's cursor could not be read.
    cursor_unreadable: bool,
    clock: Clock,
    pace: Pace,
    phase: Phase,
    /// The last look gave something to tell.
    told: bool,
    next_look: Instant,
    next_heartbeat: Instant,
    chunks: VecDeque<Chunk>,
    /// The id of the last frame that was sent; `None` before `hello`.
    sent: Option<String>,
    shared: Shared,
    random: fastrand::Rng,
}

/// An order, and how far the client has seen it.
#[derive(Debug)]
struct Watched {
    order: OrderId,
    mark: Mark,
    /// The status after the newest entry, and when that was appended, in milliseconds since the Unix epoch.
    newest: Option<(Status, u64)>,
    /// The newest entry is terminal.
    finished: bool,
}

/// What waits to be sent, and the id that the client then has.
#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    /// `None` of a comment.
    id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    /// As `Opening`, and `Over` comes next.
    Postponed,
    CatchingUp,
    /// Everything that was read is told.
    Deciding,
    Live,
    Over,
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
        let cursor_unreadable = cursor.is_none();
        let Cursor(marks) = cursor.unwrap_or_else(|| Cursor::start(orders.len()));
        let watched = |(order, mark)| Watched {
            order,
            mark,
            newest: None,
            finished: false,
        };
        Self {
            feed,
            watched: orders.into_iter().zip(marks).map(watched).collect(),
            cursor_unreadable,
            clock,
            pace,
            phase: Phase::Opening,
            told: false,
            next_look: clock.start(),
            next_heartbeat: clock.start() + pace.heartbeat,
            chunks: VecDeque::new(),
            sent: None,
            shared,
            random,
        }
    }

    /// A session that ends before it looks at the feed, for it cannot be told now whether the client may see it.
    #[must_use]
    pub fn postponed(mut self) -> Self {
        self.phase = Phase::Postponed;
        self
    }

    /// The next bytes of the response; `None` at its end.
    ///
    /// A session never fails: a body that breaks off looks to a client like any other, so whatever happens ends in a frame.
    pub async fn next(&mut self) -> Option<Bytes> {
        // After a panic, nothing is used but what was sent before.
        let next = AssertUnwindSafe(self.proceed()).catch_unwind().await;
        if next.is_err() {
            tracing::error!("a session panicked, the client is asked to come back");
            let retry = self.shared.weather.worsens();
            let rest = frames::rest(self.jittered(retry));
            self.break_off(rest);
        }
        match next {
            Ok(chunk) => chunk,
            Err(_) => self.chunks.pop_front().map(|rest| rest.bytes),
        }
    }

    async fn proceed(&mut self) -> Option<Bytes> {
        loop {
            if self.sent.is_some() && self.chunks.len() > 1 && self.is_overdue() {
                let goodbye = self.goodbye();
                self.break_off(goodbye);
            }
            if let Some(Chunk { bytes, id }) = self.chunks.pop_front() {
                self.next_heartbeat = self.clock.now() + self.pace.heartbeat;
                self.sent = id.or(self.sent.take());
                return Some(bytes);
            }
            match self.phase {
                Phase::Opening => self.open(),
                Phase::Postponed => {
                    self.open();
                    let retry = self.shared.weather.worsens();
                    self.rest(retry);
                }
                Phase::CatchingUp => self.look_in_time().await,
                Phase::Deciding => self.decide().await,
                Phase::Live => self.wait().await,
                Phase::Over => return None,
            }
        }
    }

    fn is_overdue(&self) -> bool {
        self.clock.now() >= self.pace.end + OVERTIME
    }

    /// Says goodbye in place of all that waits: the client goes on from what it was sent.
    fn break_off(&mut self, goodbye: Result<Frame, FrameError>) {
        self.chunks.clear();
        self.phase = Phase::Over;
        if let Some(id) = self.sent.clone() {
            self.push_with(id, goodbye);
        }
    }

    /// The first chunk, before the feed was asked: `onopen` fires, proxies flush, and the client has a cursor. WebKit glues
    /// a frame that was cut off to the next response: `hello`'s data, which nobody reads, takes the debris.
    fn open(&mut self) {
        let retry = self.jittered(SHORTEST_REST);
        let hello = frames::hello(retry);
        match self.cursor_unreadable {
            // Whoever is cut off before `reset` must be told it the next time.
            true => self.push_with(UNREADABLE.to_owned(), hello),
            false => self.push(hello),
        }
        if let Some(hello) = self.chunks.front_mut() {
            hello.bytes = [&COMMENT[..], &hello.bytes].concat().into();
        }
        if self.cursor_unreadable {
            let orders = self.watched.iter().map(|watched| watched.order.clone());
            let orders: Vec<_> = orders.collect();
            self.push(frames::reset(&orders, Discontinuity::UnknownCursor));
        }
        self.phase = Phase::CatchingUp;
    }

    async fn wait(&mut self) {
        let now = self.clock.now();
        if now >= self.pace.end {
            self.end_of_window();
        } else if now >= self.next_look {
            self.look_in_time().await;
        } else if now >= self.next_heartbeat {
            self.push_comment();
        } else {
            sleep_until(self.next_look.min(self.next_heartbeat).min(self.pace.end)).await;
        }
    }

    async fn look_in_time(&mut self) {
        match timeout_at(self.pace.end, self.look()).await {
            Ok(Ok(())) => {
                self.shared.weather.clears_up();
                self.next_look = self.clock.now() + self.pace.poll_interval;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the feed could not be read, the client is asked to come back");
                let retry = self.shared.weather.worsens();
                self.rest(retry);
            }
            Err(_) => self.end_of_window(),
        }
    }

    async fn look(&mut self) -> Result<(), FeedError> {
        for index in 0..self.watched.len() {
            if self.phase == Phase::CatchingUp || !self.watched[index].finished {
                self.look_at(index, Consistency::Eventual).await?;
            }
        }
        if self.all_finished() {
            // `end` closes the tab: a replica that lags must not be the one to say so.
            for index in 0..self.watched.len() {
                self.look_at(index, Consistency::Strong).await?;
            }
        }
        if self.all_finished() {
            self.end();
            self.push_comment();
            return Ok(());
        }
        if self.phase == Phase::CatchingUp {
            self.push(frames::ready());
        }
        self.told = !self.chunks.is_empty();
        self.phase = Phase::Deciding;
        Ok(())
    }

    async fn look_at(&mut self, index: usize, consistency: Consistency) -> Result<(), FeedError> {
        let Watched { order, mark, .. } = &self.watched[index];
        let (order, mark) = (order.clone(), *mark);
        let entries = read_all(&self.feed, &order, mark.seq, consistency).await?;
        let reading = Reading::new(entries, &self.clock);
        if let Ok(entries) = reading.after(&mark) {
            self.show(index, entries, &reading);
            return Ok(());
        }
        // Perhaps only a replica that lags: `reset` is said on the strength of the whole log.
        let entries = read_all(&self.feed, &order, Seq::ZERO, Consistency::Strong).await?;
        let reading = Reading::new(entries, &self.clock);
        match reading.after(&mark) {
            Ok(entries) => self.show(index, entries, &reading),
            Err(reason) => {
                self.watched[index].mark = Mark::START;
                // A page shows what it was told before until it is told that the replay is whole.
                self.phase = Phase::CatchingUp;
                self.push(frames::reset(&[order], reason));
                self.show(index, reading.entries(), &reading);
            }
        }
        Ok(())
    }

    fn show(&mut self, index: usize, entries: &[Entry], reading: &Reading) {
        for entry in entries {
            self.watched[index].mark = entry.mark();
            self.push(frames::change(entry));
        }
        let newest = reading.newest();
        self.watched[index].finished = newest.is_some_and(|newest| newest.terminal);
        self.watched[index].newest =
            newest.map(|newest| (newest.status.clone(), newest.appended_at));
    }

    fn all_finished(&self) -> bool {
        self.watched.iter().all(|watched| watched.finished)
    }

    fn end(&mut self) {
        let mut orders = serde_json::Map::new();
        for watched in &mut self.watched {
            watched.mark.ended = true;
            let status = watched.newest.as_ref().map(|(status, _)| status);
            orders.insert(watched.order.to_string(), json!(status));
        }
        self.push(frames::end(orders));
        self.phase = Phase::Over;
    }

    /// Everything is told: holds the response until the next look, or ends it.
    async fn decide(&mut self) {
        self.phase = Phase::Live;
        let next = self.hold_or_rest().await;
        if let Next::Rest(rest) = self.before_expiry(next) {
            self.push(frames::rest(rest));
            self.phase = Phase::Over;
        } else if self.told {
            // Node's clients were reported to hold a small chunk back until the next one comes.
            self.push_comment();
        }
    }

    async fn hold_or_rest(&mut self) -> Next {
        let Some(policy) = self.pace.policy else {
            return Next::Hold;
        };
        let unfinished = self.watched.iter().filter(|watched| !watched.finished);
        let unknown = unfinished.clone().any(|watched| watched.newest.is_none());
        if unknown && self.pace.first_visit && self.clock.now() < self.clock.start() + FIRST_HOLD {
            return Next::Hold;
        }
        let knowledge = &self.shared.knowledge;
        let hazards = knowledge
            .hazards(&self.feed, &self.clock, self.pace.end)
            .await;
        let now = self.clock.epoch_millis();
        let outlook = |watched: &Watched| {
            let Some((status, appended_at)) = &watched.newest else {
                return Outlook::Unknown;
            };
            let quiet = Duration::from_millis(now.saturating_sub(*appended_at)).as_secs_f64();
            match hazards.get(status) {
                Some(hazard) => Outlook::Learned(hazard, quiet),
                None => Outlook::Unlearned(quiet),
            }
        };
        let outlooks: Vec<_> = unfinished.map(outlook).collect();
        policy.next(&outlooks, self.random.f64())
    }

    fn before_expiry(&self, next: Next) -> Next {
        match (next, self.pace.expiry) {
            (Next::Rest(rest), Some(expiry)) => {
                let left = expiry.saturating_duration_since(self.clock.now());
                let rest = rest.min(left.saturating_sub(LAST_SECONDS));
                match rest < SHORTEST_REST {
                    true => Next::Hold,
                    false => Next::Rest(rest),
                }
            }
            _ => next,
        }
    }

    fn end_of_window(&mut self) {
        let goodbye = self.goodbye();
        self.push(goodbye);
        self.phase = Phase::Over;
    }

    fn goodbye(&mut self) -> Result<Frame, FrameError> {
        let now = self.clock.now();
        match self.pace.expiry.is_some_and(|expiry| now >= expiry) {
            true => frames::expired(),
            false => frames::rest(self.jittered(SHORTEST_REST)),
        }
    }

    fn rest(&mut self, retry: Duration) {
        let retry = self.jittered(retry);
        self.push(frames::rest(retry));
        self.phase = Phase::Over;
    }

    /// Up to a half longer, so that clients that were cut off together do not come back together.
    fn jittered(&mut self, retry: Duration) -> Duration {
        retry.mul_f64(1.0 + self.random.f64() / 2.0)
    }

    fn push(&mut self, frame: Result<Frame, FrameError>) {
        let cursor = Cursor(self.watched.iter().map(|watched| watched.mark).collect());
        self.push_with(cursor.to_string(), frame);
    }

    fn push_comment(&mut self) {
        let bytes = COMMENT;
        self.chunks.push_back(Chunk { bytes, id: None });
    }

    fn push_with(&mut self, id: String, frame: Result<Frame, FrameError>) {
        match frame.and_then(|frame| frame.id(&id)) {
            Ok(frame) => self.chunks.push_back(Chunk {
                bytes: frame.encode(),
                id: Some(id),
            }),
            // Event types are literals and a cursor is digits: neither can break a line.
            Err(error) => tracing::error!(%error, "a frame was not sent"),
        }
    }
}

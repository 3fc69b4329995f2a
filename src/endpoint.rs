//! An HTTP request becomes a response.

mod answer;
mod question;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join_all;
use http::{Method, Response, StatusCode};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::access::{Access, AccessError};
use crate::clock::Clock;
use crate::cursor::{Cursor, Mark};
use crate::feed::{Consistency, Entry, Feed, FeedError, Reading};
use crate::hold::held_for;
use crate::order::OrderId;
use crate::request::Request;
use crate::session::{Pace, PublicChange, Session, Shared, show_only};
use crate::settings::StreamSettings;

pub use answer::Body;
use question::{Question, QuestionError};

/// A response must have begun before its client, or a proxy, loses patience.
const LONGEST_READING: Duration = Duration::from_secs(3);

/// Serves `GET /orders/{orderId}/events` and `GET /orders/events?order=A&order=B`.
#[derive(Debug)]
pub struct Endpoint<F> {
    feed: F,
    access: Access,
    settings: StreamSettings,
    shared: Shared,
}

impl<F: Feed> Endpoint<F> {
    /// An endpoint in front of a feed.
    pub fn new(feed: F, settings: StreamSettings) -> Self {
        Self {
            feed,
            access: Access::new(settings.access.clone()),
            shared: Shared::new(settings.public_attributes.clone()),
            settings,
        }
    }

    /// Responds to a Lambda event, which has to be responded to by the deadline (0 is none), in milliseconds since the
    /// Unix epoch. An event that is not an HTTP request is answered 400: a function error would raise an alarm.
    pub async fn respond_to_event(
        &self,
        event: &str,
        deadline: u64,
        clock: Clock,
        random: fastrand::Rng,
    ) -> Response<Body> {
        match Request::read(event) {
            Ok(request) => {
                let request = request.with_deadline(deadline);
                self.respond(&request, clock, random).await
            }
            Err(error) => answer::problem(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }

    /// Answers a request. What will pass by itself is answered 200 and a time to come back: for
    /// anything else than 200 an `EventSource` gives up for good.
    pub async fn respond(
        &self,
        request: &Request,
        clock: Clock,
        random: fastrand::Rng,
    ) -> Response<Body> {
        let response = match Question::read(request, &self.settings.base_path) {
            Err(error) => answer::problem(status(&error), error.to_string()),
            Ok(_) if request.method() == Method::OPTIONS => answer::options(),
            Ok(question) => self.answer(request, question, clock, random).await,
        };
        match *request.method() {
            Method::HEAD => answer::without_body(response),
            _ => response,
        }
    }

    /// The feed is asked after access alone: what a client is denied does not depend on what is
    /// there.
    async fn answer(
        &self,
        request: &Request,
        question: Question,
        clock: Clock,
        random: fastrand::Rng,
    ) -> Response<Body> {
        let deadline = request.deadline();
        // A token for longer than time can be told is one for ever.
        let expiry =
            |lasts: Option<Duration>| lasts.and_then(|lasts| clock.now().checked_add(lasts));
        match self.access.check(request, &question.orders, &clock).await {
            Ok(_) if question.as_json => self.snapshot(&question.orders, deadline, &clock).await,
            Ok(pass) => {
                let expiry = expiry(pass.lasts);
                self.stream(question, expiry, deadline, clock, random).await
            }
            Err(AccessError::KeysUnavailable) if !question.as_json => {
                let expiry = expiry(self.access.unverified_expiry(request, &clock));
                let pace = self.pace(&question, Duration::ZERO, expiry, &clock);
                answer::event_stream(self.session(question, clock, pace, random).postponed())
            }
            Err(error) => answer::denied(&error),
        }
    }

    /// `deadline`: of the function, in milliseconds since the Unix epoch.
    async fn stream(
        &self,
        question: Question,
        expiry: Option<Instant>,
        deadline: u64,
        clock: Clock,
        mut random: fastrand::Rng,
    ) -> Response<Body> {
        let cursor = question.cursor.as_ref();
        if let Some(ended) = cursor.filter(|cursor| cursor.ended()) {
            let reading = self.nothing_since(&question.orders, ended, &clock);
            match calmly(clock.remaining(deadline), reading).await {
                Ok(true) => return answer::no_content(),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "not seen whether the orders are finished"),
            }
        }
        let remaining = clock.remaining(deadline);
        let held = held_for(self.settings.window, remaining, random.f64());
        let pace = self.pace(&question, held, expiry, &clock);
        answer::event_stream(self.session(question, clock, pace, random))
    }

    fn pace(
        &self,
        question: &Question,
        held: Duration,
        expiry: Option<Instant>,
        clock: &Clock,
    ) -> Pace {
        let end = clock.now() + held;
        Pace {
            poll_interval: self.settings.poll_interval,
            heartbeat: self.settings.heartbeat,
            end: expiry.map_or(end, |expiry| expiry.min(end)),
            expiry,
            policy: self.settings.policy,
            first_visit: question.first_visit,
        }
    }

    fn session(
        &self,
        Question { orders, cursor, .. }: Question,
        clock: Clock,
        pace: Pace,
        random: fastrand::Rng,
    ) -> Session<F> {
        let (feed, shared) = (self.feed.clone(), self.shared.clone());
        Session::new(feed, orders, cursor, clock, pace, shared, random)
    }

    /// Whether the client, which was told that its orders are finished, has missed nothing since.
    /// 204 closes a tab for good, so every order is read, and no lagging replica is asked.
    async fn nothing_since(
        &self,
        orders: &[OrderId],
        cursor: &Cursor,
        clock: &Clock,
    ) -> Result<bool, FeedError> {
        let orders = orders.iter().zip(&cursor.0);
        let readings = orders.map(|(order, mark)| self.is_unchanged(order, mark, clock));
        Ok(try_join_all(readings).await?.into_iter().all(|it| it))
    }

    async fn is_unchanged(
        &self,
        order: &OrderId,
        mark: &Mark,
        clock: &Clock,
    ) -> Result<bool, FeedError> {
        let unchanged = |reading: &Reading| {
            let finished = reading.newest().is_some_and(|newest| newest.terminal);
            finished && reading.after(mark).is_ok_and(<[_]>::is_empty)
        };
        let page = self.feed.read(order, mark.seq, Consistency::Strong).await?;
        if unchanged(&Reading::new(page.entries, clock)) {
            return Ok(!page.more);
        }
        // The entry of the mark may have expired: the end of the log still says how the order ended.
        let page = self.feed.latest(order, Consistency::Strong).await?;
        let reading = Reading::latest(page.entries, clock);
        // If the whole log has expired, nothing came after the end.
        Ok(reading.newest().is_none() || unchanged(&reading))
    }

    /// The newest change of each order, and the cursor from which a stream goes on.
    async fn snapshot(&self, orders: &[OrderId], deadline: u64, clock: &Clock) -> Response<Body> {
        let newest = try_join_all(orders.iter().map(|order| self.newest(order, clock)));
        let newest = match calmly(clock.remaining(deadline), newest).await {
            Ok(newest) => newest,
            Err(error) => {
                tracing::warn!(%error, "no snapshot");
                // Whoever asks for JSON reads the status.
                let detail = "the feed cannot be read at the moment".to_owned();
                return answer::problem(StatusCode::SERVICE_UNAVAILABLE, detail);
            }
        };
        let marks = newest
            .iter()
            .map(|entry| entry.as_ref().map_or(Mark::START, Entry::mark));
        let cursor = Cursor(marks.collect()).to_string();
        let changes: Vec<_> = newest.iter().flatten().map(PublicChange::from).collect();
        answer::json(&json!({ "orders": changes, "cursor": cursor }))
    }

    async fn newest(&self, order: &OrderId, clock: &Clock) -> Result<Option<Entry>, FeedError> {
        let mut newest = self.feed.newest(order).await?;
        if newest.as_ref().is_some_and(|entry| entry.is_expired(clock)) {
            let page = self.feed.latest(order, Consistency::Strong).await?;
            newest = Reading::latest(page.entries, clock).into_entries().pop();
        }
        if let Some(entry) = &mut newest {
            show_only(&self.settings.public_attributes, entry);
        }
        Ok(newest)
    }
}

/// What is read before a response begins: within a time, and where it panics it has failed. The
/// platform would make a 502 of either, for which browsers give up.
async fn calmly<T>(
    remaining: Option<Duration>,
    reading: impl Future<Output = Result<T, FeedError>>,
) -> Result<T, FeedError> {
    let limit = remaining.map_or(LONGEST_READING, |left| LONGEST_READING.min(left / 2));
    let reading = AssertUnwindSafe(reading).catch_unwind();
    let failed = |message: &str| {
        Err(FeedError::Unavailable {
            message: message.to_owned(),
            source: message.into(),
        })
    };
    match timeout(limit, reading).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => failed("the reading panicked"),
        Err(_) => failed("the reading took too long"),
    }
}

fn status(error: &QuestionError) -> StatusCode {
    match error {
        QuestionError::NotFound(_) => StatusCode::NOT_FOUND,
        QuestionError::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::BAD_REQUEST,
    }
}

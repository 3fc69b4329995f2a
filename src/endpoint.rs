//! An HTTP request becomes a response.

mod answer;
mod question;

use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Method, Response, StatusCode};
use lambda_http::{Request, RequestExt};
use serde_json::json;

use crate::clock::Clock;
use crate::cursor::{Cursor, Mark};
use crate::feed::{Consistency, Entry, Feed, FeedError, Reading};
use crate::hold::held_for;
use crate::order::OrderId;
use crate::session::{Pace, PublicChange, Session, Shared};
use crate::settings::StreamSettings;

pub use answer::Body;
use question::{Question, QuestionError};

/// Serves `GET /orders/{orderId}/events` and `GET /orders/events?order=A&order=B`.
#[derive(Debug)]
pub struct Endpoint<F> {
    feed: F,
    settings: StreamSettings,
    shared: Shared,
}

impl<F: Feed> Endpoint<F> {
    /// An endpoint in front of a feed.
    pub fn new(feed: F, settings: StreamSettings) -> Self {
        Self {
            feed,
            settings,
            shared: Shared::default(),
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
        let response = match Question::read(request) {
            Err(error) => answer::problem(status(&error), error.to_string()),
            Ok(_) if request.method() == Method::OPTIONS => answer::options(),
            Ok(question) if question.as_json => self.snapshot(&question.orders, &clock).await,
            Ok(question) => {
                let deadline = request
                    .lambda_context_ref()
                    .map_or(0, |context| context.deadline);
                self.stream(question, deadline, clock, random).await
            }
        };
        match *request.method() {
            Method::HEAD => answer::without_body(response),
            _ => response,
        }
    }

    /// `deadline`: of the function, in milliseconds since the Unix epoch.
    async fn stream(
        &self,
        Question {
            orders,
            cursor,
            first_visit,
            ..
        }: Question,
        deadline: u64,
        clock: Clock,
        mut random: fastrand::Rng,
    ) -> Response<Body> {
        if let Some(ended) = cursor.as_ref().filter(|cursor| cursor.ended()) {
            match self.nothing_since(&orders, ended, &clock).await {
                Ok(true) => return answer::no_content(),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "not seen whether the orders are finished"),
            }
        }
        let settings = &self.settings;
        let held = held_for(settings.window, clock.remaining(deadline), random.f64());
        let pace = Pace {
            poll_interval: settings.poll_interval,
            heartbeat: settings.heartbeat,
            end: clock.now() + held,
            policy: settings.policy,
            first_visit,
        };
        let (feed, shared) = (self.feed.clone(), self.shared.clone());
        let session = Session::new(feed, orders, cursor, clock, pace, shared, random);
        answer::event_stream(session)
    }

    /// Whether the client, which was told that its orders are finished, has missed nothing since.
    /// 204 closes a tab for good, so no lagging replica is asked.
    async fn nothing_since(
        &self,
        orders: &[OrderId],
        cursor: &Cursor,
        clock: &Clock,
    ) -> Result<bool, FeedError> {
        for (order, mark) in orders.iter().zip(&cursor.0) {
            let entries = self.feed.read(order, mark.seq, Consistency::Strong).await?;
            let reading = Reading::new(entries, clock);
            // Where the whole log has expired, nothing came after the end.
            let Some(newest) = reading.newest() else {
                continue;
            };
            let unchanged = reading.after(mark).is_ok_and(<[_]>::is_empty);
            if !(unchanged && newest.terminal) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The newest change of each order, and the cursor from which a stream goes on.
    async fn snapshot(&self, orders: &[OrderId], clock: &Clock) -> Response<Body> {
        let newest = stream::iter(orders).then(|order| self.feed.newest(order));
        let newest = match newest.try_collect::<Vec<_>>().await {
            Ok(newest) => newest
                .into_iter()
                .map(|entry| entry.filter(|entry| !entry.is_expired(clock))),
            Err(error) => {
                tracing::warn!(%error, "no snapshot");
                // Whoever asks for JSON reads the status.
                let detail = "the feed cannot be read at the moment".to_owned();
                return answer::problem(StatusCode::SERVICE_UNAVAILABLE, detail);
            }
        };
        let newest: Vec<_> = newest.collect();
        let marks = newest
            .iter()
            .map(|entry| entry.as_ref().map_or(Mark::START, Entry::mark));
        let cursor = Cursor(marks.collect()).to_string();
        let changes: Vec<_> = newest.iter().flatten().map(PublicChange::from).collect();
        answer::json(&json!({ "orders": changes, "cursor": cursor }))
    }
}

fn status(error: &QuestionError) -> StatusCode {
    match error {
        QuestionError::NotFound => StatusCode::NOT_FOUND,
        QuestionError::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::BAD_REQUEST,
    }
}

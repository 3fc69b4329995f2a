//! From an HTTP request to a response.

mod reading;
mod request;
mod response;
mod snapshot;

use std::time::Duration;

use futures_util::future::join;
use http::{Method, Response, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use crate::access::{Access, AccessError, Grant, Place, Refusal, Usage, Wanted};
use crate::clock::Clock;
use crate::cors::is_preflight;
use crate::cursor::Cursor;
use crate::feed::{Feed, LogId};
use crate::invocation::Invocation;
use crate::metrics::{Count, Metrics};
use crate::request::Request;
use crate::session::{PublicChange, Session, Shared, Timing};
use crate::settings::StreamSettings;
use crate::wake::Wake;

use reading::{nothing_since, within_limit};
use request::{EventsRequest, EventsRequestError};
pub use response::Body;
use snapshot::{Limit, Snapshot};

/// The window of a response that is not streamed. It is not held, so only slow readings take as long. A load balancer waits for 60 s,
/// an HTTP API for 30 s.
const WHOLE_WINDOW: Duration = Duration::from_secs(10);

/// Serves `GET /orders/{orderId}/events`, `GET /orders/events?order=A&order=B`, and, if tokens name customers,
/// `GET /customers/me/events`.
#[derive(Debug)]
pub struct Endpoint<F> {
    feed: F,
    access: Access,
    settings: StreamSettings,
    shared: Shared,
    /// What the clients' tokens have opened.
    usage: Usage,
    metrics: Metrics,
}

impl<F: Feed> Endpoint<F> {
    /// An endpoint in front of a feed.
    pub fn new(feed: F, settings: StreamSettings) -> Self {
        Self {
            feed,
            access: Access::new(settings.access.clone()),
            shared: Shared::new(settings.public_attributes.clone()),
            settings,
            usage: Usage::default(),
            metrics: Metrics::default(),
        }
    }

    /// Counts there what is requested and sent.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.shared.set_metrics(metrics.clone());
        self.metrics = metrics;
        self
    }

    /// Wakes held responses at once when an order of theirs has changed.
    #[must_use]
    pub fn with_wake(mut self, wake: Option<Wake>) -> Self {
        if let Some(wake) = wake {
            self.shared.set_wake(wake);
        }
        self
    }

    /// Reads what the first request needs before it arrives: the dwell times, and the key set if it has a URL. This also makes
    /// the first connection to DynamoDB, which costs more than a hundred check-ins.
    ///
    /// What fails, or takes longer than the limit, is logged. A request then tries again.
    pub async fn prepare(&self, limit: Duration, clock: &Clock) {
        let dwells = self.shared.prepare(self.feed.clone(), limit, *clock);
        join(dwells, self.access.prepare(clock)).await;
    }

    /// Responds to a Lambda event. If the event is not an HTTP request, the response is a 400: a function error would raise an
    /// alarm.
    pub async fn respond_to_event(&self, event: &str, invocation: Invocation) -> Response<Body> {
        match Request::read(event) {
            Ok(request) => self.respond(&request, invocation).await,
            Err(error) => {
                self.count(StatusCode::BAD_REQUEST);
                response::problem(StatusCode::BAD_REQUEST, error.to_string())
            }
        }
    }

    /// Responds to a request. The response has the request's [`Invoker`](crate::request::Invoker) as an extension. If that does not
    /// stream, the body ends soon.
    ///
    /// If a stream cannot be served now but can later, the response is a 200 that says when to come back, because an
    /// `EventSource` gives up for good on any other status.
    pub async fn respond(&self, request: &Request, invocation: Invocation) -> Response<Body> {
        let invoker = request.invoker();
        let customers = self.access.knows_customers();
        let response = match EventsRequest::read(request, &self.settings.base_path, customers) {
            // If a preflight fails, a browser does not show the page the response, and not even its status.
            _ if is_preflight(request) && !invoker.answers_cors() => response::options(),
            Err(error) => response::problem(status(&error), error.to_string()),
            Ok(_) if request.method() == Method::OPTIONS => response::options(),
            Ok(asked) => self.check_access(request, asked, invocation).await,
        };
        self.count(response.status());
        let mut response = match *request.method() {
            Method::HEAD => response::without_body(response),
            _ => response,
        };
        if !invoker.answers_cors() {
            self.settings.cors.add(request, response.headers_mut());
        }
        response.extensions_mut().insert(invoker);
        response
    }

    /// Counts a response that is no stream.
    fn count(&self, status: StatusCode) {
        let count = match status {
            StatusCode::NO_CONTENT => Count::NoContent,
            StatusCode::UNAUTHORIZED => Count::Unauthorized,
            StatusCode::FORBIDDEN => Count::Forbidden,
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Count::BadRequests
            }
            _ => return,
        };
        self.metrics.count(count);
    }

    /// The feed is read only after access was given. So what a denied client learns does not depend on what the feed holds.
    async fn check_access(
        &self,
        request: &Request,
        asked: EventsRequest,
        invocation: Invocation,
    ) -> Response<Body> {
        let clock = invocation.clock;
        // A token that is valid for longer than an `Instant` can hold never expires.
        let expiry = |left: Option<Duration>| left.and_then(|left| clock.now().checked_add(left));
        match self.access.check(request, &asked.wanted, &clock).await {
            Ok(grant) => match self.open(&grant, &clock) {
                Ok(_) if asked.as_json => {
                    self.snapshot(&grant.logs, asked.streams, &invocation).await
                }
                Ok(place) => {
                    let expiry = expiry(grant.expires_in);
                    let asked = (asked, grant.logs);
                    self.stream(asked, expiry, invocation, place).await
                }
                Err(_) if asked.as_json => response::problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "this token has opened too much in the last minute".to_owned(),
                ),
                Err(refusal) => {
                    let expiry = expiry(grant.expires_in);
                    let timing = self.timing(&asked, Duration::ZERO, expiry, &invocation);
                    let session = self.session(asked.cursor, grant.logs, timing, invocation);
                    response::event_stream(session.refused(refusal.rest), None)
                }
            },
            Err(AccessError::KeysUnavailable) if !asked.as_json => {
                let expiry = expiry(self.access.unverified_expiry(request, &clock));
                let timing = self.timing(&asked, Duration::ZERO, expiry, &invocation);
                let logs = asked.wanted.logs_before_access();
                let session = self.session(asked.cursor, logs, timing, invocation);
                response::event_stream(session.postponed(), None)
            }
            Err(error) => response::denied(&error),
        }
    }

    /// Counts what a token opens. `None` if access is open.
    fn open(&self, grant: &Grant, clock: &Clock) -> Result<Option<Place>, Refusal> {
        let limits = self.settings.token_limits;
        let open = |token| self.usage.open(token, limits, clock.epoch_seconds());
        let opened = grant.token.map(open).transpose();
        if opened.as_ref().is_err_and(|refusal| refusal.is_first) {
            tracing::warn!("a token reached TOKEN_STREAMS or TOKEN_OPENINGS");
        }
        opened
    }

    async fn stream(
        &self,
        (asked, logs): (EventsRequest, Vec<LogId>),
        expiry: Option<Instant>,
        mut invocation: Invocation,
        place: Option<Place>,
    ) -> Response<Body> {
        let cursor = asked.cursor.as_ref();
        // A customer's stream never ends, because another order may come.
        if let Wanted::Orders(orders) = &asked.wanted
            && let Some(ended) = cursor.filter(|cursor| cursor.ended())
        {
            let reading = nothing_since(&self.feed, orders, ended, &invocation.clock);
            match within_limit(&invocation, reading).await {
                Ok(true) => return response::no_content(),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not read whether the orders are still finished");
                }
            }
        }
        // A window is up to a fifth shorter, so that streams that were opened together do not end together.
        let jitter = 1.0 - invocation.random.f64() / 5.0;
        let window = match asked.streams {
            true => self.settings.window.mul_f64(jitter),
            false => WHOLE_WINDOW,
        };
        let timing = self.timing(&asked, window, expiry, &invocation);
        let session = self.session(asked.cursor, logs, timing, invocation);
        response::event_stream(session, place)
    }

    fn timing(
        &self,
        asked: &EventsRequest,
        window: Duration,
        expiry: Option<Instant>,
        invocation: &Invocation,
    ) -> Timing {
        let now = invocation.clock.now();
        Timing {
            poll_interval: self.settings.poll_interval,
            heartbeat: self.settings.heartbeat,
            limits: invocation.deadline.limits(now, window, expiry),
            policy: self.settings.policy,
            first_visit: asked.first_visit,
            streams: asked.streams,
        }
    }

    fn session(
        &self,
        cursor: Option<Cursor>,
        logs: Vec<LogId>,
        timing: Timing,
        invocation: Invocation,
    ) -> Session<F> {
        let (feed, shared) = (self.feed.clone(), self.shared.clone());
        Session::new(feed, shared, logs, cursor, timing, invocation)
    }

    /// The newest change of each order, and the cursor from which a stream continues.
    async fn snapshot(
        &self,
        logs: &[LogId],
        streams: bool,
        invocation: &Invocation,
    ) -> Response<Body> {
        let (public, clock) = (&self.settings.public_attributes, &invocation.clock);
        let limit = Limit::new(streams, invocation.deadline.read_until(clock.now()));
        let snapshot = Snapshot::read(&self.feed, logs, public, limit, clock);
        let snapshot = match within_limit(invocation, snapshot).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(%error, "could not read the newest changes for a JSON response");
                // A client that asks for JSON reads the status.
                let detail = "the feed cannot be read at the moment".to_owned();
                return response::problem(StatusCode::SERVICE_UNAVAILABLE, detail);
            }
        };
        let changes: Vec<_> = snapshot.newest.iter().map(PublicChange::from).collect();
        response::json(&json!({ "orders": changes, "cursor": snapshot.cursor.to_string() }))
    }
}

fn status(error: &EventsRequestError) -> StatusCode {
    match error {
        EventsRequestError::NotFound(_) | EventsRequestError::NotFoundWithCustomers(_) => {
            StatusCode::NOT_FOUND
        }
        EventsRequestError::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::BAD_REQUEST,
    }
}

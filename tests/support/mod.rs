//! The client's side: requests to an endpoint in this process, which reads a feed in memory.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "test files share it; none of them uses all of it"
)]

use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{Event, Eventsource};
use futures_util::{FutureExt, StreamExt, stream};
use http::Response;
use http_body_util::BodyExt;
use order_status_stream::change::{Change, Position, Write};
use order_status_stream::clock::Clock;
use order_status_stream::customer::CustomerId;
use order_status_stream::endpoint::{Body, Endpoint};
use order_status_stream::feed::append;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::invocation::Invocation;
use order_status_stream::metrics::Metrics;
use order_status_stream::order::{OrderId, PublicView, Status};
use order_status_stream::request::Request;
use order_status_stream::settings::StreamSettings;
use order_status_stream::wake::Wake;
use serde_json::{Value, json};
use tokio::time::Instant;

/// 2026-11-22T17:40:00Z
pub const NOW: Duration = Duration::from_secs(1_795_369_200);
pub const RETENTION: Duration = Duration::from_secs(30 * 86_400);

pub fn order(id: &str) -> OrderId {
    OrderId::try_from(id).unwrap()
}

/// The change in the `n`th record of the source: the order gets this status.
pub fn change(id: &str, n: u64, status: &str) -> Change {
    Change {
        order: order(id),
        position: Position::new("2026-11-22T00:00:00.000", &n.to_string()).unwrap(),
        status: Status::new(status).unwrap(),
        view: Default::default(),
        at: Some("2026-11-22T17:40:00.123Z".to_owned()),
        recorded_at: None,
        write: Write::Modify,
        customer: None,
        began: true,
        terminal: ["DELIVERED", "RETURNED"].contains(&status),
    }
}

/// An endpoint, its feed, and the time when it started.
pub struct Harness {
    pub feed: MemoryFeed,
    pub metrics: Metrics,
    endpoint: Endpoint<MemoryFeed>,
    start: Instant,
    records: std::sync::atomic::AtomicU64,
    customer: Option<CustomerId>,
}

impl Harness {
    pub fn new() -> Self {
        let settings = [
            ("FEED_TABLE", "in memory"),
            ("ACCESS", "open"),
            ("WINDOW", "60s"),
        ];
        Self::with(&settings)
    }

    pub fn with(settings: &[(&str, &str)]) -> Self {
        let variable = |name: &str| {
            // Most tests are about a response that is held.
            let mut settings = [("HOLD", "always")].iter().chain(settings).rev();
            let found = settings.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let (feed, metrics) = (MemoryFeed::default(), Metrics::default());
        let endpoint = Endpoint::new(feed.clone(), StreamSettings::read(variable).unwrap());
        Self {
            endpoint: endpoint.with_metrics(metrics.clone()),
            feed,
            metrics,
            start: Instant::now(),
            records: Default::default(),
            customer: None,
        }
    }

    /// All orders are this customer's.
    pub fn of_customer(mut self, customer: Option<CustomerId>) -> Self {
        self.customer = customer;
        self
    }

    /// Its held responses are woken.
    pub fn woken_by(mut self, wake: &Wake) -> Self {
        self.endpoint = self.endpoint.with_wake(Some(wake.clone()));
        self
    }

    pub fn clock(&self) -> Clock {
        Clock::starting_at(NOW + self.start.elapsed())
    }

    /// The time since it started.
    pub fn age(&self) -> Duration {
        self.start.elapsed()
    }

    /// Changes an order's status now.
    pub async fn change(&self, id: &str, status: &str) {
        self.change_with(id, status, PublicView::new()).await;
    }

    /// Like [`change`](Self::change), with attributes.
    pub async fn change_with(&self, id: &str, status: &str, view: PublicView) {
        let n = 1 + self
            .records
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let change = Change {
            view,
            customer: self.customer.clone(),
            ..change(id, n, status)
        };
        append(&self.feed, &change, &self.clock(), RETENTION)
            .await
            .unwrap()
            .unwrap();
    }

    pub async fn respond(&self, request: &Request) -> Response<Body> {
        self.respond_with(request, 0, 7).await
    }

    /// Responds with a deadline, as a time since the harness started.
    pub async fn respond_within(&self, deadline: Duration, request: &Request) -> Response<Body> {
        self.respond_with(request, deadline_after(deadline), 7)
            .await
    }

    /// Responds with a deadline in milliseconds since the Unix epoch (0: no deadline), and a random seed.
    pub async fn respond_with(
        &self,
        request: &Request,
        deadline: u64,
        seed: u64,
    ) -> Response<Body> {
        let random = fastrand::Rng::with_seed(seed);
        let invocation = Invocation::new(self.clock(), deadline, random);
        self.endpoint.respond(request, invocation).await
    }

    /// Responds to a Lambda event.
    pub async fn respond_to_event(&self, event: &str) -> Response<Body> {
        let random = fastrand::Rng::with_seed(7);
        let invocation = Invocation::new(self.clock(), 0, random);
        self.endpoint.respond_to_event(event, invocation).await
    }

    /// `GET`s a path and query. An empty cursor is not sent.
    pub async fn get(&self, path: &str, last_event_id: &str) -> Connection {
        let headers: &[_] = if last_event_id.is_empty() {
            &[]
        } else {
            &[("last-event-id", last_event_id)]
        };
        let response = self.respond(&request("GET", path, headers)).await;
        assert_eq!(response.status(), 200);
        Connection {
            body: response.into_body(),
            seen: Vec::new(),
        }
    }
}

/// A request, read from a Function URL event.
pub fn request(method: &str, path_and_query: &str, headers: &[(&str, &str)]) -> Request {
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    let headers: serde_json::Map<_, _> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "abcdefg",
            "domainName": "abcdefg.lambda-url.us-east-1.on.aws",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7" },
            "requestId": "1",
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": 1,
        },
        "isBase64Encoded": false,
    });
    Request::read(&event.to_string()).unwrap()
}

/// The deadline at a time after [`NOW`], in milliseconds since the Unix epoch.
pub fn deadline_after(deadline: Duration) -> u64 {
    (NOW + deadline).as_millis().try_into().unwrap()
}

/// A response that a test reads.
pub struct Connection {
    body: Body,
    seen: Vec<u8>,
}

impl Connection {
    pub fn new(response: Response<Body>) -> Self {
        Self {
            body: response.into_body(),
            seen: Vec::new(),
        }
    }

    /// The next chunk, or `None` at the end of the response.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        let chunk = self.body.frame().await?.unwrap().into_data().unwrap();
        self.seen.extend_from_slice(&chunk);
        Some(chunk)
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Vec<Event> {
        while self.chunk().await.is_some() {}
        parse(&self.seen)
    }

    /// Reads until an event of this type came. Returns all events so far.
    pub async fn until(&mut self, event: &str) -> Vec<Event> {
        loop {
            let seen = parse(&self.seen);
            if seen.last().is_some_and(|last| last.event == event) {
                return seen;
            }
            assert!(
                self.chunk().await.is_some(),
                "ended without {event}: {}",
                self.text()
            );
        }
    }

    /// Everything read so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.seen
    }
}

/// The events that an independent parser reads from the bytes. An incomplete event does not count.
pub fn parse(bytes: &[u8]) -> Vec<Event> {
    let chunks = stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
    let events = chunks
        .eventsource()
        .collect::<Vec<_>>()
        .now_or_never()
        .unwrap();
    // The parser returns an error if the last character is incomplete.
    events.into_iter().map_while(Result::ok).collect()
}

/// The types of the events. For a change, its status instead of `message`.
pub fn outline(events: &[Event]) -> Vec<String> {
    let outline = events.iter().map(|event| match event.event.as_str() {
        "message" => change_of(event)["status"].as_str().unwrap().to_owned(),
        other => other.to_owned(),
    });
    outline.collect()
}

pub fn change_of(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

//! An HTTP request becomes a response.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Frame as BodyFrame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use lambda_http::{Request, RequestExt};
use percent_encoding::percent_decode_str;
use serde_json::json;
use thiserror::Error;

use crate::clock::Clock;
use crate::cursor::Cursor;
use crate::feed::{Consistency, Feed, FeedError, Reading};
use crate::hold::held_for;
use crate::order::{OrderId, OrderIdError};
use crate::session::{Pace, Session};
use crate::settings::StreamSettings;

/// A response's body, chunk by chunk.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// More orders on one connection would make a look at the feed a burst of reads.
const MAX_ORDERS: usize = 10;

/// Serves `GET /orders/{orderId}/events` and `GET /orders/events?order=A&order=B`.
#[derive(Debug)]
pub struct Endpoint<F> {
    feed: F,
    settings: StreamSettings,
}

/// What is wrong with a request, and stays wrong however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// 404
    #[error(
        "there is nothing at this path: ask for /orders/{{orderId}}/events or /orders/events?order=A&order=B"
    )]
    NotFound,
    /// 405
    #[error("only GET is answered here")]
    MethodNotAllowed,
    /// 400
    #[error(transparent)]
    OrderId(#[from] OrderIdError),
    /// 400
    #[error("an order id is percent-encoded UTF-8")]
    NotUtf8,
    /// 400
    #[error("a stream shows 1 to {MAX_ORDERS} orders, {0} were asked for")]
    OrderCount(usize),
    /// 400
    #[error("each order is named once, {0} was named again")]
    OrderTwice(OrderId),
}

impl<F: Feed> Endpoint<F> {
    /// An endpoint in front of a feed.
    pub fn new(feed: F, settings: StreamSettings) -> Self {
        Self { feed, settings }
    }

    /// Answers a request. What will pass by itself is answered 200 and a time to come back: for anything else than 200 a
    /// browser gives up for good.
    pub async fn respond(
        &self,
        request: &Request,
        clock: Clock,
        mut random: fastrand::Rng,
    ) -> Response<Body> {
        let orders = match watched_orders(request) {
            Ok(orders) => orders,
            Err(error) => return problem(&error),
        };
        let cursor = cursor(request, orders.len());
        if let Some(ended) = cursor.as_ref().filter(|cursor| cursor.ended()) {
            match self.nothing_since(&orders, ended, &clock).await {
                Ok(true) => return no_content(),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not see whether the orders are still finished")
                }
            }
        }
        let deadline = request
            .lambda_context_ref()
            .map_or(0, |context| context.deadline);
        let held = held_for(
            self.settings.window,
            clock.remaining(deadline),
            random.f64(),
        );
        let pace = Pace {
            poll_interval: self.settings.poll_interval,
            heartbeat: self.settings.heartbeat,
            end: clock.now() + held,
        };
        event_stream(Session::new(
            self.feed.clone(),
            orders,
            cursor,
            clock,
            pace,
            random,
        ))
    }

    /// Whether the client, which was told that its orders are finished, has missed nothing since. 204 closes a tab for
    /// good, so no lagging replica is asked.
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
            let finished = reading
                .newest()
                .is_none_or(|newest| newest.terminal && newest.seq == mark.seq);
            if !finished || reading.newest().is_some() && reading.after(mark).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn watched_orders(request: &Request) -> Result<Vec<OrderId>, RequestError> {
    let path = request.raw_http_path();
    let several = path == "/orders/events";
    let one = path
        .strip_prefix("/orders/")
        .and_then(|rest| rest.strip_suffix("/events"));
    if !several && one.is_none() {
        return Err(RequestError::NotFound);
    }
    if request.method() != Method::GET {
        return Err(RequestError::MethodNotAllowed);
    }
    if let Some(id) = one {
        let id = percent_decode_str(id)
            .decode_utf8()
            .map_err(|_| RequestError::NotUtf8)?;
        return Ok(vec![OrderId::try_from(&*id)?]);
    }
    let query = request.query_string_parameters_ref();
    let ids = query
        .and_then(|query| query.all("order"))
        .unwrap_or_default();
    if !(1..=MAX_ORDERS).contains(&ids.len()) {
        return Err(RequestError::OrderCount(ids.len()));
    }
    let mut orders = Vec::with_capacity(ids.len());
    for id in ids {
        let order = OrderId::try_from(id)?;
        if orders.contains(&order) {
            return Err(RequestError::OrderTwice(order));
        }
        orders.push(order);
    }
    Ok(orders)
}

/// The header is what a browser sends when it reconnects, the query is for a page that opens a stream with a cursor in
/// hand: the header is newer. `None` where there is one that cannot be read.
fn cursor(request: &Request, orders: usize) -> Option<Cursor> {
    let header = request
        .headers()
        .get("last-event-id")
        .map(|header| header.to_str().unwrap_or("unreadable"));
    let query = || request.query_string_parameters_ref()?.first("lastEventId");
    match header.filter(|header| !header.is_empty()).or_else(query) {
        Some(text) => Cursor::parse(text, orders),
        None => Some(Cursor::start(orders)),
    }
}

fn event_stream<F: Feed>(session: Session<F>) -> Response<Body> {
    let chunks = stream::unfold(session, |mut session| async {
        let chunk = session.next().await?;
        Some((Ok(BodyFrame::data(chunk)), session))
    });
    let mut response = Response::new(StreamBody::new(chunks.boxed()).boxed_unsync());
    set(
        &mut response,
        CONTENT_TYPE,
        "text/event-stream; charset=utf-8",
    );
    set(
        &mut response,
        CACHE_CONTROL,
        "no-cache, no-store, no-transform",
    );
    // nginx and its like would hold chunks back.
    set(
        &mut response,
        HeaderName::from_static("x-accel-buffering"),
        "no",
    );
    response
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// RFC 9457
fn problem(error: &RequestError) -> Response<Body> {
    let status = match error {
        RequestError::NotFound => StatusCode::NOT_FOUND,
        RequestError::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": error.to_string(),
    });
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed_unsync());
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, "application/problem+json");
    set(&mut response, CACHE_CONTROL, "no-store");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        set(&mut response, ALLOW, "GET");
    }
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

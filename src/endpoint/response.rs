//! Responses.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use serde_json::{Value, json};

use crate::access::{AccessError, Place};
use crate::feed::Feed;
use crate::session::Session;

/// A response's body, chunk by chunk.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

const METHODS: &str = "GET, HEAD, OPTIONS";

/// The place is free again when the stream has ended, or the client has left.
pub(super) fn event_stream<F: Feed>(session: Session<F>, place: Option<Place>) -> Response<Body> {
    let chunks = stream::unfold((session, place), |(mut session, place)| async {
        let chunk = session.next().await?;
        Some((Ok(Frame::data(chunk)), (session, place)))
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
    // Without this, nginx and other proxies hold chunks back.
    let buffering = HeaderName::from_static("x-accel-buffering");
    set(&mut response, buffering, "no");
    response
}

pub(super) fn json(value: &Value) -> Response<Body> {
    whole(StatusCode::OK, "application/json", value.to_string())
}

/// The client knows that its orders are finished, and nothing came since. On a 204, an `EventSource` does not come back.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

/// The response to `OPTIONS`. A Function URL answers preflights itself; for other services, CORS headers are added to this.
pub(super) fn options() -> Response<Body> {
    let mut response = whole(StatusCode::OK, "text/plain", format!("{METHODS}\n"));
    set(&mut response, ALLOW, METHODS);
    response
}

/// A problem, as RFC 9457 defines it.
pub(super) fn problem(status: StatusCode, detail: String) -> Response<Body> {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut response = whole(status, "application/problem+json", body.to_string());
    match status {
        StatusCode::METHOD_NOT_ALLOWED => set(&mut response, ALLOW, METHODS),
        StatusCode::SERVICE_UNAVAILABLE => set(&mut response, RETRY_AFTER, "3"),
        _ => {}
    }
    response
}

/// The response to a request without access, as RFC 6750, section 3, defines it. The body says why the token is refused,
/// because there the text needs no quoting.
pub(super) fn denied(error: &AccessError) -> Response<Body> {
    let (status, challenge) = match error {
        AccessError::NoToken => (StatusCode::UNAUTHORIZED, "Bearer"),
        AccessError::Token(_) => (StatusCode::UNAUTHORIZED, r#"Bearer error="invalid_token""#),
        AccessError::NotGranted | AccessError::NoCustomer => (
            StatusCode::FORBIDDEN,
            r#"Bearer error="insufficient_scope""#,
        ),
        AccessError::KeysUnavailable => {
            return problem(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        }
    };
    let mut response = problem(status, error.to_string());
    set(&mut response, WWW_AUTHENTICATE, challenge);
    response
}

/// The response to `HEAD`: that to `GET`, without its body.
pub(super) fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Empty::new().boxed_unsync())
}

fn whole(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    set(&mut response, CONTENT_TYPE, content_type);
    set(&mut response, CACHE_CONTROL, "no-store");
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}

//! Between `lambda_runtime` and the endpoint: the event as it came, and the response as a stream.
//!
//! The runtime parses an event before it calls the function, and reports a function error if it cannot. Here every event
//! must have a response, so the runtime is handed a JSON string that holds the event's text, whatever that is.

use std::task::{Context, Poll};

use http::Response;
use http_body_util::{BodyDataStream, BodyExt};
use lambda_runtime::tower::{Layer, Service};
use lambda_runtime::{LambdaInvocation, MetadataPrelude, StreamResponse};

use crate::endpoint::Body;

/// A layer of the runtime's: the payload of the functions inside is a `String`, the text of the event.
#[derive(Clone, Copy, Debug)]
pub struct EventTextLayer;

/// See [`EventTextLayer`].
#[derive(Clone, Debug)]
pub struct EventText<S>(S);

impl<S> Layer<S> for EventTextLayer {
    type Service = EventText<S>;

    fn layer(&self, inner: S) -> EventText<S> {
        EventText(inner)
    }
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for EventText<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> S::Future {
        let text = String::from_utf8_lossy(&invocation.body);
        invocation.body = serde_json::Value::from(text).to_string().into();
        self.0.call(invocation)
    }
}

/// A response, as the runtime streams it.
pub fn streamed(response: Response<Body>) -> StreamResponse<BodyDataStream<Body>> {
    let (parts, body) = response.into_parts();
    StreamResponse {
        metadata_prelude: MetadataPrelude {
            status_code: parts.status,
            headers: parts.headers,
            // The endpoint sets none.
            cookies: Vec::new(),
        },
        stream: body.into_data_stream(),
    }
}

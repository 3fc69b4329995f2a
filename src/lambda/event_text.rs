//! The event as text.
//!
//! The runtime parses an event before it calls the function, and reports a function error if it cannot. Here every event
//! must get a response. So the runtime is given a JSON string that holds the event's text, whatever the text is.

use std::task::{Context, Poll};

use lambda_runtime::LambdaInvocation;
use lambda_runtime::tower::{Layer, Service};

/// A layer of the runtime: the payload of the function inside is a `String`, the text of the event.
#[derive(Clone, Copy, Debug)]
pub struct EventTextLayer;

/// The service of an [`EventTextLayer`].
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

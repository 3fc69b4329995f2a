//! A response on its way to Lambda: what befalls it is its own client's matter, and no other's.
//!
//! `lambda_runtime` takes a response that could not be sent for the end of the process or, in concurrent mode, of the
//! worker that had sent it, which it does not replace. And while nobody reads a response its worker waits, for ever where
//! nothing ends the wait: in concurrent mode a deadline ends the invocation and not the process.

use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lambda_runtime::Error;
use lambda_runtime::LambdaInvocation;
use lambda_runtime::tower::{Layer, Service};
use tokio::time::timeout;

use crate::clock::Clock;

/// What is left of the deadline when a response that nobody has read to its end is given up. The session has said its goodbye
/// before that: see `hold`.
const MARGIN: Duration = Duration::from_millis(250);

/// A layer of the runtime's that keeps workers alive.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLayer;

/// See [`DeliveryLayer`].
#[derive(Clone, Debug)]
pub struct Delivery<S>(S);

impl<S> Layer<S> for DeliveryLayer {
    type Service = Delivery<S>;

    fn layer(&self, inner: S) -> Delivery<S> {
        Delivery(inner)
    }
}

impl<S> Service<LambdaInvocation> for Delivery<S>
where
    S: Service<LambdaInvocation, Response = (), Error = Error>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = Error;
    type Future = BoxFuture<'static, Result<(), Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let remaining = Clock::system().remaining(invocation.context.deadline);
        let sent = AssertUnwindSafe(self.0.call(invocation)).catch_unwind();
        async move {
            let sent = match remaining {
                Some(remaining) => timeout(remaining - MARGIN.min(remaining / 8), sent).await,
                None => Ok(sent.await),
            };
            match sent {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, "a response was not sent"),
                Ok(Err(_)) => tracing::error!("a response was not sent: panic"),
                Err(_) => tracing::warn!("a response was not read by its deadline, it is given up"),
            }
            Ok(())
        }
        .boxed()
    }
}

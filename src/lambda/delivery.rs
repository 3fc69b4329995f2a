//! Sends a response to Lambda, or abandons it shortly before the deadline. One failed response does not affect the others.
//!
//! If a response cannot be sent, `lambda_runtime` ends the process. In concurrent mode it ends the worker that had sent the
//! response, and does not replace it. And a worker waits as long as nobody reads its response. Nothing else ends that wait:
//! in concurrent mode a deadline ends the invocation and not the process.

use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lambda_runtime::Error;
use lambda_runtime::LambdaInvocation;
use lambda_runtime::tower::{Layer, Service};
use tokio::time::timeout_at;

use crate::clock::Clock;
use crate::deadline::Deadline;

/// A layer of the runtime that keeps workers alive.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLayer;

/// The service of a [`DeliveryLayer`].
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
        let deadline = Deadline::at(invocation.context.deadline, &Clock::system());
        let sent = AssertUnwindSafe(self.0.call(invocation)).catch_unwind();
        async move {
            let sent = match deadline.give_up() {
                Some(give_up) => timeout_at(give_up, sent).await,
                None => Ok(sent.await),
            };
            match sent {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, "a response was not sent"),
                Ok(Err(_)) => tracing::error!("a response was not sent: panic"),
                Err(_) => {
                    tracing::warn!("a response was not read by its deadline and is abandoned");
                }
            }
            Ok(())
        }
        .boxed()
    }
}

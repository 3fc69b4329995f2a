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
use crate::metrics::{Count, Metrics};

/// A layer of the runtime that keeps workers alive. At the end of an invocation, it writes the metrics if they are due.
#[derive(Clone, Debug, Default)]
pub struct DeliveryLayer {
    metrics: Metrics,
}

impl DeliveryLayer {
    /// A layer that counts there what was not sent.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

/// The service of a [`DeliveryLayer`].
#[derive(Clone, Debug)]
pub struct Delivery<S> {
    inner: S,
    metrics: Metrics,
}

impl<S> Layer<S> for DeliveryLayer {
    type Service = Delivery<S>;

    fn layer(&self, inner: S) -> Delivery<S> {
        let metrics = self.metrics.clone();
        Delivery { inner, metrics }
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
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let clock = Clock::system();
        let deadline = Deadline::at(invocation.context.deadline, &clock);
        let sent = AssertUnwindSafe(self.inner.call(invocation)).catch_unwind();
        let metrics = self.metrics.clone();
        async move {
            let sent = match deadline.give_up() {
                Some(give_up) => timeout_at(give_up, sent).await,
                None => Ok(sent.await),
            };
            match sent {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => {
                    tracing::warn!(%error, "a response was not sent");
                    metrics.count(Count::ResponsesNotSent);
                }
                Ok(Err(_)) => {
                    tracing::error!("a response was not sent: panic");
                    metrics.count(Count::ResponsesNotSent);
                }
                Err(_) => {
                    tracing::warn!("a response was not read by its deadline and is abandoned");
                    metrics.count(Count::ResponsesAbandoned);
                }
            }
            // The process may be frozen from here on.
            metrics.flush(&clock);
            Ok(())
        }
        .boxed()
    }
}

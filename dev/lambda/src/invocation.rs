//! One invocation, from the hand-over to a process until the end of its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::context::Context;
use crate::environment::Environment;
use crate::error::{FunctionError, InvokeError};
use crate::pool::Pool;
use crate::prelude::ResponseHead;
use crate::queue::{Outcome, PostedResponse, QueuedInvocation};

/// How long a process may take before it asks for an invocation: Lambda's limit for the init phase.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib>
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// What the caller gets: a head, any number of chunks, and the end. If the channel closes before the end, the process has
/// crashed.
#[derive(Debug)]
pub(crate) enum ResponsePart {
    Head(ResponseHead),
    Chunk(Bytes),
    End(Result<(), InvokeError>),
}

/// How the caller reads the response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// As the process wrote it, with the prelude.
    AsWritten,
    /// As an HTTP response. The body is read at this rate of bytes per second, if it is limited.
    Http(Option<u32>),
}

pub(crate) struct Invocation {
    pool: Arc<Pool>,
    payload: Bytes,
    reading: Reading,
    caller: mpsc::Sender<ResponsePart>,
}

/// An invocation that a process has taken.
struct Taken {
    request_id: String,
    environment: Arc<Environment>,
    at: Instant,
    outcome: oneshot::Receiver<Outcome>,
    /// The response, once it has begun.
    posted: Option<PostedResponse>,
}

impl Invocation {
    /// Invokes the function. The invocation runs to its end, also if the response is not read.
    pub(crate) fn start(
        pool: &Arc<Pool>,
        payload: Bytes,
        reading: Reading,
    ) -> mpsc::Receiver<ResponsePart> {
        // One chunk at a time: a caller that does not read must block the function, not fill this process's memory.
        let (caller, response) = mpsc::channel(1);
        let invocation = Self {
            pool: Arc::clone(pool),
            payload,
            reading,
            caller,
        };
        pool.context.spawn(invocation.run());
        response
    }

    async fn run(self) {
        self.context().stats.send_modify(|stats| stats.started += 1);
        let end = match self.hand_over().await {
            Ok(taken) => self.conduct(taken).await,
            Err(error) => self.record(&request_id(), Duration::ZERO, Err(error)),
        };
        let _ = self.caller.send(ResponsePart::End(end)).await;
    }

    fn context(&self) -> &Context {
        &self.pool.context
    }

    async fn hand_over(&self) -> Result<Taken, InvokeError> {
        loop {
            let request_id = request_id();
            let (taken, at) = oneshot::channel();
            let (sender, outcome) = oneshot::channel();
            let environment = self.pool.claim().map_err(InvokeError::Start)?;
            environment.queue.push(QueuedInvocation {
                request_id: request_id.clone(),
                payload: self.payload.clone(),
                taken,
                outcome: sender,
            });
            match timeout(INIT_LIMIT, at).await {
                Ok(Ok(at)) => {
                    return Ok(Taken {
                        request_id,
                        environment,
                        at,
                        outcome,
                        posted: None,
                    });
                }
                // The process ended between two invocations. Lambda would not have sent this one to it, so try another.
                Ok(Err(_)) if environment.queue.is_initialized() => {}
                Ok(Err(_)) => return Err(environment.failure()),
                Err(_) => {
                    environment.kill().await;
                    let status = format!("no call of /next within {} s", INIT_LIMIT.as_secs());
                    return Err(InvokeError::Crashed { status });
                }
            }
        }
    }

    async fn conduct(&self, mut taken: Taken) -> Result<(), InvokeError> {
        let after = self.context().settings.timeout;
        let end = match timeout_at(taken.at + after, self.respond(&mut taken)).await {
            Ok(end) => end,
            Err(_) => Err(InvokeError::TimedOut { after }),
        };
        let end = self.record(&taken.request_id, taken.at.elapsed(), end);
        if let Err(InvokeError::TimedOut { .. }) = end {
            // On Lambda Managed Instances one process serves many requests, and a deadline ends only the invocation: the other
            // requests go on, and so does the code. The rest of its response is discarded, and it gets a 410.
            // https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-execution-environment.html
            let max_concurrency = self.context().settings.max_concurrency;
            if max_concurrency.is_some_and(|max| max > 1) {
                self.context().spawn(taken.discard());
            } else {
                taken.environment.kill().await;
            }
        }
        end
    }

    /// Counts and logs how the invocation ended.
    fn record(
        &self,
        id: &str,
        billed: Duration,
        end: Result<(), InvokeError>,
    ) -> Result<(), InvokeError> {
        let billed_ms = u64::try_from(billed.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.context().stats.send_modify(|stats| {
            stats.billed_ms += billed_ms;
            *match &end {
                Ok(()) => &mut stats.completed,
                Err(InvokeError::FunctionError(_) | InvokeError::Malformed(_)) => &mut stats.failed,
                Err(InvokeError::TimedOut { .. }) => &mut stats.timed_out,
                Err(InvokeError::Crashed { .. } | InvokeError::Start(_)) => &mut stats.crashed,
                Err(InvokeError::Disconnected) => &mut stats.disconnected,
            } += 1;
        });
        if let Err(error) = &end {
            let line = format!("RequestId: {id} Error: {error}");
            self.context().log.push(line);
        }
        end
    }

    async fn respond(&self, taken: &mut Taken) -> Result<(), InvokeError> {
        match (&mut taken.outcome).await {
            Ok(Outcome::Response(posted)) => {
                let posted = taken.posted.insert(posted);
                let end = self.relay(&taken.environment, posted).await;
                if let Ok(()) | Err(InvokeError::FunctionError(_)) = end {
                    taken.finish(StatusCode::ACCEPTED);
                }
                end
            }
            Ok(Outcome::Error(error)) => Err(InvokeError::FunctionError(error)),
            Err(_) => Err(taken.environment.failure()),
        }
    }

    /// Sends the response to the caller, chunk by chunk. It goes on if the caller has left, unless the function must learn of
    /// that.
    async fn relay(
        &self,
        environment: &Environment,
        posted: &mut PostedResponse,
    ) -> Result<(), InvokeError> {
        let (head, mut chunk) = self.head(posted).await?;
        let _ = self.caller.send(ResponsePart::Head(head)).await;
        loop {
            let length = chunk.len();
            if length > 0 {
                let _ = self.caller.send(ResponsePart::Chunk(chunk)).await;
            }
            match self.reading {
                Reading::Http(Some(0)) => {
                    environment.wait().await;
                    return Err(environment.failure());
                }
                Reading::Http(Some(rate)) => {
                    sleep(Duration::from_secs_f64(length as f64 / f64::from(rate))).await;
                }
                Reading::Http(None) | Reading::AsWritten => {}
            }
            match self.chunk(posted).await? {
                Some(next) => chunk = next,
                None => return Ok(()),
            }
        }
    }

    /// Reads the response's head, and the bytes of the body that came with it.
    async fn head(
        &self,
        posted: &mut PostedResponse,
    ) -> Result<(ResponseHead, Bytes), InvokeError> {
        if !posted.has_prelude || matches!(self.reading, Reading::AsWritten) {
            let head = ResponseHead::plain(posted.content_type.take());
            return Ok((head, Bytes::new()));
        }
        let mut buffer = BytesMut::new();
        loop {
            match self.chunk(posted).await? {
                Some(chunk) => buffer.extend_from_slice(&chunk),
                None => return Err(InvokeError::Malformed("it ends in its prelude".into())),
            }
            if let Some(head) = ResponseHead::split(&mut buffer)? {
                return Ok((head, buffer.freeze()));
            }
        }
    }

    async fn chunk(&self, posted: &mut PostedResponse) -> Result<Option<Bytes>, InvokeError> {
        let propagate_disconnect = self.context().settings.propagate_disconnect;
        let frame = tokio::select! {
            frame = posted.body.frame() => frame,
            () = self.caller.closed(), if propagate_disconnect => {
                return Err(InvokeError::Disconnected);
            }
        };
        match frame.map(|frame| frame.map(http_body::Frame::into_data)) {
            None => Ok(None),
            Some(Ok(Ok(chunk))) => Ok(Some(chunk)),
            Some(Ok(Err(frame))) => frame
                .into_trailers()
                .ok()
                .and_then(|trailers| FunctionError::from_trailers(&trailers))
                .map_or(Ok(None), |error| Err(InvokeError::FunctionError(error))),
            Some(Err(error)) => Err(InvokeError::Crashed {
                status: format!("response broken off: {error}"),
            }),
        }
    }
}

impl Taken {
    /// Tells the process that its response was read to the end. First its poller counts as idle again, because the caller can
    /// send another request at once.
    fn finish(&mut self, status: StatusCode) {
        self.environment.queue.expect_poll();
        if let Some(posted) = self.posted.take() {
            let _ = posted.done.send(status);
        }
    }

    /// Reads and drops what comes after the deadline.
    async fn discard(mut self) {
        if self.posted.is_none() {
            let Ok(Outcome::Response(posted)) = (&mut self.outcome).await else {
                return;
            };
            self.posted = Some(posted);
        }
        while let Some(frame) = self.posted.as_mut().map(|posted| posted.body.frame()) {
            match frame.await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return,
                None => self.finish(StatusCode::GONE),
            }
        }
    }
}

/// A random id in the form of a UUID (version 4).
pub(crate) fn request_id() -> String {
    let id = format!("{:032x}", fastrand::u128(..));
    let (a, b, c, d, e) = (&id[..8], &id[8..12], &id[13..16], &id[17..20], &id[20..]);
    format!("{a}-{b}-4{c}-a{d}-{e}")
}

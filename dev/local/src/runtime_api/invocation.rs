//! One invocation, from the queue to the end of its response.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, combinators::BoxBody};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{FunctionError, InvokeError, Shared, environment::Environment, head::Head, request_id};

/// How long a process may take before it asks for an invocation: Lambda's limit for the init phase.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib>
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// An invocation as it stands in an environment's queue.
pub(super) struct Queued {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    /// Told when the process takes it. That moment starts both the bill and the time to the deadline.
    pub(super) taken: oneshot::Sender<Instant>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What the process posted for an invocation.
pub(super) enum Answer {
    Response(Posted),
    Error(FunctionError),
}

/// A response, of which perhaps only the beginning is there.
pub(super) struct Posted {
    pub(super) content_type: Option<HeaderValue>,
    pub(super) has_prelude: bool,
    pub(super) body: BoxBody<Bytes, hyper::Error>,
    /// What the process is told at the end: 202, or 410 where the deadline had passed. Dropped, its connection is.
    pub(super) done: oneshot::Sender<StatusCode>,
}

/// What the caller gets, in this order, with any number of chunks. A channel that closes before the end is a crash.
#[derive(Debug)]
pub(super) enum Part {
    Begin(Head),
    Chunk(Bytes),
    End(Result<(), InvokeError>),
}

pub(super) struct Invocation {
    pub(super) shared: Arc<Shared>,
    pub(super) payload: Bytes,
    /// At how many bytes a second the response's body is read, where that is limited.
    pub(super) bytes_per_second: Option<u32>,
    pub(super) caller: mpsc::Sender<Part>,
}

/// An invocation that a process has taken.
struct Taken {
    request_id: String,
    environment: Arc<Environment>,
    at: Instant,
    answer: oneshot::Receiver<Answer>,
    /// The answer, once it has begun.
    posted: Option<Posted>,
}

impl Invocation {
    /// Runs to the invocation's end, also where nobody is there any more to read the response.
    pub(super) async fn run(self) {
        self.shared.stats.send_modify(|stats| stats.started += 1);
        let end = match self.hand_over().await {
            Ok(taken) => self.conduct(taken).await,
            Err(error) => self.end(&request_id(), Duration::ZERO, Err(error)),
        };
        let _ = self.caller.send(Part::End(end)).await;
    }

    async fn hand_over(&self) -> Result<Taken, InvokeError> {
        loop {
            let request_id = request_id();
            let (taken, at) = oneshot::channel();
            let (answer, answered) = oneshot::channel();
            let environment = self
                .shared
                .claim_environment()
                .map_err(InvokeError::Start)?;
            environment.push(Queued {
                request_id: request_id.clone(),
                payload: self.payload.clone(),
                taken,
                answer,
            });
            match timeout(INIT_LIMIT, at).await {
                Ok(Ok(at)) => {
                    return Ok(Taken {
                        request_id,
                        environment,
                        at,
                        answer: answered,
                        posted: None,
                    });
                }
                // It ended between two invocations, which Lambda would not have sent this one to.
                Ok(Err(_)) if environment.is_initialized() => {}
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
        let after = self.shared.settings.timeout;
        let end = match timeout_at(taken.at + after, self.respond(&mut taken)).await {
            Ok(end) => end,
            Err(_) => Err(InvokeError::TimedOut { after }),
        };
        let end = self.end(&taken.request_id, taken.at.elapsed(), end);
        if let Err(InvokeError::TimedOut { .. }) = end {
            // One process for many requests is Lambda Managed Instances, where a deadline ends the invocation only: the
            // other requests go on, and so does the code. Nobody reads what it still says, and it is told so (410).
            // https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-execution-environment.html
            if self
                .shared
                .settings
                .max_concurrency
                .is_some_and(|max| max > 1)
            {
                self.shared.spawn(taken.run_out());
            } else {
                taken.environment.kill().await;
            }
        }
        end
    }

    /// Counts and logs how it ended.
    fn end(
        &self,
        id: &str,
        billed: Duration,
        end: Result<(), InvokeError>,
    ) -> Result<(), InvokeError> {
        self.shared.stats.send_modify(|stats| {
            stats.billed_ms +=
                u64::try_from(billed.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            *match &end {
                Ok(()) => &mut stats.completed,
                Err(InvokeError::FunctionError(_) | InvokeError::Malformed(_)) => &mut stats.failed,
                Err(InvokeError::TimedOut { .. }) => &mut stats.timed_out,
                Err(InvokeError::Crashed { .. } | InvokeError::Start(_)) => &mut stats.crashed,
                Err(InvokeError::Disconnected) => &mut stats.disconnected,
            } += 1;
        });
        if let Err(error) = &end {
            self.shared
                .log
                .push(format!("RequestId: {id} Error: {error}"));
        }
        end
    }

    async fn respond(&self, taken: &mut Taken) -> Result<(), InvokeError> {
        match (&mut taken.answer).await {
            Ok(Answer::Response(posted)) => {
                let end = self
                    .relay(&taken.environment, taken.posted.insert(posted))
                    .await;
                if let Ok(()) | Err(InvokeError::FunctionError(_)) = end {
                    taken.finish(StatusCode::ACCEPTED);
                }
                end
            }
            Ok(Answer::Error(error)) => Err(InvokeError::FunctionError(error)),
            Err(_) => Err(taken.environment.failure()),
        }
    }

    /// Passes the response on, chunk by chunk. A caller that has left is no reason to stop, unless the function is to be
    /// told.
    async fn relay(
        &self,
        environment: &Environment,
        posted: &mut Posted,
    ) -> Result<(), InvokeError> {
        let (head, mut chunk) = self.head(posted).await?;
        let _ = self.caller.send(Part::Begin(head)).await;
        loop {
            let length = chunk.len();
            if length > 0 {
                let _ = self.caller.send(Part::Chunk(chunk)).await;
            }
            match self.bytes_per_second {
                Some(0) => {
                    environment.exit().await;
                    return Err(environment.failure());
                }
                Some(rate) => sleep(Duration::from_secs_f64(length as f64 / f64::from(rate))).await,
                None => {}
            }
            match self.chunk(posted).await? {
                Some(next) => chunk = next,
                None => return Ok(()),
            }
        }
    }

    async fn head(&self, posted: &mut Posted) -> Result<(Head, Bytes), InvokeError> {
        if !posted.has_prelude {
            return Ok((Head::plain(posted.content_type.take()), Bytes::new()));
        }
        let mut buffer = BytesMut::new();
        loop {
            match self.chunk(posted).await? {
                Some(chunk) => buffer.extend_from_slice(&chunk),
                None => return Err(InvokeError::Malformed("it ends in its prelude".into())),
            }
            if let Some(head) = Head::split(&mut buffer)? {
                return Ok((head, buffer.freeze()));
            }
        }
    }

    async fn chunk(&self, posted: &mut Posted) -> Result<Option<Bytes>, InvokeError> {
        let frame = tokio::select! {
            frame = posted.body.frame() => frame,
            () = self.caller.closed(), if self.shared.settings.propagate_disconnect => {
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
    /// Tells the process that its response was read to the end. Its poller counts as idle before the caller can ask again.
    fn finish(&mut self, status: StatusCode) {
        self.environment.expect_poll();
        if let Some(posted) = self.posted.take() {
            let _ = posted.done.send(status);
        }
    }

    /// Reads what comes after the deadline, for nobody.
    async fn run_out(mut self) {
        if self.posted.is_none() {
            let Ok(Answer::Response(posted)) = (&mut self.answer).await else {
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

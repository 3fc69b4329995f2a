//! The Runtime API, as a process sees it: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{net::TcpStream, sync::oneshot, time::Instant};

use crate::clock::epoch_ms;
use crate::context::Context;
use crate::error::FunctionError;
use crate::prelude::INTEGRATION_RESPONSE;
use crate::queue::{Outcome, PostedResponse, Queue};

/// Why a call gets no answer: its connection is closed instead.
#[derive(Debug, Error)]
enum CallError {
    #[error("the process has ended")]
    ProcessEnded,
    #[error("the response is not read any more")]
    ResponseUnread(#[from] oneshot::error::RecvError),
    #[error(transparent)]
    Body(#[from] hyper::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
}

type CallResult = Result<Response<Full<Bytes>>, CallError>;

/// Lambda sends one with each invocation, also if nothing is traced.
const TRACE_ID: &str = "Root=1-6921f2b0-5759e988bd862e3fe1be46a9;Sampled=0";

/// One of the process's connections.
pub(crate) struct RuntimeApi {
    pub(crate) context: Arc<Context>,
    pub(crate) queue: Arc<Queue>,
}

impl RuntimeApi {
    /// Serves the connection until the process closes it.
    pub(crate) async fn serve(self, stream: TcpStream) {
        // Without this option, the answer to `/next` may wait 40 ms for an acknowledgement. It fails only if the process has
        // closed the connection already.
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| self.route(request));
        // A broken connection is no error here: its invocations notice it themselves.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn route(&self, request: Request<Incoming>) -> CallResult {
        let (parts, body) = request.into_parts();
        let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
        match (&parts.method, path.as_slice()) {
            (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => {
                self.response(id, &parts.headers, body).await
            }
            (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => {
                self.error(id, body).await
            }
            (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
                self.queue.set_init_error(function_error(body).await?);
                accepted()
            }
            _ => reply(StatusCode::NOT_FOUND, r#"{"errorType":"NotFound"}"#),
        }
    }

    async fn next(&self) -> CallResult {
        let settings = &self.context.settings;
        loop {
            let queued = self.queue.next().await.ok_or(CallError::ProcessEnded)?;
            let deadline = epoch_ms(SystemTime::now() + settings.timeout);
            self.queue
                .insert_unanswered(&queued.request_id, queued.outcome);
            if queued.taken.send(Instant::now()).is_err() {
                self.queue.remove_unanswered(&queued.request_id);
                continue;
            }
            let arn = format!(
                "arn:aws:lambda:us-east-1:123456789012:function:{}",
                settings.name
            );
            return Ok(Response::builder()
                .header(CONTENT_TYPE, "application/json")
                .header("lambda-runtime-aws-request-id", queued.request_id)
                .header("lambda-runtime-deadline-ms", deadline)
                .header("lambda-runtime-invoked-function-arn", arn)
                .header("lambda-runtime-trace-id", TRACE_ID)
                .body(Full::new(queued.payload))?);
        }
    }

    /// The process gets its answer once its response was read to the end.
    async fn response(&self, id: &str, headers: &HeaderMap, body: Incoming) -> CallResult {
        let Some(outcome) = self.queue.remove_unanswered(id) else {
            return unknown_id();
        };
        let content_type = headers.get(CONTENT_TYPE).cloned();
        let has_prelude = content_type
            .as_ref()
            .is_some_and(|value| value == INTEGRATION_RESPONSE);
        let body = match headers.get("lambda-runtime-function-response-mode") {
            Some(mode) if mode == "streaming" => body.boxed(),
            _ => Full::new(body.collect().await?.to_bytes())
                .map_err(|never| match never {})
                .boxed(),
        };
        let (done, read) = oneshot::channel();
        let _ = outcome.send(Outcome::Response(PostedResponse {
            content_type,
            has_prelude,
            body,
            done,
        }));
        match read.await? {
            StatusCode::ACCEPTED => accepted(),
            status => reply(status, r#"{"errorType":"InvocationTimedOut"}"#),
        }
    }

    async fn error(&self, id: &str, body: Incoming) -> CallResult {
        let error = function_error(body).await?;
        let Some(outcome) = self.queue.remove_unanswered(id) else {
            return unknown_id();
        };
        self.queue.expect_poll();
        let _ = outcome.send(Outcome::Error(error));
        accepted()
    }
}

async fn function_error(body: Incoming) -> Result<FunctionError, CallError> {
    Ok(serde_json::from_slice(&body.collect().await?.to_bytes()).unwrap_or_default())
}

fn accepted() -> CallResult {
    reply(StatusCode::ACCEPTED, r#"{"status":"OK"}"#)
}

/// The id is unknown, or was answered before: a process answers an invocation once.
fn unknown_id() -> CallResult {
    reply(
        StatusCode::BAD_REQUEST,
        r#"{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}"#,
    )
}

fn reply(status: StatusCode, json: &'static str) -> CallResult {
    Ok(Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(json.into())?)
}

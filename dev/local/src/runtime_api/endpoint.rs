//! The Runtime API as a process sees it: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{net::TcpStream, sync::oneshot, time::Instant};

use super::{
    FunctionError,
    environment::Environment,
    event::epoch_ms,
    head::INTEGRATION_RESPONSE,
    invocation::{Answer, Posted},
    lock,
};

/// The connection is dropped instead of answered.
#[derive(Debug, Error)]
enum HangUp {
    #[error("the process has ended")]
    Ended,
    #[error("nobody reads the response any more")]
    Unread(#[from] oneshot::error::RecvError),
    #[error(transparent)]
    Body(#[from] hyper::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
}

type Reply = Result<Response<Full<Bytes>>, HangUp>;

/// Serves one of the process's connections until it closes it.
pub(super) async fn serve(environment: Arc<Environment>, stream: TcpStream) {
    // Without it the answer to `/next` may wait 40 ms for an acknowledgement. That it is an option of the socket which the
    // peer may have closed already is the one way it fails.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| route(&environment, request));
    // A broken connection is the process's matter; the invocations that were on it notice by themselves.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn route(environment: &Environment, request: Request<Incoming>) -> Reply {
    let (parts, body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
    match (&parts.method, path.as_slice()) {
        (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => next(environment).await,
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => {
            response(environment, id, &parts.headers, body).await
        }
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => {
            error(environment, id, body).await
        }
        (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
            init_error(environment, body).await
        }
        _ => reply(StatusCode::NOT_FOUND, r#"{"errorType":"NotFound"}"#),
    }
}

async fn next(environment: &Environment) -> Reply {
    loop {
        let queued = environment.next().await.ok_or(HangUp::Ended)?;
        let settings = &environment.shared.settings;
        let deadline = epoch_ms(SystemTime::now() + settings.timeout);
        lock(&environment.taken).insert(queued.request_id.clone(), queued.answer);
        if queued.taken.send(Instant::now()).is_err() {
            lock(&environment.taken).remove(&queued.request_id);
            continue;
        }
        return Ok(Response::builder()
            .header(CONTENT_TYPE, "application/json")
            .header("lambda-runtime-aws-request-id", queued.request_id)
            .header("lambda-runtime-deadline-ms", deadline)
            .header(
                "lambda-runtime-invoked-function-arn",
                format!(
                    "arn:aws:lambda:us-east-1:123456789012:function:{}",
                    settings.name
                ),
            )
            .body(Full::new(queued.payload))?);
    }
}

/// The answer to the process comes when the response has been read to its end.
async fn response(
    environment: &Environment,
    id: &str,
    headers: &HeaderMap,
    body: Incoming,
) -> Reply {
    let Some(answer) = lock(&environment.taken).remove(id) else {
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
    let _ = answer.send(Answer::Response(Posted {
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

async fn error(environment: &Environment, id: &str, body: Incoming) -> Reply {
    let error = function_error(body).await?;
    let Some(answer) = lock(&environment.taken).remove(id) else {
        return unknown_id();
    };
    environment.expect_poll();
    let _ = answer.send(Answer::Error(error));
    accepted()
}

async fn init_error(environment: &Environment, body: Incoming) -> Reply {
    let error = function_error(body).await?;
    *lock(&environment.init_error) = Some(error);
    accepted()
}

async fn function_error(body: Incoming) -> Result<FunctionError, HangUp> {
    Ok(serde_json::from_slice(&body.collect().await?.to_bytes()).unwrap_or_default())
}

fn accepted() -> Reply {
    reply(StatusCode::ACCEPTED, r#"{"status":"OK"}"#)
}

/// Unknown, or answered before: a process answers an invocation once.
fn unknown_id() -> Reply {
    reply(
        StatusCode::BAD_REQUEST,
        r#"{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}"#,
    )
}

fn reply(status: StatusCode, json: &'static str) -> Reply {
    Ok(Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(json.into())?)
}

//! A proxy before the stream function that breaks one property of a deployment.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "as in mod.rs")]

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What the proxy does with a response's body.
#[derive(Clone, Copy)]
pub enum Passing {
    Through,
    /// All of it at its end.
    Collected,
    /// The first chunk at once, all others at the end.
    AfterFirstCollected,
    /// After this time.
    Delayed(Duration),
    /// Without the end.
    Cut,
    /// Without the chunks that contain this text.
    Without(&'static str),
    /// Without the chunks that are this text.
    WithoutChunk(&'static str),
}

/// Changes requests and responses.
#[derive(Clone, Copy)]
pub struct Break {
    pub name: &'static str,
    /// The checks that must fail.
    pub fails: &'static [&'static str],
    /// Gets a token for every order.
    pub request: fn(&mut HeaderMap, &str),
    pub head: fn(&Method, &mut StatusCode, &mut HeaderMap),
    pub body: Passing,
}

/// No fault.
pub const GOOD: Break = Break {
    name: "none",
    fails: &[],
    request: |_, _| {},
    head: |_, _, _| {},
    body: Passing::Through,
};

type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A proxy on a free port. It stops if it is dropped.
pub struct BreakingProxy {
    pub url: String,
    _tasks: JoinSet<()>,
}

impl BreakingProxy {
    pub async fn start(target: &str, token: &str, fault: Break) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (target, token) = (target.to_owned(), token.to_owned());
        let client = reqwest::Client::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (client, target, token) = (client.clone(), target.clone(), token.clone());
                let service = service_fn(move |request| {
                    let (client, target, token) = (client.clone(), target.clone(), token.clone());
                    async move {
                        Ok::<_, Infallible>(pass(&client, &target, &token, request, fault).await)
                    }
                });
                connections
                    .spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, _tasks: tasks }
    }
}

async fn pass(
    client: &reqwest::Client,
    target: &str,
    token: &str,
    request: Request<Incoming>,
    fault: Break,
) -> Response<StreamBody<Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>>>> {
    let (mut parts, _) = request.into_parts();
    (fault.request)(&mut parts.headers, token);
    let path = parts.uri.path_and_query().unwrap();
    let passed = client
        .request(parts.method.clone(), format!("{target}{path}"))
        .headers(parts.headers)
        .send()
        .await
        .unwrap();
    let (mut status, mut headers) = (passed.status(), passed.headers().clone());
    (fault.head)(&parts.method, &mut status, &mut headers);
    headers.remove("transfer-encoding");
    let chunks = passed
        .bytes_stream()
        .map(|chunk| chunk.map_err(io::Error::other));
    let frames = body(chunks.boxed(), fault.body).map(|chunk| chunk.map(Frame::data));
    let mut response = Response::new(StreamBody::new(frames.boxed() as Pin<Box<_>>));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn body(chunks: Chunks, passing: Passing) -> Chunks {
    match passing {
        Passing::Through => chunks,
        Passing::Collected => collected(chunks),
        Passing::AfterFirstCollected => {
            let first = stream::once(async { chunks.into_future().await });
            first
                .flat_map(|(first, others)| stream::iter(first).chain(collected(others)))
                .boxed()
        }
        Passing::Delayed(time) => {
            let delayed = async move {
                tokio::time::sleep(time).await;
                chunks
            };
            stream::once(delayed).flatten().boxed()
        }
        Passing::Cut => {
            let cut = stream::once(async { Err(io::ErrorKind::ConnectionReset.into()) });
            chunks.chain(cut).boxed()
        }
        Passing::Without(text) => without(chunks, move |chunk| {
            String::from_utf8_lossy(chunk).contains(text)
        }),
        Passing::WithoutChunk(text) => without(chunks, move |chunk| chunk == text.as_bytes()),
    }
}

fn collected(chunks: Chunks) -> Chunks {
    let whole = chunks.fold(BytesMut::new(), |mut whole, chunk| async move {
        whole.extend_from_slice(&chunk.unwrap_or_default());
        whole
    });
    stream::once(async { Ok(whole.await.freeze()) }).boxed()
}

fn without(chunks: Chunks, dropped: impl Fn(&[u8]) -> bool + Send + 'static) -> Chunks {
    let kept = chunks.filter(move |chunk| {
        let kept = chunk.as_ref().is_ok_and(|chunk| !dropped(chunk));
        async move { kept }
    });
    kept.boxed()
}

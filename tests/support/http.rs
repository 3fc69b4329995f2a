//! Small HTTP servers for tests.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "as in mod.rs"
)]

use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A server on a free port. It stops if it is dropped.
pub struct Server {
    pub url: String,
    _tasks: JoinSet<()>,
}

pub async fn serve<F>(
    handler: impl Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = Response<Bytes>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let handler = handler.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let handler = handler.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body
                        .collect()
                        .await
                        .map(|body| body.to_bytes())
                        .unwrap_or_default();
                    let response = handler(Request::from_parts(parts, body)).await;
                    Ok::<_, Infallible>(response.map(Full::new))
                }
            });
            connections
                .spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Server { url, _tasks: tasks }
}

/// A proxy in front of DynamoDB. It can block all calls from a certain one on.
pub struct Proxy {
    server: Server,
    calls: watch::Receiver<usize>,
    shut: watch::Sender<Option<Shut>>,
}

/// From which call on the proxy blocks, and whether that call still takes effect before it waits.
#[derive(Clone, Copy, Debug)]
pub struct Shut {
    pub at_call: usize,
    pub after_effect: bool,
}

impl Proxy {
    pub async fn in_front_of(endpoint: String) -> Self {
        let (count, calls) = watch::channel(0);
        let (shut, is_shut) = watch::channel(None::<Shut>);
        let client = reqwest::Client::new();
        let server = serve(move |request| {
            let mut number = 0;
            count.send_modify(|calls| {
                *calls += 1;
                number = *calls;
            });
            let (endpoint, client, mut is_shut) =
                (endpoint.clone(), client.clone(), is_shut.clone());
            let here = is_shut.borrow().filter(|shut| number >= shut.at_call);
            async move {
                let Some(shut) = here else {
                    return forward(&client, &endpoint, request).await;
                };
                if shut.after_effect && number == shut.at_call {
                    let response = forward(&client, &endpoint, request).await;
                    is_shut.wait_for(Option::is_none).await.unwrap();
                    return response;
                }
                is_shut.wait_for(Option::is_none).await.unwrap();
                forward(&client, &endpoint, request).await
            }
        })
        .await;
        Self {
            server,
            calls,
            shut,
        }
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Blocks from a call on; the next call is 1.
    pub fn shut(&self, shut: Shut) {
        let at_call = *self.calls.borrow() + shut.at_call;
        self.shut.send_replace(Some(Shut { at_call, ..shut }));
    }

    /// Waits until the first blocked call has arrived.
    pub async fn reached(&self) {
        let at_call = self.shut.borrow().map_or(0, |shut| shut.at_call);
        self.calls
            .clone()
            .wait_for(|calls| *calls >= at_call)
            .await
            .unwrap();
    }

    /// Lets the blocked calls and all later ones through.
    pub fn open(&self) {
        self.shut.send_replace(None);
    }
}

pub async fn forward(
    client: &reqwest::Client,
    endpoint: &str,
    request: Request<Bytes>,
) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    let forwarded = client
        .post(endpoint)
        .headers(parts.headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = Response::builder().status(forwarded.status());
    *response.headers_mut().unwrap() = forwarded.headers().clone();
    response.body(forwarded.bytes().await.unwrap()).unwrap()
}

//! Passes a customer's requests to the stream function, counts them, and cuts them.

use std::future::pending;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, OriginalUri, Path, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Connections;
use super::breakable::Breaker;
use crate::bill::{Ledger, customer};

/// The headers that the function reads.
const REQUEST_HEADERS: [HeaderName; 3] = [
    ACCEPT,
    AUTHORIZATION,
    HeaderName::from_static("last-event-id"),
];

const RESPONSE_HEADERS: [HeaderName; 2] = [CONTENT_TYPE, CACHE_CONTROL];

/// Where the requests go.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    pub(crate) client: reqwest::Client,
    /// The URL of the stream function.
    pub(crate) stream_url: String,
    pub(crate) connections: Connections,
    pub(crate) ledger: Ledger,
}

type Chunk = io::Result<Bytes>;

/// `GET /connections/{customer}/stream/{path}`.
pub(crate) async fn relay(
    State(relay): State<Relay>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    Path((name, path)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let Some(customer) = customer(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if relay.connections.is_cut(customer) {
        breaker.break_off();
        return pending().await;
    }
    let query = uri.query().map(|query| format!("?{query}"));
    let url = format!("{}/{path}{}", relay.stream_url, query.unwrap_or_default());
    let mut request = relay.client.get(url);
    for name in REQUEST_HEADERS {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let open = relay.ledger.begin(customer, Instant::now());
    let (head, response) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(1);
    let client = Client {
        head,
        body: sender,
        cut: Cut {
            connections: relay.connections,
            customer,
            breaker,
        },
    };
    // A task of its own, because the function goes on if the client leaves, and all of it is billed.
    tokio::spawn(async move {
        client.serve(request).await;
        relay.ledger.end(open, Instant::now());
    });
    match response.await {
        Ok((status, headers)) => (status, headers, body(receiver)).into_response(),
        // The function cannot be reached.
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

fn body(mut chunks: mpsc::Receiver<Chunk>) -> Body {
    Body::from_stream(stream::poll_fn(move |cx| chunks.poll_recv(cx)))
}

/// The browser's side of a response.
struct Client {
    head: oneshot::Sender<(StatusCode, HeaderMap)>,
    body: mpsc::Sender<Chunk>,
    cut: Cut,
}

/// When and how a response is cut.
struct Cut {
    connections: Connections,
    customer: &'static str,
    breaker: Breaker,
}

impl Client {
    /// Sends the request to the function, and passes the response on while the client is there. Returns when the function has ended
    /// it.
    async fn serve(self, request: reqwest::RequestBuilder) {
        let Ok(mut response) = request.send().await else {
            return;
        };
        let head = (response.status(), headers(&response));
        let mut body = self.head.send(head).is_ok().then_some(self.body);
        loop {
            let chunk = tokio::select! {
                () = self.cut.connections.until_cut(self.cut.customer), if body.is_some() => {
                    self.cut.breaker.break_off();
                    body = None;
                    continue;
                }
                chunk = response.chunk() => chunk,
            };
            let (chunk, is_last) = match chunk {
                Ok(Some(chunk)) => (Ok(chunk), false),
                Ok(None) => return,
                Err(error) => (Err(io::Error::other(error)), true),
            };
            if let Some(client) = &body
                && client.send(chunk).await.is_err()
            {
                body = None;
            }
            if is_last {
                return;
            }
        }
    }
}

fn headers(response: &reqwest::Response) -> HeaderMap {
    let headers = RESPONSE_HEADERS.into_iter().filter_map(|name| {
        let value = response.headers().get(&name)?;
        Some((name, value.clone()))
    });
    headers.collect()
}

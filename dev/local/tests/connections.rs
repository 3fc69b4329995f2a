//! A customer's connection through the page's server: it is passed on, counted, and cut.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jsonwebtoken::Algorithm;
use local::bill::Ledger;
use local::connections::Connections;
use local::dynamo::{Dynamo, create_tables};
use local::issuer::Issuer;
use local::page::PageServer;
use local::shop::Shop;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A function's response that the test writes, chunk by chunk. A chunk is delivered once it was taken.
type Chunks = mpsc::Sender<&'static str>;

/// A stream function that the test plays: each request, and its response.
type Requests = mpsc::UnboundedSender<(String, HeaderMap, Chunks)>;

async fn function(
    State(requests): State<Requests>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let (chunks, mut written) = mpsc::channel(1);
    requests.send((uri.to_string(), headers, chunks)).unwrap();
    let body = futures_util::stream::poll_fn(move |cx| written.poll_recv(cx));
    let body = Body::from_stream(futures_util::StreamExt::map(body, |chunk: &str| {
        Ok::<_, std::io::Error>(Bytes::from(chunk))
    }));
    (
        [("content-type", "text/event-stream"), ("x-more", "1")],
        body,
    )
        .into_response()
}

struct Harness {
    address: SocketAddr,
    client: reqwest::Client,
    requests: mpsc::UnboundedReceiver<(String, HeaderMap, Chunks)>,
    _dynamo: Dynamo,
}

impl Harness {
    async fn start() -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        create_tables(&dynamo.client()).await.unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let functions = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream_url = format!("http://{}/stream", functions.local_addr().unwrap());
        let router = Router::new().route("/stream/{*path}", get(function));
        let router = router.with_state(sender);
        tokio::spawn(async move { axum::serve(functions, router).await });
        let page = PageServer {
            shop: Shop::new(dynamo.client()),
            stream_url,
            issuer: Issuer::new(Algorithm::ES256, "local").unwrap(),
            files: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            ledger: Ledger::over(Duration::from_secs(86_400)),
            connections: Connections::default(),
            placed: mpsc::unbounded_channel().0,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(page.serve(listener));
        Self {
            address,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            requests,
            _dynamo: dynamo,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn post(&self, path: &str) -> Value {
        let response = self.client.post(self.url(path)).send().await.unwrap();
        response.json().await.unwrap()
    }

    async fn bill(&self) -> Value {
        let response = self.client.get(self.url("/bill")).send().await.unwrap();
        response.json().await.unwrap()
    }

    /// A customer's response, and the function's side of it.
    async fn open(&mut self, customer: &str) -> (reqwest::Response, Chunks) {
        let url = self.url(&format!(
            "/connections/{customer}/stream/customers/me/events"
        ));
        let response = self.client.get(url).send();
        let (response, request) = tokio::join!(response, self.requests.recv());
        (response.unwrap(), request.unwrap().2)
    }

    /// Whether a new request gets no response at all.
    async fn is_refused(&self, customer: &str) -> bool {
        let url = self.url(&format!(
            "/connections/{customer}/stream/customers/me/events"
        ));
        self.client.get(url).send().await.is_err()
    }
}

#[tokio::test]
async fn a_request_and_its_response_are_passed_on() {
    let mut harness = Harness::start().await;
    let url = harness.url("/connections/ada/stream/customers/me/events?a=1&b=%2F");
    let request = harness.client.get(url).header("authorization", "Bearer t");
    let request = request.header("last-event-id", "7").header("cookie", "c=1");
    let (response, function) = tokio::join!(request.send(), harness.requests.recv());
    let (uri, headers, chunks) = function.unwrap();
    let mut response = response.unwrap();
    assert_eq!(uri, "/stream/customers/me/events?a=1&b=%2F");
    assert_eq!(headers["authorization"], "Bearer t");
    assert_eq!(headers["last-event-id"], "7");
    assert!(!headers.contains_key("cookie"));
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(!response.headers().contains_key("x-more"));
    // Each chunk arrives before the next one is written.
    for chunk in ["event: hello\n\n", "data: 1\n\n"] {
        chunks.send(chunk).await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), chunk);
    }
    drop(chunks);
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn a_cut_breaks_off_the_response_and_refuses_new_ones_of_this_customer_only() {
    let mut harness = Harness::start().await;
    let (mut ada, to_ada) = harness.open("ada").await;
    let (mut ben, to_ben) = harness.open("ben").await;
    to_ada.send("data: 1\n\n").await.unwrap();
    assert_eq!(ada.chunk().await.unwrap().unwrap(), "data: 1\n\n");

    assert_eq!(
        harness.post("/connections/ada/cut").await,
        json!({"cut": true})
    );
    assert!(
        ada.chunk().await.is_err(),
        "it is not the end of the response"
    );
    assert!(harness.is_refused("ada").await);
    to_ben.send("data: 2\n\n").await.unwrap();
    assert_eq!(ben.chunk().await.unwrap().unwrap(), "data: 2\n\n");
    assert_eq!(harness.bill().await["customers"]["ada"]["cut"], true);
    assert_eq!(harness.bill().await["customers"]["ben"]["cut"], false);

    let restored = harness.post("/connections/ada/restore").await;
    assert_eq!(restored, json!({"cut": false}));
    let (mut ada, to_ada) = harness.open("ada").await;
    to_ada.send("data: 3\n\n").await.unwrap();
    assert_eq!(ada.chunk().await.unwrap().unwrap(), "data: 3\n\n");
}

/// The function does not learn that its client has left, and it is billed to the end of its response.
#[tokio::test]
async fn the_function_goes_on_after_a_cut_and_each_request_that_reached_it_is_counted() {
    let mut harness = Harness::start().await;
    let (mut ada, to_ada) = harness.open("ada").await;
    harness.post("/connections/ada/cut").await;
    assert!(ada.chunk().await.is_err());
    assert!(harness.is_refused("ada").await);
    for _ in 0..10 {
        to_ada.send("data: nobody reads this\n\n").await.unwrap();
    }
    assert!(!to_ada.is_closed());
    drop(to_ada);
    harness.post("/connections/ada/restore").await;
    let (_ada, _to_ada) = harness.open("ada").await;
    let bill = harness.bill().await;
    assert_eq!(bill["customers"]["ada"]["requests"], 2);
    assert_eq!(bill["customers"]["ben"]["requests"], 0);
    assert_eq!(bill["total"]["requests"], 2);
}

#[tokio::test]
async fn there_are_two_customers_and_two_changes_of_a_connection() {
    let harness = Harness::start().await;
    for path in [
        "/connections/eve/cut",
        "/connections/ada/break",
        "/customers/eve/orders",
    ] {
        let response = harness.client.post(harness.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    let url = harness.url("/connections/eve/stream/customers/me/events");
    let response = harness.client.get(url).send().await.unwrap();
    assert_eq!(response.status(), 404);
}

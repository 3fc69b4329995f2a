//! The real functions, behind a DynamoDB that reports what each call consumed.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "shared by benchmarks, none of which uses all of it"
)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use cost::bill::Usage;
use lambda_stand_in::{Builder, Function};
use local::dynamo::{Dynamo, FEED, create_tables};
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use serde_json::Value;
use tokio::net::TcpListener;

/// A DynamoDB with the project's tables, and a proxy in front of it that counts what the calls consume.
pub struct Harness {
    dynamo: Dynamo,
    pub watching: Arc<Mutex<Usage>>,
    /// The counting proxy.
    endpoint: String,
}

impl Harness {
    pub async fn new() -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        create_tables(&dynamo.client()).await.unwrap();
        let watching = Arc::default();
        let proxy = CountingProxy {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: dynamo.endpoint(),
            watching: Arc::clone(&watching),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(forward)).with_state(proxy);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            dynamo,
            watching,
            endpoint,
        }
    }

    /// A feed that nothing counts.
    pub fn feed(&self) -> DynamoDbFeed {
        DynamoDbFeed::new(self.dynamo.client(), FEED)
    }

    /// One of the functions, behind the counting proxy.
    pub fn function(&self, name: &str) -> Builder {
        self.on(&self.endpoint, bootstrap(name))
    }

    /// One of the functions, without the proxy, which takes time.
    pub fn direct(&self, bootstrap: PathBuf) -> Builder {
        self.on(&self.dynamo.endpoint(), bootstrap)
    }

    fn on(&self, endpoint: &str, bootstrap: PathBuf) -> Builder {
        Function::builder(bootstrap)
            .env("FEED_TABLE", FEED)
            .env("ACCESS", "open")
            .env("PUBLIC_ATTRIBUTES", "n")
            .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .timeout(Duration::from_secs(120))
    }
}

/// A function that `make bench` built.
pub fn bootstrap(name: &str) -> PathBuf {
    let functions = std::env::var_os("FUNCTIONS").expect("FUNCTIONS is not set: run `make bench`");
    std::path::absolute(PathBuf::from(functions).join(name)).unwrap()
}

#[derive(Clone)]
struct CountingProxy {
    client: reqwest::Client,
    url: String,
    watching: Arc<Mutex<Usage>>,
}

/// Forwards a call, and asks DynamoDB what it consumed.
async fn forward(State(proxy): State<CountingProxy>, headers: HeaderMap, body: Bytes) -> Response {
    let mut call: Value = serde_json::from_slice(&body).unwrap();
    call["ReturnConsumedCapacity"] = "TOTAL".into();
    let mut request = proxy.client.post(&proxy.url).body(call.to_string());
    for name in [
        "content-type",
        "x-amz-target",
        "authorization",
        "x-amz-date",
    ] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let body = response.bytes().await.unwrap();
    let consumed: Value = serde_json::from_slice(&body).unwrap();
    let units = consumed["ConsumedCapacity"]["CapacityUnits"].as_f64();
    let target = headers["x-amz-target"].to_str().unwrap();
    proxy.count(target, &call, units.unwrap_or_default());
    let content_type = [("content-type", "application/x-amz-json-1.0")];
    (status, content_type, body).into_response()
}

impl CountingProxy {
    /// Watching is what `stream` reads, and the dwell times that `projector` writes. All other calls happen whether or not anybody
    /// watches: `projector` reads only the newest entry.
    fn count(&self, target: &str, call: &Value, units: f64) {
        let mut watching = self.watching.lock().unwrap();
        if target.ends_with(".Query") && call["Limit"] != 1 {
            watching.read_units += units;
        } else if call["Key"]["order"]["S"] == "%dwell" {
            watching.write_units += units;
        }
    }
}

//! A proxy in front of a DynamoDB that learns what each call consumes. It can also refuse all calls.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

const CONTENT_TYPE: [(&str, &str); 1] = [("content-type", "application/x-amz-json-1.0")];

/// The headers of a call that DynamoDB reads.
const FORWARDED: [&str; 4] = [
    "content-type",
    "x-amz-target",
    "authorization",
    "x-amz-date",
];

/// What DynamoDB answers if it fails. The SDK tries again.
const INTERNAL_ERROR: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#;

/// A call, and how many capacity units it consumed.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Such as `DynamoDB_20120810.Query`.
    pub target: &'a str,
    pub body: &'a Value,
    pub units: f64,
}

type Count = dyn Fn(Call<'_>) + Send + Sync;

/// The running proxy.
#[derive(Clone)]
pub struct Meter(Arc<Inner>);

struct Inner {
    /// The proxy's own URL.
    endpoint: String,
    dynamo: String,
    client: reqwest::Client,
    count: Box<Count>,
    refuses: AtomicBool,
}

impl Meter {
    /// Listens at a free port, and passes calls to the DynamoDB at `dynamo`. `count` gets each call that was answered.
    ///
    /// # Errors
    ///
    /// This machine refuses a port.
    pub async fn start(
        dynamo: String,
        count: impl Fn(Call<'_>) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = reqwest::Client::builder().no_proxy().build();
        let meter = Self(Arc::new(Inner {
            endpoint: format!("http://{}", listener.local_addr()?),
            dynamo,
            client: client.map_err(io::Error::other)?,
            count: Box::new(count),
            refuses: AtomicBool::new(false),
        }));
        let app = Router::new()
            .route("/", post(forward))
            .with_state(meter.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(meter)
    }

    /// The URL for clients.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// Whether every call fails from now on, as in an outage.
    pub fn refuse(&self, refuses: bool) {
        self.0.refuses.store(refuses, Ordering::Relaxed);
    }
}

async fn forward(State(meter): State<Meter>, headers: HeaderMap, body: Bytes) -> Response {
    if meter.0.refuses.load(Ordering::Relaxed) {
        return (
            StatusCode::INTERNAL_SERVER_ERROR,
            CONTENT_TYPE,
            INTERNAL_ERROR,
        )
            .into_response();
    }
    let answer = meter.0.call(&headers, &body).await;
    match answer {
        Ok((status, body)) => (status, CONTENT_TYPE, body).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Inner {
    async fn call(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error>> {
        let mut call: Value = serde_json::from_slice(body)?;
        call["ReturnConsumedCapacity"] = "TOTAL".into();
        let mut request = self.client.post(&self.dynamo).body(call.to_string());
        for name in FORWARDED {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        let answer: Value = serde_json::from_slice(&body)?;
        let units = answer["ConsumedCapacity"]["CapacityUnits"].as_f64();
        let target = headers.get("x-amz-target");
        (self.count)(Call {
            target: target.and_then(|it| it.to_str().ok()).unwrap_or_default(),
            body: &call,
            units: units.unwrap_or_default(),
        });
        Ok((status, body))
    }
}

//! The real binaries, with a database and a stand-in for Lambda.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "test files share it; none of them uses all of it"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_stand_in::{Builder, Function};
use local::dynamo::{Dynamo, create_tables};
use local::event_source::EventSource;
use local::issuer::Issuer;
use order_status_stream::change::{Change, Position, Write};
use order_status_stream::clock::Clock;
use order_status_stream::customer::CustomerId;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Consistency, append, read_all};
use order_status_stream::order::{OrderId, Seq, Status};

const RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// The tables, and the functions that use them.
pub struct Cloud {
    pub dynamo: Dynamo,
    pub client: Client,
    pub stream_arn: String,
    appended: AtomicU64,
}

impl Cloud {
    pub async fn new() -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        let client = dynamo.client();
        let stream_arn = create_tables(&client).await.unwrap();
        Self {
            dynamo,
            client,
            stream_arn,
            appended: AtomicU64::new(1),
        }
    }

    pub fn projector(&self, endpoint: &str) -> Builder {
        let function = Function::builder(env!("CARGO_BIN_EXE_projector"));
        environment(function, endpoint).timeout(Duration::from_secs(30))
    }

    pub fn stream(&self) -> Builder {
        let function = Function::builder(env!("CARGO_BIN_EXE_stream"));
        environment(function, &self.dynamo.endpoint())
            .env("ACCESS", "open")
            .env("HOLD", "always")
            .timeout(Duration::from_secs(120))
    }

    /// A stream that needs tokens, and rests for a minute if it may.
    pub fn guarded_stream(&self, issuer: &Issuer) -> Builder {
        let stream = self.stream().env("HOLD", "auto").env("FRESHNESS", "10m");
        stream
            .env("ACCESS", "jwt")
            .env("JWKS", issuer.jwks().unwrap())
    }

    /// The event source mapping: delivers changes of orders to the projector.
    pub fn event_source(&self, projector: &Arc<Function>) -> EventSource<Arc<Function>> {
        EventSource {
            streams: self.dynamo.streams(),
            stream_arn: self.stream_arn.clone(),
            function: Arc::clone(projector),
            settings: Default::default(),
            metrics: Default::default(),
            clock: Default::default(),
        }
    }

    pub async fn write(&self, id: &str, status: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = self
            .client
            .put_item()
            .table_name("Orders")
            .item("orderId", text(id))
            .item("status", text(status));
        put.item("eta", text("18:20"))
            .item("customerEmail", text("a@example.com"))
            .send()
            .await
            .unwrap();
    }

    /// Appends a change to the feed directly, for tests without a projector.
    pub async fn append(&self, id: &str, status: &str) {
        self.append_with(id, status, "18:20").await;
    }

    /// Like [`append`](Self::append), with a value of the public attribute.
    pub async fn append_with(&self, id: &str, status: &str, eta: &str) {
        self.append_of(None, id, status, eta).await;
    }

    /// Like [`append_with`](Self::append_with), to an order of this customer.
    pub async fn append_of(&self, customer: Option<CustomerId>, id: &str, status: &str, eta: &str) {
        let feed = DynamoDbFeed::new(self.client.clone(), "OrderFeed");
        let position = format!("{:040}", self.appended.fetch_add(1, Ordering::Relaxed));
        let change = Change {
            order: OrderId::try_from(id).unwrap(),
            position: Position::new("2026-11-22T00:00:00.000", &position).unwrap(),
            status: Status::new(status).unwrap(),
            view: [("eta".to_owned(), eta.into())].into(),
            at: None,
            recorded_at: None,
            write: Write::Modify,
            customer,
            began: true,
            terminal: status == "DELIVERED",
        };
        append(&feed, &change, &Clock::system(), RETENTION)
            .await
            .unwrap()
            .unwrap();
    }

    /// The order's log. For each entry: its number, its status, and whether it has an expiry.
    pub async fn log(&self, id: &str) -> Vec<(u64, String, bool)> {
        let feed = DynamoDbFeed::new(self.client.clone(), "OrderFeed");
        let order = OrderId::try_from(id).unwrap();
        let entries = read_all(&feed, &order, Seq::ZERO, Consistency::Strong)
            .await
            .unwrap();
        entries
            .iter()
            .map(|entry| {
                (
                    entry.seq.0,
                    entry.status.as_str().to_owned(),
                    entry.expires_at.is_some(),
                )
            })
            .collect()
    }
}

/// The settings with which a function reaches the tables, and the attributes that it may show.
pub fn environment(function: Builder, endpoint: &str) -> Builder {
    function
        .env("FEED_TABLE", "OrderFeed")
        .env("PUBLIC_ATTRIBUTES", "eta")
        .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
}

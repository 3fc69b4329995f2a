//! The tables, the projector, and the command.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "test files share it"
)]

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use local::dynamo::{Dynamo, create_tables_with_key};
use local::event_source::{BoxError, EventSource, Invoke, Metrics};
use order_status_stream::clock::Clock;
use order_status_stream::feed::Feed;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::order::OrderId;
use order_status_stream::projector::Projector;
use order_status_stream::settings::ProjectorSettings;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Notify;

/// The projector in this process.
struct InProcess {
    projector: Projector<DynamoDbFeed>,
    batches: Arc<Notify>,
}

impl Invoke for InProcess {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let event: Event = serde_json::from_slice(&payload)?;
        let end = tokio::time::Instant::now() + Duration::from_secs(60);
        let response = self.projector.project(&event, &Clock::system(), end).await;
        self.batches.notify_one();
        Ok(serde_json::to_vec(&response)?.into())
    }
}

/// A function that fails.
struct Broken;

impl Invoke for Broken {
    async fn invoke(&self, _: Bytes) -> Result<Bytes, BoxError> {
        Err("out of memory".into())
    }
}

/// The tables, the projector, and the command.
pub struct Shop {
    dynamo: Dynamo,
    pub client: Client,
    stream_arn: String,
    feed: DynamoDbFeed,
    /// The settings of the projector and of the command.
    variables: Vec<(&'static str, &'static str)>,
}

impl Shop {
    pub async fn new() -> Self {
        Self::with_key(&["orderId"], &[]).await
    }

    /// The orders table has these key attributes. The settings are in addition to the usual ones.
    pub async fn with_key(attributes: &[&str], settings: &[(&'static str, &'static str)]) -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        let client = dynamo.client();
        let stream_arn = create_tables_with_key(&client, attributes).await.unwrap();
        let feed = DynamoDbFeed::new(client.clone(), "OrderFeed");
        Self {
            dynamo,
            client,
            stream_arn,
            feed,
            variables: [
                &[
                    ("FEED_TABLE", "OrderFeed"),
                    ("PUBLIC_ATTRIBUTES", "eta"),
                    ("CUSTOMER_ATTRIBUTE", "customer"),
                ],
                settings,
            ]
            .concat(),
        }
    }

    pub async fn write(&self, id: &str, status: &str) {
        self.write_of(None, id, status).await;
    }

    pub async fn write_of(&self, customer: Option<&str>, id: &str, status: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = self.client.put_item().table_name("Orders");
        let put = put.item("orderId", text(id)).item("status", text(status));
        let mut put = put.item("eta", text("18:20"));
        if let Some(customer) = customer {
            put = put.item("customer", text(customer));
        }
        put.send().await.unwrap();
    }

    /// Runs the projector until the newest entries satisfy a condition.
    pub async fn project_until(&self, order: &str, status: &str) {
        let variable = |name: &str| {
            let found = self
                .variables
                .iter()
                .rev()
                .find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = ProjectorSettings::read(variable).unwrap();
        let batches = Arc::new(Notify::new());
        let filter = settings.rules.key.filter();
        let source = EventSource {
            streams: self.dynamo.streams(),
            stream_arn: self.stream_arn.clone(),
            function: InProcess {
                projector: Projector::new(self.feed.clone(), settings.rules, settings.retention),
                batches: Arc::clone(&batches),
            },
            settings: local::event_source::Settings {
                filter,
                ..Default::default()
            },
            metrics: Arc::default(),
            clock: Default::default(),
        };
        let order = OrderId::try_from(order).unwrap();
        let shown = async {
            loop {
                let newest = self.feed.newest(&order).await.unwrap();
                if newest.is_some_and(|newest| newest.status.as_str() == status) {
                    return;
                }
                batches.notified().await;
            }
        };
        let limit = tokio::time::timeout(Duration::from_secs(60), source.run(shown));
        limit.await.unwrap().unwrap();
    }

    /// Delivers the stream to a function that fails, until so many records were given up.
    pub async fn give_up(&self, bucket: &Path, records: usize) {
        let metrics = Arc::new(Metrics::default());
        let source = EventSource {
            streams: self.dynamo.streams(),
            stream_arn: self.stream_arn.clone(),
            function: Broken,
            settings: local::event_source::Settings {
                maximum_retry_attempts: Some(0),
                on_failure: Some(bucket.to_owned()),
                ..Default::default()
            },
            metrics: Arc::clone(&metrics),
            clock: Default::default(),
        };
        let mut dropped = metrics.dropped_events.subscribe();
        let given_up = async { drop(dropped.wait_for(|count| *count >= records).await) };
        source.run(given_up).await.unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_operate"));
        command
            .args(arguments)
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", "x")
            .env("AWS_SECRET_ACCESS_KEY", "x")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL_DYNAMODB", self.dynamo.endpoint())
            .envs(self.variables.iter().copied());
        command
    }

    pub async fn operate(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    /// The JSON lines of a run, and whether it succeeded.
    pub async fn lines(&self, arguments: &[&str]) -> (Vec<Value>, bool) {
        let arguments = [&["--json"], arguments].concat();
        let output = self.operate(&arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (lines.collect(), output.status.success())
    }

    pub async fn backfill(&self, arguments: &[&str]) -> Value {
        let backfill = ["backfill", "--orders-table", "Orders", "--rate", "10000"];
        let (lines, succeeded) = self.lines(&[&backfill, arguments].concat()).await;
        assert!(succeeded);
        lines.into_iter().next_back().unwrap()
    }

    pub async fn touched(&self, id: &str) -> bool {
        let get = self.client.get_item().table_name("Orders");
        let got = get.key("orderId", AttributeValue::S(id.to_owned())).send();
        let item = got.await.unwrap().item.unwrap_or_default();
        item.contains_key("touchedAt")
    }

    pub async fn check(&self) -> (Vec<Value>, bool) {
        let check = ["check", "--orders-table", "Orders", "--rate", "1000000"];
        self.lines(&check).await
    }
}

pub fn laws(lines: &[Value]) -> Vec<(&str, &str)> {
    let findings = lines.iter().filter(|line| line.get("law").is_some());
    let mut laws: Vec<_> = findings
        .map(|line| {
            (
                line["order"].as_str().unwrap(),
                line["law"].as_str().unwrap(),
            )
        })
        .collect();
    laws.sort_unstable();
    laws
}

pub fn summary(touched: u64, known: u64, missing: u64, invalid: u64, dry_run: bool) -> Value {
    json!({ "touched": touched, "known": known, "missing": missing, "invalid": invalid, "dryRun": dry_run })
}

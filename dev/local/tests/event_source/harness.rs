//! A database, an event source, and a function whose responses the test sends.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use local::dynamo::{Dynamo, ORDERS, create_tables};
use local::event_source::{BoxError, EventSource, EventSourceError, Invoke, Settings};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A function whose invocations wait until the test responds.
struct TestFunction(mpsc::UnboundedSender<Delivery>);

pub(crate) struct Delivery {
    pub(crate) event: Value,
    pub(crate) responder: oneshot::Sender<Result<Bytes, BoxError>>,
}

impl Invoke for TestFunction {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let (responder, response) = oneshot::channel();
        let event = serde_json::from_slice(&payload)?;
        self.0.send(Delivery { event, responder })?;
        response.await?
    }
}

impl Delivery {
    /// `orderId:eventName` of each record.
    pub(crate) fn changes(&self) -> Vec<String> {
        let records = self.event["Records"].as_array().unwrap().iter();
        records
            .map(|record| {
                let id = text(&record["dynamodb"]["Keys"]["orderId"]["S"]);
                format!("{id}:{}", text(&record["eventName"]))
            })
            .collect()
    }

    pub(crate) fn take_all(self) {
        self.responder
            .send(Ok(Bytes::from_static(b"{\"batchItemFailures\":[]}")))
            .unwrap();
    }

    pub(crate) fn report(self, indices: &[usize]) {
        let records = &self.event["Records"];
        let number = |index: usize| &records[index]["dynamodb"]["SequenceNumber"];
        let failure = |&index: &usize| json!({"itemIdentifier": number(index)});
        let failures: Vec<_> = indices.iter().map(failure).collect();
        let response = json!({"batchItemFailures": failures}).to_string();
        self.responder.send(Ok(response.into())).unwrap();
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// An event source, and the batches that it delivers.
pub(crate) struct Source {
    pub(crate) deliveries: mpsc::UnboundedReceiver<Delivery>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) running: JoinHandle<Result<(), EventSourceError>>,
}

impl Source {
    pub(crate) fn start(
        streams: aws_sdk_dynamodbstreams::Client,
        stream_arn: &str,
        batch_size: usize,
        parallelization_factor: usize,
    ) -> Self {
        let (sender, deliveries) = mpsc::unbounded_channel();
        let event_source = EventSource {
            streams,
            stream_arn: stream_arn.to_owned(),
            function: TestFunction(sender),
            settings: Settings {
                batch_size,
                parallelization_factor,
                poll_interval: Duration::from_millis(5),
                min_backoff: Duration::from_millis(1),
                ..Settings::default()
            },
            metrics: Arc::default(),
            clock: Default::default(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(event_source.run(async { drop(stopped.await) }));
        Self {
            deliveries,
            stop: Some(stop),
            running,
        }
    }

    pub(crate) async fn next(&mut self) -> Delivery {
        let next = timeout(Duration::from_secs(60), self.deliveries.recv());
        next.await.unwrap().unwrap()
    }
}

/// A database, and an event source on its stream of orders.
pub(crate) struct Harness {
    pub(crate) dynamo: Dynamo,
    pub(crate) orders: Client,
    pub(crate) stream_arn: String,
    pub(crate) source: Source,
}

impl Harness {
    /// One batch at a time.
    pub(crate) async fn start(batch_size: usize, before: impl AsyncFnOnce(&Client)) -> Self {
        Self::with_lanes(batch_size, 1, before).await
    }

    pub(crate) async fn with_lanes(
        batch_size: usize,
        parallelization_factor: usize,
        before: impl AsyncFnOnce(&Client),
    ) -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        let orders = dynamo.client();
        let stream_arn = create_tables(&orders).await.unwrap();
        before(&orders).await;
        let streams = dynamo.streams();
        let source = Source::start(streams, &stream_arn, batch_size, parallelization_factor);
        Self {
            dynamo,
            orders,
            stream_arn,
            source,
        }
    }

    pub(crate) async fn next(&mut self) -> Delivery {
        self.source.next().await
    }
}

pub(crate) async fn put(orders: &Client, id: &str, status: &str) {
    orders
        .put_item()
        .table_name(ORDERS)
        .item("orderId", AttributeValue::S(id.to_owned()))
        .item("status", AttributeValue::S(status.to_owned()))
        .send()
        .await
        .unwrap();
}

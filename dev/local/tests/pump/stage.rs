//! A database, a pump, and a function that is the test itself.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use local::dynamo::{Dynamo, ORDERS, create_tables};
use local::pump::{BoxError, Invoke, Pump, PumpError, Settings};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// A function that is the test itself: each invocation waits for the test's answer.
struct Function(mpsc::UnboundedSender<Invocation>);

pub(crate) struct Invocation {
    pub(crate) event: Value,
    pub(crate) answer: oneshot::Sender<Result<Bytes, BoxError>>,
}

impl Invoke for Function {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let (answer, answered) = oneshot::channel();
        let event = serde_json::from_slice(&payload)?;
        self.0.send(Invocation { event, answer })?;
        answered.await?
    }
}

impl Invocation {
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
        self.answer
            .send(Ok(Bytes::from_static(b"{\"batchItemFailures\":[]}")))
            .unwrap();
    }

    pub(crate) fn report(self, indices: &[usize]) {
        let records = &self.event["Records"];
        let number = |index: usize| &records[index]["dynamodb"]["SequenceNumber"];
        let failure = |&index: &usize| json!({"itemIdentifier": number(index)});
        let failures: Vec<_> = indices.iter().map(failure).collect();
        let answer = json!({"batchItemFailures": failures}).to_string();
        self.answer.send(Ok(answer.into())).unwrap();
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A database, a pump on its stream of orders, and the pump's invocations.
pub(crate) struct Stage {
    pub(crate) dynamo: Dynamo,
    pub(crate) orders: Client,
    pub(crate) stream_arn: String,
    pub(crate) invocations: mpsc::UnboundedReceiver<Invocation>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) pump: JoinHandle<Result<(), PumpError>>,
}

impl Stage {
    pub(crate) async fn start(batch_size: i32, before: impl AsyncFnOnce(&Client)) -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        let orders = dynamo.client();
        let stream_arn = create_tables(&orders).await.unwrap();
        before(&orders).await;
        let (sender, invocations) = mpsc::unbounded_channel();
        let pump = Pump {
            streams: dynamo.streams(),
            stream_arn: stream_arn.clone(),
            function: Function(sender),
            settings: Settings {
                batch_size,
                poll_interval: Duration::from_millis(5),
                shortest_backoff: Duration::from_millis(1),
                ..Settings::default()
            },
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let pump = tokio::spawn(pump.run(async { drop(stopped.await) }));
        Self {
            dynamo,
            orders,
            stream_arn,
            invocations,
            stop: Some(stop),
            pump,
        }
    }

    pub(crate) async fn next(&mut self) -> Invocation {
        self.invocations.recv().await.unwrap()
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

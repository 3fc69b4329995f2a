//! Which reads of the DynamoDB feed are consistent. The embedded database has no replicas, so the test inspects the requests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::mem::take;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use local::dynamo::{Dynamo, create_tables};
use order_status_stream::dwell::Dwells;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Consistency, Feed, FeedError};
use order_status_stream::order::{OrderId, Seq, Status};
use serde_json::Value;

/// Records for each read request whether it is consistent.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<bool>>>);

impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "Recorder"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap();
        let (_, operation) = target.split_once('.').unwrap();
        match operation {
            "Query" | "GetItem" => {
                let body: Value = serde_json::from_slice(request.body().bytes().unwrap())?;
                let consistent = body["ConsistentRead"].as_bool().unwrap_or_default();
                self.0.lock().unwrap().push(consistent);
            }
            "PutItem" | "UpdateItem" => {}
            other => panic!("unexpected operation {other}: is it a read?"),
        }
        Ok(())
    }
}

impl Recorder {
    /// Checks the requests that led to this result.
    #[track_caller]
    fn check<T>(&self, result: Result<T, FeedError>, expected: &[bool]) {
        result.unwrap();
        assert_eq!(take(&mut *self.0.lock().unwrap()), expected);
    }
}

#[tokio::test]
async fn reads_are_as_consistent_as_the_feed_promises() {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    let client = dynamo.client();
    create_tables(&client).await.unwrap();
    let recorder = Recorder::default();
    let config = client.config().to_builder().interceptor(recorder.clone());
    let feed = DynamoDbFeed::new(Client::from_conf(config.build()), "OrderFeed");
    let (a, paid) = (
        OrderId::try_from("A").unwrap(),
        Status::new("PAID").unwrap(),
    );

    recorder.check(feed.newest(&a).await, &[true]);
    for (consistency, expected) in [(Consistency::Strong, true), (Consistency::Eventual, false)] {
        recorder.check(feed.read(&a, Seq(1), consistency).await, &[expected]);
        recorder.check(feed.latest(&a, consistency).await, &[expected]);
    }
    recorder.check(feed.settings_confirmed(7).await, &[true]);
    // This read is consistent, because a write depends on it.
    recorder.check(
        feed.learn(&paid, &Dwells::default(), u64::MAX).await,
        &[true],
    );
    recorder.check(feed.learned().await, &[false]);
}

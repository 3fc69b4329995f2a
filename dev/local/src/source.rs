//! How the changes of the orders table come to the projector.

use std::convert::Infallible;
use std::future;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use local::as_kafka::AsKafka;
use local::dynamo::Dynamo;
use local::event_source::{BoxError, EventSource, Invoke};
use local::topic::{Connector, Topic};

/// The demo's topics. A broker that goes on running keeps them.
const TOPIC: &str = "order-status-stream-demo";

/// In which shape the projector gets the changes.
#[derive(Args)]
pub(crate) struct Source {
    /// In which shape the projector gets the changes: a DynamoDB stream's, or Kafka's with Debezium's envelope.
    #[arg(long, value_enum, default_value = "stream")]
    source: Shape,
    /// A broker of Kafka, such as localhost:9092: what Debezium would write goes through a topic of it. Without a broker, the events
    /// only look as if it did.
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    Stream,
    Kafka,
}

/// A source that is ready.
pub(crate) enum Changes {
    Stream,
    AsKafka,
    Topic(Topic),
}

impl Source {
    /// Checks the options, and opens a topic of the broker.
    pub(crate) async fn open(&self) -> Result<Changes, BoxError> {
        match (self.source, &self.broker) {
            (Shape::Stream, None) => Ok(Changes::Stream),
            (Shape::Stream, Some(_)) => {
                Err("BROKER is only for Kafka: add SOURCE=kafka, or leave it out".into())
            }
            (Shape::Kafka, None) => Ok(Changes::AsKafka),
            (Shape::Kafka, Some(broker)) => {
                let topic = Topic::open(broker, &topic_of(SystemTime::now())).await?;
                Ok(Changes::Topic(topic))
            }
        }
    }
}

impl Changes {
    /// Delivers the changes until that fails.
    pub(crate) async fn deliver<I: Invoke>(
        &self,
        dynamo: &Dynamo,
        stream_arn: String,
        projector: I,
    ) -> Result<Infallible, BoxError> {
        match self {
            Self::Stream => run(dynamo, stream_arn, projector).await,
            Self::AsKafka => run(dynamo, stream_arn, AsKafka(projector)).await,
            Self::Topic(topic) => {
                tokio::select! {
                    ended = run(dynamo, stream_arn, Connector(topic)) => ended,
                    ended = topic.deliver(&projector) => ended,
                }
            }
        }
    }
}

/// The topic of a run that starts now. In a topic of an earlier run are orders that the database no longer has.
fn topic_of(start: SystemTime) -> String {
    let since_epoch = start.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{TOPIC}-{}", since_epoch.as_secs())
}

async fn run<I: Invoke>(
    dynamo: &Dynamo,
    stream_arn: String,
    function: I,
) -> Result<Infallible, BoxError> {
    let event_source = EventSource {
        streams: dynamo.streams(),
        stream_arn,
        function,
        settings: Default::default(),
        metrics: Default::default(),
        clock: Default::default(),
    };
    event_source.run(future::pending()).await?;
    Err("the event source ended".into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_run_has_a_topic_of_its_own() {
        let start = UNIX_EPOCH + Duration::from_millis(1_795_747_200_900);
        assert_eq!(topic_of(start), "order-status-stream-demo-1795747200");
    }
}

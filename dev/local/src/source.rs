//! How the changes of the orders table come to the projector.

use std::convert::Infallible;
use std::future;

use clap::{Args, ValueEnum};
use local::as_kafka::AsKafka;
use local::dynamo::Dynamo;
use local::event_source::{BoxError, EventSource, Invoke};
use local::topic::{Connector, Topic};

/// The demo's topic. A broker that goes on running keeps it, with the orders of earlier runs.
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

impl Source {
    /// Delivers the changes until that fails.
    pub(crate) async fn deliver<I: Invoke>(
        &self,
        dynamo: &Dynamo,
        stream_arn: String,
        projector: I,
    ) -> Result<Infallible, BoxError> {
        match (self.source, &self.broker) {
            (Shape::Stream, None) => run(dynamo, stream_arn, projector).await,
            (Shape::Stream, Some(_)) => {
                Err("BROKER is only for Kafka: add SOURCE=kafka, or leave it out".into())
            }
            (Shape::Kafka, None) => run(dynamo, stream_arn, AsKafka(projector)).await,
            (Shape::Kafka, Some(broker)) => {
                let topic = Topic::open(broker, TOPIC).await?;
                tokio::select! {
                    ended = run(dynamo, stream_arn, Connector(&topic)) => ended,
                    ended = topic.deliver(&projector) => ended,
                }
            }
        }
    }
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

//! A topic of a real broker between the orders table and the projector.
//!
//! ```text
//! stream of the orders table ─▶ `Connector` ─▶ topic ─▶ `Topic::deliver` ─▶ projector
//!                      writes what Debezium would       polls as Lambda does
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::record::{Record, RecordAndOffset};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::as_kafka::{Message, lambda_record};
use crate::event_source::{BoxError, Invoke};

/// The partitions of a topic that is created here. More than one, so that orders are in different ones.
const PARTITIONS: i32 = 3;

/// A broker that is not there is asked again and again. After this time an error is better.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const CREATE_TIMEOUT_MS: i32 = 5_000;

/// The largest batch in bytes. A payload of Lambda has 6 MB at most, and base64 makes it a third larger.
const MAX_BATCH: i32 = 1_000_000;

/// How long the broker waits for a record.
const MAX_WAIT_MS: i32 = 500;

/// The pause before a batch that has failed is delivered again. Lambda's own pauses are not documented.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A topic, on whose partitions one writes and reads.
#[derive(Debug)]
pub struct Topic {
    name: String,
    servers: String,
    /// By their number.
    partitions: Vec<PartitionClient>,
}

impl Topic {
    /// Connects to a broker, such as `localhost:9092`, and creates the topic if it does not exist.
    ///
    /// # Errors
    ///
    /// The broker cannot be reached, or the topic cannot be created.
    pub async fn open(servers: &str, name: &str) -> Result<Self, BoxError> {
        let mut opening = Opening::default();
        let opened = Self::try_open(servers, name, &mut opening);
        match timeout(CONNECT_TIMEOUT, opened).await {
            Ok(Ok(topic)) => Ok(topic),
            Ok(Err(error)) => Err(opening.failed(servers, name, Some(&*error)).into()),
            Err(_) => Err(opening.failed(servers, name, None).into()),
        }
    }

    async fn try_open(servers: &str, name: &str, opening: &mut Opening) -> Result<Self, BoxError> {
        let client = ClientBuilder::new(vec![servers.to_owned()]).build().await?;
        opening.is_connected = true;
        let created = client.controller_client()?;
        let created = created.create_topic(name, PARTITIONS, 1, CREATE_TIMEOUT_MS);
        // It may exist, or the broker may create it when it is used.
        opening.refusal = created.await.err().map(|error| error.to_string());
        let first = client.partition_client(name, 0, UnknownTopicHandling::Retry);
        let mut partitions = vec![first.await?];
        let topics = client.list_topics().await?;
        let numbers = topics.into_iter().find(|topic| topic.name == name);
        for number in numbers
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .skip(1)
        {
            let partition = client.partition_client(name, number, UnknownTopicHandling::Retry);
            partitions.push(partition.await?);
        }
        Ok(Self {
            name: name.to_owned(),
            servers: servers.to_owned(),
            partitions,
        })
    }

    /// Delivers the topic from its oldest record, each partition by itself, as Lambda does for a self-managed cluster. A batch that
    /// fails is delivered again until it succeeds.
    ///
    /// # Errors
    ///
    /// The topic cannot be read.
    pub async fn deliver<I: Invoke>(&self, function: &I) -> Result<Infallible, BoxError> {
        let partitions = self.partitions.iter();
        let ended = try_join_all(partitions.map(|partition| self.poll(partition, function)));
        match ended.await?.pop() {
            Some(never) => match never {},
            None => Err("the topic has no partitions".into()),
        }
    }

    async fn poll<I: Invoke>(
        &self,
        partition: &PartitionClient,
        function: &I,
    ) -> Result<Infallible, BoxError> {
        let mut offset = partition.get_offset(OffsetAt::Earliest).await?;
        loop {
            let fetch = partition.fetch_records(offset, 1..MAX_BATCH, MAX_WAIT_MS);
            let (records, _) = fetch.await?;
            let Some(last) = records.last() else {
                continue;
            };
            offset = last.offset + 1;
            let event = Bytes::from(self.event(partition.partition(), &records).to_string());
            while let Err(error) = function.invoke(event.clone()).await {
                tracing::warn!(%error, "a batch of the topic is delivered again");
                sleep(RETRY_INTERVAL).await;
            }
        }
    }

    /// <https://docs.aws.amazon.com/lambda/latest/dg/with-kafka.html>
    fn event(&self, partition: i32, records: &[RecordAndOffset]) -> Value {
        let records = records.iter();
        let records: Vec<_> = records
            .map(|record| self.record(partition, record))
            .collect();
        json!({
            "eventSource": "SelfManagedKafka",
            "bootstrapServers": self.servers,
            "records": { format!("{}-{partition}", self.name): records },
        })
    }

    fn record(
        &self,
        partition: i32,
        RecordAndOffset { record, offset }: &RecordAndOffset,
    ) -> Value {
        let time = record.timestamp.timestamp_millis();
        let place = (&*self.name, partition, *offset);
        lambda_record(place, time, record.key.as_deref(), record.value.as_deref())
    }
}

/// How far the opening of a topic has come. A timeout drops the future, but not this.
#[derive(Default)]
struct Opening {
    /// Whether the broker has answered at the address that the user gave.
    is_connected: bool,
    /// Why the broker did not create the topic.
    refusal: Option<String>,
}

impl Opening {
    /// `error` is missing after a timeout.
    fn failed(&self, servers: &str, name: &str, error: Option<&(dyn Error + 'static)>) -> String {
        let broker = format!("the Kafka broker at {servers}");
        if !self.is_connected {
            return match error {
                Some(error) => format!("{broker}: {error}"),
                None => format!("{broker} does not answer. Start one, or correct BROKER"),
            };
        }
        let refusal = self.refusal.as_ref();
        let refusal = refusal.map(|refusal| format!("it was not created ({refusal}); "));
        let error = error.map_or_else(|| "no answer".to_owned(), ToString::to_string);
        format!(
            "{broker} answers, but its topic {name} cannot be opened: {}{error}. Other connections go to the addresses in the \
             broker's `advertised.listeners`: can they be reached from here?",
            refusal.unwrap_or_default()
        )
    }
}

/// Writes each batch of the stream to the topic, with Debezium's envelope.
#[derive(Debug)]
pub struct Connector<'a>(pub &'a Topic);

impl Invoke for Connector<'_> {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let event: Event = serde_json::from_slice(&payload)?;
        for record in &event.records {
            let Message { key, value, time } = Message::of(record)?;
            // An order stays in one partition.
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&key);
            let partitions = &self.0.partitions;
            let partition = &partitions[(hash % partitions.len() as u64) as usize];
            let record = Record {
                key: Some(key.into_bytes()),
                value: Some(value.into_bytes()),
                headers: BTreeMap::new(),
                timestamp: DateTime::from_timestamp_millis(time).unwrap_or_else(Utc::now),
            };
            partition
                .produce(vec![record], Compression::NoCompression)
                .await?;
        }
        Ok(Bytes::from_static(b"{}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_topic_was_not_created_is_said_if_it_cannot_be_opened() {
        let opening = Opening {
            is_connected: true,
            refusal: Some("not authorized".to_owned()),
        };
        let text = opening.failed("a:1", "orders", None);
        let expected = "the Kafka broker at a:1 answers, but its topic orders cannot be opened: it was not created (not authorized); \
                        no answer. ";
        assert!(text.starts_with(expected), "{text}");
    }
}

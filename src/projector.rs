//! Appends a batch of stream records to the feed, and says which records must be delivered again.

mod attribute_check;
mod batch;
mod image;
mod input;
mod json;
mod kafka;
mod key;
mod learner;
mod path;
mod pattern;
mod poison;
mod record;
mod settings_check;

use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::future::join;
use futures_util::{StreamExt, stream};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::feed::{self, Appended, Entry, Feed, FeedError, Told};
use crate::metrics::{Count, Delay, Metrics};
use crate::order::Status;
use crate::telemetry::with_causes;
use crate::wake::Publisher;
use attribute_check::AttributeCheck;
use batch::{Batch, Delivery, lowest_sequence_number};
pub use image::{ImageRules, PublicAttributes};
pub use input::Input;
pub use kafka::{KafkaEvent, KafkaRecord};
pub use key::OrderKey;
use learner::Learner;
pub use path::Path;
pub use poison::Poison;
pub use record::{OnRemove, Rules};
use settings_check::SettingsCheck;

/// The number of orders that are projected concurrently. An order waits for DynamoDB most of the time, and more orders would
/// only fill the connection pool.
const CONCURRENT_ORDERS: usize = 16;

/// Why a batch or a change is retried if the function has no time left.
const OUT_OF_TIME: &str = "out of time";

/// Appends the changes of stream records to the feed.
#[derive(Debug)]
pub struct Projector<F> {
    feed: F,
    rules: Rules,
    retention: Duration,
    settings_check: SettingsCheck,
    attribute_check: AttributeCheck,
    learner: Learner,
    publisher: Option<Publisher>,
    metrics: Metrics,
    topic_generation: Option<String>,
}

/// Records must be delivered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("some records were not projected: the log says why. The batch must be delivered again")]
pub struct Unfinished;

/// The settings do not fit the records, so nothing was projected.
struct Misfit;

/// The result for an order's records.
#[derive(Debug, Default)]
struct Outcome {
    /// The sequence number of the first record that must be delivered again.
    failed: Option<String>,
    /// The dwell times of the statuses that the order left.
    dwelt: Vec<(Status, Duration)>,
}

impl<F: Feed> Projector<F> {
    /// A projector that reads records by these rules. Superseded and terminal entries expire after `retention`.
    pub fn new(feed: F, rules: Rules, retention: Duration) -> Self {
        Self {
            feed,
            attribute_check: AttributeCheck::new(&rules.image.public_attributes),
            rules,
            retention,
            settings_check: SettingsCheck::default(),
            learner: Learner::default(),
            publisher: None,
            metrics: Metrics::default(),
            topic_generation: None,
        }
    }

    /// Counts there what becomes of the records.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Publishes each new entry, so that held responses read it at once.
    #[must_use]
    pub fn with_publisher(mut self, publisher: Option<Publisher>) -> Self {
        self.publisher = publisher;
        self
    }

    /// Tells a topic that was deleted and made anew from its predecessor, whose offsets it repeats.
    #[must_use]
    pub fn with_topic_generation(mut self, generation: Option<String>) -> Self {
        self.topic_generation = generation;
        self
    }

    /// Projects a batch, and then writes the metrics if they are due. Returns at `end` at the latest.
    ///
    /// For each order that could not be finished, the response contains the sequence number of the first record that must be
    /// delivered again. A record that can never succeed is logged as `poison record` and skipped, so that it does not block its
    /// shard. If the settings do not fit the records, the whole batch must be delivered again.
    pub async fn project(
        &self,
        batch: &Event,
        clock: &Clock,
        end: Instant,
    ) -> DynamoDbEventResponse {
        let read = batch.records.iter();
        let read = Batch::read(read.map(|record| (record, self.rules.reading(record))));
        let failed = self.project_batch(read, clock, end).await;
        let failed = failed.unwrap_or_else(|Misfit| vec![lowest_sequence_number(batch)]);
        let mut response = DynamoDbEventResponse::default();
        for sequence_number in failed {
            fail(&mut response, sequence_number);
        }
        response
    }

    /// As [`project`](Self::project), for records of Kafka.
    ///
    /// # Errors
    ///
    /// [`Unfinished`] if a record must be delivered again. The whole batch is: Lambda reads a response that names records only if
    /// the event source mapping has provisioned pollers, and would take it for a success otherwise. Records that are in the feed
    /// already change nothing.
    pub async fn project_kafka(
        &self,
        batch: &KafkaEvent,
        clock: &Clock,
        end: Instant,
    ) -> Result<(), Unfinished> {
        let records = batch.translate(&self.rules.key, self.topic_generation.as_deref());
        let read = Batch::read(records.iter().map(|(record, poison)| {
            let poison = poison.clone();
            let reading = poison.map_or_else(|| self.rules.reading(record), Err);
            (record, reading)
        }));
        match self.project_batch(read, clock, end).await {
            Ok(failed) if failed.is_empty() => Ok(()),
            _ => Err(Unfinished),
        }
    }

    /// Returns the sequence number of the first record of each order that must be delivered again.
    async fn project_batch(
        &self,
        read: Batch<'_>,
        clock: &Clock,
        end: Instant,
    ) -> Result<Vec<String>, Misfit> {
        let failed = self.append_batch(read, clock, end).await;
        // The process may be frozen from here on.
        self.metrics.flush(clock);
        failed
    }

    async fn append_batch(
        &self,
        mut read: Batch<'_>,
        clock: &Clock,
        end: Instant,
    ) -> Result<Vec<String>, Misfit> {
        if let Some(written_at) = read.oldest_write() {
            self.record(Delay::OldestRecordAge, written_at, clock);
        }
        if !self.settings_fit(&read, end).await {
            self.metrics.count(Count::BatchesRetried);
            return Err(Misfit);
        }
        self.metrics.add(Count::RecordsOfOtherItems, read.others);
        self.attribute_check.look(&read);
        for (record, poison) in &read.poison {
            self.metrics.count(Count::RecordsPoison);
            self.log_poison(record, poison);
        }
        // Boxed, because the compiler cannot handle the SDK's futures if they are nested more deeply.
        let outcomes: Vec<_> = stream::iter(std::mem::take(&mut read.orders))
            .map(|(_, deliveries)| Box::pin(self.append_all(deliveries, clock, end)))
            .buffer_unordered(CONCURRENT_ORDERS)
            .collect()
            .await;
        let (mut dwelt, mut failed) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            dwelt.extend(outcome.dwelt);
            failed.extend(outcome.failed);
        }
        let store = async {
            self.learner.learn(&self.feed, dwelt, clock).await;
            let check = &self.settings_check;
            check.remember(&read, &self.rules, &self.feed).await;
            check.notice_others(&read, &self.rules, &self.feed).await;
        };
        let published = async {
            if let Some(publisher) = &self.publisher {
                publisher.flush().await;
            }
        };
        let (stored, _) = join(timeout_at(end, store), timeout_at(end, published)).await;
        if stored.is_err() {
            tracing::warn!("no time left to store dwell times");
        }
        Ok(failed)
    }

    /// Whether the settings fit the records. If the feed cannot say so now, the batch must be delivered again too.
    async fn settings_fit(&self, batch: &Batch<'_>, end: Instant) -> bool {
        let passes = self.settings_check.passes(batch, &self.rules, &self.feed);
        let reason = match timeout_at(end, Box::pin(passes)).await {
            Ok(Ok(passes)) => return passes,
            Ok(Err(error)) => error.to_string(),
            Err(_) => OUT_OF_TIME.to_owned(),
        };
        tracing::warn!(reason, "the batch will be retried");
        false
    }

    /// Appends an order's changes, one after the other. If a change fails and may succeed later, the order stops there, because
    /// later changes must not be appended before it.
    async fn append_all(&self, deliveries: Vec<Delivery>, clock: &Clock, end: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let tell = |told: Told<'_>| self.tell(told, clock);
        for (change, sequence_number) in deliveries {
            let order = &change.order;
            let (feed, retention) = (&self.feed, self.retention);
            let append = feed::append_and_tell(feed, &change, clock, retention, &tell);
            let reason = match timeout_at(end, append).await {
                Ok(Ok(appended)) => {
                    if appended.is_none() {
                        self.metrics.count(Count::RecordsWithoutChange);
                    }
                    let seq = appended.as_ref().map(|appended| appended.entry.seq.0);
                    tracing::debug!(%order, sequence_number, seq, "projected");
                    let dwelt = appended.as_ref().and_then(Appended::dwelt);
                    let dwelt = dwelt.map(|(status, dwell)| (status.clone(), dwell));
                    outcome.dwelt.extend(dwelt);
                    continue;
                }
                Ok(Err(refused @ FeedError::Refused { .. })) => {
                    self.metrics.count(Count::RecordsPoison);
                    tracing::error!(%order, sequence_number, reason = %refused, "poison record");
                    continue;
                }
                Ok(Err(unavailable @ FeedError::Unavailable { .. })) => unavailable.to_string(),
                Err(_) => OUT_OF_TIME.to_owned(),
            };
            self.metrics.count(Count::RecordsRetried);
            tracing::warn!(%order, sequence_number, reason, "will be retried");
            outcome.failed = Some(sequence_number);
            break;
        }
        outcome
    }

    /// Publishes an entry as soon as it is in the log, and counts.
    fn tell(&self, told: Told<'_>, clock: &Clock) {
        let entry = match told {
            Told::Appended(entry) => entry,
            Told::Listed(entry) => return self.announce(entry),
            Told::Older => return self.metrics.count(Count::RecordsOfOlderStream),
        };
        self.announce(entry);
        self.metrics.count(Count::ChangesAppended);
        if let Some(written_at) = entry.recorded_at {
            self.record(Delay::AppendDelay, written_at, clock);
        }
    }

    fn announce(&self, entry: &Entry) {
        if let Some(publisher) = &self.publisher {
            publisher.announce(entry.log(), entry.number());
        }
    }

    /// Records the time since a date in milliseconds since the Unix epoch.
    fn record(&self, delay: Delay, since: u64, clock: &Clock) {
        let since = Duration::from_millis(since);
        self.metrics
            .record(delay, clock.epoch().saturating_sub(since));
    }

    /// Logs only the order id, because other attributes of the key may be private.
    fn log_poison(&self, record: &EventRecord, reason: &dyn std::error::Error) {
        tracing::error!(
            event_id = record.event_id,
            sequence_number = record.change.sequence_number,
            order = self.rules.key.id(&record.change.keys).ok().flatten(),
            reason = with_causes(reason),
            "poison record"
        );
    }
}

fn fail(response: &mut DynamoDbEventResponse, sequence_number: String) {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = Some(sequence_number);
    response.batch_item_failures.push(failure);
}

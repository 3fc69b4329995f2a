//! Appends a batch of stream records to the feed, and says which records must be delivered again.

mod batch;
mod json;
mod learner;
mod record;
mod settings_check;

use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::future::join;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::feed::{self, Appended, Entry, Feed, FeedError, Told};
use crate::metrics::{Count, Delay, Metrics};
use crate::order::Status;
use crate::telemetry::with_causes;
use crate::wake::Publisher;
use batch::{Batch, Delivery, lowest_sequence_number};
use learner::Learner;
pub use record::{OnRemove, Poison, Rules};
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
    learner: Learner,
    publisher: Option<Publisher>,
    metrics: Metrics,
}

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
            rules,
            retention,
            settings_check: SettingsCheck::default(),
            learner: Learner::default(),
            publisher: None,
            metrics: Metrics::default(),
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
        let response = self.project_batch(batch, clock, end).await;
        // The process may be frozen from here on.
        self.metrics.flush(clock);
        response
    }

    async fn project_batch(
        &self,
        batch: &Event,
        clock: &Clock,
        end: Instant,
    ) -> DynamoDbEventResponse {
        let mut read = Batch::read(batch, &self.rules);
        if let Some(written_at) = read.oldest_write() {
            self.record(Delay::OldestRecordAge, written_at, clock);
        }
        let mut response = DynamoDbEventResponse::default();
        if !self.settings_fit(&read, end).await {
            self.metrics.count(Count::BatchesRetried);
            fail(&mut response, lowest_sequence_number(batch));
            return response;
        }
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
        let mut dwelt = Vec::new();
        for outcome in outcomes {
            dwelt.extend(outcome.dwelt);
            if let Some(failed) = outcome.failed {
                fail(&mut response, failed);
            }
        }
        let store = async {
            self.learner.learn(&self.feed, dwelt, clock).await;
            self.settings_check
                .remember(&read, &self.rules, &self.feed)
                .await;
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
        response
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
            order = ?record.change.keys.get(&self.rules.order_id_attribute),
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

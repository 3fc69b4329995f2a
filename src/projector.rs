//! A batch of stream records becomes entries of the feed, and the records that must come again.

mod batch;
mod fit;
mod learner;

use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::change::Rules;
use crate::clock::Clock;
use crate::feed::{self, Appended, Feed, FeedError};
use crate::order::Status;
use batch::{Batch, Delivery, lowest_sequence_number};
use fit::Fit;
use learner::Learner;

/// Orders that are worked on at once. Each waits on DynamoDB most of its time; more would only fill the connection pool.
const CONCURRENT_ORDERS: usize = 16;

/// Appends what stream records say to the feed.
#[derive(Debug)]
pub struct Projector<F> {
    feed: F,
    rules: Rules,
    retention: Duration,
    fit: Fit,
    learner: Learner,
}

/// What became of an order's records.
#[derive(Debug, Default)]
struct Outcome {
    /// The sequence number of the first that failed.
    failed: Option<String>,
    /// How long the order stayed in the statuses that it left.
    dwelt: Vec<(Status, Duration)>,
}

impl<F: Feed> Projector<F> {
    /// A projector that reads records by these rules, and keeps a superseded or terminal entry for `retention`.
    pub fn new(feed: F, rules: Rules, retention: Duration) -> Self {
        Self {
            feed,
            rules,
            retention,
            fit: Fit::default(),
            learner: Learner::default(),
        }
    }

    /// Projects a batch, until `end` at the latest.
    ///
    /// The response names, for each order that could not be finished, the lowest sequence number from which on it must be
    /// delivered again. A record that can never succeed is logged as `poison record` and passed over, so that it blocks no
    /// shard. If no record fits the settings, the whole batch must be delivered again.
    pub async fn project(
        &self,
        batch: &Event,
        clock: &Clock,
        end: Instant,
    ) -> DynamoDbEventResponse {
        let mut read = Batch::read(batch, &self.rules);
        let mut response = DynamoDbEventResponse::default();
        if !self.fits(&read, end).await {
            fail(&mut response, lowest_sequence_number(batch));
            return response;
        }
        for (record, poison) in &read.poison {
            self.log_poison(record, poison);
        }
        // Boxed: the compiler gives up on futures of the SDK that are nested any deeper.
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
        let keep = async {
            self.learner.learn(&self.feed, dwelt, clock).await;
            self.fit.remember(&read, &self.rules, &self.feed).await;
        };
        if timeout_at(end, keep).await.is_err() {
            tracing::warn!("no time was left to keep dwell times");
        }
        response
    }

    /// Whether the settings fit the records. If that cannot be told now, the batch comes again too.
    async fn fits(&self, batch: &Batch<'_>, end: Instant) -> bool {
        let fits = Box::pin(self.fit.is_given(batch, &self.rules, &self.feed));
        let reason = match timeout_at(end, fits).await {
            Ok(Ok(fits)) => return fits,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "out of time".to_owned(),
        };
        tracing::warn!(reason, "the batch will be retried");
        false
    }

    /// Appends an order's changes, one after the other. At the first that fails the order stops, for what comes after must
    /// not overtake it.
    async fn append_all(&self, deliveries: Vec<Delivery>, clock: &Clock, end: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        for (change, sequence_number) in deliveries {
            match timeout_at(
                end,
                feed::append(&self.feed, &change, clock, self.retention),
            )
            .await
            {
                Ok(Ok(appended)) => {
                    let seq = appended.as_ref().map(|appended| appended.entry.seq.0);
                    tracing::debug!(order = %change.order, sequence_number, seq, "projected");
                    let dwelt = appended.as_ref().and_then(Appended::dwelt);
                    outcome
                        .dwelt
                        .extend(dwelt.map(|(status, dwell)| (status.clone(), dwell)));
                }
                Ok(Err(refused @ FeedError::Refused { .. })) => {
                    tracing::error!(order = %change.order, sequence_number, reason = %refused, "poison record");
                }
                Ok(Err(unavailable @ FeedError::Unavailable { .. })) => {
                    tracing::warn!(order = %change.order, sequence_number, reason = %unavailable, "will be retried");
                    outcome.failed = Some(sequence_number);
                    break;
                }
                Err(_) => {
                    tracing::warn!(order = %change.order, sequence_number, reason = "out of time", "will be retried");
                    outcome.failed = Some(sequence_number);
                    break;
                }
            }
        }
        outcome
    }

    /// Names the order, and of its attributes not one: what else is a key may be private.
    fn log_poison(&self, record: &EventRecord, reason: &dyn std::error::Error) {
        let cause = reason
            .source()
            .map(|source| format!(": {source}"))
            .unwrap_or_default();
        tracing::error!(
            event_id = record.event_id,
            sequence_number = record.change.sequence_number,
            order = ?record.change.keys.get(&self.rules.order_id_attribute),
            reason = format!("{reason}{cause}"),
            "poison record"
        );
    }
}

fn fail(response: &mut DynamoDbEventResponse, sequence_number: String) {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = Some(sequence_number);
    response.batch_item_failures.push(failure);
}

//! A batch of stream records becomes entries of the feed, and the records that must come again.

mod learner;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::change::{Change, Rules};
use crate::clock::Clock;
use crate::feed::{self, Appended, Feed, FeedError};
use crate::order::{OrderId, Status};
use learner::Learner;

/// Orders that are worked on at once. Each waits on DynamoDB most of its time; more would only fill the connection pool.
const CONCURRENT_ORDERS: usize = 16;

/// Appends what stream records say to the feed.
#[derive(Debug)]
pub struct Projector<F> {
    feed: F,
    rules: Rules,
    retention: Duration,
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

/// A change and the sequence number of its record.
type Delivery = (Change, String);

impl<F: Feed> Projector<F> {
    /// A projector that reads records by these rules, and keeps a superseded or terminal entry for `retention`.
    pub fn new(feed: F, rules: Rules, retention: Duration) -> Self {
        Self {
            feed,
            rules,
            retention,
            learner: Learner::default(),
        }
    }

    /// Projects a batch, until `end` at the latest.
    ///
    /// The response names, for each order that could not be finished, the lowest sequence number from which on it must be
    /// delivered again. What can never succeed is logged as `poison record` and passed over, so that it blocks no shard.
    pub async fn project(
        &self,
        batch: &Event,
        clock: &Clock,
        end: Instant,
    ) -> DynamoDbEventResponse {
        let outcomes: Vec<_> = stream::iter(self.by_order(batch))
            .map(|(_, deliveries)| self.append_all(deliveries, clock, end))
            .buffer_unordered(CONCURRENT_ORDERS)
            .collect()
            .await;
        let mut response = DynamoDbEventResponse::default();
        let mut dwelt = Vec::new();
        for outcome in outcomes {
            dwelt.extend(outcome.dwelt);
            if outcome.failed.is_some() {
                let mut failure = DynamoDbBatchItemFailure::default();
                failure.item_identifier = outcome.failed;
                response.batch_item_failures.push(failure);
            }
        }
        if timeout_at(end, self.learner.learn(&self.feed, dwelt, clock))
            .await
            .is_err()
        {
            tracing::warn!("no time was left to keep dwell times");
        }
        response
    }

    fn by_order(&self, batch: &Event) -> BTreeMap<OrderId, Vec<Delivery>> {
        let mut orders: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for record in &batch.records {
            match self.rules.read(record) {
                Ok(Some(change)) => {
                    let sequence_number = record.change.sequence_number.clone().unwrap_or_default();
                    orders
                        .entry(change.order.clone())
                        .or_default()
                        .push((change, sequence_number));
                }
                Ok(None) => {}
                Err(poison) => self.log_poison(record, &poison),
            }
        }
        orders
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

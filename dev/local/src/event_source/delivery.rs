//! Delivers the batches of a lane, each until the function has taken every record or the record was given up.

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::batch::{Batch, Verdict};
use super::destination::{Condition, Discard};
use super::lanes::Queue;
use super::retry::{Attempt, Next};
use super::{BoxError, EventSource, Invoke};

/// What the lanes of a shard have in common.
pub(super) struct Delivery<'a, I> {
    pub(super) source: &'a EventSource<I>,
    pub(super) shard: &'a str,
}

impl<I: Invoke> Delivery<'_, I> {
    /// Delivers a lane until it ends. `MaximumBatchingWindowInSeconds` is 0: a batch does not wait for more records.
    pub(super) async fn deliver_all(&self, mut queue: Queue) {
        let mut records = Vec::new();
        while queue
            .recv_many(&mut records, self.source.settings.batch_size)
            .await
            > 0
        {
            self.deliver(Batch::new(std::mem::take(&mut records))).await;
        }
    }

    async fn deliver(&self, batch: Batch) {
        let settings = &self.source.settings;
        // The last one is delivered next.
        let mut pending = vec![Attempt::first(batch)];
        while let Some(mut attempt) = pending.pop() {
            let too_old =
                attempt.remove_older_than(self.source.clock.now() - settings.maximum_record_age);
            if let Some(too_old) = too_old {
                self.discard(&too_old, Condition::RecordAgeExceeded).await;
            }
            if attempt.batch.is_empty() {
                continue;
            }
            let response = self.invoke(attempt.batch.payload()).await;
            let verdict = attempt.batch.judge(response);
            if verdict != Verdict::Complete {
                tracing::warn!(
                    records = attempt.batch.len(),
                    ?verdict,
                    "a batch was not taken"
                );
            }
            match attempt.after(verdict, settings) {
                Next::Done => {}
                Next::Again { wait, attempts } => {
                    sleep(wait).await;
                    pending.extend(attempts.into_iter().rev());
                }
                Next::GiveUp(attempt) => {
                    let condition = Condition::RetryAttemptsExhausted;
                    self.discard(&attempt, condition).await;
                }
            }
        }
    }

    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let invocation = self.source.function.invoke(payload);
        let in_time = timeout(self.source.settings.timeout, invocation).await;
        in_time.unwrap_or_else(|elapsed| Err(elapsed.into()))
    }

    /// Gives the records of an attempt up. A document that the destination does not take is lost: the metric
    /// `DestinationDeliveryFailures` counts it. Whether Lambda tries again before that is not documented, and here it does not.
    async fn discard(&self, attempt: &Attempt, condition: Condition) {
        let (settings, metrics) = (&self.source.settings, &self.source.metrics);
        let discard = Discard {
            attempt,
            condition,
            shard: self.shard,
            stream_arn: &self.source.stream_arn,
            now: self.source.clock.now(),
        };
        let records = attempt.batch.len();
        tracing::error!(records, ?condition, "records were given up");
        if let Some(folder) = &settings.on_failure
            && let Err(error) = discard.write(folder).await
        {
            tracing::error!(%error, "the destination did not take a document");
            let failures = &metrics.destination_delivery_failures;
            failures.send_modify(|failures| *failures += 1);
        }
        let dropped = &metrics.dropped_events;
        dropped.send_modify(|dropped| *dropped += records);
    }
}

//! What Lambda's event source mapping does for a DynamoDB stream: read, batch, invoke, retry.
//!
//! As on Lambda, the records of a shard are delivered in order, one batch at a time. A batch that fails blocks its shard and is
//! delivered again until it succeeds. [`Settings`] sets batch size, timeout and backoff. The number of retries has no limit, as in
//! `template.yaml`.

mod batch;
mod filter;
mod http;
mod record;

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::EventRecord;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use bytes::Bytes;
use futures_util::future::try_join_all;
use lambda_stand_in::Function;
use serde_json::Value;
use tokio::time;

pub use self::filter::admits;
pub use self::http::HttpFunction;
use batch::{Batch, Verdict};

/// Any error of an invocation. The batch is delivered again.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A function that takes batches.
pub trait Invoke: Sync {
    /// Invokes the function with one batch, in the JSON of Lambda's events, and returns its response.
    ///
    /// # Errors
    ///
    /// What Lambda calls an invocation error or a function error.
    fn invoke(&self, payload: Bytes) -> impl Future<Output = Result<Bytes, BoxError>> + Send;
}

impl Invoke for Arc<Function> {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        Ok(Function::invoke(self, payload).await?)
    }
}

/// How the stream is read, and how failures are retried.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most records in a batch: `BatchSize`, 1 to 1000.
    pub batch_size: i32,
    /// The time between two reads of an idle shard. Lambda reads four times a second.
    pub poll_interval: Duration,
    /// The function's timeout. A longer invocation has failed.
    pub timeout: Duration,
    /// The wait after a batch's first failure. It doubles with each further failure.
    pub min_backoff: Duration,
    /// The longest wait between two attempts.
    pub max_backoff: Duration,
    /// The pattern of a filter. The function does not get the records that it does not admit.
    pub filter: Option<Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            poll_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(30),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            filter: None,
        }
    }
}

impl Settings {
    /// Whether the filter admits a record.
    fn admits(&self, record: &EventRecord) -> Result<bool, EventSourceError> {
        let Some(filter) = &self.filter else {
            return Ok(true);
        };
        let record = record::to_json(record).map_err(|error| error.to_string());
        record
            .and_then(|record| admits(filter, &record))
            .map_err(EventSourceError::Filter)
    }

    /// The wait after so many failures in a row.
    fn backoff(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.min_backoff
            .saturating_mul(doubled)
            .min(self.max_backoff)
    }
}

/// Why the event source stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventSourceError {
    /// The SDK's own retries have failed too.
    #[error("the stream cannot be read")]
    Stream(#[source] Box<aws_sdk_dynamodbstreams::Error>),
    /// DynamoDB closes a shard every few hours and opens its children. The embedded DynamoDB never does, so this crate does not
    /// read children.
    #[error("shard {0} was closed, and the event source does not read its children")]
    ShardClosed(String),
    /// A record cannot be compared with the filter.
    #[error("the filter cannot be applied: {0}")]
    Filter(String),
}

impl<E: Into<aws_sdk_dynamodbstreams::Error>> From<E> for EventSourceError {
    fn from(error: E) -> Self {
        Self::Stream(Box::new(error.into()))
    }
}

/// One event source mapping: a stream, and the function that gets its records.
#[derive(Debug)]
pub struct EventSource<I> {
    pub streams: aws_sdk_dynamodbstreams::Client,
    pub stream_arn: String,
    pub function: I,
    pub settings: Settings,
}

impl<I: Invoke> EventSource<I> {
    /// Delivers the stream from its oldest record (`TRIM_HORIZON`) until `shutdown` ends. Then it drops a batch that is not
    /// complete. If it is started again, it delivers everything again.
    ///
    /// # Errors
    ///
    /// The stream cannot be read. An error of the function is not returned: its batch is retried.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), EventSourceError> {
        tokio::select! {
            ended = self.follow_all() => ended,
            () = shutdown => Ok(()),
        }
    }

    async fn follow_all(&self) -> Result<(), EventSourceError> {
        let stream = self
            .streams
            .describe_stream()
            .stream_arn(&self.stream_arn)
            .send()
            .await?;
        let shards = stream
            .stream_description
            .and_then(|stream| stream.shards)
            .unwrap_or_default();
        let shards = shards.into_iter().filter_map(|shard| shard.shard_id);
        try_join_all(shards.map(|shard| self.follow(shard))).await?;
        Ok(())
    }

    async fn follow(&self, shard: String) -> Result<(), EventSourceError> {
        let start = self
            .streams
            .get_shard_iterator()
            .stream_arn(&self.stream_arn)
            .shard_id(&shard)
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await?;
        let mut iterator = start.shard_iterator;
        while let Some(position) = iterator {
            let read = self
                .streams
                .get_records()
                .shard_iterator(position)
                .limit(self.settings.batch_size)
                .send()
                .await?;
            iterator = read.next_shard_iterator;
            let records = read.records.unwrap_or_default();
            if records.is_empty() {
                time::sleep(self.settings.poll_interval).await;
                continue;
            }
            let mut admitted = Vec::new();
            for record in records {
                let record = record::from_stream(record, &self.stream_arn);
                if self.settings.admits(&record)? {
                    admitted.push(record);
                }
            }
            if !admitted.is_empty() {
                deliver(Batch::new(admitted), &self.function, &self.settings).await;
            }
        }
        Err(EventSourceError::ShardClosed(shard))
    }
}

/// Invokes the function until it has taken the whole batch.
async fn deliver<I: Invoke>(mut batch: Batch, function: &I, settings: &Settings) {
    let mut failures = 0;
    loop {
        let response = time::timeout(settings.timeout, function.invoke(batch.payload()))
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into()));
        let from = match batch.judge(response) {
            Verdict::Complete => return,
            Verdict::Retry { from, reason } => {
                tracing::warn!(
                    taken = from,
                    of = batch.len(),
                    reason,
                    "the batch is delivered again"
                );
                from
            }
        };
        failures = if from == 0 { failures + 1 } else { 1 };
        batch.remove_first(from);
        time::sleep(settings.backoff(failures)).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    /// A function that gives these responses, then takes everything. It records when it was invoked.
    struct ScriptedFunction {
        responses: Mutex<Vec<Result<Bytes, BoxError>>>,
        invoked: Mutex<Vec<Duration>>,
        start: Instant,
    }

    impl Invoke for ScriptedFunction {
        async fn invoke(&self, _: Bytes) -> Result<Bytes, BoxError> {
            self.invoked.lock().unwrap().push(self.start.elapsed());
            let response = self.responses.lock().unwrap().pop();
            match response {
                Some(Ok(response)) if response == "hang" => std::future::pending().await,
                Some(response) => response,
                None => Ok(Bytes::new()),
            }
        }
    }

    /// The times, in milliseconds from the start, at which a batch of two records is delivered.
    async fn deliveries(
        responses: impl IntoIterator<Item = Result<&'static str, &'static str>>,
    ) -> Vec<u128> {
        let responses = responses
            .into_iter()
            .map(|response| response.map(Bytes::from).map_err(BoxError::from));
        let mut responses: Vec<_> = responses.collect();
        responses.reverse();
        let (invoked, start) = (Mutex::default(), Instant::now());
        let function = ScriptedFunction {
            responses: Mutex::new(responses),
            invoked,
            start,
        };
        let settings = Settings {
            timeout: Duration::from_secs(30),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(350),
            ..Settings::default()
        };
        let batch = Batch::new(vec![record::numbered("1"), record::numbered("2")]);
        deliver(batch, &function, &settings).await;
        function
            .invoked
            .into_inner()
            .unwrap()
            .iter()
            .map(Duration::as_millis)
            .collect()
    }

    const SECOND_FAILED: &str = r#"{"batchItemFailures":[{"itemIdentifier":"2"}]}"#;

    #[tokio::test(start_paused = true)]
    async fn the_backoff_grows_to_a_limit() {
        let responses = [Err("down"), Err("down"), Err("down"), Err("down")];
        assert_eq!(deliveries(responses).await, [0, 100, 300, 650, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_resets_the_backoff() {
        let responses = [Err("down"), Err("down"), Ok(SECOND_FAILED), Err("down")];
        assert_eq!(deliveries(responses).await, [0, 100, 300, 400, 600]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_that_hangs_ends_at_the_timeout() {
        assert_eq!(deliveries([Ok("hang")]).await, [0, 30_100]);
    }
}

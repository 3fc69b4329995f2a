//! What Lambda's event source mapping does for a DynamoDB stream: read, batch, invoke, retry, go on.
//!
//! As there, a shard's records are delivered in order and one batch at a time; a batch that fails blocks its shard and
//! is delivered again until it succeeds. Batch size, time-out and backoff are [`Settings`]; retries have no limit, as
//! `template.yaml` asks of Lambda.

mod batch;
mod event;
mod http;

use std::time::Duration;

use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::time;

use batch::{Batch, Verdict};
use event::Event;
pub use http::HttpFunction;

/// Whatever went wrong with an invocation; the batch is delivered again, whichever it was.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A function that takes batches: a process behind an emulator, or a test's own.
pub trait Invoke: Sync {
    /// Invokes the function with one batch, the JSON that Lambda would deliver, and returns its answer.
    ///
    /// # Errors
    ///
    /// Whatever Lambda would call an invocation or function error.
    fn invoke(&self, payload: Bytes) -> impl Future<Output = Result<Bytes, BoxError>> + Send;
}

/// How the stream is read and failures are retried.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most records in a batch: `BatchSize`, 1 to 1000.
    pub batch_size: i32,
    /// How long to wait before an idle shard is asked again. Lambda polls four times a second.
    pub poll_interval: Duration,
    /// The function's time-out: an invocation that takes longer has failed.
    pub timeout: Duration,
    /// The wait after a batch's first failure; it doubles with each further one.
    pub shortest_backoff: Duration,
    /// The longest wait between two attempts.
    pub longest_backoff: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            poll_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(30),
            shortest_backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// The wait after the `failures`th failure in a row, counted from 1.
    fn backoff(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.shortest_backoff
            .saturating_mul(doubled)
            .min(self.longest_backoff)
    }
}

/// Why the pump stopped before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PumpError {
    /// The stream cannot be read, after the SDK's own retries.
    #[error("the stream cannot be read")]
    Stream(#[source] Box<aws_sdk_dynamodbstreams::Error>),
    /// A shard was closed. DynamoDB closes one every few hours and opens another; the embedded one never does, and
    /// following a shard's children is left out.
    #[error("shard {0} was closed, and the pump does not follow its children")]
    ShardClosed(String),
}

impl<E: Into<aws_sdk_dynamodbstreams::Error>> From<E> for PumpError {
    fn from(error: E) -> Self {
        Self::Stream(Box::new(error.into()))
    }
}

/// One event source mapping: a stream and the function that gets its records.
#[derive(Debug)]
pub struct Pump<I> {
    /// A client of the stream's endpoint.
    pub streams: aws_sdk_dynamodbstreams::Client,
    /// The stream.
    pub stream_arn: String,
    /// The function.
    pub function: I,
    /// How to read and retry.
    pub settings: Settings,
}

impl<I: Invoke> Pump<I> {
    /// Delivers the stream from its oldest record (`TRIM_HORIZON`) until `shutdown` ends, and then drops what is
    /// under way. A pump that starts again delivers everything again.
    ///
    /// # Errors
    ///
    /// Where the stream cannot be read. A function that fails is no error: its batch is retried.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), PumpError> {
        tokio::select! {
            ended = self.follow_all() => ended,
            () = shutdown => Ok(()),
        }
    }

    async fn follow_all(&self) -> Result<(), PumpError> {
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

    async fn follow(&self, shard: String) -> Result<(), PumpError> {
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
            let page = self
                .streams
                .get_records()
                .shard_iterator(position)
                .limit(self.settings.batch_size)
                .send()
                .await?;
            iterator = page.next_shard_iterator;
            let records = page.records.unwrap_or_default();
            if records.is_empty() {
                time::sleep(self.settings.poll_interval).await;
                continue;
            }
            let events = records
                .into_iter()
                .map(|record| Event::new(record, &self.stream_arn))
                .collect();
            deliver(Batch::new(events), &self.function, &self.settings).await;
        }
        Err(PumpError::ShardClosed(shard))
    }
}

/// Invokes the function until it has taken the whole batch.
async fn deliver<I: Invoke>(mut batch: Batch, function: &I, settings: &Settings) {
    let mut failures = 0;
    loop {
        let answer = time::timeout(settings.timeout, function.invoke(batch.payload()))
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into()));
        let from = match batch.judge(answer) {
            Verdict::Taken => return,
            Verdict::Again { from, reason } => {
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
        batch.forget(from);
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

    /// Fails as often as it is told to, then takes everything; notes when it was invoked.
    struct Failing {
        answers: Mutex<Vec<Result<Bytes, BoxError>>>,
        invoked: Mutex<Vec<Duration>>,
        start: Instant,
    }

    impl Invoke for Failing {
        async fn invoke(&self, _: Bytes) -> Result<Bytes, BoxError> {
            self.invoked.lock().unwrap().push(self.start.elapsed());
            let answer = self.answers.lock().unwrap().pop();
            match answer {
                Some(Ok(answer)) if answer == "hang" => std::future::pending().await,
                Some(answer) => answer,
                None => Ok(Bytes::new()),
            }
        }
    }

    /// When, in milliseconds from the start, a batch of two records is delivered to a function that gives `answers`.
    async fn deliveries(
        answers: impl IntoIterator<Item = Result<&'static str, &'static str>>,
    ) -> Vec<u128> {
        let answers = answers
            .into_iter()
            .map(|answer| answer.map(Bytes::from).map_err(BoxError::from));
        let mut answers: Vec<_> = answers.collect();
        answers.reverse();
        let (invoked, start) = (Mutex::default(), Instant::now());
        let function = Failing {
            answers: Mutex::new(answers),
            invoked,
            start,
        };
        let settings = Settings {
            timeout: Duration::from_secs(30),
            shortest_backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_millis(350),
            ..Settings::default()
        };
        let batch = Batch::new(vec![Event::numbered("1"), Event::numbered("2")]);
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
    async fn attempts_back_off_to_a_limit() {
        let answers = [Err("down"), Err("down"), Err("down"), Err("down")];
        assert_eq!(deliveries(answers).await, [0, 100, 300, 650, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_starts_the_backoff_again() {
        let answers = [Err("down"), Err("down"), Ok(SECOND_FAILED), Err("down")];
        assert_eq!(deliveries(answers).await, [0, 100, 300, 400, 600]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_that_hangs_is_given_up_at_the_time_out() {
        assert_eq!(deliveries([Ok("hang")]).await, [0, 30_100]);
    }
}

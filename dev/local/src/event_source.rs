//! What Lambda's event source mapping does for a DynamoDB stream: read, batch, invoke, retry, give up.
//!
//! The modules in the order in which a record passes them:
//!
//! - `shards`: a shard is read after its parent was read to its end and all records of the parent were taken or given up,
//! - `reader` reads the shards, and leaves out the records that the `filter` does not admit,
//! - `lanes`: up to `ParallelizationFactor` batches of a shard are delivered at a time. The records of an item are in one lane, in order,
//! - `delivery` invokes the function with a batch until it has taken or the mapping has given up each record,
//! - `retry` decides what becomes of a batch that failed,
//! - `destination` writes the records that were given up into the folder that stands for the bucket.
//!
//! [`Settings`] has the properties of the mapping.

mod batch;
mod clock;
mod delivery;
mod destination;
mod filter;
mod http;
mod lanes;
mod reader;
mod record;
mod retry;
mod settings;
mod shards;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use lambda_stand_in::Function;
use tokio::sync::watch;

pub use self::clock::Clock;
pub use self::filter::admits;
pub use self::http::HttpFunction;
pub use self::settings::Settings;

/// Any error of an invocation. The batch is delivered again.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A function that takes batches.
pub trait Invoke: Sync {
    /// Invokes the function with one batch, in the JSON of Lambda's events, and returns its response.
    ///
    /// # Errors
    ///
    /// What Lambda calls an invocation error or a function error. Both are handled as an error of the function.
    fn invoke(&self, payload: Bytes) -> impl Future<Output = Result<Bytes, BoxError>> + Send;
}

impl Invoke for Arc<Function> {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        Ok(Function::invoke(self, payload).await?)
    }
}

/// Counts with the names of Lambda's metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    /// `DroppedEventCount`: records that were given up.
    pub dropped_events: watch::Sender<usize>,
    /// `DestinationDeliveryFailures`: documents that the destination did not take.
    pub destination_delivery_failures: watch::Sender<usize>,
}

/// Why the event source stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventSourceError {
    /// The SDK's own retries have failed too.
    #[error("the stream cannot be read")]
    Stream(#[source] Box<aws_sdk_dynamodbstreams::Error>),
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
    pub metrics: Arc<Metrics>,
    /// Decides whether a record is too old.
    pub clock: Arc<Clock>,
}

impl<I: Invoke> EventSource<I> {
    /// Delivers the stream from its oldest record (`TRIM_HORIZON`) until `shutdown` ends. Then it drops the batches that are not
    /// complete. If it is started again, it delivers everything again.
    ///
    /// # Errors
    ///
    /// The stream cannot be read. An error of the function is not returned: its batch is retried.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), EventSourceError> {
        tokio::select! {
            ended = self.read_all() => ended,
            () = shutdown => Ok(()),
        }
    }
}

//! The properties of the mapping.

use std::path::PathBuf;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::EventRecord;
use serde_json::Value;

use super::{EventSourceError, admits, record};

/// How the stream is read, and how failures are retried. The default is the mapping of `template.yaml`, without its destination.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `BatchSize`: the most records in a batch. Lambda's default is 100.
    pub batch_size: usize,
    /// `FilterCriteria`: a pattern. The function does not get the records that it does not admit.
    pub filter: Option<Value>,
    /// `ParallelizationFactor`: how many batches of a shard are delivered at a time, 1 to 10.
    pub parallelization_factor: usize,
    /// `BisectBatchOnFunctionError`: halve a batch if the invocation fails.
    pub bisect_batch_on_function_error: bool,
    /// `MaximumRecordAgeInSeconds`: older records are given up. Record times are whole seconds.
    pub maximum_record_age: Duration,
    /// `MaximumRetryAttempts`. None is -1, no limit.
    pub maximum_retry_attempts: Option<u32>,
    /// `DestinationConfig.OnFailure`: a folder that stands for the bucket. Records that were given up are written into it. It must
    /// exist, as a bucket must. Without a folder they are only logged.
    pub on_failure: Option<PathBuf>,
    /// The time between two reads of an idle shard. Lambda reads four times a second.
    pub poll_interval: Duration,
    /// The function's timeout. A longer invocation has failed.
    pub timeout: Duration,
    /// The wait after a batch's first failure. It doubles with each further failure. Lambda's waits are not documented.
    pub min_backoff: Duration,
    /// The longest wait between two attempts.
    pub max_backoff: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            filter: None,
            parallelization_factor: 10,
            bisect_batch_on_function_error: true,
            maximum_record_age: Duration::from_secs(82_800),
            maximum_retry_attempts: None,
            on_failure: None,
            poll_interval: Duration::from_millis(100),
            timeout: Duration::from_secs(60),
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// Whether the filter admits a record.
    pub(super) fn admits(&self, record: &EventRecord) -> Result<bool, EventSourceError> {
        let Some(filter) = &self.filter else {
            return Ok(true);
        };
        let record = record::to_json(record).map_err(|error| error.to_string());
        record
            .and_then(|record| admits(filter, &record))
            .map_err(EventSourceError::Filter)
    }

    /// The wait after so many failures in a row.
    pub(super) fn backoff(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.min_backoff
            .saturating_mul(doubled)
            .min(self.max_backoff)
    }
}

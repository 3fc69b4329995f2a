//! What becomes of a batch that the function did not take. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::batch::{Batch, Verdict};
use super::settings::Settings;

/// A batch, and how its delivery failed before.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) batch: Batch,
    /// How many attempts at its first record have failed. A failure after which the batch was halved does not count, because it does not
    /// use up `MaximumRetryAttempts`.
    pub(super) failures: u32,
    pub(super) last_failure: Option<Failure>,
}

/// How the last attempt failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Failure {
    /// The function reported its first record as failed.
    Reported,
    /// The invocation failed.
    Invocation,
}

#[derive(Debug)]
pub(super) enum Next {
    /// All records were taken.
    Done,
    /// Deliver these after the wait, one after the other.
    Again {
        wait: Duration,
        attempts: Vec<Attempt>,
    },
    /// `MaximumRetryAttempts` is used up.
    GiveUp(Attempt),
}

impl Attempt {
    pub(super) fn first(batch: Batch) -> Self {
        Self {
            batch,
            failures: 0,
            last_failure: None,
        }
    }

    /// Removes the records that were written before this time. They are the first ones.
    pub(super) fn remove_older_than(&mut self, limit: DateTime<Utc>) -> Option<Self> {
        let count = self.batch.older_than(limit);
        (count > 0).then(|| {
            let older = Self {
                batch: self.batch.remove_first(count),
                ..*self
            };
            // The first record is another one now.
            self.failures = 0;
            older
        })
    }

    /// "If your invocation fails and `BisectBatchOnFunctionError` is turned on, the batch is bisected". If the function reports a failed
    /// record instead, "the batch is bisected at the returned sequence number and Lambda retries only the remaining records":
    /// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>.
    pub(super) fn after(mut self, verdict: Verdict, settings: &Settings) -> Next {
        let failure = match verdict {
            Verdict::Complete => return Next::Done,
            Verdict::Reported { from: 0 } => Failure::Reported,
            Verdict::Reported { from } => {
                self.batch.remove_first(from);
                // Its first record is another one now.
                self.failures = 0;
                Failure::Reported
            }
            Verdict::Failed { .. } => Failure::Invocation,
        };
        self.last_failure = Some(failure);
        if failure == Failure::Invocation
            && settings.bisect_batch_on_function_error
            && self.batch.len() > 1
        {
            return Next::Again {
                wait: settings.backoff(self.failures + 1),
                attempts: self.halve(),
            };
        }
        self.failures += 1;
        if settings
            .maximum_retry_attempts
            .is_some_and(|most| self.failures > most)
        {
            return Next::GiveUp(self);
        }
        Next::Again {
            wait: settings.backoff(self.failures),
            attempts: vec![self],
        }
    }

    fn halve(mut self) -> Vec<Self> {
        let first = Self {
            batch: self.batch.remove_first(self.batch.len() / 2),
            ..self
        };
        vec![
            first,
            Self {
                failures: 0,
                ..self
            },
        ]
    }
}

//! A batch of records, and what the function's response means for it.
//!
//! The response of a function with `ReportBatchItemFailures`
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>):
//!
//! ```text
//! {"batchItemFailures": [{"itemIdentifier": "<SequenceNumber>"}]}
//! ```
//!
//! If the list or the response is empty or null, the whole batch was taken. Otherwise delivery continues at the lowest sequence
//! number of the list. An identifier that is empty, null, misspelled or unknown means the whole batch.

use aws_lambda_events::event::dynamodb::EventRecord;
use aws_lambda_events::event::streams::DynamoDbBatchItemFailure;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BoxError, record};

/// The records that the function has not taken yet, in the order of the shard.
#[derive(Debug)]
pub(super) struct Batch {
    records: Vec<EventRecord>,
}

/// What a response means.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// All records were taken.
    Complete,
    /// The records before index `from` were taken. The others must be delivered again.
    Reported { from: usize },
    /// The invocation failed, or its response cannot be read.
    Failed { reason: String },
}

/// `DynamoDbEventResponse` of `aws_lambda_events` cannot read a list that is null or absent.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchResponse {
    batch_item_failures: Option<Vec<DynamoDbBatchItemFailure>>,
}

impl Batch {
    pub(super) fn new(records: Vec<EventRecord>) -> Self {
        Self { records }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The JSON that the function is invoked with.
    pub(super) fn payload(&self) -> Bytes {
        #[expect(
            clippy::expect_used,
            reason = "strings, numbers and maps with string keys are all JSON"
        )]
        let records: Vec<Value> = self
            .records
            .iter()
            .map(|record| record::to_json(record).expect("a record is JSON"))
            .collect();
        json!({ "Records": records }).to_string().into()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn records(&self) -> &[EventRecord] {
        &self.records
    }

    /// Removes the first `count` records.
    pub(super) fn remove_first(&mut self, count: usize) -> Self {
        Self::new(self.records.drain(..count).collect())
    }

    /// How many of the first records were written before this time.
    pub(super) fn older_than(&self, limit: DateTime<Utc>) -> usize {
        let written = |record: &EventRecord| record.change.approximate_creation_date_time;
        let older = |record: &&EventRecord| written(record) < limit;
        self.records.iter().take_while(older).count()
    }

    pub(super) fn judge(&self, response: Result<Bytes, BoxError>) -> Verdict {
        let failed = |reason| Verdict::Failed { reason };
        let body = match response {
            Ok(body) if body.is_empty() => return Verdict::Complete,
            Ok(body) => body,
            Err(error) => return failed(error.to_string()),
        };
        let response: BatchResponse = match serde_json::from_slice::<Option<_>>(&body) {
            Ok(response) => response.unwrap_or_default(),
            Err(error) => return failed(format!("invalid response: {error}")),
        };
        let failures = response.batch_item_failures.unwrap_or_default();
        match failures.iter().map(|failure| self.index_of(failure)).min() {
            None => Verdict::Complete,
            Some(from) => Verdict::Reported { from },
        }
    }

    /// The index of the failed record; 0 if no record has this identifier.
    fn index_of(&self, failure: &DynamoDbBatchItemFailure) -> usize {
        let id = &failure.item_identifier;
        let has_id = |record: &EventRecord| record.change.sequence_number == *id;
        self.records.iter().position(has_id).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use super::*;

    /// Four records with the sequence numbers 100 to 103.
    fn batch() -> Batch {
        Batch::new(
            (100..104)
                .map(|number| record::numbered(&number.to_string()))
                .collect(),
        )
    }

    #[track_caller]
    fn check(response: &'static str, from: Option<usize>) {
        let verdict = batch().judge(Ok(Bytes::from_static(response.as_bytes())));
        let got = match verdict {
            Verdict::Complete => None,
            Verdict::Reported { from } => Some(from),
            Verdict::Failed { reason } => panic!("{reason}"),
        };
        assert_eq!(got, from, "{response}");
    }

    #[test]
    fn an_empty_report_means_success() {
        check("", None);
        check("null", None);
        check("{}", None);
        check(r#"{"batchItemFailures":null}"#, None);
        check(r#"{"batchItemFailures":[]}"#, None);
        check(r#"{"batchItemFailures":[],"more":1}"#, None);
    }

    #[test]
    fn delivery_continues_at_the_lowest_number() {
        check(
            r#"{"batchItemFailures":[{"itemIdentifier":"102"}]}"#,
            Some(2),
        );
        check(
            r#"{"batchItemFailures":[{"itemIdentifier":"103"},{"itemIdentifier":"101"}]}"#,
            Some(1),
        );
        check(
            r#"{"batchItemFailures":[{"itemIdentifier":"100"}]}"#,
            Some(0),
        );
    }

    #[test]
    fn an_unknown_identifier_means_the_whole_batch() {
        check(r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, Some(0));
        check(
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            Some(0),
        );
        check(r#"{"batchItemFailures":[{"itemId":"102"}]}"#, Some(0));
        check(
            r#"{"batchItemFailures":[{"itemIdentifier":"102"},{"itemIdentifier":"999"}]}"#,
            Some(0),
        );
    }

    #[test]
    fn an_invalid_response_is_a_failure() {
        for response in [
            "[1]",
            "Internal Server Error",
            r#"{"batchItemFailures":"102"}"#,
        ] {
            let verdict = batch().judge(Ok(Bytes::from_static(response.as_bytes())));
            assert!(matches!(verdict, Verdict::Failed { .. }), "{response}");
        }
        let gone = Verdict::Failed {
            reason: "gone".to_owned(),
        };
        assert_eq!(batch().judge(Err("gone".into())), gone);
    }
}

//! A batch of records, and what the function's answer means for it.
//!
//! The answer of a function with `ReportBatchItemFailures`
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>):
//!
//! ```text
//! {"batchItemFailures": [{"itemIdentifier": "<SequenceNumber>"}]}
//! ```
//!
//! An empty or null list, and an empty or null answer, take the whole batch. Otherwise delivery goes on from the lowest
//! sequence number reported; an identifier that is empty, null, misnamed or unknown stands for the whole batch.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::BoxError;
use super::event::Event;

/// The records that the function has yet to take, in the shard's order. Never empty when delivered.
#[derive(Debug, Serialize)]
pub(super) struct Batch {
    #[serde(rename = "Records")]
    events: Vec<Event>,
}

/// What an answer means.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// All of it was taken.
    Taken,
    /// The records before index `from` were taken, the rest has to be delivered again.
    Again { from: usize, reason: String },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    batch_item_failures: Option<Vec<Failure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: Option<String>,
}

impl Batch {
    pub(super) fn new(events: Vec<Event>) -> Self {
        Self { events }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The JSON that the function is invoked with.
    pub(super) fn payload(&self) -> Bytes {
        #[expect(
            clippy::expect_used,
            reason = "strings, numbers and maps with string keys are all JSON"
        )]
        serde_json::to_vec(self).expect("a batch is JSON").into()
    }

    /// Drops the first `taken` records.
    pub(super) fn forget(&mut self, taken: usize) {
        self.events.drain(..taken);
    }

    pub(super) fn judge(&self, answer: Result<Bytes, BoxError>) -> Verdict {
        let body = match answer {
            Ok(body) if body.is_empty() => return Verdict::Taken,
            Ok(body) => body,
            Err(error) => {
                return Verdict::Again {
                    from: 0,
                    reason: error.to_string(),
                };
            }
        };
        let failures = match serde_json::from_slice::<Option<Answer>>(&body) {
            Ok(answer) => answer
                .unwrap_or_default()
                .batch_item_failures
                .unwrap_or_default(),
            Err(error) => {
                return Verdict::Again {
                    from: 0,
                    reason: format!("unreadable answer: {error}"),
                };
            }
        };
        match failures.iter().map(|failure| self.index_of(failure)).min() {
            None => Verdict::Taken,
            Some(from) => Verdict::Again {
                from,
                reason: "reported by the function".to_owned(),
            },
        }
    }

    /// Where the failed record stands; at the start, where the identifier is none of the batch's.
    fn index_of(&self, failure: &Failure) -> usize {
        let id = failure.item_identifier.as_deref();
        self.events
            .iter()
            .position(|event| Some(event.sequence_number()) == id)
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Four records with the sequence numbers 100 to 103.
    fn batch() -> Batch {
        Batch::new(
            (100..104)
                .map(|number| Event::numbered(&number.to_string()))
                .collect(),
        )
    }

    #[track_caller]
    fn check(answer: &'static str, from: Option<usize>) {
        let verdict = batch().judge(Ok(Bytes::from_static(answer.as_bytes())));
        let got = match verdict {
            Verdict::Taken => None,
            Verdict::Again { from, .. } => Some(from),
        };
        assert_eq!(got, from, "{answer}");
    }

    #[test]
    fn nothing_reported_is_a_complete_success() {
        check("", None);
        check("null", None);
        check("{}", None);
        check(r#"{"batchItemFailures":null}"#, None);
        check(r#"{"batchItemFailures":[]}"#, None);
        check(r#"{"batchItemFailures":[],"more":1}"#, None);
    }

    #[test]
    fn delivery_goes_on_from_the_lowest_number_reported() {
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
    fn an_identifier_that_names_no_record_stands_for_all() {
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
    fn what_is_no_answer_is_a_complete_failure() {
        check("[1]", Some(0));
        check("Internal Server Error", Some(0));
        check(r#"{"batchItemFailures":"102"}"#, Some(0));
        let again = Verdict::Again {
            from: 0,
            reason: "gone".to_owned(),
        };
        assert_eq!(batch().judge(Err("gone".into())), again);
    }
}

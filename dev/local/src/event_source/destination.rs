//! The on-failure destination: what Lambda writes into a bucket about records that it gave up, and where.
//!
//! The document and the object's name are those of
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>.

use std::io;
use std::path::Path;

use aws_lambda_events::event::dynamodb::EventRecord;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::fs;

use super::retry::{Attempt, Failure};

/// The mapping's id. The stand-in has only one mapping.
const MAPPING: &str = "00000000-0000-4000-8000-000000000000";

/// Why records were given up, with Lambda's name. AWS's page shows only the second one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition {
    RecordAgeExceeded,
    RetryAttemptsExhausted,
}

/// Records that are given up.
pub(super) struct Discard<'a> {
    pub(super) attempt: &'a Attempt,
    pub(super) condition: Condition,
    pub(super) shard: &'a str,
    pub(super) stream_arn: &'a str,
    pub(super) now: DateTime<Utc>,
}

impl Discard<'_> {
    /// Writes the document into the folder that stands for the bucket. A bucket that does not exist is not created.
    pub(super) async fn write(&self, bucket: &Path) -> io::Result<()> {
        fs::metadata(bucket).await?;
        let path = bucket.join(self.object_key());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).await?;
        }
        fs::write(path, self.document().to_string()).await
    }

    fn object_key(&self) -> String {
        let (shard, uuid) = (self.shard, random_uuid());
        let date = self.now.format("%Y/%m/%d/%Y-%m-%dT%H.%M.%S");
        format!("aws/lambda/{MAPPING}/{shard}/{date}-{uuid}")
    }

    fn document(&self) -> Value {
        let batch = &self.attempt.batch;
        let mut document = json!({
            "requestContext": {
                "requestId": random_uuid(),
                "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:projector",
                "condition": format!("{:?}", self.condition),
                "approximateInvokeCount": self.attempt.failures,
            },
            "version": "1.0",
            "timestamp": self.now.to_rfc3339_opts(SecondsFormat::Millis, true),
            "DDBStreamBatchInfo": self.batch_info(batch.records()),
            "payload": String::from_utf8_lossy(&batch.payload()),
        });
        // Records that were too old before the first invocation have no response.
        if let Some(failure) = self.attempt.last_failure {
            document["responseContext"] = json!({
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": (failure == Failure::Invocation).then_some("Unhandled"),
            });
        }
        document
    }

    fn batch_info(&self, records: &[EventRecord]) -> Value {
        let number = |record: Option<&EventRecord>| {
            record.map(|record| record.change.sequence_number.clone())
        };
        let written = |record: Option<&EventRecord>| {
            let written = record.map(|record| record.change.approximate_creation_date_time);
            written.map(|written| written.to_rfc3339_opts(SecondsFormat::Secs, true))
        };
        json!({
            "shardId": self.shard,
            "startSequenceNumber": number(records.first()),
            "endSequenceNumber": number(records.last()),
            "approximateArrivalOfFirstRecord": written(records.first()),
            "approximateArrivalOfLastRecord": written(records.last()),
            "batchSize": records.len(),
            "streamArn": self.stream_arn,
        })
    }
}

/// A UUID of version 4.
fn random_uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) | 4 << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::batch::Batch;
    use super::super::record;
    use super::*;

    fn attempt() -> Attempt {
        let written = |number: &str, date: &str| {
            let mut record = record::numbered(number);
            record.change.approximate_creation_date_time = date.parse().unwrap();
            record
        };
        let records = vec![
            written("800", "2026-11-25T01:00:00Z"),
            written("801", "2026-11-25T01:00:05Z"),
        ];
        Attempt {
            failures: 3,
            last_failure: Some(Failure::Invocation),
            ..Attempt::first(Batch::new(records))
        }
    }

    fn discard(attempt: &Attempt) -> Discard<'_> {
        Discard {
            attempt,
            condition: Condition::RetryAttemptsExhausted,
            shard: "shardId-00000001573689847184-864758bb",
            stream_arn: "arn:aws:dynamodb:us-east-1:1:table/Orders/stream/now",
            now: "2026-11-26T00:07:09.717Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_document_is_what_aws_documents() {
        let attempt = attempt();
        let mut document = discard(&attempt).document();
        let id = document["requestContext"]["requestId"].take();
        assert_eq!(id.as_str().unwrap().len(), 36);
        let expected = json!({
            "requestContext": {
                "requestId": null,
                "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:projector",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 3,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": "2026-11-26T00:07:09.717Z",
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000001573689847184-864758bb",
                "startSequenceNumber": "800",
                "endSequenceNumber": "801",
                "approximateArrivalOfFirstRecord": "2026-11-25T01:00:00Z",
                "approximateArrivalOfLastRecord": "2026-11-25T01:00:05Z",
                "batchSize": 2,
                "streamArn": "arn:aws:dynamodb:us-east-1:1:table/Orders/stream/now",
            },
            "payload": String::from_utf8_lossy(&attempt.batch.payload()),
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn the_response_is_that_of_the_last_invocation() {
        let mut attempt = attempt();
        attempt.last_failure = Some(Failure::Reported);
        let response = discard(&attempt).document()["responseContext"].take();
        assert_eq!(response["functionError"], Value::Null);
        attempt.last_failure = None;
        assert_eq!(discard(&attempt).document().get("responseContext"), None);
    }

    #[test]
    fn an_object_is_named_as_aws_documents() {
        let attempt = attempt();
        let key = discard(&attempt).object_key();
        let (name, uuid) = key.split_at(key.len() - 36);
        let shard = "shardId-00000001573689847184-864758bb";
        let expected = format!("aws/lambda/{MAPPING}/{shard}/2026/11/26/2026-11-26T00.07.09-");
        assert_eq!(name, expected);
        assert_eq!((&uuid[14..15], uuid.matches('-').count()), ("4", 4));
    }
}

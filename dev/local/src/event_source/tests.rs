//! The delivery of a lane, in paused time.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::delivery::Delivery;
use super::*;
use crate::dynamo;

/// When the tests begin, and their records were written.
const START: &str = "2026-11-26T12:00:00Z";

/// A function that answers by the sequence numbers of a batch. It records each batch, and when it came, in milliseconds.
struct TestFunction<F> {
    answer: F,
    start: Instant,
    invocations: Mutex<Vec<(u128, String)>>,
}

impl<F: Fn(&str) -> Answer + Sync> Invoke for TestFunction<F> {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let event: Event = serde_json::from_slice(&payload)?;
        let numbers = event.records.into_iter();
        let numbers = numbers.filter_map(|record| record.change.sequence_number);
        let numbers = numbers.collect::<Vec<_>>().join(" ");
        let time = self.start.elapsed().as_millis();
        self.invocations
            .lock()
            .unwrap()
            .push((time, numbers.clone()));
        match (self.answer)(&numbers) {
            Answer::Taken => Ok(Bytes::new()),
            Answer::Failed(number) => {
                let failure = json!([{ "itemIdentifier": number }]);
                let response = json!({ "batchItemFailures": failure });
                Ok(response.to_string().into())
            }
            Answer::Error => Err("out of memory".into()),
            Answer::Hang => std::future::pending().await,
        }
    }
}

enum Answer {
    Taken,
    Failed(&'static str),
    Error,
    Hang,
}

/// What was seen of a lane.
struct Seen {
    invocations: Vec<(u128, String)>,
    dropped: usize,
    delivery_failures: usize,
}

impl Seen {
    fn batches(&self) -> Vec<&str> {
        let invocations = self.invocations.iter();
        invocations.map(|(_, numbers)| numbers.as_str()).collect()
    }

    fn times(&self) -> Vec<u128> {
        self.invocations.iter().map(|(time, _)| *time).collect()
    }
}

fn settings() -> Settings {
    Settings {
        min_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_millis(350),
        ..Settings::default()
    }
}

/// The records 1, 2, … Each was written so many seconds after [`START`].
fn records(count: usize, seconds: impl Fn(usize) -> i64) -> Vec<EventRecord> {
    let start: DateTime<Utc> = START.parse().unwrap();
    let records = (0..count).map(|index| {
        let mut record = record::numbered(&(index + 1).to_string());
        let written = start + TimeDelta::seconds(seconds(index));
        record.change.approximate_creation_date_time = written;
        record
    });
    records.collect()
}

/// Delivers a lane with these records from [`START`] on.
async fn deliver(
    records: Vec<EventRecord>,
    settings: Settings,
    answer: impl Fn(&str) -> Answer + Sync,
) -> Seen {
    let source = EventSource {
        streams: dynamo::streams("http://localhost:1"),
        stream_arn: "arn:aws:dynamodb:us-east-1:1:table/Orders/stream/now".to_owned(),
        function: TestFunction {
            answer,
            start: Instant::now(),
            invocations: Mutex::default(),
        },
        settings,
        metrics: Arc::default(),
        clock: Arc::new(Clock::starting_at(START.parse().unwrap())),
    };
    let delivery = Delivery {
        source: &source,
        shard: "shardId-1",
    };
    let (sender, queue) = mpsc::unbounded_channel();
    for record in records {
        sender.send(record).unwrap();
    }
    drop(sender);
    delivery.deliver_all(queue).await;
    Seen {
        invocations: source.function.invocations.into_inner().unwrap(),
        dropped: *source.metrics.dropped_events.borrow(),
        delivery_failures: *source.metrics.destination_delivery_failures.borrow(),
    }
}

/// The documents below a folder, those of the first records first.
fn documents(folder: &Path) -> Vec<Value> {
    let mut documents = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => documents.extend(self::documents(&path)),
            false => documents.push(serde_json::from_slice(&fs::read(path).unwrap()).unwrap()),
        }
    }
    documents
        .sort_by_key(|document| document["DDBStreamBatchInfo"]["startSequenceNumber"].to_string());
    documents
}

/// Answers one after the other. Then everything is taken.
fn script(answers: impl IntoIterator<Item = Answer>) -> impl Fn(&str) -> Answer + Sync {
    let mut answers: Vec<_> = answers.into_iter().collect();
    answers.reverse();
    let answers = Mutex::new(answers);
    move |_| answers.lock().unwrap().pop().unwrap_or(Answer::Taken)
}

#[tokio::test(start_paused = true)]
async fn the_backoff_grows_to_a_limit() {
    let down = [Answer::Error, Answer::Error, Answer::Error, Answer::Error];
    let seen = deliver(records(1, |_| 0), settings(), script(down)).await;
    assert_eq!(seen.times(), [0, 100, 300, 650, 1000]);
}

#[tokio::test(start_paused = true)]
async fn progress_resets_the_backoff() {
    let answers = [
        Answer::Failed("1"),
        Answer::Failed("1"),
        Answer::Failed("2"),
        Answer::Failed("2"),
    ];
    let seen = deliver(records(2, |_| 0), settings(), script(answers)).await;
    assert_eq!(seen.times(), [0, 100, 300, 400, 600]);
    assert_eq!(seen.batches(), ["1 2", "1 2", "1 2", "2", "2"]);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_hangs_ends_at_the_timeout() {
    let seen = deliver(records(1, |_| 0), settings(), script([Answer::Hang])).await;
    assert_eq!(seen.times(), [0, 60_100]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_at_most_batch_size_records() {
    let settings = Settings {
        batch_size: 2,
        ..settings()
    };
    let seen = deliver(records(5, |_| 0), settings, script([])).await;
    assert_eq!(seen.batches(), ["1 2", "3 4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn if_the_invocation_fails_the_batch_is_halved() {
    let too_big = |numbers: &str| match numbers.len() {
        0..=2 => Answer::Taken,
        _ => Answer::Error,
    };
    let seen = deliver(records(5, |_| 0), settings(), too_big).await;
    let batches = ["1 2 3 4 5", "1 2", "1", "2", "3 4 5", "3", "4 5", "4", "5"];
    assert_eq!(seen.batches(), batches);
}

#[tokio::test(start_paused = true)]
async fn without_bisecting_the_whole_batch_comes_again() {
    let settings = Settings {
        bisect_batch_on_function_error: false,
        ..settings()
    };
    let seen = deliver(records(3, |_| 0), settings, script([Answer::Error])).await;
    assert_eq!(seen.batches(), ["1 2 3", "1 2 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_reported_record_does_not_halve_the_batch() {
    let answers = [
        Answer::Failed("3"),
        Answer::Failed("3"),
        Answer::Failed("4"),
    ];
    let seen = deliver(records(5, |_| 0), settings(), script(answers)).await;
    assert_eq!(seen.batches(), ["1 2 3 4 5", "3 4 5", "3 4 5", "4 5"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_given_up_after_its_retries_and_only_that_record() {
    let bucket = tempfile::tempdir().unwrap();
    let settings = Settings {
        maximum_retry_attempts: Some(2),
        on_failure: Some(bucket.path().to_owned()),
        ..settings()
    };
    let third_is_bad = |numbers: &str| match numbers.contains('3') {
        true => Answer::Error,
        false => Answer::Taken,
    };
    let seen = deliver(records(4, |_| 0), settings, third_is_bad).await;
    // Halving uses no retry up.
    let batches = ["1 2 3 4", "1 2", "3 4", "3", "3", "3", "4"];
    assert_eq!(seen.batches(), batches);
    assert_eq!((seen.dropped, seen.delivery_failures), (1, 0));
    let documents = documents(bucket.path());
    assert_eq!(documents.len(), 1);
    let (context, info) = (
        &documents[0]["requestContext"],
        &documents[0]["DDBStreamBatchInfo"],
    );
    assert_eq!(context["condition"], "RetryAttemptsExhausted");
    assert_eq!(context["approximateInvokeCount"], 3);
    assert_eq!(info["startSequenceNumber"], "3");
    assert_eq!(info["batchSize"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_failures_of_a_record_do_not_count_for_the_next_one() {
    let settings = Settings {
        maximum_retry_attempts: Some(2),
        ..settings()
    };
    let answers = [
        Answer::Failed("1"),
        Answer::Failed("1"),
        // The batch is halved.
        Answer::Error,
        Answer::Taken,
        Answer::Error,
        Answer::Error,
    ];
    let seen = deliver(records(2, |_| 0), settings, script(answers)).await;
    let batches = ["1 2", "1 2", "1 2", "1", "2", "2", "2"];
    assert_eq!((seen.batches(), seen.dropped), (batches.to_vec(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_old_is_given_up_and_younger_ones_go_on() {
    let bucket = tempfile::tempdir().unwrap();
    let settings = Settings {
        maximum_record_age: Duration::from_secs(60),
        on_failure: Some(bucket.path().to_owned()),
        ..settings()
    };
    // Record 2 was written ten seconds after record 1. Record 1 cannot be appended.
    let first_is_bad = |numbers: &str| match numbers.contains('1') {
        true => Answer::Failed("1"),
        false => Answer::Taken,
    };
    let seen = deliver(records(2, |number| [0, 10][number]), settings, first_is_bad).await;
    let (last, before) = seen.invocations.split_last().unwrap();
    assert_eq!(last.1, "2");
    assert!((60_000..60_500).contains(&last.0), "{}", last.0);
    assert!(
        before
            .iter()
            .all(|(time, numbers)| *time <= 60_000 && numbers == "1 2")
    );
    assert_eq!(seen.dropped, 1);
    let documents = documents(bucket.path());
    assert_eq!(documents.len(), 1);
    assert_eq!(
        documents[0]["requestContext"]["condition"],
        "RecordAgeExceeded"
    );
    assert_eq!(
        documents[0]["responseContext"]["functionError"],
        Value::Null
    );
    let payload = documents[0]["payload"].as_str().unwrap();
    let event: Event = serde_json::from_str(payload).unwrap();
    assert_eq!(event.records.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_old_at_first_is_not_delivered() {
    let bucket = tempfile::tempdir().unwrap();
    let settings = Settings {
        maximum_record_age: Duration::from_secs(60),
        on_failure: Some(bucket.path().to_owned()),
        ..settings()
    };
    let seen = deliver(
        records(3, |number| [-61, -61, -60][number]),
        settings,
        script([]),
    )
    .await;
    assert_eq!((seen.batches(), seen.dropped), (vec!["3"], 2));
    let documents = documents(bucket.path());
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0]["DDBStreamBatchInfo"]["endSequenceNumber"], "2");
    assert_eq!(documents[0].get("responseContext"), None);
}

#[tokio::test(start_paused = true)]
async fn what_the_destination_does_not_take_is_lost_and_counted() {
    let settings = Settings {
        maximum_retry_attempts: Some(0),
        on_failure: Some("no/such/bucket".into()),
        ..settings()
    };
    let seen = deliver(records(2, |_| 0), settings, |_: &str| Answer::Error).await;
    assert_eq!(seen.batches(), ["1 2", "1", "2"]);
    assert_eq!((seen.dropped, seen.delivery_failures), (2, 2));
    assert!(!Path::new("no").exists());
}

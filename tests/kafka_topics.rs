//! What happens to orders if records are repeated, the topic changes, or an id is used again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/records.rs"]
mod records;

use std::time::Duration;

use kafka::{MSK, event, order, project, projector, read, record};
use order_status_stream::clock::Clock;
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::projector::Unfinished;
use records::{Logs, START, settings, statuses};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_failed_record_stops_its_order_until_it_succeeds() {
    let feed = MemoryFeed::default();
    let batch = event(&[order(0, 1, "A", "PLACED"), order(0, 2, "A", "PAID")]);
    feed.inject([Some(Fault::Throttled)]);
    assert_eq!(project(&projector(&feed), &batch).await, Err(Unfinished));
    assert_eq!(
        statuses(&feed, "A"),
        [] as [&str; 0],
        "PAID must not come first"
    );
    project(&projector(&feed), &batch).await.unwrap();
    assert_eq!(statuses(&feed, "A"), ["PLACED", "PAID"]);
}

/// Kafka Connect may send a record again after a failure, at a new offset.
#[tokio::test(start_paused = true)]
async fn a_repeated_creation_begins_no_new_life() {
    let envelope = |n: u64, op: &str, status: &str| {
        let row = json!({ "status": status });
        let (before, after) = match op {
            "d" => (row, Value::Null),
            _ => (Value::Null, row),
        };
        let value = json!({ "op": op, "before": before, "after": after, "source": {} });
        record(0, n, n, &json!("A"), &value)
    };
    let batch = [
        envelope(1, "c", "PLACED"),
        envelope(2, "c", "PLACED"),
        envelope(3, "u", "PAID"),
        envelope(4, "d", "PAID"),
        envelope(5, "d", "PAID"),
        envelope(6, "c", "PLACED"),
        envelope(7, "c", "PLACED"),
    ];
    let outline = async |settings: &[(&str, &str)]| {
        let feed = MemoryFeed::default();
        let projector = records::projector(&feed, settings);
        project(&projector, &event(&batch)).await.unwrap();
        let entries = feed.entries().into_iter();
        let outline = entries.map(|it| (it.status.as_str().to_owned(), it.begins, it.began));
        outline.collect::<Vec<_>>()
    };
    let entry = |status: &str, begins| (status.to_owned(), begins, true);
    let once = [
        entry("PLACED", false),
        ("PAID".to_owned(), false, true),
        entry("REMOVED", false),
        entry("PLACED", true),
    ];
    assert_eq!(outline(&[]).await, once);
    // If deletions are ignored, only the creation says that the id is used again.
    let again = [
        entry("PLACED", false),
        entry("PLACED", true),
        entry("PAID", false),
        entry("PLACED", true),
        entry("PLACED", true),
    ];
    assert_eq!(outline(&[("ON_REMOVE", "ignore")]).await, again);
}

/// The partition of a key changes if the topic gets more partitions.
#[tokio::test(start_paused = true)]
async fn a_creation_in_another_partition_begins_a_new_life_after_a_deletion_only() {
    let envelope = |partition, n, op: &str, after| {
        let value = json!({ "op": op, "before": null, "after": after, "source": {} });
        record(partition, n, n, &json!("A"), &value)
    };
    let placed = json!({ "status": "PLACED" });
    let feed = MemoryFeed::default();
    let batch = [
        envelope(0, 1, "c", placed.clone()),
        envelope(1, 2, "c", json!({ "status": "PAID" })),
        envelope(1, 3, "d", Value::Null),
        envelope(2, 4, "c", placed),
    ];
    project(&projector(&feed), &event(&batch)).await.unwrap();
    assert_eq!(
        statuses(&feed, "A"),
        ["PLACED", "PAID", "REMOVED", "PLACED"]
    );
    let begins: Vec<_> = feed.entries().iter().map(|entry| entry.begins).collect();
    assert_eq!(begins, [false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn deletions_can_be_ignored() {
    let feed = MemoryFeed::default();
    let projector = records::projector(&feed, &[("ON_REMOVE", "ignore")]);
    let tombstone = record(0, 2, 2, &json!("A"), &Value::Null);
    let delete = json!({ "op": "d", "before": { "status": "PAID" }, "after": null, "source": {} });
    let delete = record(0, 3, 3, &json!("A"), &delete);
    let batch = event(&[order(0, 1, "A", "PAID"), tombstone, delete]);
    project(&projector, &batch).await.unwrap();
    assert_eq!(statuses(&feed, "A"), ["PAID"]);
}

/// If a topic gets more partitions, an order's next record may come from another one. Its offsets are lower.
#[tokio::test(start_paused = true)]
async fn an_order_continues_in_another_partition() {
    let (feed, logs) = (MemoryFeed::default(), Logs::start());
    let (old, new) = (
        record(0, 900, 5, &json!("A"), &json!({ "status": "PAID" })),
        record(3, 0, 6, &json!("A"), &json!({ "status": "SHIPPED" })),
    );
    for record in [&old, &new, &old, &new] {
        let batch = event(std::slice::from_ref(record));
        project(&projector(&feed), &batch).await.unwrap();
    }
    assert_eq!(statuses(&feed, "A"), ["PAID", "SHIPPED"]);
    // What the old partition delivers late leads to an older state. It is told.
    let late = record(0, 901, 4, &json!("A"), &json!({ "status": "LATE" }));
    project(&projector(&feed), &event(&[late])).await.unwrap();
    assert_eq!(statuses(&feed, "A"), ["PAID", "SHIPPED"]);
    assert_eq!(
        logs.with("WARN", "dropped a record of an older stream")
            .len(),
        1
    );
}

/// A topic that was deleted and created again repeats the offsets of its predecessor.
#[tokio::test(start_paused = true)]
async fn a_topic_that_begins_again_is_told_and_continues_as_a_new_generation() {
    let (feed, logs) = (MemoryFeed::default(), Logs::start());
    let old = record(0, 900, 5, &json!("A"), &json!({ "status": "PAID" }));
    let new = record(0, 0, 4000, &json!("A"), &json!({ "status": "SHIPPED" }));
    let batch = event(&[new]);
    project(&projector(&feed), &event(&[old])).await.unwrap();
    project(&projector(&feed), &batch).await.unwrap();
    assert_eq!(
        logs.with("WARN", "dropped a record of an older stream")
            .len(),
        1
    );
    assert_eq!(statuses(&feed, "A"), ["PAID"]);

    let generation = settings(&[("KAFKA_TOPIC_GENERATION", "2")]).topic_generation;
    let projector = projector(&feed).with_topic_generation(generation);
    project(&projector, &batch).await.unwrap();
    assert_eq!(statuses(&feed, "A"), ["PAID", "SHIPPED"]);
    let source = format!("kafka/{MSK}/orders@2/0");
    assert_eq!(records::log(&feed, "A")[1].position.source(), source);
}

/// A mapping that is created again reads the topic from its beginning.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_read_again_repeats_no_finished_order() {
    let feed = MemoryFeed::default();
    let note = json!({ "status": "DELIVERED", "note": "private" });
    let deletion = json!({ "op": "d", "before": {}, "after": null, "source": {} });
    let batch = event(&[
        order(0, 1, "A", "PLACED"),
        order(0, 2, "A", "DELIVERED"),
        record(0, 3, 3, &json!("A"), &note),
        order(0, 4, "B", "PLACED"),
        // Debezium writes both.
        record(0, 5, 5, &json!("B"), &deletion),
        record(0, 6, 6, &json!("B"), &Value::Null),
    ]);
    let days = |days: u64| Clock::starting_at(Duration::from_secs(START + days * 86_400));
    for day in [0, 20, 40, 80] {
        let clock = days(day);
        let end = clock.now() + Duration::from_secs(20);
        let projector = projector(&feed);
        projector
            .project_kafka(&read(&batch), &clock, end)
            .await
            .unwrap();
        let newest = feed.entries().iter().map(|entry| entry.seq.0).max();
        assert!(newest.unwrap_or_default() <= 2, "day {day}");
        assert_eq!(feed.tombstones().len(), 2);
        for entry in feed.entries().iter().filter(|it| it.is_expired(&clock)) {
            feed.delete(&entry.order, entry.seq);
        }
    }
}

/// If the new topic has come exactly as far, its record is another one all the same.
#[tokio::test(start_paused = true)]
async fn an_equal_offset_an_hour_later_is_another_record() {
    let (feed, logs) = (MemoryFeed::default(), Logs::start());
    let old = record(0, 0, 5, &json!("A"), &json!({ "status": "PAID" }));
    let new = record(0, 0, 4000, &json!("A"), &json!({ "status": "SHIPPED" }));
    for record in [&old, &old, &new] {
        let batch = event(std::slice::from_ref(record));
        project(&projector(&feed), &batch).await.unwrap();
    }
    assert_eq!(statuses(&feed, "A"), ["PAID"]);
    let dropped = logs.with("WARN", "dropped a record of an older stream");
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0]["fields"]["sequence_number"], "0");
}

#[test]
fn a_generation_is_a_part_of_a_position() {
    for bad in ["a/b", "a@b", "ä", &"2".repeat(33)] {
        let variable = |name: &str| match name {
            "FEED_TABLE" => Some("feed".to_owned()),
            "KAFKA_TOPIC_GENERATION" => Some(bad.to_owned()),
            _ => None,
        };
        let error = order_status_stream::settings::ProjectorSettings::read(variable).unwrap_err();
        assert!(
            error.to_string().contains("KAFKA_TOPIC_GENERATION"),
            "{error}"
        );
    }
}

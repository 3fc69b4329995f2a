//! Which dwell times are learned from records, and which are not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use std::time::Duration;

use order_status_stream::dwell::{Dwells, weight};
use order_status_stream::feed::Feed;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::order::Status;
use records::{START, insert, modify, project_at, projector, record, written};
use serde_json::{Value, json};

/// A histogram of these dwell times in seconds, learned at a time in seconds after [`START`].
fn histogram(dwells: &[u64], seconds: u64) -> Dwells {
    let mut histogram = Dwells::default();
    for dwell in dwells {
        histogram.add(Duration::from_secs(*dwell), weight(START + seconds));
    }
    histogram
}

async fn learned(feed: &MemoryFeed, status: &str) -> Dwells {
    let mut learned = feed.learned().await.unwrap();
    learned
        .remove(&Status::new(status).unwrap())
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn dwell_times_of_a_backlog_are_the_times_between_its_records() {
    let feed = MemoryFeed::default();
    let backlog = [
        insert("Orders", "A", 0, "PLACED"),
        modify("Orders", "A", 600, "PLACED", "PAID"),
        modify("Orders", "A", 4200, "PAID", "SHIPPED"),
    ];
    project_at(&projector(&feed, &[]), &backlog, 80_000).await;
    assert_eq!(learned(&feed, "PLACED").await, histogram(&[600], 80_000));
    assert_eq!(learned(&feed, "PAID").await, histogram(&[3600], 80_000));
    assert_eq!(feed.forgotten_at(), Some(START + 80_000 + 180 * 86_400));
}

#[tokio::test(start_paused = true)]
async fn doubtful_dwell_times_are_not_learned() {
    let unknown = |record| {
        let mut record: Value = record;
        record["dynamodb"]["ApproximateCreationDateTime"] = 0.0.into();
        record
    };
    let cases = [
        // The record does not change the status, so it is unknown since when the order is PLACED.
        (
            "a touch",
            modify("Orders", "A", 10, "PLACED", "PLACED"),
            record("Orders", "A", 600, "PAID"),
        ),
        (
            "no old image",
            record("Orders", "A", 10, "PLACED"),
            record("Orders", "A", 600, "PAID"),
        ),
        (
            "an unknown beginning",
            unknown(insert("Orders", "A", 10, "PLACED")),
            record("Orders", "A", 600, "PAID"),
        ),
        (
            "an unknown end",
            insert("Orders", "A", 10, "PLACED"),
            unknown(record("Orders", "A", 600, "PAID")),
        ),
        (
            "a time before the last one",
            insert("Orders", "A", 10, "PLACED"),
            written(record("Orders", "A", 600, "PAID"), 9),
        ),
        (
            "another stream",
            insert("Orders", "A", 10, "PLACED"),
            modify("Copy", "A", 600, "PLACED", "PAID"),
        ),
        (
            "a new life",
            insert("Orders", "A", 10, "PLACED"),
            insert("Orders", "A", 600, "PAID"),
        ),
    ];
    for (name, first, second) in cases {
        let feed = MemoryFeed::default();
        project_at(&projector(&feed, &[]), &[first, second], 700).await;
        assert_eq!(feed.entries().len(), 2, "{name}");
        assert_eq!(feed.learned().await.unwrap().len(), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn learning_begins_with_the_first_change_after_a_touch() {
    let feed = MemoryFeed::default();
    let records = [
        modify("Orders", "A", 10, "PLACED", "PLACED"),
        record("Orders", "A", 600, "PAID"),
        record("Orders", "A", 700, "SHIPPED"),
    ];
    project_at(&projector(&feed, &[]), &records, 800).await;
    assert_eq!(learned(&feed, "PLACED").await, Dwells::default());
    assert_eq!(learned(&feed, "PAID").await, histogram(&[100], 800));
}

/// The state may be older than the first record of a source that shows it.
#[tokio::test(start_paused = true)]
async fn the_beginning_of_a_state_is_unknown_after_a_switch_of_the_source() {
    for switch in [
        record("Copy", "A", 600, "PAID"),
        insert("Copy", "A", 600, "PAID"),
    ] {
        let feed = MemoryFeed::default();
        let records = [
            insert("Orders", "A", 10, "PLACED"),
            switch,
            record("Copy", "A", 700, "SHIPPED"),
        ];
        project_at(&projector(&feed, &[]), &records, 800).await;
        assert_eq!(feed.entries().len(), 3);
        assert_eq!(feed.learned().await.unwrap().len(), 0);
    }
}

/// The old image of a record shows that another state ended.
#[tokio::test(start_paused = true)]
async fn learning_begins_with_the_first_known_change_of_an_order() {
    let public = |mut record: Value| {
        record["dynamodb"]["OldImage"]["eta"] = json!({ "S": "soon" });
        record
    };
    let changes = [
        modify("Orders", "A", 10, "PLACED", "PAID"),
        public(modify("Orders", "A", 10, "PAID", "PAID")),
    ];
    for change in changes {
        let feed = MemoryFeed::default();
        let records = [change, record("Orders", "A", 600, "SHIPPED")];
        project_at(&projector(&feed, &[]), &records, 800).await;
        assert_eq!(learned(&feed, "PAID").await, histogram(&[590], 800));
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_dwell_times_in_the_feed_do_not_stop_learning() {
    let feed = MemoryFeed::default();
    let placed = Status::new("PLACED").unwrap();
    let mut wrong = Dwells::default();
    wrong.add(Duration::ZERO, 1e6 * weight(START));
    feed.learn(&placed, &wrong, u64::MAX).await.unwrap();
    let projector = projector(&feed, &[]);
    // 150 orders in a day, each 10 minutes in the status: far less than a tenth of the weight in the feed.
    for n in 0..150 {
        let (id, from) = (format!("A-{n}"), n * 576);
        let records = [
            insert("Orders", &id, from, "PLACED"),
            modify("Orders", &id, from + 600, "PLACED", "PAID"),
        ];
        project_at(&projector, &records, from + 601).await;
    }
    let learned = learned(&feed, "PLACED").await;
    let minutes = learned.filled().filter(|(bucket, _)| *bucket > 0);
    let minutes: f64 = minutes.map(|(_, weight)| weight).sum();
    let orders = minutes / weight(START);
    assert!((135.0..155.0).contains(&orders), "{orders}");
    // About one write per hour, not one per order.
    assert!(feed.learnings() < 40, "{}", feed.learnings());
}

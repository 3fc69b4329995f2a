//! A mistake in the settings loses no change, and a bad item blocks nobody.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use order_status_stream::feed::memory::{Fault, MemoryFeed};
use records::{Logs, project, projector, record, remove, sequence_number, statuses};
use serde_json::{Value, json};

const MISFIT: &str = "the settings do not fit the records";
const NONE: [String; 0] = [];

fn edited(mut record: Value, edit: impl Fn(&mut Value)) -> Value {
    edit(&mut record["dynamodb"]);
    record
}

/// As an item that is no order, in a table of orders.
fn bad(id: &str, n: u64) -> Value {
    edited(record("Orders", id, n, "PAID"), |dynamodb| {
        dynamodb["NewImage"] = json!({ "orderId": { "S": id }, "count": { "N": "7" } });
    })
}

/// Every kind of mistake, as it shows in a record.
fn mistakes() -> Vec<(&'static str, Vec<Value>)> {
    let table = |edit: &dyn Fn(&mut Value)| {
        let ids = ["A", "B", "C"].into_iter().zip(8..);
        ids.map(|(id, n)| edited(record("Orders", id, n, "PAID"), edit))
            .collect()
    };
    vec![
        (
            "STATUS_ATTRIBUTE",
            table(&|dynamodb| {
                let status = dynamodb["NewImage"]["status"].take();
                dynamodb["NewImage"] = json!({ "state": status });
            }),
        ),
        (
            "ORDER_ID_ATTRIBUTE",
            table(&|dynamodb| {
                let id = dynamodb["Keys"]["orderId"].take();
                dynamodb["Keys"] = json!({ "id": id });
            }),
        ),
        (
            "is not a string",
            table(&|dynamodb| dynamodb["Keys"]["orderId"] = json!({ "B": "AAAA" })),
        ),
        (
            "is not a string",
            table(&|dynamodb| dynamodb["NewImage"]["status"] = json!({ "N": "4" })),
        ),
        (
            "sort key",
            table(&|dynamodb| dynamodb["Keys"]["line"] = json!({ "N": "1" })),
        ),
        (
            "view type",
            table(&|dynamodb| dynamodb["NewImage"] = json!({})),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn where_no_record_can_be_read_the_batch_comes_again() {
    for (reason, records) in mistakes() {
        let logs = Logs::start();
        let feed = MemoryFeed::default();
        let projector = projector(&feed, &[]);
        // The lowest sequence number is not the first of the batch, and not the lowest as text.
        let mut records = records;
        records.rotate_left(1);
        assert_eq!(
            project(&projector, &records).await,
            [sequence_number(&records[2])],
            "{reason}"
        );
        assert_eq!(feed.entries(), []);
        let lines = logs.with("ERROR", MISFIT);
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0]["fields"]["reason"]
                .as_str()
                .unwrap()
                .contains(reason),
            "{lines:?}"
        );
        assert_eq!(logs.with("ERROR", "poison record"), [] as [Value; 0]);
        // A single record, as the first of a table, is no reason to lose it either.
        let first = [records[0].clone()];
        assert_eq!(
            project(&projector, &first).await,
            [sequence_number(&first[0])],
            "{reason}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn once_the_settings_are_right_nothing_is_lost() {
    let (_, records) = mistakes().remove(0);
    let feed = MemoryFeed::default();
    assert_eq!(project(&projector(&feed, &[]), &records).await.len(), 1);
    let right = projector(&feed, &[("STATUS_ATTRIBUTE", "state")]);
    assert_eq!(project(&right, &records).await, NONE);
    assert_eq!(feed.entries().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_bad_item_among_good_ones_is_passed_over() {
    let feed = MemoryFeed::default();
    let records = [
        bad("counter", 1),
        record("Orders", "A", 2, "PAID"),
        bad("totals", 3),
    ];
    let logs = Logs::start();
    assert_eq!(project(&projector(&feed, &[]), &records).await, NONE);
    assert_eq!(statuses(&feed, "A"), ["PAID"]);
    assert_eq!(logs.with("ERROR", "poison record").len(), 2);
    assert_eq!(logs.with("ERROR", MISFIT), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_item_alone_is_passed_over_once_the_settings_have_fitted() {
    let feed = MemoryFeed::default();
    let good = [record("Orders", "A", 1, "PAID")];
    assert_eq!(project(&projector(&feed, &[]), &good).await, NONE);
    // Also by a process that has seen nothing else.
    let fresh = || projector(&feed, &[]);
    let alone = [bad("counter", 2), bad("counter", 3)];
    assert_eq!(project(&fresh(), &alone).await, NONE);
    // Not so if more than one item fails…
    let two = [bad("counter", 4), bad("totals", 5)];
    assert_eq!(project(&fresh(), &two).await, [sequence_number(&two[0])]);
    // … nor by other settings, nor in another table.
    for more in [("STATUS_ATTRIBUTE", "state"), ("ORDER_ID_ATTRIBUTE", "id")] {
        let failed = project(&projector(&feed, &[more]), &good).await;
        assert_eq!(failed, [sequence_number(&good[0])], "{more:?}");
    }
    let mut elsewhere = bad("counter", 6);
    elsewhere["eventSourceARN"] = record("Other", "A", 6, "PAID")["eventSourceARN"].clone();
    assert_eq!(project(&fresh(), &[elsewhere]).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_proves_the_key_alone() {
    let feed = MemoryFeed::default();
    let records = [remove("Orders", "Z", 1), bad("A", 2), bad("B", 3)];
    assert_eq!(
        project(&projector(&feed, &[]), &records).await,
        [sequence_number(&records[0])]
    );
    // Nothing of the batch is told: what comes again would be older than it.
    assert_eq!(feed.entries(), []);
    assert_eq!(project(&projector(&feed, &[]), &records[..1]).await, NONE);
    assert_eq!(
        project(&projector(&feed, &[]), &records[1..2]).await.len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_none_is_no_mistake_of_the_settings() {
    let feed = MemoryFeed::default();
    let percent = edited(record("Orders", "A", 1, "PAID"), |dynamodb| {
        dynamodb["Keys"]["orderId"] = json!({ "S": "100%" });
    });
    assert_eq!(project(&projector(&feed, &[]), &[percent]).await, NONE);
}

#[tokio::test(start_paused = true)]
async fn where_the_feed_cannot_tell_the_batch_comes_again() {
    for fault in [Fault::Throttled, Fault::Hangs] {
        let feed = MemoryFeed::default();
        let good = [record("Orders", "A", 1, "PAID")];
        project(&projector(&feed, &[]), &good).await;
        let alone = [bad("counter", 2)];
        feed.inject([Some(fault)]);
        assert_eq!(project(&projector(&feed, &[]), &alone).await.len(), 1);
        assert_eq!(project(&projector(&feed, &[]), &alone).await, NONE);
    }
}

#[tokio::test(start_paused = true)]
async fn that_the_settings_fit_is_kept_once_and_tried_until_it_is() {
    let feed = MemoryFeed::default();
    let first = projector(&feed, &[]);
    // The newest entry is read, the next put; then the marker meets the fault.
    feed.inject([None, None, Some(Fault::Throttled)]);
    assert_eq!(
        project(&first, &[record("Orders", "A", 1, "PAID")]).await,
        NONE
    );
    assert_eq!(
        project(&projector(&feed, &[]), &[bad("counter", 2)])
            .await
            .len(),
        1
    );
    project(&first, &[record("Orders", "A", 3, "PAID")]).await;
    assert_eq!(
        project(&projector(&feed, &[]), &[bad("counter", 2)]).await,
        NONE
    );
}

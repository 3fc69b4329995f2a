//! A wrong setting loses no change, and a bad item blocks no other item.
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

/// A record of an item that is not an order, in the orders table.
fn bad(id: &str, n: u64) -> Value {
    edited(record("Orders", id, n, "PAID"), |dynamodb| {
        dynamodb["NewImage"] = json!({ "orderId": { "S": id }, "count": { "N": "7" } });
    })
}

/// Records that do not fit the settings, one case for each wrong setting, and the reason that is logged.
fn wrong_settings() -> Vec<(&'static str, Vec<Value>)> {
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
            "neither a string nor a number",
            table(&|dynamodb| dynamodb["Keys"]["orderId"] = json!({ "B": "AAAA" })),
        ),
        (
            "is not a string, a number or a boolean",
            table(&|dynamodb| dynamodb["NewImage"]["status"] = json!({ "L": [] })),
        ),
        (
            "more attributes than the settings name",
            table(&|dynamodb| dynamodb["Keys"]["line"] = json!({ "N": "1" })),
        ),
        (
            "view type",
            table(&|dynamodb| dynamodb["NewImage"] = json!({})),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_a_readable_record_is_retried() {
    for (reason, records) in wrong_settings() {
        let logs = Logs::start();
        let feed = MemoryFeed::default();
        let projector = projector(&feed, &[]);
        // The lowest sequence number is neither the first of the batch nor the lowest as text.
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
        // The same if the first batch of a table is a single record.
        let first = [records[0].clone()];
        assert_eq!(
            project(&projector, &first).await,
            [sequence_number(&first[0])],
            "{reason}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_after_the_settings_are_corrected() {
    let (_, records) = wrong_settings().remove(0);
    let feed = MemoryFeed::default();
    assert_eq!(project(&projector(&feed, &[]), &records).await.len(), 1);
    let right = projector(&feed, &[("STATUS_ATTRIBUTE", "state")]);
    assert_eq!(project(&right, &records).await, NONE);
    assert_eq!(feed.entries().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_bad_item_among_good_ones_is_skipped() {
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
async fn a_single_bad_item_is_skipped_if_the_settings_fitted_before() {
    let feed = MemoryFeed::default();
    let good = [record("Orders", "A", 1, "PAID")];
    assert_eq!(project(&projector(&feed, &[]), &good).await, NONE);
    // Also in a new process.
    let fresh = || projector(&feed, &[]);
    let alone = [bad("counter", 2), bad("counter", 3)];
    assert_eq!(project(&fresh(), &alone).await, NONE);
    // The batch is retried if more than one item fails …
    let two = [bad("counter", 4), bad("totals", 5)];
    assert_eq!(project(&fresh(), &two).await, [sequence_number(&two[0])]);
    // … or with other settings, or from another table.
    for more in [("STATUS_ATTRIBUTE", "state"), ("ORDER_ID_ATTRIBUTE", "id")] {
        let failed = project(&projector(&feed, &[more]), &good).await;
        assert_eq!(failed, [sequence_number(&good[0])], "{more:?}");
    }
    let mut elsewhere = bad("counter", 6);
    elsewhere["eventSourceARN"] = record("Other", "A", 6, "PAID")["eventSourceARN"].clone();
    assert_eq!(project(&fresh(), &[elsewhere]).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_shows_only_that_the_key_setting_fits() {
    let feed = MemoryFeed::default();
    let records = [remove("Orders", "Z", 1), bad("A", 2), bad("B", 3)];
    assert_eq!(
        project(&projector(&feed, &[]), &records).await,
        [sequence_number(&records[0])]
    );
    // Nothing of the batch is appended, because the records that are retried are older.
    assert_eq!(feed.entries(), []);
    assert_eq!(project(&projector(&feed, &[]), &records[..1]).await, NONE);
    assert_eq!(
        project(&projector(&feed, &[]), &records[1..2]).await.len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn an_invalid_id_does_not_count_as_a_wrong_setting() {
    let feed = MemoryFeed::default();
    let percent = edited(record("Orders", "A", 1, "PAID"), |dynamodb| {
        dynamodb["Keys"]["orderId"] = json!({ "S": "100%" });
    });
    assert_eq!(project(&projector(&feed, &[]), &[percent]).await, NONE);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_retried_if_the_feed_cannot_be_read() {
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
async fn a_failed_write_of_the_settings_marker_is_repeated() {
    let feed = MemoryFeed::default();
    let first = projector(&feed, &[]);
    // Read the newest entry, put the next one; then the write of the marker fails.
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

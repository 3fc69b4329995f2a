//! The projector makes entries of stream records, also if records are repeated, split, unreadable or throttled.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event;
use order_status_stream::clock::Clock;
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::feed::{Entry, Feed, append};
use order_status_stream::order::Status;
use order_status_stream::projector::Projector;
use proptest::prelude::*;
use records::{run, settings};
use serde_json::{Value, json};
use support::{NOW, RETENTION};

fn projector(feed: &MemoryFeed) -> Projector<MemoryFeed> {
    records::projector(feed, &[])
}

/// Projects a batch. Returns the sequence numbers that Lambda must deliver again.
async fn project(projector: &Projector<MemoryFeed>, batch: &Value) -> Vec<String> {
    let batch: Event = serde_json::from_value(batch.clone()).unwrap();
    let clock = Clock::starting_at(NOW);
    let response = projector
        .project(&batch, &clock, clock.now() + Duration::from_secs(20))
        .await;
    response
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier.unwrap())
        .collect()
}

fn event(name: &str) -> Value {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn record(id: &str, n: u64, status: &str) -> Value {
    records::record_of("Orders/stream/2026", id, n, records::START, status)
}

fn sequence_number(record: &Value) -> String {
    record["dynamodb"]["SequenceNumber"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn batch(records: &[Value]) -> Value {
    json!({ "Records": records })
}

/// The statuses in the feed, by order.
fn outline(feed: &MemoryFeed) -> BTreeMap<String, Vec<String>> {
    let mut orders = BTreeMap::<_, Vec<_>>::new();
    for entry in feed.entries() {
        let log = orders.entry(entry.order.to_string()).or_default();
        log.push(entry.status.as_str().to_owned());
        assert_eq!(log.len() as u64, entry.seq.0, "dense");
    }
    orders
}

async fn logs_of(events: &[&str]) -> Vec<Entry> {
    let feed = MemoryFeed::default();
    for name in events {
        assert_eq!(
            project(&projector(&feed), &event(name)).await,
            [] as [String; 0],
            "{name}"
        );
    }
    feed.entries()
}

#[tokio::test(start_paused = true)]
async fn an_order_from_its_insert_to_its_removal() {
    let entries = logs_of(&[
        "stream-insert",
        "stream-modify",
        "stream-modify-private",
        "stream-remove",
    ])
    .await;
    let statuses: Vec<_> = entries
        .iter()
        .map(|entry| (entry.status.as_str(), entry.terminal))
        .collect();
    assert_eq!(
        statuses.len(),
        3,
        "a change of a private attribute makes no entry: {statuses:?}"
    );
    assert_eq!(statuses[2], ("REMOVED", true));
    assert!(!statuses[0].1 && !statuses[1].1);
    assert_eq!(entries[1].previous.as_ref(), Some(&entries[0].status));
    assert_eq!(entries[2].view, BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn private_attributes_are_not_in_the_feed() {
    for entry in logs_of(&["stream-insert", "stream-modify"]).await {
        for name in entry.view.keys() {
            assert!(
                ["eta", "carrier", "trackingUrl"].contains(&name.as_str()),
                "{name}"
            );
        }
        assert!(
            !serde_json::to_string(&entry).unwrap().contains('@'),
            "the customer's address"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_by_time_to_live_is_no_change() {
    let before = logs_of(&["stream-insert"]).await;
    assert_eq!(
        logs_of(&["stream-insert", "stream-remove-ttl"]).await,
        before
    );
}

/// Only a deletion by DynamoDB's TTL, which names that service, does not end the order.
#[tokio::test(start_paused = true)]
async fn a_removal_by_another_identity_ends_the_order() {
    for (member, other) in [
        ("type", "Root"),
        ("principalId", "replication.dynamodb.amazonaws.com"),
    ] {
        let feed = MemoryFeed::default();
        let mut removal = event("stream-remove-ttl");
        removal["Records"][0]["userIdentity"][member] = json!(other);
        assert_eq!(
            project(&projector(&feed), &removal).await,
            [] as [String; 0]
        );
        assert_eq!(feed.entries().len(), 1, "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_is_no_change_if_removals_are_ignored() {
    let settings = settings(&[("ON_REMOVE", "ignore")]);
    let feed = MemoryFeed::default();
    let projector = Projector::new(feed.clone(), settings.rules, settings.retention);
    assert_eq!(
        project(&projector, &event("stream-remove")).await,
        [] as [String; 0]
    );
    assert_eq!(feed.entries(), []);
}

#[tokio::test(start_paused = true)]
async fn interleaved_orders_have_a_log_each() {
    let entries = logs_of(&["stream-two-orders"]).await;
    let feed = MemoryFeed::default();
    project(&projector(&feed), &event("stream-two-orders")).await;
    assert_eq!(outline(&feed).len(), 2);
    assert_eq!(feed.entries(), entries);
}

#[tokio::test(start_paused = true)]
async fn poison_is_skipped_and_blocks_nothing() {
    let feed = MemoryFeed::default();
    let malformed = event("stream-malformed");
    assert_eq!(
        project(&projector(&feed), &malformed).await,
        [] as [String; 0]
    );
    assert_eq!(feed.entries().len(), 1, "only the valid record");
    assert!(malformed["Records"].as_array().unwrap().len() > 3);
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_poison_is_named() {
    let rules = settings(&[]).rules;
    let check = |edit: &dyn Fn(&mut Value), reason: &str| {
        let mut record = record("A", 1, "PAID");
        edit(&mut record);
        let error = rules
            .read(&serde_json::from_value(record).unwrap())
            .unwrap_err();
        assert_eq!(error.to_string(), reason);
    };
    check(
        &|record| record["dynamodb"]["Keys"]["line"] = json!({ "N": "1" }),
        "the key has more attributes than the settings name, so ORDER_KEY must say which items are orders: its keys are line, orderId",
    );
    check(
        &|record| record["dynamodb"]["Keys"] = json!({ "id": { "S": "A" } }),
        "the key has no attribute `orderId`: check ORDER_ID_ATTRIBUTE",
    );
    check(
        &|record| record["dynamodb"]["Keys"]["orderId"] = json!({ "S": "100%" }),
        "the attribute `orderId` is not a valid order id",
    );
    check(
        &|record| record["dynamodb"]["Keys"]["orderId"] = json!({ "B": "AAAA" }),
        "the attribute `orderId` is neither a string nor a number, so it is no order id",
    );
    check(
        &|record| record["dynamodb"]["NewImage"] = json!({}),
        "the record has no new image: the stream's view type must be NEW_IMAGE or NEW_AND_OLD_IMAGES",
    );
    let no_status = "the attribute `status` is missing or empty: check STATUS_ATTRIBUTE";
    check(
        &|record| record["dynamodb"]["NewImage"]["status"] = json!({ "S": "" }),
        no_status,
    );
    check(
        &|record| record["dynamodb"]["NewImage"] = json!({ "orderId": { "S": "A" } }),
        no_status,
    );
    check(
        &|record| record["dynamodb"]["NewImage"]["status"] = json!({ "NULL": true }),
        no_status,
    );
    check(
        &|record| record["dynamodb"]["NewImage"]["status"] = json!({ "M": {} }),
        "the attribute `status` is not a string, a number or a boolean: check STATUS_ATTRIBUTE",
    );
    let no_position = "the record has no sequence number of up to 40 digits, or no stream ARN";
    check(
        &|record| record["dynamodb"]["SequenceNumber"] = Value::Null,
        no_position,
    );
    check(
        &|record| record["dynamodb"]["SequenceNumber"] = json!("9".repeat(41)),
        no_position,
    );
    check(
        &|record| record["eventSourceARN"] = json!("arn:aws:sqs:us-east-1:123456789012:q"),
        no_position,
    );
    check(
        &|record| record["eventName"] = json!("EXPLODE"),
        "the record's event name \"EXPLODE\" is unknown",
    );
}

#[tokio::test(start_paused = true)]
async fn the_view_holds_every_kind_of_attribute_as_json() {
    let mut record = record("A", 1, "PAID");
    record["dynamodb"]["NewImage"]["eta"] = json!({ "M": {
        "text": { "S": "a\u{2028}b" }, "int": { "N": "-12" }, "double": { "N": "1.5E+3" },
        "huge": { "N": "99999999999999999999999999999999999999" },
        "flag": { "BOOL": false }, "nothing": { "NULL": true }, "bytes": { "B": "AAEC" },
        "list": { "L": [{ "N": "2" }, { "S": "x" }] },
        "texts": { "SS": ["b", "a"] }, "numbers": { "NS": ["2", "1"] }, "blobs": { "BS": ["AgM=", "AAE="] }
    } });
    let change = settings(&[])
        .rules
        .read(&serde_json::from_value(record).unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(
        json!(change.view),
        json!({ "eta": {
            "text": "a\u{2028}b", "int": -12, "double": 1500, "huge": "99999999999999999999999999999999999999",
            "flag": false, "nothing": null, "bytes": "AAEC",
            "list": [2, "x"], "texts": ["a", "b"], "numbers": [1, 2], "blobs": ["AAE=", "AgM="]
        } })
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_change_is_the_shops_or_else_the_streams() {
    let rules = settings(&[]).rules;
    let check = |updated_at: Value, expected: &str| {
        let mut record = record("A", 1, "PAID");
        record["dynamodb"]["NewImage"]["updatedAt"] = updated_at.clone();
        let change = rules
            .read(&serde_json::from_value(record).unwrap())
            .unwrap()
            .unwrap();
        assert_eq!(change.at.as_deref(), Some(expected), "{updated_at}");
    };
    check(
        json!({ "S": "2026-11-22T18:40:00.1234+01:00" }),
        "2026-11-22T17:40:00.123Z",
    );
    check(json!({ "N": "1795369200" }), "2026-11-22T17:40:00.000Z");
    check(json!({ "N": "1795369200123" }), "2026-11-22T17:40:00.123Z");
    for no_time in [
        json!({ "S": "yesterday" }),
        json!({ "N": "1e300" }),
        json!({ "BOOL": true }),
    ] {
        check(no_time, "2026-11-22T17:40:00.000Z");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_append_stops_only_its_order() {
    let feed = MemoryFeed::default();
    let records = [
        record("A", 1, "PLACED"),
        record("A", 2, "PAID"),
        record("A", 3, "SHIPPED"),
    ];
    // The first append is a read and a write. The read of the second one is throttled.
    feed.inject([None, None, Some(Fault::Throttled)]);
    assert_eq!(
        project(&projector(&feed), &batch(&records)).await,
        [sequence_number(&records[1])]
    );
    assert_eq!(
        outline(&feed)["A"],
        ["PLACED"],
        "later records must not overtake"
    );
    assert_eq!(
        project(&projector(&feed), &batch(&records[1..])).await,
        [] as [String; 0]
    );
    assert_eq!(outline(&feed)["A"], ["PLACED", "PAID", "SHIPPED"]);
}

#[tokio::test(start_paused = true)]
async fn other_orders_continue_after_a_failure() {
    let feed = MemoryFeed::default();
    let records = [
        record("A", 1, "PLACED"),
        record("B", 2, "PLACED"),
        record("C", 3, "PLACED"),
    ];
    feed.inject([Some(Fault::Throttled)]);
    let failed = project(&projector(&feed), &batch(&records)).await;
    assert_eq!(failed, [sequence_number(&records[0])]);
    assert_eq!(outline(&feed).into_keys().collect::<Vec<_>>(), ["B", "C"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_feed_refuses_for_good_is_skipped() {
    let feed = MemoryFeed::default();
    feed.inject([None, Some(Fault::Refused)]);
    let records = [record("A", 1, "TOO LARGE"), record("A", 2, "PAID")];
    assert_eq!(
        project(&projector(&feed), &batch(&records)).await,
        [] as [String; 0]
    );
    assert_eq!(outline(&feed)["A"], ["PAID"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_stops_only_its_order() {
    let feed = MemoryFeed::default();
    feed.inject([Some(Fault::Hangs)]);
    let records = [record("A", 1, "PLACED"), record("B", 2, "PLACED")];
    assert_eq!(
        project(&projector(&feed), &batch(&records)).await,
        [sequence_number(&records[0])]
    );
    assert_eq!(outline(&feed)["B"], ["PLACED"]);
}

/// The entries that one clean delivery makes.
async fn clean(records: &[Value]) -> Vec<Entry> {
    let feed = MemoryFeed::default();
    assert_eq!(
        project(&projector(&feed), &batch(records)).await,
        [] as [String; 0]
    );
    feed.entries()
}

/// Lambda's event source mapping: it repeats a batch from the lowest failure on, until the batch succeeds.
async fn deliver(projector: Projector<MemoryFeed>, records: &[Value], batches: &[usize]) {
    let mut from = 0;
    let mut sizes = batches.iter().cycle();
    while from < records.len() {
        let size = (*sizes.next().unwrap()).max(1);
        let part = &records[from..(from + size).min(records.len())];
        let failed = project(&projector, &batch(part)).await;
        let lowest = failed.iter().min();
        from = match lowest.and_then(|lowest| {
            records
                .iter()
                .position(|record| sequence_number(record) == *lowest)
        }) {
            Some(lowest) => lowest,
            None => from + part.len(),
        };
        tokio::task::yield_now().await;
    }
}

fn any_fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![3 => Just(None), 1 => Just(Some(Fault::Throttled)), 1 => Just(Some(Fault::AnswerLost))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_delivery_equals_one_clean_delivery(
        writes in prop::collection::vec((0usize..3, 0usize..4), 1..24),
        faults in prop::collection::vec(any_fault(), 0..60),
        batches in prop::array::uniform3(prop::collection::vec(1usize..6, 1..4)),
        projectors in 1usize..=3,
    ) {
        let records: Vec<_> = (1..).zip(&writes).map(|(n, (order, status))| {
            record(["A", "B", "C"][*order], n, ["PLACED", "PAID", "SHIPPED", "DELIVERED"][*status])
        }).collect();
        run(async {
            let feed = MemoryFeed::default();
            feed.inject(faults);
            let deliveries = batches[..projectors].iter().map(|batches| deliver(projector(&feed), &records, batches));
            futures_util::future::join_all(deliveries).await;
            // Everything again, as with a new event source mapping from TRIM_HORIZON.
            deliver(projector(&feed), &records, &[100]).await;
            let (found, expected) = (feed.entries(), clean(&records).await);
            let without_expiry = |entries: &[Entry]| {
                entries.iter().map(|entry| Entry { expires_at: None, ..entry.clone() }).collect::<Vec<_>>()
            };
            assert_eq!(without_expiry(&found), without_expiry(&expected));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_makes_one_entry() {
    let feed = MemoryFeed::default();
    feed.inject([None, Some(Fault::AnswerLost)]);
    let change = support::change("A", 1, "PLACED");
    let clock = Clock::starting_at(NOW);
    assert!(append(&feed, &change, &clock, RETENTION).await.is_err());
    assert_eq!(
        append(&feed, &change, &clock, RETENTION).await.unwrap(),
        None
    );
    assert_eq!(outline(&feed)["A"], ["PLACED"]);
}

#[tokio::test(start_paused = true)]
async fn dwell_times_are_learned_once_and_with_few_writes() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed);
    let mut n = 0;
    for order in 0..2000 {
        let id = format!("A-{order}");
        let records: Vec<_> = ["PLACED", "PAID", "DELIVERED", "RETURNED"]
            .map(|status| {
                n += 1;
                let mut record = record(&id, n, status);
                if status == "PLACED" {
                    record["eventName"] = json!("INSERT");
                }
                record
            })
            .into();
        let batch = json!({ "Records": records });
        project(&projector, &batch).await;
        if order % 10 == 0 {
            project(&projector, &batch).await;
        }
    }
    let learned = feed.learned().await.unwrap();
    let statuses: Vec<_> = learned.keys().map(Status::as_str).collect();
    assert_eq!(
        statuses,
        ["PAID", "PLACED"],
        "nothing follows a terminal status"
    );
    let one = order_status_stream::dwell::weight(NOW.as_secs());
    for dwells in learned.values() {
        let orders = dwells.total() / one;
        assert!((1800.0..2000.5).contains(&orders), "{orders}");
    }
    let writes = feed.learnings();
    assert!(
        (100..300).contains(&writes),
        "{writes} writes for 4000 dwell times"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_to_learn_delays_nothing() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed);
    let batch = |n, status| json!({ "Records": [record("A", n, status)] });
    let mut first = batch(1, "PLACED");
    first["Records"][0]["eventName"] = json!("INSERT");
    assert!(project(&projector, &first).await.is_empty());
    // Three calls succeed: read the newest entry, put the next, set the expiry of the superseded one. Writing the dwell time fails.
    feed.inject([None, None, None, Some(Fault::Throttled)]);
    assert!(project(&projector, &batch(2, "PAID")).await.is_empty());
    assert_eq!(outline(&feed)["A"], ["PLACED", "PAID"]);
    assert!(feed.learned().await.unwrap().is_empty());
}

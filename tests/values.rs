//! Numbers, sets and times as shops write them, from the orders table through DynamoDB to the client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use local::dynamo::{Dynamo, create_tables};
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::feed::{Consistency, Feed, read_all};
use order_status_stream::number::Decimal;
use order_status_stream::order::{OrderId, PublicView, Seq};
use proptest::prelude::*;
use records::{log, project, projector, record, settings, statuses, with};
use serde_json::{Value, json};

/// Attributes that a lossy projection would change, and how each is shown.
fn attributes() -> Vec<(Value, Value)> {
    let number = |text: &str| json!({ "N": text });
    vec![
        (
            number("99.99999999999999999999999999"),
            json!("99.99999999999999999999999999"),
        ),
        (
            number("12345678901234567890"),
            json!("12345678901234567890"),
        ),
        (
            number("1234567890123456789012"),
            json!("1234567890123456789012"),
        ),
        (number("9007199254740991"), json!(9_007_199_254_740_991_i64)),
        (number("-9007199254740993"), json!("-9007199254740993")),
        (number("100.0"), json!(100)),
        (number("1E+2"), json!(100)),
        (number("-0"), json!(0)),
        (number("59.90"), json!(59.9)),
        (number("1E-130"), json!(1e-130)),
        (number("1E+125"), json!(format!("1{}", "0".repeat(125)))),
        (
            json!({ "NS": ["10", "9", "1.5", "12345678901234567890"] }),
            json!([1.5, 9, 10, "12345678901234567890"]),
        ),
        (json!({ "NS": ["1", "1.0", "1e0"] }), json!([1])),
        (json!({ "SS": ["b", "a"] }), json!(["a", "b"])),
        (json!({ "BS": ["AgM=", "AAE="] }), json!(["AAE=", "AgM="])),
        (
            json!({ "M": { "deep": { "L": [{ "N": "2.50" }, { "M": {} }, { "L": [] }, { "S": "" }, { "NULL": true }] } } }),
            json!({ "deep": [2.5, {}, [], "", null] }),
        ),
        (json!({ "B": "" }), json!("")),
    ]
}

/// Only the first of these writes is a change: a new value, a private attribute, the same value again.
async fn check_attributes(feed: &impl Feed) {
    let projector = projector(feed, &[]);
    for (index, (value, shown)) in attributes().into_iter().enumerate() {
        let id = format!("A-{index}");
        let public = |n| with(record("Orders", &id, n, "PAID"), "eta", value.clone());
        project(&projector, &[public(1)]).await;
        let private = with(public(2), "note", json!({ "S": "private" }));
        project(&projector, &[private, public(3)]).await;
        let order = OrderId::try_from(id.as_str()).unwrap();
        let log = read_all(feed, &order, Seq(1), Consistency::Strong)
            .await
            .unwrap();
        assert_eq!(log.len(), 1, "a private write is no change: {value}");
        assert_eq!(json!(log[0].view), json!({ "eta": shown }), "{value}");
    }
}

#[tokio::test]
async fn values_are_shown_and_compared_without_loss_in_memory() {
    check_attributes(&MemoryFeed::default()).await;
}

#[tokio::test]
async fn values_are_shown_and_compared_without_loss_in_dynamodb() {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    let client = dynamo.client();
    create_tables(&client).await.unwrap();
    check_attributes(&DynamoDbFeed::new(client, "OrderFeed")).await;
}

#[tokio::test]
async fn a_change_of_the_last_digit_is_an_entry() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[]);
    for (n, number) in (1..).zip(["1234567890123456789012", "1234567890123456789013"]) {
        let record = with(
            record("Orders", "A", n, "PAID"),
            "trackingUrl",
            json!({ "N": number }),
        );
        project(&projector, &[record]).await;
    }
    assert_eq!(
        log(&feed, "A")[1].view["trackingUrl"],
        "1234567890123456789013"
    );
}

#[tokio::test]
async fn a_numeric_order_id_is_one_id_in_each_form() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[]);
    for (n, (id, status)) in (1..).zip([("7", "PLACED"), ("7.0", "PAID"), ("70E-1", "SHIPPED")]) {
        let mut record = record("Orders", "A", n, status);
        record["dynamodb"]["Keys"]["orderId"] = json!({ "N": id });
        project(&projector, &[record]).await;
    }
    assert_eq!(statuses(&feed, "7"), ["PLACED", "PAID", "SHIPPED"]);
}

fn view(number: &str) -> PublicView {
    let record = with(
        record("Orders", "A", 1, "PAID"),
        "eta",
        json!({ "N": number }),
    );
    let record = serde_json::from_value(record).unwrap();
    settings(&[]).rules.read(&record).unwrap().unwrap().view
}

proptest! {
    #[test]
    fn any_number_of_dynamodb_survives_the_feed(
        digits in "-?[1-9][0-9]{0,37}", point in 0usize..38, exponent in -80i32..80,
    ) {
        let split = digits.len() - point.min(digits.trim_start_matches('-').len() - 1);
        let text = match split == digits.len() {
            true => format!("{digits}E{exponent}"),
            false => format!("{}.{}e{exponent}", &digits[..split], &digits[split..]),
        };
        let plain = Decimal::parse(&text).unwrap().to_string();
        prop_assert_eq!(view(&text), view(&plain));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let feed = MemoryFeed::default();
            let projector = projector(&feed, &[]);
            for (n, form) in (1..).zip([&text, &plain, &text]) {
                let record = with(record("Orders", "A", n, "PAID"), "eta", json!({ "N": form }));
                project(&projector, &[record]).await;
            }
            let log = log(&feed, "A");
            assert_eq!(log.len(), 1, "{text}");
            assert_eq!(log[0].view, view(&text), "{text}");
        });
    }
}

#[tokio::test]
async fn a_time_is_read_in_each_format_or_the_records_time_is_used() {
    let rules = settings(&[]).rules;
    let check = |updated_at: Value, expected: &str| {
        let record = with(
            record("Orders", "A", 0, "PAID"),
            "updatedAt",
            updated_at.clone(),
        );
        let record = serde_json::from_value(record).unwrap();
        let change = rules.read(&record).unwrap().unwrap();
        assert_eq!(change.at.as_deref(), Some(expected), "{updated_at}");
    };
    let read = "2026-11-22T17:39:59.123Z";
    for number in [
        "1795369199.123",
        "1795369199123",
        "1795369199123456",
        "1795369199123456789",
        "1.795369199123E12",
    ] {
        check(json!({ "N": number }), read);
        check(json!({ "S": number }), read);
    }
    for text in [
        "2026-11-22T17:39:59.123Z",
        "2026-11-22 17:39:59.123",
        "2026-11-22T18:39:59.123+0100",
        "2026-11-22T18:39:59.123456789123+01:00[Europe/Berlin]",
        "20261122T173959.123Z",
        "2026-11-22T17:39:59,123Z",
    ] {
        check(json!({ "S": text }), read);
    }
    let time_of_the_record = "2026-11-22T17:40:00.000Z";
    for number in [
        "0",
        "20261125",
        "20261125143000",
        "253402300800",
        "-5",
        "1e300",
    ] {
        check(json!({ "N": number }), time_of_the_record);
        check(json!({ "S": number }), time_of_the_record);
    }
    for text in [
        "",
        "soon",
        "0000-00-00 00:00:00",
        "9999-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "+58862-12-26T00:00:00Z",
    ] {
        check(json!({ "S": text }), time_of_the_record);
    }
}

#[tokio::test]
async fn a_record_without_a_time_gets_the_projectors() {
    let feed = MemoryFeed::default();
    // No time, and a time that is not a date.
    for (id, time) in [("A", 0.0), ("B", 1_795_369_200_000.0)] {
        let mut record = record("Orders", id, 1, "PAID");
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(time);
        records::project_at(&projector(&feed, &[]), &[record], 5).await;
        assert_eq!(log(&feed, id)[0].at, "2026-11-22T17:40:05.000Z");
    }
}

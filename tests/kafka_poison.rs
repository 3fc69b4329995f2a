//! Records of Kafka that cannot be read: which of them stop a topic, which are skipped, and what the log says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/records.rs"]
mod records;

use kafka::{MSK, event, order, project, projector, record};
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::projector::Unfinished;
use records::{Logs, statuses};
use serde_json::{Value, json};

/// Records that cannot be read, and a part of the reason that is logged.
fn unreadable() -> Vec<(Value, &'static str)> {
    let order = json!({ "status": "PAID" });
    let of = |key: Value, value: Value| record(0, 7, 7, &key, &value);
    let envelope = |op: &str, after: Value| {
        of(
            json!("A"),
            json!({ "op": op, "before": null, "after": after, "source": {} }),
        )
    };
    let mut not_base64 = of(json!("A"), order.clone());
    not_base64["value"] = json!("*");
    let schema = json!({ "type": "string", "optional": true });
    let schema_only = json!({ "schema": schema, "payload": {} });
    vec![
        (
            of(Value::Null, order.clone()),
            "the Kafka record has no key",
        ),
        (
            of(json!(""), order.clone()),
            "key is neither UTF-8 text nor JSON",
        ),
        (
            of(json!("\0\0\0\0\u{1}A"), order.clone()),
            "key is neither UTF-8 text nor JSON",
        ),
        (
            of(json!({ "id": "A" }), order.clone()),
            "the key has no attribute `orderId`",
        ),
        (of(json!("A"), json!("PAID")), "value is not a JSON object"),
        (of(json!("A"), json!([1])), "value is not a JSON object"),
        (of(json!("A"), schema_only), "value is not a JSON object"),
        (
            of(json!({ "orderId": true }), order.clone()),
            "is neither a string nor a number",
        ),
        (
            of(json!({ "orderId": "A", "line": 1 }), order.clone()),
            "the key has more attributes than the settings name",
        ),
        (of(json!("A"), json!({})), "value is not a JSON object"),
        (not_base64, "value is not a JSON object"),
        (
            of(json!("A"), json!({ "state": "PAID" })),
            "the attribute `status` is missing",
        ),
        (envelope("u", Value::Null), "`after` is empty"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_a_readable_record_is_retried() {
    for (record, reason) in unreadable() {
        let (feed, logs) = (MemoryFeed::default(), Logs::start());
        let batch = event(std::slice::from_ref(&record));
        assert_eq!(project(&projector(&feed), &batch).await, Err(Unfinished));
        let lines = logs.with("ERROR", "the settings do not fit the records");
        let found = lines[0]["fields"]["reason"].as_str().unwrap();
        assert!(found.contains(reason), "{found}");
        assert_eq!(lines[0]["fields"]["source"], format!("kafka/{MSK}/orders"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_is_skipped_if_another_partition_was_read_with_the_same_settings() {
    for (record, reason) in unreadable() {
        let (feed, logs) = (MemoryFeed::default(), Logs::start());
        let good = order(5, 1, "B", "PLACED");
        project(&projector(&feed), &event(&[good])).await.unwrap();
        let batch = event(std::slice::from_ref(&record));
        project(&projector(&feed), &batch).await.unwrap();
        let lines = logs.with("ERROR", "poison record");
        let found = lines[0]["fields"]["reason"].as_str().unwrap();
        assert!(found.contains(reason), "{found}");
        assert_eq!(lines[0]["fields"]["event_id"], "orders-0@7");
    }
}

/// The keys are different, so they cannot be one bad order: the producer's serializer has changed.
#[tokio::test(start_paused = true)]
async fn several_records_without_a_readable_key_are_retried() {
    let feed = MemoryFeed::default();
    project(&projector(&feed), &event(&[order(0, 1, "B", "PLACED")]))
        .await
        .unwrap();
    for keys in [
        [json!("\0\u{1}"), json!("\0\u{2}")],
        [Value::Null, Value::Null],
    ] {
        let records =
            [2, 3].map(|n| record(0, n, n, &keys[n as usize - 2], &json!({ "status": "PAID" })));
        assert_eq!(
            project(&projector(&feed), &event(&records)).await,
            Err(Unfinished)
        );
        // The way out of docs/kafka.md: batches of one record.
        for record in &records {
            let batch = event(std::slice::from_ref(record));
            project(&projector(&feed), &batch).await.unwrap();
        }
    }
}

/// What can only be the fault of a single record must not stop the others, although the settings were never confirmed.
#[tokio::test(start_paused = true)]
async fn a_record_that_no_setting_explains_is_skipped() {
    let source = json!({ "connector": "postgresql" });
    let truncate = json!({ "op": "t", "before": null, "after": null, "source": source });
    // As Debezium documents it.
    let bare_truncate = json!({ "op": "t", "source": source, "ts_ms": 1_559_033_904_961_u64 });
    let long = json!({ "op": "x".repeat(5000), "before": null, "source": source });
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(99), "]".repeat(99));
    for (key, value, reason) in [
        (json!("A"), truncate.clone(), r#"name "op t" is unknown"#),
        (Value::Null, truncate, r#"name "op t" is unknown"#),
        (Value::Null, bare_truncate, r#"name "op t" is unknown"#),
        (
            json!("A"),
            long,
            &format!("{}\" is unknown", "x".repeat(197)),
        ),
        (json!("A"), json!(deep), "has more than 32 levels"),
    ] {
        let (feed, logs) = (MemoryFeed::default(), Logs::start());
        let batch = [1, 2].map(|n| record(0, n, n, &key, &value));
        project(&projector(&feed), &event(&batch)).await.unwrap();
        let lines = logs.with("ERROR", "poison record");
        assert_eq!(lines.len(), 2, "{value}");
        let found = lines[0]["fields"]["reason"].as_str().unwrap();
        assert!(found.ends_with(reason), "{found}");
    }
}

/// A program that cuts a text in the middle of an emoji writes half of it. The rest of the order can be read.
#[tokio::test(start_paused = true)]
async fn half_an_emoji_hides_no_order() {
    let feed = MemoryFeed::default();
    let value =
        json!(r#"{"status":"PAID","note":"\ud83d","eta":"18:20 \ud83d","carrier":"\ud83d\ude9a"}"#);
    let id = |id: &str| json!(format!("{{\"orderId\":\"{id}\"}}"));
    let batch = [
        record(0, 1, 1, &json!("A"), &value),
        record(0, 2, 2, &id(r"\ud83d"), &value),
        record(0, 3, 3, &id(r"\ud83e"), &value),
    ];
    project(&projector(&feed), &event(&batch)).await.unwrap();
    let entries = feed.entries();
    let view = json!({ "eta": "18:20 \u{fffd}", "carrier": "🚚" });
    assert!(entries.iter().all(|entry| json!(entry.view) == view));
    // Ids that differ stay different.
    let ids: Vec<_> = entries.iter().map(|entry| entry.order.as_str()).collect();
    assert_eq!(
        ids,
        ["A", r#"{"orderId":"\ud83d"}"#, r#"{"orderId":"\ud83e"}"#]
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_id_is_shortened_in_the_log() {
    let (feed, logs) = (MemoryFeed::default(), Logs::start());
    let columns: String = (0..999).map(|n| format!("\"c{n}\":1,")).collect();
    let columns = format!("{{{columns}\"orderId\":\"B\"}}");
    let batch = [
        order(0, 1, "A", "PAID"),
        order(0, 2, &"é".repeat(100_000), "PAID"),
        record(0, 3, 3, &json!(columns), &json!({ "status": "PAID" })),
    ];
    project(&projector(&feed), &event(&batch)).await.unwrap();
    let lines = logs.with("ERROR", "poison record");
    assert_eq!(lines[0]["fields"]["order"], "é".repeat(200));
    for line in &lines {
        assert!(line.to_string().len() < 1000, "{line}");
    }
}

/// A shop may call an attribute of its orders `op` or `payload`.
#[tokio::test(start_paused = true)]
async fn an_order_is_not_taken_for_an_envelope() {
    for value in [
        json!({ "status": "PAID", "op": "d" }),
        json!({ "status": "PAID", "op": "d", "source": {} }),
        json!({ "status": "PAID", "op": "d", "source": "web", "after": null }),
        json!({ "status": "PAID", "payload": null }),
        json!({ "status": "PAID", "payload": null, "schema": 1 }),
    ] {
        let feed = MemoryFeed::default();
        let batch = event(&[record(0, 1, 1, &json!("A"), &value)]);
        project(&projector(&feed), &batch).await.unwrap();
        assert_eq!(statuses(&feed, "A"), ["PAID"], "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_negative_offset_is_no_position() {
    let (feed, logs) = (MemoryFeed::default(), Logs::start());
    let mut record = order(0, 1, "A", "PAID");
    record["offset"] = json!(-1);
    project(&projector(&feed), &event(&[record])).await.unwrap();
    assert_eq!(logs.with("ERROR", "poison record").len(), 1);
}

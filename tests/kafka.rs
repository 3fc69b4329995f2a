//! A topic of Kafka makes the same entries as a DynamoDB stream with the same writes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use order_status_stream::change::Position;
use order_status_stream::clock::Clock;
use order_status_stream::feed::Entry;
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::projector::{Input, KafkaEvent, Projector, Unfinished};
use proptest::prelude::*;
use records::{Logs, START, project_at, run, settings, statuses};
use serde_json::{Value, json};

const MSK: &str = "arn:aws:kafka:us-east-1:123456789012:cluster/vpc-2priv-2pub/751d2973-a626-431c-9d4e-d7975eb44dd7-2";

fn read(event: &Value) -> KafkaEvent {
    // From text, as in Lambda: a number of a `Value` has lost digits already.
    match serde_json::from_str(&event.to_string()).unwrap() {
        Input::Kafka(event) => event,
        Input::Stream(event) => panic!("{event:?}"),
    }
}

async fn project(projector: &Projector<MemoryFeed>, event: &Value) -> Result<(), Unfinished> {
    let clock = Clock::starting_at(Duration::from_secs(START + 10_000));
    let end = clock.now() + Duration::from_secs(20);
    projector.project_kafka(&read(event), &clock, end).await
}

fn projector(feed: &MemoryFeed) -> Projector<MemoryFeed> {
    records::projector(feed, &[])
}

fn base64(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => json!(BASE64_STANDARD.encode(text)),
        other => json!(BASE64_STANDARD.encode(other.to_string())),
    }
}

/// A record of the topic `orders`. A text is written as it is, any other value as JSON.
fn record(partition: u64, offset: u64, seconds: u64, key: &Value, value: &Value) -> Value {
    json!({
        "topic": "orders",
        "partition": partition,
        "offset": offset,
        "timestamp": (START + seconds) * 1000,
        "timestampType": "CREATE_TIME",
        "key": base64(key),
        "value": base64(value),
        "headers": []
    })
}

fn order(partition: u64, n: u64, id: &str, status: &str) -> Value {
    let value = json!({ "orderId": id, "status": status });
    record(partition, n, n, &json!(id), &value)
}

fn event(records: &[Value]) -> Value {
    let mut partitions = serde_json::Map::new();
    for record in records {
        let name = format!("orders-{}", record["partition"]);
        let list = partitions.entry(name).or_insert_with(|| json!([]));
        list.as_array_mut().unwrap().push(record.clone());
    }
    json!({ "eventSource": "aws:kafka", "eventSourceArn": MSK, "records": partitions })
}

/// The entries of a file of `events/`: `ORDER SEQ PREVIOUS > STATUS ATTRIBUTES AT`, and `.` if they are terminal.
#[track_caller]
fn check_file(name: &str, more: &[(&str, &str)], sources: &[&str], expected: &[&str]) {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    run(async {
        let feed = MemoryFeed::default();
        let projector = records::projector(&feed, more);
        let Input::Kafka(event) = serde_json::from_str(&text).unwrap() else {
            panic!("an event of Kafka");
        };
        let clock = Clock::starting_at(Duration::from_secs(START));
        let end = clock.now() + Duration::from_secs(20);
        projector.project_kafka(&event, &clock, end).await.unwrap();
        let line = |entry: &Entry| {
            let previous = entry.previous.as_ref().map_or("", |status| status.as_str());
            let (view, end) = (
                serde_json::to_string(&entry.view).unwrap(),
                if entry.terminal { "." } else { "" },
            );
            let (order, seq, status) = (&entry.order, entry.seq.0, entry.status.as_str());
            format!(
                "{order} {seq} {previous} > {status} {view} {}{end}",
                entry.at
            )
        };
        let entries = feed.entries();
        let lines: Vec<_> = entries.iter().map(line).collect();
        assert_eq!(lines, expected);
        let mut found: Vec<_> = entries.iter().map(|it| it.position.source()).collect();
        found.dedup();
        assert_eq!(found, sources);
    });
}

#[test]
fn an_event_of_msk() {
    let sources = [0, 1].map(|partition| format!("kafka/{MSK}/orders/{partition}"));
    let number = "12345678901234567890";
    check_file(
        "kafka-msk",
        &[("PUBLIC_ATTRIBUTES", "eta,total,carrier")],
        &[&sources[0], &sources[1]],
        &[
            r#"A-1001 1  > PLACED {"eta":"2026-11-24T12:00:00Z","total":59.9} 2026-11-22T17:02:03.917Z"#,
            r#"A-1001 2 PLACED > PAID {"carrier":"DHL","eta":"2026-11-24T12:00:00Z","total":59.9} 2026-11-22T17:03:03.917Z"#,
            "A-1001 3 PAID > REMOVED {} 2026-11-22T17:03:33.917Z.",
            &format!(
                r#"A-1002 1  > PLACED {{"carrier":{{"name":"DHL","stops":"{number}"}},"eta":"2026-11-24T12:00:00Z","total":59.9}} 2026-11-22T17:02:03.918Z"#
            ),
        ],
    );
}

#[test]
fn an_event_of_a_self_managed_cluster() {
    check_file(
        "kafka-self-managed",
        &[],
        &["kafka/abc.xyz.com:9092/mytopic/0"],
        &[
            r#"A-1001 1  > PLACED {"eta":"2026-11-24T12:00:00Z"} 2026-11-22T17:02:03.917Z"#,
            r#"A-1001 2 PLACED > DELIVERED {"eta":"2026-11-24T12:00:00Z"} 2026-11-22T18:02:03.917Z."#,
        ],
    );
}

#[test]
fn debezium_for_mysql_with_schemas() {
    check_file(
        "kafka-debezium-mysql",
        &[
            ("ORDER_ID_ATTRIBUTE", "order_number"),
            ("UPDATED_AT_ATTRIBUTE", "updated_at"),
        ],
        &[&format!("kafka/{MSK}/mysql-server-1.inventory.orders/0")],
        &[
            r#"1004 1  > placed {"eta":"18:20"} 2026-11-22T17:02:03.912Z"#,
            r#"1004 2 placed > paid {"eta":"18:20"} 2026-11-22T17:03:03.907Z"#,
            "1004 3 paid > REMOVED {} 2026-11-22T17:03:33.917Z.",
        ],
    );
}

#[test]
fn debezium_for_postgres_without_schemas() {
    let id = "9b2e4f4c-8d5b-4a3e-9d0a-3f0d3b1f7a11";
    check_file(
        "kafka-debezium-postgres",
        &[
            ("ORDER_KEY", "id={orderId}"),
            ("UPDATED_AT_ATTRIBUTE", "updated_at"),
            ("PUBLIC_ATTRIBUTES", "eta,by=carrier"),
        ],
        &["kafka/abc.xyz.com:9092/PostgreSQL_server.public.orders/3"],
        &[
            &format!(r#"{id} 1  > SHIPPED {{"by":"UPS","eta":null}} 2026-11-22T17:02:03.917Z"#),
            &format!(
                r#"{id} 2 SHIPPED > OUT_FOR_DELIVERY {{"by":"UPS","eta":null}} 2026-11-22T17:03:03.917Z"#
            ),
            &format!(
                r#"{id} 3 OUT_FOR_DELIVERY > DELIVERED {{"by":"UPS","eta":null}} 2026-11-22T17:04:03.917Z."#
            ),
        ],
    );
}

/// The forms in which producers write the key of order 7.
#[tokio::test(start_paused = true)]
async fn the_forms_of_a_key() {
    let schema = json!({ "type": "string", "optional": false });
    let number = json!({ "schema": schema, "payload": { "orderId": 7.0 } });
    for key in [
        json!("7"),
        json!("\"7\""),
        json!({ "orderId": "7" }),
        json!({ "orderId": 7 }),
        json!({ "schema": schema, "payload": "7" }),
        json!({ "schema": schema, "payload": 7 }),
        json!({ "schema": null, "payload": { "orderId": "7" } }),
        number,
    ] {
        let feed = MemoryFeed::default();
        let record = record(0, 1, 1, &key, &json!({ "status": "PAID" }));
        project(&projector(&feed), &event(&[record])).await.unwrap();
        assert_eq!(statuses(&feed, "7"), ["PAID"], "{key}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15..1e15f64).prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(".{0,3}", inner, 0..3)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

/// The JSON as DynamoDB's own JSON.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(flag) => json!({ "BOOL": flag }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(list) => json!({ "L": list.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(_) => json!({ "M": item(value) }),
    }
}

fn item(row: &Value) -> Value {
    let members = row.as_object().into_iter().flatten();
    members
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

/// Without what says from which source the entry comes.
fn without_source(entries: &[Entry]) -> Vec<Entry> {
    let entries = entries.iter().cloned();
    entries
        .map(|entry| Entry {
            position: Position::new("any", "1").unwrap(),
            ..entry
        })
        .collect()
}

const STATUSES: [&str; 4] = ["PLACED", "PAID", "SHIPPED", "DELIVERED"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each write is inserted, changed or deleted, with and without the old image.
    #[test]
    fn the_same_writes_make_the_same_entries(
        writes in prop::collection::vec((0usize..3, 0usize..5, any_json()), 1..16),
        with_old in any::<bool>(),
    ) {
        let mut rows = [Value::Null, Value::Null, Value::Null];
        let (mut stream, mut topic) = (Vec::new(), Vec::new());
        for (n, (index, status, carrier)) in (1..).zip(&writes) {
            let id = ["A", "B", "C"][*index];
            let new = STATUSES.get(*status).map_or(Value::Null, |status| {
                json!({ "orderId": id, "status": status, "carrier": carrier, "secret": "s" })
            });
            let old = std::mem::replace(&mut rows[*index], new.clone());
            let (name, op) = match (&old, &new) {
                (Value::Null, Value::Null) => continue,
                (Value::Null, _) => ("INSERT", "c"),
                (_, Value::Null) => ("REMOVE", "d"),
                _ => ("MODIFY", "u"),
            };
            let before = if with_old { old } else { Value::Null };
            let mut record_of_stream = records::record("Orders", id, n, "");
            record_of_stream["eventName"] = json!(name);
            record_of_stream["dynamodb"]["NewImage"] = item(&new);
            record_of_stream["dynamodb"]["OldImage"] = item(&before);
            stream.push(record_of_stream);
            let envelope = json!({ "op": op, "before": before, "after": new, "source": {}, "ts_ms": 1 });
            topic.push(record(0, n, n, &json!({ "orderId": id }), &envelope));
        }
        run(async {
            let (of_stream, of_topic) = (MemoryFeed::default(), MemoryFeed::default());
            project_at(&projector(&of_stream), &stream, 10_000).await;
            project(&projector(&of_topic), &event(&topic)).await.unwrap();
            assert_eq!(without_source(&of_topic.entries()), without_source(&of_stream.entries()));
        });
    }

    /// Partitions have their own pace. Batches are repeated from an earlier offset, and writes fail.
    #[test]
    fn any_delivery_equals_one_clean_delivery(
        writes in prop::collection::vec((0u64..3, 0usize..5), 1..20),
        steps in prop::collection::vec((0usize..3, 0usize..4, 1usize..5), 0..20),
        faults in prop::collection::vec(prop_oneof![3 => Just(None), 1 => Just(Some(Fault::Throttled)), 1 => Just(Some(Fault::AnswerLost))], 0..40),
    ) {
        let mut partitions = [Vec::new(), Vec::new(), Vec::new()];
        for (n, (partition, status)) in (1..).zip(&writes) {
            let id = ["A", "B", "C"][usize::try_from(*partition).unwrap()];
            let value = STATUSES.get(*status).map_or(Value::Null, |status| json!({ "status": status }));
            partitions[usize::try_from(*partition).unwrap()].push(record(*partition, n, n, &json!(id), &value));
        }
        run(async {
            let feed = MemoryFeed::default();
            feed.inject(faults);
            let mut next = [0; 3];
            for (partition, back, count) in steps {
                let records = &partitions[partition];
                let from = next[partition].min(records.len()).saturating_sub(back);
                let to = records.len().min(from + count);
                if project(&projector(&feed), &event(&records[from..to])).await.is_ok() {
                    next[partition] = to.max(next[partition]);
                }
            }
            // The rest of all partitions in one batch, until it succeeds.
            let rest: Vec<_> = partitions.iter().zip(next).flat_map(|(records, next)| records[next..].to_vec()).collect();
            // Each attempt uses up at least one of the faults.
            let mut attempts = 0;
            while project(&projector(&feed), &event(&rest)).await.is_err() {
                attempts += 1;
                assert!(attempts <= 40, "no progress");
            }
            let clean = MemoryFeed::default();
            project(&projector(&clean), &event(&partitions.concat())).await.unwrap();
            let without_expiry = |feed: &MemoryFeed| feed.entries().into_iter()
                .map(|entry| Entry { expires_at: None, ..entry }).collect::<Vec<_>>();
            assert_eq!(without_expiry(&feed), without_expiry(&clean));
        });
    }
}

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

/// Lambda writes -1 if a record has no time. Members that are not needed may be missing.
#[tokio::test(start_paused = true)]
async fn records_without_a_time_or_a_header() {
    let feed = MemoryFeed::default();
    let mut records = [
        order(0, 1, "A", "PLACED"),
        order(0, 2, "A", "PAID"),
        order(0, 3, "A", "SHIPPED"),
    ];
    records[0]["timestamp"] = json!(-1);
    records[1].as_object_mut().unwrap().remove("timestamp");
    let last = records[2].as_object_mut().unwrap();
    last.retain(|name, _| !["timestampType", "headers"].contains(&name.as_str()));
    project(&projector(&feed), &event(&records)).await.unwrap();
    assert_eq!(statuses(&feed, "A"), ["PLACED", "PAID", "SHIPPED"]);
    let times: Vec<_> = feed
        .entries()
        .iter()
        .map(|entry| entry.recorded_at)
        .collect();
    assert_eq!(times, [None, None, Some((START + 3) * 1000)]);
}

#[tokio::test(start_paused = true)]
async fn a_negative_offset_is_no_position() {
    let (feed, logs) = (MemoryFeed::default(), Logs::start());
    let mut record = order(0, 1, "A", "PAID");
    record["offset"] = json!(-1);
    project(&projector(&feed), &event(&[record])).await.unwrap();
    assert_eq!(logs.with("ERROR", "poison record").len(), 1);
}

#[test]
fn the_shape_of_an_event_says_its_source() {
    let of = |event: Value| serde_json::from_value::<Input>(event);
    assert!(matches!(of(json!({ "Records": [] })), Ok(Input::Stream(_))));
    assert!(matches!(of(json!({ "records": {} })), Ok(Input::Kafka(_))));
    let error = of(json!({ "key1": "value1" })).unwrap_err().to_string();
    assert!(error.contains("neither"), "{error}");
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

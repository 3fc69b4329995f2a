//! A topic of Kafka makes the same entries as a DynamoDB stream with the same writes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/records.rs"]
mod records;

use std::time::Duration;

use kafka::{MSK, event, order, project, projector, record};
use order_status_stream::change::Position;
use order_status_stream::clock::Clock;
use order_status_stream::feed::Entry;
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::projector::Input;
use proptest::prelude::*;
use records::{START, project_at, run, statuses};
use serde_json::{Value, json};

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

#[test]
fn the_shape_of_an_event_says_its_source() {
    let of = |event: Value| serde_json::from_value::<Input>(event);
    assert!(matches!(of(json!({ "Records": [] })), Ok(Input::Stream(_))));
    assert!(matches!(of(json!({ "records": {} })), Ok(Input::Kafka(_))));
    let error = of(json!({ "key1": "value1" })).unwrap_err().to_string();
    assert!(error.contains("neither"), "{error}");
}

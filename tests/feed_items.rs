//! The items that this version writes into the feed's table, as DynamoDB has them: `tests/feed-items/current/`.
//!
//! Functions of other versions read these items during an upgrade and after a rollback, so their form is a contract.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/cloud.rs"]
mod cloud;
#[path = "support/records.rs"]
mod records;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs};

use aws_sdk_dynamodb::types::AttributeValue;
use cloud::Cloud;
use local::dynamo::FEED;
use order_status_stream::customer::CustomerId;
use order_status_stream::dwell::Dwells;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Consistency, Entry, Feed, LogId, read_all};
use order_status_stream::order::{OrderId, Seq, Status};
use records::{insert, modify, project_at, projector, record, remove, with};
use serde_json::{Value, json};

/// If this variable is set, the files are written again.
const UPDATE: &str = "UPDATE_FEED_ITEMS";

/// An attribute of each of DynamoDB's types.
const ATTRIBUTES: [(&str, &str); 11] = [
    ("text", r#"{"S":"18:20"}"#),
    ("number", r#"{"N":"59.90"}"#),
    ("long", r#"{"N":"12345678901234567890"}"#),
    ("flag", r#"{"BOOL":true}"#),
    ("nothing", r#"{"NULL":true}"#),
    ("list", r#"{"L":[{"S":"a"},{"N":"2"}]}"#),
    (
        "map",
        r#"{"M":{"carrier":{"S":"UPS"},"parcels":{"N":"2"}}}"#,
    ),
    ("texts", r#"{"SS":["a","b"]}"#),
    ("numbers", r#"{"NS":["1","2.5"]}"#),
    ("bytes", r#"{"B":"AQID"}"#),
    ("blobs", r#"{"BS":["AQID"]}"#),
];

/// The orders, each with its records. A record's time is in seconds, and so is the time of its batch.
fn stories() -> BTreeMap<&'static str, Vec<Value>> {
    let first = ATTRIBUTES.iter().fold(
        insert("Orders", "first-entry", 1, "PLACED"),
        |record, it| with(record, it.0, serde_json::from_str(it.1).unwrap()),
    );
    let order = |id, then: fn(&str) -> Vec<Value>| {
        (
            id,
            [vec![insert("Orders", id, 1, "PLACED")], then(id)].concat(),
        )
    };
    BTreeMap::from([
        ("first-entry", vec![first]),
        order("superseded", |id| {
            vec![modify("Orders", id, 60, "PLACED", "PAID")]
        }),
        order("finished", |id| {
            vec![modify("Orders", id, 60, "PLACED", "DELIVERED")]
        }),
        order("removed", |id| vec![remove("Orders", id, 60)]),
        order("new-life", |id| {
            vec![
                remove("Orders", id, 60),
                insert("Orders", id, 120, "PLACED"),
            ]
        }),
        order("two-sources", |id| vec![record("Replica", id, 60, "PAID")]),
        ("of-a-customer", of_a_customer("of-a-customer")),
    ])
}

/// An order that gets another customer.
fn of_a_customer(id: &str) -> Vec<Value> {
    let of = |record, customer: &str| with(record, "customer", json!({ "S": customer }));
    vec![
        of(insert("Orders", id, 1, "PLACED"), "C-1"),
        of(modify("Orders", id, 60, "PLACED", "PAID"), "C-1"),
        of(record("Orders", id, 120, "PAID"), "C-2"),
        of(modify("Orders", id, 180, "PAID", "DELIVERED"), "C-2"),
    ]
}

/// The files of customers' logs, and the customers.
const CUSTOMERS: [(&str, &str); 2] = [("customer-former", "C-1"), ("customer", "C-2")];

/// A feed in DynamoDB.
struct Table {
    cloud: Cloud,
    feed: DynamoDbFeed,
}

impl Table {
    async fn new() -> Self {
        let cloud = Cloud::new().await;
        Self {
            feed: DynamoDbFeed::new(cloud.client.clone(), FEED),
            cloud,
        }
    }

    /// What the projector writes.
    async fn written() -> Self {
        let table = Self::new().await;
        let public = ATTRIBUTES.map(|it| it.0).join(",");
        for records in stories().into_values() {
            for record in records {
                let settings = [
                    ("PUBLIC_ATTRIBUTES", &*public),
                    ("CUSTOMER_ATTRIBUTE", "customer"),
                ];
                let projector = projector(&table.feed, &settings);
                let written_at = record["dynamodb"]["ApproximateCreationDateTime"].as_u64();
                let seconds = written_at.unwrap() - records::START;
                let failed = project_at(&projector, &[record], seconds).await;
                assert_eq!(failed, [""; 0]);
            }
        }
        table
    }

    /// The dwell times of a status. The weights are powers of two, so that every machine writes the same digits.
    async fn with_dwells() -> Self {
        let table = Self::new().await;
        let mut dwells = Dwells::default();
        for (seconds, weight) in [(2, 4.0), (60, 1.0), (86_400, 0.5)] {
            dwells.add(Duration::from_secs(seconds), weight);
        }
        let status = Status::new("PLACED").unwrap();
        for _ in 0..2 {
            let learned = table.feed.learn(&status, &dwells, records::START).await;
            learned.unwrap();
        }
        table
    }

    /// A table with the items of a file.
    async fn of_file(name: &str) -> Self {
        let table = Self::new().await;
        let text = fs::read_to_string(path(name)).unwrap();
        let items: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert!(!items.is_empty());
        for item in &items {
            let put = table.cloud.client.put_item().table_name(FEED);
            let item = Some(members(item, from_json));
            put.set_item(item).send().await.unwrap();
        }
        table
    }

    /// The items of a partition, in order.
    async fn items(&self, partition: &str) -> Vec<Value> {
        let query = self.cloud.client.query().table_name(FEED);
        let found = query
            .key_condition_expression("#order = :order")
            .expression_attribute_names("#order", "order")
            .expression_attribute_values(":order", AttributeValue::S(partition.to_owned()))
            .send()
            .await
            .unwrap();
        let items = found.items.unwrap().into_iter();
        items
            .map(|item| json_of(&AttributeValue::M(item))["M"].take())
            .collect()
    }

    /// How a customer's log is read.
    async fn customers_log(&self, customer: &str) -> Vec<Entry> {
        let log = LogId::from(&CustomerId::new(customer).unwrap());
        let page = self.feed.read(&log, Seq::ZERO, Consistency::Strong).await;
        page.unwrap().entries
    }

    /// How an order's log is read: its entries, and the newest one, which may be the tombstone.
    async fn log(&self, id: &str) -> (Vec<Entry>, Option<Entry>) {
        let order = OrderId::try_from(id).unwrap();
        let log = read_all(&self.feed, &order, Seq::ZERO, Consistency::Strong).await;
        (log.unwrap(), self.feed.newest(&order).await.unwrap())
    }
}

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/feed-items/current");
    folder.join(format!("{name}.json"))
}

/// Compares items with their file, or writes the file.
#[track_caller]
fn check_file(name: &str, items: &[Value]) {
    let text = serde_json::to_string_pretty(items).unwrap() + "\n";
    if env::var_os(UPDATE).is_some() {
        return fs::write(path(name), text).unwrap();
    }
    let expected = fs::read_to_string(path(name)).unwrap_or_default();
    assert!(
        text == expected,
        "this version writes other items than tests/feed-items/current/{name}.json says.\n\
         Deployed functions of other versions read these items: they must be able to read the new form, during an \
         upgrade and after a rollback (docs/lifecycle.md). If the change is intended, write the files again with \
         `{UPDATE}=1 cargo test --test feed_items`, and say in CHANGELOG.md what has changed.\n\
         It writes now:\n{text}"
    );
}

/// Runs a test with time that stands still, so that every written time is known.
fn with_frozen_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        // Paused time moves on by itself while a test waits for the database, but not while a blocking task runs.
        let (end, ended) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || ended.recv());
        test.await;
        drop(end);
    });
}

fn members<T>(item: &Value, of: impl Fn(&Value) -> T) -> HashMap<String, T> {
    let members = item.as_object().unwrap().iter();
    members
        .map(|(name, value)| (name.clone(), of(value)))
        .collect()
}

/// A value in DynamoDB's JSON.
fn json_of(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::Null(is_null) => json!({ "NULL": is_null }),
        AttributeValue::L(items) => json!({ "L": items.iter().map(json_of).collect::<Vec<_>>() }),
        AttributeValue::M(items) => {
            let members = items
                .iter()
                .map(|(name, item)| (name.clone(), json_of(item)));
            json!({ "M": members.collect::<serde_json::Map<_, _>>() })
        }
        other => panic!("an item contains {other:?}"),
    }
}

fn from_json(value: &Value) -> AttributeValue {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
        "NULL" => AttributeValue::Null(value.as_bool().unwrap()),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(from_json).collect()),
        "M" => AttributeValue::M(members(value, from_json)),
        other => panic!("an item contains {other}"),
    }
}

#[test]
fn the_projector_writes_the_items_of_the_files() {
    with_frozen_time(async {
        let table = Table::written().await;
        for name in stories().into_keys() {
            check_file(name, &table.items(name).await);
        }
        for (name, customer) in CUSTOMERS {
            check_file(name, &table.items(&format!("%customer/{customer}")).await);
        }
        check_file("settings", &table.items("%settings").await);
        let table = Table::with_dwells().await;
        check_file("dwell-times", &table.items("%dwells").await);
    });
}

#[test]
fn this_version_reads_the_files_as_it_reads_what_it_wrote() {
    with_frozen_time(async {
        let written = Table::written().await;
        for name in stories().into_keys() {
            let read = Table::of_file(name).await.log(name).await;
            assert!(!read.0.is_empty());
            assert_eq!(read, written.log(name).await, "{name}");
        }
        for (name, customer) in CUSTOMERS {
            let read = Table::of_file(name).await.customers_log(customer).await;
            assert!(!read.is_empty());
            assert_eq!(read, written.customers_log(customer).await, "{name}");
        }
        let learned = Table::of_file("dwell-times").await.feed.learned().await;
        let expected = Table::with_dwells().await.feed.learned().await;
        assert_eq!(learned.unwrap(), expected.unwrap());
        let settings = Table::of_file("settings").await;
        for item in written.items("%settings").await {
            let hash = item["seq"]["N"].as_str().unwrap().parse().unwrap();
            assert!(settings.feed.settings_confirmed(hash).await.unwrap());
        }
    });
}

/// The stories must keep making every kind of item.
#[test]
fn the_files_contain_every_kind_of_item() {
    let text = |name: &str| fs::read_to_string(path(name)).unwrap();
    let kinds = [
        ("first-entry", "\"began\""),
        ("superseded", "\"previous\""),
        ("superseded", "\"expiresAt\""),
        ("finished", "\"ofSeq\""),
        ("finished", "\"tombstone\""),
        ("removed", "\"removed\""),
        ("new-life", "\"begins\""),
        ("two-sources", "\"sources\""),
        ("of-a-customer", "\"customer\""),
        ("of-a-customer", "\"former\""),
        ("customer", "\"shownUntil\""),
        ("customer-former", "\"gone\""),
        ("dwell-times", "\"scale\""),
        ("settings", "%settings"),
    ];
    for (name, kind) in kinds {
        assert!(text(name).contains(kind), "{name}: {kind}");
    }
    for (name, _) in ATTRIBUTES {
        assert!(
            text("first-entry").contains(&format!("\"{name}\"")),
            "{name}"
        );
    }
}

//! A binary reads the feed that an earlier or a later one wrote: an upgrade can be rolled back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local::dynamo::{Dynamo, FEED, create_tables};
use order_status_stream::change::{Change, Position, Write};
use order_status_stream::clock::Clock;
use order_status_stream::customer::CustomerId;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::{Consistency, Entry, Feed, LogId, append, read_all};
use order_status_stream::order::{OrderId, Seq, Status};
use serde_json::{Value, json};

/// 2026-11-22T17:40:00Z.
const NOW: Duration = Duration::from_secs(1_795_369_200);
const RETENTION: Duration = Duration::from_secs(30 * 86_400);
const STREAM: &str =
    "arn:aws:dynamodb:eu-west-1:123456789012:table/Orders/stream/2026-11-01T00:00:00.000";
const COPY: &str =
    "arn:aws:dynamodb:eu-west-1:123456789012:table/Copy/stream/2026-11-20T00:00:00.000";

/// An empty feed.
struct Table {
    client: Client,
    feed: DynamoDbFeed,
    _dynamo: Dynamo,
}

impl Table {
    async fn new() -> Self {
        let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
        let client = dynamo.client();
        create_tables(&client).await.unwrap();
        Self {
            feed: DynamoDbFeed::new(client.clone(), FEED),
            client,
            _dynamo: dynamo,
        }
    }

    /// A table with items as they were written.
    async fn with(items: &[Value]) -> Self {
        let table = Self::new().await;
        for item in items {
            let item: HashMap<String, AttributeValue> = serde_dynamo::to_item(item).unwrap();
            let put = table.client.put_item().table_name(FEED);
            put.set_item(Some(item)).send().await.unwrap();
        }
        table
    }

    async fn items(&self) -> Vec<Value> {
        let scan = self.client.scan().table_name(FEED).send().await.unwrap();
        let mut items: Vec<Value> = serde_dynamo::from_items(scan.items.unwrap()).unwrap();
        items.sort_by_key(|item| item["seq"].as_u64());
        items
    }

    async fn log(&self) -> Vec<Entry> {
        let order = OrderId::try_from("A-1001").unwrap();
        read_all(&self.feed, &order, Seq::ZERO, Consistency::Strong)
            .await
            .unwrap()
    }

    /// Appends the `n`th record of a stream. Returns whether it made an entry.
    async fn append(&self, stream: &str, n: u64, write: Write, status: &str) -> bool {
        let at = NOW + Duration::from_secs(60 * n);
        let change = change(stream, n, write, status);
        let appended = append(&self.feed, &change, &Clock::starting_at(at), RETENTION).await;
        appended.unwrap().is_some()
    }

    /// Every kind of item that an order can have.
    async fn fill(&self) {
        assert!(self.append(STREAM, 1, Write::Insert, "PLACED").await);
        assert!(self.append(COPY, 2, Write::Modify, "SHIPPED").await);
        assert!(self.append(COPY, 3, Write::Remove, "REMOVED").await);
        assert!(self.append(COPY, 4, Write::Insert, "PLACED").await);
        assert!(self.append(COPY, 5, Write::Modify, "DELIVERED").await);
    }
}

/// What the `n`th record of a stream says.
fn change(stream: &str, n: u64, write: Write, status: &str) -> Change {
    let at = NOW + Duration::from_secs(60 * n);
    Change {
        order: OrderId::try_from("A-1001").unwrap(),
        position: Position::new(stream, &n.to_string()).unwrap(),
        status: Status::new(status).unwrap(),
        view: serde_json::from_value(json!({ "eta": "18:20", "parcels": 2 })).unwrap(),
        at: None,
        recorded_at: u64::try_from(at.as_millis()).ok(),
        write,
        customer: None,
        began: true,
        terminal: status == "DELIVERED",
    }
}

fn golden(name: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/feed-items");
    let text = fs::read_to_string(folder.join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The first version wrote no time of the record, no sources, and a position with the stream's label only.
#[tokio::test]
async fn items_of_the_first_version_are_read_and_continued() {
    let table = Table::with(&golden("first.json")).await;
    let log = table.log().await;
    let statuses: Vec<_> = log.iter().map(|entry| entry.status.as_str()).collect();
    assert_eq!(statuses, ["PLACED", "PAID"]);
    assert_eq!(log[0].view.len(), 1);
    assert!(
        !table.append(STREAM, 2, Write::Modify, "PAID").await,
        "a repetition"
    );
    assert!(table.append(STREAM, 3, Write::Modify, "DELIVERED").await);
    assert_eq!(table.log().await.last().unwrap().seq, Seq(3));
}

/// What an older binary does after a rollback: it ignores attributes that it does not know, and leaves them in the items.
#[tokio::test]
async fn items_of_a_later_version_are_read_and_their_attributes_are_kept() {
    let known = Table::new().await;
    known.fill().await;
    let mut later = known.items().await;
    for item in &mut later {
        item["addedLater"] = json!({ "anything": [1, "two", null, true] });
    }
    let table = Table::with(&later).await;
    assert_eq!(table.log().await, known.log().await);
    assert!(table.append(COPY, 6, Write::Modify, "RETURNED").await);
    let items = table.items().await;
    let kept = items.iter().filter(|item| item.get("addedLater").is_some());
    // All but the new entry and its tombstone, if it has one.
    assert!(kept.count() >= 5, "{items:?}");
}

/// Between two versions that know customers, an older one has written: its entry is in no customer's log, and the next one is.
#[tokio::test]
async fn a_customers_log_goes_on_after_a_rollback() {
    let table = Table::new().await;
    let customer = CustomerId::new("C-1").unwrap();
    let of_a_customer = |n: u64, status: &str| Change {
        customer: Some(customer.clone()),
        ..change(STREAM, n, Write::Modify, status)
    };
    let append = async |change: Change| {
        let clock = Clock::starting_at(NOW + Duration::from_secs(3600));
        append(&table.feed, &change, &clock, RETENTION).await
    };
    append(of_a_customer(1, "PLACED")).await.unwrap();
    let mut old = table.items().await;
    let mut old = old
        .iter_mut()
        .find(|item| item["order"] == "A-1001")
        .unwrap()
        .take();
    old.as_object_mut().unwrap().remove("customer");
    old["seq"] = json!(2);
    old["status"] = json!("PAID");
    old["previous"] = json!("PLACED");
    old["position"] =
        serde_json::to_value(change(STREAM, 2, Write::Modify, "PAID").position).unwrap();
    let put = table.client.put_item().table_name(FEED);
    let item = serde_dynamo::to_item(old).unwrap();
    put.set_item(Some(item)).send().await.unwrap();
    append(of_a_customer(3, "PACKED")).await.unwrap();
    append(of_a_customer(4, "SHIPPED")).await.unwrap();

    let log = LogId::from(&customer);
    let page = table.feed.read(&log, Seq::ZERO, Consistency::Strong);
    let entries = page.await.unwrap().entries;
    let listed = |entry: &Entry| {
        (
            entry.number().0,
            entry.status.as_str().to_owned(),
            entry.is_superseded(),
        )
    };
    let listed: Vec<_> = entries.iter().map(listed).collect();
    // A new visitor sees no superseded entry.
    let expected = [
        (1, "PLACED".to_owned(), true),
        (2, "PACKED".to_owned(), true),
        (3, "SHIPPED".to_owned(), false),
    ];
    assert_eq!(listed, expected);
}

//! The operator's command on a table in which orders are some of the items.
#![allow(clippy::unwrap_used, reason = "tests")]

mod shop;

use std::collections::HashMap;
use std::fs;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use shop::{Shop, laws, summary};

/// An order's id says what its key is.
const META: (&str, &str) = ("ORDER_KEY", "PK=ORDER#{orderId},SK=META");

/// An order's key also contains the customer.
const CUSTOMER: (&str, &str) = ("ORDER_KEY", "PK=CUSTOMER#{customerId},SK=ORDER#{orderId}");

async fn single_table(order_key: (&'static str, &'static str)) -> Shop {
    let settings = [order_key, ("STATUS_ATTRIBUTE", "data.state")];
    Shop::with_key(&["PK", "SK"], &settings).await
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

async fn put(shop: &Shop, partition: &str, sort: &str, state: &str) {
    let data = HashMap::from([("state".to_owned(), text(state))]);
    let put = shop.client.put_item().table_name("Orders");
    let put = put.item("PK", text(partition)).item("SK", text(sort));
    put.item("data", AttributeValue::M(data))
        .send()
        .await
        .unwrap();
}

async fn touched(shop: &Shop, partition: &str, sort: &str) -> bool {
    let get = shop.client.get_item().table_name("Orders");
    let got = get.key("PK", text(partition)).key("SK", text(sort)).send();
    let item = got.await.unwrap().item.unwrap();
    item.contains_key("touchedAt")
}

#[tokio::test]
async fn a_backfill_touches_orders_and_no_other_item() {
    let shop = single_table(META).await;
    put(&shop, "ORDER#A", "META", "PLACED").await;
    put(&shop, "ORDER#A", "ITEM#1", "PACKED").await;
    put(&shop, "ORDER#B", "META", "PAID").await;
    put(&shop, "CUSTOMER#7", "META", "GOLD").await;
    shop.project_until("A", "PLACED").await;

    let (lines, succeeded) = shop.check().await;
    assert_eq!(
        (laws(&lines), succeeded),
        (vec![], true),
        "the projector saw both"
    );
    assert_eq!(shop.backfill(&["--all"]).await, summary(2, 0, 0, 0, false));
    assert!(touched(&shop, "ORDER#A", "META").await && touched(&shop, "ORDER#B", "META").await);
    assert!(!touched(&shop, "ORDER#A", "ITEM#1").await);
    assert!(!touched(&shop, "CUSTOMER#7", "META").await);
    assert_eq!(shop.backfill(&[]).await, summary(0, 2, 0, 0, false));
}

/// The list has ids. The table must be searched for the customers.
#[tokio::test]
async fn a_list_of_ids_is_found_if_the_key_has_more_than_the_id() {
    let shop = single_table(CUSTOMER).await;
    put(&shop, "CUSTOMER#7", "ORDER#A", "PLACED").await;
    put(&shop, "CUSTOMER#7", "ORDER#A#ITEM#1", "PACKED").await;
    put(&shop, "CUSTOMER#8", "ORDER#B", "PLACED").await;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("ids");
    fs::write(&list, "B\nnobody\n").unwrap();
    let found = shop.backfill(&["--list", list.to_str().unwrap()]).await;
    assert_eq!(found, summary(1, 0, 1, 0, false));
    assert!(touched(&shop, "CUSTOMER#8", "ORDER#B").await);
    assert!(!touched(&shop, "CUSTOMER#7", "ORDER#A").await);
}

#[tokio::test]
async fn failed_records_have_the_whole_key() {
    let shop = single_table(CUSTOMER).await;
    put(&shop, "CUSTOMER#7", "ORDER#A", "PLACED").await;
    let keys = |sort: &str| json!({ "PK": { "S": "CUSTOMER#7" }, "SK": { "S": sort } });
    let record = |sort: &str| {
        json!({
            "eventID": "1", "eventName": "MODIFY", "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_795_369_200, "Keys": keys(sort), "SequenceNumber": "1", "SizeBytes": 1
            },
        })
    };
    let event = json!({ "Records": [record("ORDER#A"), record("CART")] }).to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    fs::write(file, json!({ "payload": event }).to_string()).unwrap();
    let folder = folder.path().to_str().unwrap();
    let touched_orders = shop.backfill(&["--failed-records", folder]).await;
    assert_eq!(touched_orders, summary(1, 0, 0, 0, false));
    assert!(touched(&shop, "CUSTOMER#7", "ORDER#A").await);
}

#[tokio::test]
async fn a_backfill_goes_on_after_the_key_in_its_checkpoint() {
    let shop = single_table(CUSTOMER).await;
    for sort in ["ORDER#A", "ORDER#B", "ORDER#C"] {
        put(&shop, "CUSTOMER#7", sort, "PLACED").await;
    }
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    let last = json!({ "PK": "CUSTOMER#7", "SK": "ORDER#B" }).to_string();
    let state = json!({ "of": "Orders table", "last": last });
    fs::write(&checkpoint, state.to_string()).unwrap();
    let rest = shop
        .backfill(&["--checkpoint", checkpoint.to_str().unwrap()])
        .await;
    assert_eq!(rest, summary(1, 0, 0, 0, false));
    assert!(touched(&shop, "CUSTOMER#7", "ORDER#C").await);
    assert!(!touched(&shop, "CUSTOMER#7", "ORDER#A").await);
}

#[tokio::test]
async fn check_finds_orders_that_differ_and_ids_that_two_orders_have() {
    let shop = single_table(CUSTOMER).await;
    for (partition, sort) in [
        ("CUSTOMER#7", "ORDER#Gone"),
        ("CUSTOMER#7", "ORDER#Stale"),
        ("CUSTOMER#8", "ORDER#Twice"),
    ] {
        put(&shop, partition, sort, "PLACED").await;
    }
    shop.project_until("Twice", "PLACED").await;
    // The projector does not run any more.
    put(&shop, "CUSTOMER#7", "ORDER#Stale", "PAID").await;
    put(&shop, "CUSTOMER#8", "ORDER#New", "PAID").await;
    put(&shop, "CUSTOMER#9", "ORDER#Twice", "PLACED").await;
    put(&shop, "CUSTOMER#9", "CART", "PLACED").await;
    let delete = shop.client.delete_item().table_name("Orders");
    let delete = delete
        .key("PK", text("CUSTOMER#7"))
        .key("SK", text("ORDER#Gone"));
    delete.send().await.unwrap();

    let (lines, succeeded) = shop.check().await;
    let expected = vec![
        ("Gone", "exists"),
        ("New", "known"),
        ("Stale", "current"),
        ("Twice", "unique"),
    ];
    assert_eq!((laws(&lines), succeeded), (expected, false));
}

#[tokio::test]
async fn a_touch_writes_no_part_of_a_key_or_of_a_path() {
    let shop = single_table(CUSTOMER).await;
    for attribute in ["PK", "SK", "data", "data.state", "eta"] {
        let arguments = [
            "backfill",
            "--orders-table",
            "Orders",
            "--attribute",
            attribute,
        ];
        let output = shop.operate(&arguments).await;
        assert_eq!(output.status.code(), Some(2), "{attribute}");
    }
}

#[tokio::test]
async fn a_table_with_another_key_is_refused() {
    let shop = Shop::with_key(&["PK", "SK"], &[("ORDER_KEY", "PK=ORDER#{orderId}")]).await;
    let output = shop
        .operate(&["backfill", "--orders-table", "Orders"])
        .await;
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("the key of the table Orders must be PK"),
        "{error}"
    );
}

#[tokio::test]
async fn filter_prints_what_lambda_takes() {
    let shop = single_table(CUSTOMER).await;
    let pattern = r#"{"dynamodb":{"Keys":{"PK":{"S":[{"prefix":"CUSTOMER#"}]},"SK":{"S":[{"prefix":"ORDER#"}]}}}}"#;
    let (lines, succeeded) = shop.lines(&["filter"]).await;
    assert_eq!(
        (lines, succeeded),
        (vec![json!({ "Filters": [{ "Pattern": pattern }] })], true)
    );
    let plain = Shop::new().await.lines(&["filter"]).await;
    assert_eq!(plain, (vec![json!({ "Filters": [] })], true));
}

//! What an event contains.

use std::collections::HashMap;
use std::time::SystemTime;

use aws_lambda_events::event::dynamodb::Event;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification};
use local::dynamo::ORDERS;
use serde_json::json;

use crate::harness::{Harness, put, text};

async fn delete(orders: &Client, id: &str) {
    let key = AttributeValue::S(id.to_owned());
    orders
        .delete_item()
        .table_name(ORDERS)
        .key("orderId", key)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn an_event_is_what_lambda_delivers() {
    let mut harness = Harness::start(100, async |orders: &Client| {
        put(orders, "A", "PLACED").await;
        put(orders, "A", "PAID").await;
    })
    .await;
    let event = harness.next().await.event;
    let record = &event["Records"][1];
    let image = |status: &str| json!({"orderId": {"S": "A"}, "status": {"S": status}});
    let expected = json!({
        "eventID": record["eventID"],
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": record["awsRegion"],
        "eventSourceARN": harness.stream_arn,
        "dynamodb": {
            "ApproximateCreationDateTime": record["dynamodb"]["ApproximateCreationDateTime"].as_i64().unwrap(),
            "Keys": {"orderId": {"S": "A"}},
            "NewImage": image("PAID"),
            "OldImage": image("PLACED"),
            "SequenceNumber": record["dynamodb"]["SequenceNumber"],
            "SizeBytes": record["dynamodb"]["SizeBytes"],
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    });
    assert_eq!(*record, expected);
    assert!(
        !text(&record["eventID"]).is_empty()
            && text(&record["dynamodb"]["SequenceNumber"]).len() >= 21
    );
    assert_eq!(event["Records"][0]["dynamodb"].get("OldImage"), None);

    let parsed: Event = serde_json::from_value(event).unwrap();
    assert_eq!(parsed.records[1].event_name, "MODIFY");
    assert_eq!(
        parsed.records[1].event_source_arn.as_ref(),
        Some(&harness.stream_arn)
    );
    let created = parsed.records[1]
        .change
        .approximate_creation_date_time
        .timestamp();
    assert_eq!(
        json!(created),
        expected["dynamodb"]["ApproximateCreationDateTime"]
    );
}

#[tokio::test]
async fn attributes_of_every_type_become_json() {
    let item = json!({
        "orderId": {"S": "A"},
        "n": {"N": "12.5"},
        "b": {"B": "AP9h"},
        "bool": {"BOOL": true},
        "null": {"NULL": true},
        "ss": {"SS": ["x"]},
        "ns": {"NS": ["7"]},
        "bs": {"BS": ["AP9h"]},
        "l": {"L": [{"S": "x"}, {"M": {}}]},
        "m": {"M": {"ü": {"S": "line\nend"}}},
    });
    let bytes = || Blob::new([0, 255, b'a']);
    let string = |text: &str| AttributeValue::S(text.to_owned());
    let nested = AttributeValue::L(vec![string("x"), AttributeValue::M(HashMap::new())]);
    let mut harness = Harness::start(100, async |orders: &Client| {
        orders
            .put_item()
            .table_name(ORDERS)
            .item("orderId", string("A"))
            .item("n", AttributeValue::N("12.5".to_owned()))
            .item("b", AttributeValue::B(bytes()))
            .item("bool", AttributeValue::Bool(true))
            .item("null", AttributeValue::Null(true))
            .item("ss", AttributeValue::Ss(vec!["x".to_owned()]))
            .item("ns", AttributeValue::Ns(vec!["7".to_owned()]))
            .item("bs", AttributeValue::Bs(vec![bytes()]))
            .item("l", nested)
            .item(
                "m",
                AttributeValue::M(HashMap::from([("ü".to_owned(), string("line\nend"))])),
            )
            .send()
            .await
            .unwrap();
    })
    .await;
    let event = harness.next().await.event;
    assert_eq!(event["Records"][0]["dynamodb"]["NewImage"], item);
    serde_json::from_value::<Event>(event).unwrap();
}

#[tokio::test]
async fn a_deletion_names_its_author() {
    let mut harness = Harness::start(100, async |orders: &Client| {
        let expiry = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name("gone")
            .build()
            .unwrap();
        orders
            .update_time_to_live()
            .table_name(ORDERS)
            .time_to_live_specification(expiry)
            .send()
            .await
            .unwrap();
        put(orders, "by hand", "PLACED").await;
        delete(orders, "by hand").await;
        let past = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
            - 60;
        let item = orders
            .put_item()
            .table_name(ORDERS)
            .item("orderId", AttributeValue::S("by time".to_owned()));
        item.item("gone", AttributeValue::N(past.to_string()))
            .send()
            .await
            .unwrap();
    })
    .await;
    let first = harness.next().await;
    assert_eq!(
        first.changes(),
        ["by hand:INSERT", "by hand:REMOVE", "by time:INSERT"]
    );
    assert_eq!(first.event["Records"][1].get("userIdentity"), None);
    assert_eq!(first.event["Records"][1]["dynamodb"].get("NewImage"), None);
    first.take_all();

    harness.dynamo.sweep().unwrap();
    let second = harness.next().await;
    assert_eq!(second.changes(), ["by time:REMOVE"]);
    let identity = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    assert_eq!(second.event["Records"][0]["userIdentity"], identity);
    let parsed: Event = serde_json::from_value(second.event).unwrap();
    assert_eq!(
        parsed.records[0].user_identity.as_ref().unwrap().type_,
        "Service"
    );
}

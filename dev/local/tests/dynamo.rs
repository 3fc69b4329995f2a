//! The embedded DynamoDB, used with the SDK.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveStatus};
use local::dynamo::{Dynamo, FEED, ORDERS, create_tables};
use tokio::net::TcpListener;

const ANY_PORT: &str = "127.0.0.1:0";

#[tokio::test]
async fn the_tables_have_their_keys_stream_and_time_to_live() {
    let dynamo = Dynamo::start(ANY_PORT).await.unwrap();
    let client = dynamo.client();
    let stream = create_tables(&client).await.unwrap();

    let orders = client
        .describe_table()
        .table_name(ORDERS)
        .send()
        .await
        .unwrap()
        .table
        .unwrap();
    assert_eq!(orders.latest_stream_arn, Some(stream));
    let keys: Vec<_> = orders
        .key_schema()
        .iter()
        .map(|key| key.attribute_name())
        .collect();
    assert_eq!(keys, ["orderId"]);

    let feed = client
        .describe_table()
        .table_name(FEED)
        .send()
        .await
        .unwrap()
        .table
        .unwrap();
    let keys: Vec<_> = feed
        .key_schema()
        .iter()
        .map(|key| key.attribute_name())
        .collect();
    assert_eq!(keys, ["order", "seq"]);
    let ttl = client
        .describe_time_to_live()
        .table_name(FEED)
        .send()
        .await
        .unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name(), Some("expiresAt"));
    assert_eq!(ttl.time_to_live_status(), Some(&TimeToLiveStatus::Enabled));
}

#[tokio::test]
async fn instances_share_nothing() {
    let one = Dynamo::start(ANY_PORT).await.unwrap();
    let other = Dynamo::start(ANY_PORT).await.unwrap();
    create_tables(&one.client()).await.unwrap();
    let tables = other.client().list_tables().send().await.unwrap();
    assert!(tables.table_names().is_empty());
}

#[tokio::test]
async fn a_dropped_instance_frees_its_port_and_closes_its_connections() {
    let dynamo = Dynamo::start(ANY_PORT).await.unwrap();
    let client = dynamo.client();
    let address = dynamo.endpoint().trim_start_matches("http://").to_owned();
    client.list_tables().send().await.unwrap();
    drop(dynamo);
    let listener = TcpListener::bind(&address).await.unwrap();
    drop(listener);
    client.list_tables().send().await.unwrap_err();
    let again = Dynamo::start(&address).await.unwrap();
    again.client().list_tables().send().await.unwrap();
}

#[tokio::test]
async fn a_sweep_deletes_expired_items() {
    let dynamo = Dynamo::start(ANY_PORT).await.unwrap();
    let client = dynamo.client();
    create_tables(&client).await.unwrap();
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    for (seq, expires_at) in [
        (1, now - Duration::from_secs(60)),
        (2, now + Duration::from_secs(60)),
    ] {
        client
            .put_item()
            .table_name(FEED)
            .item("order", AttributeValue::S("A".into()))
            .item("seq", AttributeValue::N(seq.to_string()))
            .item(
                "expiresAt",
                AttributeValue::N(expires_at.as_secs().to_string()),
            )
            .send()
            .await
            .unwrap();
    }
    assert_eq!(dynamo.sweep().unwrap(), 1);
    let left = client.scan().table_name(FEED).send().await.unwrap();
    assert_eq!(left.items()[0]["seq"], AttributeValue::N("2".into()));
}

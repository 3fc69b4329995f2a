//! The shop, on the embedded DynamoDB.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local::dynamo::{Dynamo, ORDERS, create_tables};
use local::shop::{EMAIL, NOTE, Shop, ShopError, Status, Traffic};

async fn open() -> (Dynamo, Client, Shop) {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    let client = dynamo.client();
    create_tables(&client).await.unwrap();
    (dynamo, client.clone(), Shop::new(client))
}

async fn item(client: &Client, order_id: &str) -> HashMap<String, String> {
    let key = AttributeValue::S(order_id.to_owned());
    let found = client
        .get_item()
        .table_name(ORDERS)
        .key("orderId", key)
        .send()
        .await
        .unwrap();
    let text = |value: AttributeValue| value.as_s().unwrap().clone();
    found
        .item
        .unwrap()
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect()
}

#[tokio::test]
async fn an_order_advances_to_delivered_and_no_further() {
    let (_dynamo, client, shop) = open().await;
    let placed = shop.place().await.unwrap();
    let id = &placed.order_id;
    let mut seen = vec![placed.status];
    let refused = loop {
        match shop.advance(id).await {
            Ok(order) => seen.push(order.status),
            Err(refused) => break refused,
        }
    };
    assert_eq!(
        seen,
        Status::ALL[..6]
            .iter()
            .map(|status| status.as_str())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        refused.to_string(),
        format!("order {id} is DELIVERED, nothing comes after that")
    );
    assert!(matches!(
        shop.cancel(id).await,
        Err(ShopError::Finished { .. })
    ));

    let item = item(&client, id).await;
    assert_eq!(item["status"], "DELIVERED");
    assert_eq!(
        item["trackingUrl"],
        format!("https://carrier.example/track/{id}")
    );
    for name in ["updatedAt", "eta", "carrier", EMAIL, NOTE] {
        assert!(!item[name].is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_order_is_cancelled_once() {
    let (_dynamo, _client, shop) = open().await;
    let id = shop.place().await.unwrap().order_id;
    assert_eq!(shop.cancel(&id).await.unwrap().status, "CANCELLED");
    assert!(matches!(
        shop.cancel(&id).await,
        Err(ShopError::Finished { .. })
    ));
    assert!(
        matches!(shop.advance("nobody's").await, Err(ShopError::Unknown(id)) if id == "nobody's")
    );
}

#[tokio::test]
async fn a_remark_changes_nothing_else() {
    let (_dynamo, client, shop) = open().await;
    let id = shop.place().await.unwrap().order_id;
    let mut expected = item(&client, &id).await;
    shop.remark(&id, "fragile").await.unwrap();
    expected.insert(NOTE.to_owned(), "fragile".to_owned());
    assert_eq!(item(&client, &id).await, expected);
}

#[tokio::test]
async fn two_advances_at_once_are_two_steps() {
    let (_dynamo, _client, shop) = open().await;
    let id = shop.place().await.unwrap().order_id;
    let (one, other) = tokio::join!(shop.advance(&id), shop.advance(&id));
    let mut reached = [one.unwrap().status, other.unwrap().status];
    reached.sort();
    assert_eq!(reached, ["PAID", "PREPARING"]);
}

#[tokio::test]
async fn the_newest_orders_come_first_also_those_of_other_writers() {
    let (_dynamo, client, shop) = open().await;
    for (id, updated_at) in [
        ("old", "2001-01-01T00:00:00Z"),
        ("new", "2999-01-01T00:00:00Z"),
    ] {
        client
            .put_item()
            .table_name(ORDERS)
            .item("orderId", AttributeValue::S(id.to_owned()))
            .item("status", AttributeValue::S("RETURNED".to_owned()))
            .item("updatedAt", AttributeValue::S(updated_at.to_owned()))
            .send()
            .await
            .unwrap();
    }
    let own = shop.place().await.unwrap();
    let ids = async |limit| -> Vec<String> {
        shop.newest(limit)
            .await
            .unwrap()
            .into_iter()
            .map(|order| order.order_id)
            .collect()
    };
    assert_eq!(ids(12).await, ["new", &own.order_id, "old"]);
    assert_eq!(ids(1).await, ["new"]);
    assert!(
        matches!(shop.advance("new").await, Err(ShopError::Finished { status, .. }) if status == "RETURNED")
    );
}

#[tokio::test]
async fn traffic_finishes_its_own_orders_only() {
    let (_dynamo, _client, shop) = open().await;
    let mine = shop.place().await.unwrap();
    let mut traffic = Traffic::new(shop.clone());
    let mut steps = 0;
    loop {
        traffic.step().await.unwrap();
        steps += 1;
        let orders = shop.newest(usize::MAX).await.unwrap();
        assert!(orders.contains(&mine));
        let at = |status: &str| orders.iter().filter(|order| order.status == status).count();
        if at("DELIVERED") >= 2 && at("CANCELLED") >= 1 {
            break;
        }
        assert!(steps < 2000, "{orders:?}");
    }
}

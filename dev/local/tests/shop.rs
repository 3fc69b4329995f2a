//! The shop, on the embedded DynamoDB.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local::dynamo::{Dynamo, ORDERS, create_tables};
use local::shop::{CUSTOMER, EMAIL, NOTE, Shop, ShopError, Status, Traffic, remember_dwells};
use order_status_stream::feed::Feed;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use tokio::sync::mpsc;
use tokio::time::Instant;

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

/// The statuses of all orders.
async fn statuses(shop: &Shop) -> Vec<String> {
    let orders = shop.newest(usize::MAX).await.unwrap();
    orders.into_iter().map(|order| order.status).collect()
}

#[tokio::test]
async fn traffic_moves_its_own_orders_and_those_it_is_told_of() {
    let (_dynamo, client, shop) = open().await;
    let left_alone = shop.place().await.unwrap();
    let told = shop.place_for(Some("ada")).await.unwrap();
    let (placed, orders) = mpsc::unbounded_channel();
    placed.send(told.order_id.clone()).unwrap();
    let mut traffic = Traffic::new(shop.clone(), orders);
    let mut now = Instant::now();
    let mut steps = 0;
    loop {
        traffic.step(now).await.unwrap();
        now += Duration::from_secs(5);
        steps += 1;
        let seen = statuses(&shop).await;
        let at = |status: &str| seen.iter().filter(|seen| *seen == status).count();
        if at("DELIVERED") >= 4 && at("CANCELLED") >= 1 {
            break;
        }
        assert!(steps < 5000, "{seen:?}");
    }
    let status = async |id: &str| item(&client, id).await["status"].clone();
    assert_eq!(status(&left_alone.order_id).await, "PLACED");
    assert!(["DELIVERED", "CANCELLED"].contains(&status(&told.order_id).await.as_str()));
}

#[tokio::test]
async fn each_customer_has_an_order_that_moves() {
    let (_dynamo, client, shop) = open().await;
    let mut traffic = Traffic::new(shop.clone(), mpsc::unbounded_channel().1);
    let start = Instant::now();
    let mut customers = HashMap::new();
    for seconds in 0..300 {
        traffic
            .step(start + Duration::from_secs(seconds))
            .await
            .unwrap();
        let mut open: HashMap<String, usize> = HashMap::new();
        for order in shop.newest(usize::MAX).await.unwrap() {
            if !customers.contains_key(&order.order_id) {
                let customer = item(&client, &order.order_id).await[CUSTOMER].clone();
                customers.insert(order.order_id.clone(), customer);
            }
            let is_open = !["DELIVERED", "CANCELLED"].contains(&order.status.as_str());
            let customer = customers[&order.order_id].clone();
            *open.entry(customer).or_default() += usize::from(is_open);
        }
        let expected = if seconds < 6 { 1 } else { 2 };
        assert_eq!(open.len(), expected, "after {seconds} s");
        assert!(open.values().all(|open| (1..=2).contains(open)), "{open:?}");
    }
    let orders = shop.newest(usize::MAX).await.unwrap();
    let moved = orders.iter().filter(|order| order.status != "PLACED");
    let moved: HashSet<_> = moved.map(|order| &customers[&order.order_id]).collect();
    assert_eq!(moved.len(), 2);
}

#[tokio::test]
async fn the_feed_knows_how_long_the_orders_stay() {
    let (_dynamo, client, _shop) = open().await;
    remember_dwells(client.clone()).await.unwrap();
    let learned = DynamoDbFeed::new(client, "OrderFeed")
        .learned()
        .await
        .unwrap();
    let mut statuses: Vec<_> = learned.keys().map(|status| status.as_str()).collect();
    statuses.sort_unstable();
    let expected = ["OUT_FOR_DELIVERY", "PAID", "PLACED", "PREPARING", "SHIPPED"];
    assert_eq!(statuses, expected);
    let hazard = |status: &str, quiet: f64| {
        let (_, dwells) = learned
            .iter()
            .find(|(name, _)| name.as_str() == status)
            .unwrap();
        dwells.hazard(1.0).at(quiet)
    };
    // A change is due within seconds after PLACED, and not before half a minute after PREPARING.
    assert!(hazard("PLACED", 4.0) > 0.1);
    assert!(hazard("PREPARING", 10.0) < 0.01);
    assert!(hazard("PREPARING", 45.0) > 0.05);
}

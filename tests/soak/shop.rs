//! Orders are placed, change and are delivered. Clients begin to watch each of them at a random time.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::World;
use super::client::Client;
use super::tally::count;

/// One order or two at a time, until the soak's time is over.
pub async fn lane(world: Arc<World>, lane: usize) {
    for round in 0.. {
        if world.is_over() {
            return;
        }
        let orders: Vec<_> = ["a", "b"][..1 + lane % 2]
            .iter()
            .map(|letter| format!("{lane}-{round}-{letter}"))
            .collect();
        let mut tasks = JoinSet::new();
        for order in &orders {
            tasks.spawn(write(Arc::clone(&world), order.clone()));
            tasks.spawn(watch(Arc::clone(&world), vec![order.clone()]));
        }
        tasks.spawn(watch(Arc::clone(&world), orders));
        tasks.join_all().await;
    }
}

async fn watch(world: Arc<World>, orders: Vec<String>) {
    sleep(Duration::from_millis(fastrand::u64(0..2000))).await;
    Client::new(world, orders).run().await;
}

async fn write(world: Arc<World>, order: String) {
    count(&world.tally.orders);
    let changes = fastrand::usize(2..12);
    for n in 1..=changes {
        let status = if n == changes {
            "DELIVERED".to_owned()
        } else {
            format!("S{n}")
        };
        world
            .written
            .lock()
            .unwrap()
            .entry(order.clone())
            .or_default()
            .push(status.clone());
        put(&world, &order, &status).await;
        count(&world.tally.changes);
        // Some changes follow at once, in bursts.
        if fastrand::u8(..4) > 0 {
            sleep(Duration::from_millis(fastrand::u64(0..1500))).await;
        }
    }
}

async fn put(world: &World, order: &str, status: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = world.cloud.client.put_item().table_name("Orders");
    let put = put
        .item("orderId", text(order))
        .item("status", text(status));
    put.send().await.unwrap();
}

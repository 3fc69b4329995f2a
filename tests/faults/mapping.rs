//! What happens in the rows about the event source mapping.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use local::dynamo::FEED;

use super::backfill::backfill;
use super::feed_proxy::Trouble;
use super::world::World;

/// Of the template, and a second, because the times of records are whole seconds.
const MAXIMUM_RECORD_AGE: Duration = Duration::from_secs(82_801);

/// After the fourth step, waits until both records of order A were given up, and repairs it. All others see theirs before.
pub async fn repair(world: &World, step: usize, arguments: &[&str]) {
    let missing = match step {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        _ => 1,
    };
    world.saw_all_but(missing, step).await;
    if step == 3 {
        world.projector.wait_for_log("will be retried").await;
        world.mapping_clock.set_ahead(MAXIMUM_RECORD_AGE);
        let mut dropped = world.metrics.dropped_events.subscribe();
        dropped.wait_for(|records| *records >= 2).await.unwrap();
        world.mapping_clock.set_ahead(Duration::ZERO);
        world.projectors_feed.set(Trouble::None);
        backfill(world, arguments).await;
        world.saw_all_but(1, step).await;
    }
}

/// After the last step, delivers all that was written: the changes of an order are one batch, and more than two records are too many.
pub async fn big_batches(world: &World, step: usize) {
    if step == 5 {
        world.delivery.too_many.store(2, Ordering::Relaxed);
        world.read_from(world.stream_arn.clone());
        world.saw(step).await;
        let crashes = world.delivery.crashes.load(Ordering::Relaxed);
        assert!(crashes >= 3, "{crashes} batches were too big");
    }
}

pub async fn put_junk(world: &World, order: &str, seq: usize) {
    let put = world.database.client.put_item().table_name(FEED);
    let put = put.item("order", AttributeValue::S(order.to_owned()));
    let put = put.item("seq", AttributeValue::N(seq.to_string()));
    let put = put.item("status", AttributeValue::Bool(true));
    put.send().await.unwrap();
}

/// An item that is no entry, after the entries of an order.
const JUNK: usize = 1_000;

pub async fn put_into_log(world: &World, order: &str) {
    put_junk(world, order, JUNK).await;
}

pub async fn remove_from_log(world: &World, order: &str) {
    let delete = world.database.client.delete_item().table_name(FEED);
    let delete = delete.key("order", AttributeValue::S(order.to_owned()));
    let delete = delete.key("seq", AttributeValue::N(JUNK.to_string()));
    delete.send().await.unwrap();
}

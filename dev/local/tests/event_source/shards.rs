//! Shards that close and split while they are read.

use std::collections::BTreeMap;

use local::dynamo;
use serde_json::json;

use crate::harness::{Delivery, Source, text};
use crate::stream_server::{STREAM_ARN, StreamServer};

const ORDERS: u64 = 12;
const CHANGES: u64 = 10;

/// Writes the next change of an order. Sequence numbers grow within an order.
fn push(server: &StreamServer, order: u64, change: u64) {
    server.push(json!({
        "eventID": format!("{order}-{change}"),
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            // In 2100, so that no record is too old.
            "ApproximateCreationDateTime": 4_102_444_800_u64,
            "Keys": { "orderId": { "S": format!("order-{order}") } },
            "SequenceNumber": format!("{change:021}"),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }));
}

fn start(server: &StreamServer) -> Source {
    Source::start(dynamo::streams(server.url()), STREAM_ARN, 4, 10)
}

/// The order and the number of each change of a batch.
fn changes(delivery: &Delivery) -> Vec<(String, u64)> {
    let records = delivery.event["Records"].as_array().unwrap().iter();
    let change = |record: &serde_json::Value| {
        let record = &record["dynamodb"];
        let number = text(&record["SequenceNumber"]).parse().unwrap();
        (text(&record["Keys"]["orderId"]["S"]).to_owned(), number)
    };
    records.map(change).collect()
}

#[tokio::test]
async fn shards_split_in_mid_stream_and_nothing_is_lost_doubled_or_out_of_order() {
    let server = StreamServer::start().await;
    let mut source = start(&server);
    let mut seen = BTreeMap::<_, Vec<_>>::new();
    let mut failed = 0;
    for change in 0..CHANGES {
        for order in 0..ORDERS {
            push(&server, order, change);
        }
        match change {
            2 | 6 => server.split(),
            // Shards that close without a record in their children, twice.
            4 => {
                server.roll();
                server.roll();
            }
            _ => {}
        }
        // Half of what was written: the shards close while records of theirs are not taken.
        let taken = |seen: &BTreeMap<String, Vec<u64>>| seen.values().flatten().count() as u64;
        let wanted = match change + 1 {
            CHANGES => ORDERS * CHANGES,
            change => ORDERS * change / 2,
        };
        while taken(&seen) < wanted {
            let next = source.next().await;
            failed += 1;
            if failed % 5 == 0 {
                next.report(&[0]);
                continue;
            }
            for (order, number) in changes(&next) {
                seen.entry(order).or_default().push(number);
            }
            next.take_all();
        }
    }
    assert_eq!(seen.len() as u64, ORDERS);
    for (order, numbers) in seen {
        assert_eq!(numbers, (0..CHANGES).collect::<Vec<_>>(), "{order}");
    }
    while server.opened().contains(&0) {
        server.listed(1).await;
    }
    // 1, split into 2, closed twice, split into 4.
    assert_eq!(server.opened(), [1; 11], "each shard is read once");
}

#[tokio::test]
async fn a_child_is_read_after_every_record_of_its_parent_was_taken() {
    let server = StreamServer::start().await;
    push(&server, 1, 0);
    server.split();
    push(&server, 1, 1);
    let mut source = start(&server);
    source.next().await.report(&[0]);
    let first = source.next().await;
    // The children were listed, and the parent was read to its end, but its record was not taken.
    server.listed(3).await;
    assert_eq!(server.opened(), [1, 0, 0]);
    first.take_all();
    assert_eq!(changes(&source.next().await), [("order-1".to_owned(), 1)]);
}

#[tokio::test]
async fn a_stream_whose_shards_are_all_closed_is_not_an_error() {
    let server = StreamServer::start().await;
    push(&server, 1, 0);
    server.roll();
    let mut source = start(&server);
    source.next().await.take_all();
    server.listed(2).await;
    server.roll();
    push(&server, 1, 1);
    assert_eq!(changes(&source.next().await), [("order-1".to_owned(), 1)]);
    assert!(!source.running.is_finished());
}

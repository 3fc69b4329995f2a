//! The projector publishes each new entry once it is in the feed. A server that does not answer delays a batch by a quarter of a
//! second at most, and fails none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use order_status_stream::feed::LogId;
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::order::{OrderId, Seq};
use order_status_stream::projector::Projector;
use order_status_stream::wake::Publisher;
use records::{project, record, statuses};
use tokio::time::Instant;

fn projector(feed: &MemoryFeed, publisher: &Publisher) -> Projector<MemoryFeed> {
    records::projector(feed, &[]).with_publisher(Some(publisher.clone()))
}

/// The messages that wait now.
fn waiting(publisher: &Publisher) -> Option<BTreeMap<LogId, Seq>> {
    publisher.messages().now_or_never()
}

fn messages(of: &[(&str, u64)]) -> BTreeMap<LogId, Seq> {
    let messages = of.iter();
    messages
        .map(|(order, seq)| (LogId::parse(order).unwrap(), Seq(*seq)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_entry_of_each_order_is_published_and_a_repeated_record_is_not() {
    let (feed, publisher) = (MemoryFeed::default(), Publisher::default());
    let projector = projector(&feed, &publisher);
    let batch = [
        record("Orders", "A", 1, "PLACED"),
        record("Orders", "B", 2, "PLACED"),
        record("Orders", "A", 3, "PACKED"),
    ];
    assert!(project(&projector, &batch).await.is_empty());
    assert_eq!(waiting(&publisher), Some(messages(&[("A", 2), ("B", 1)])));
    assert!(project(&projector, &batch).await.is_empty());
    assert_eq!(waiting(&publisher), None);
}

#[tokio::test(start_paused = true)]
async fn the_newest_number_of_a_customers_log_is_published_too() {
    let (feed, publisher) = (MemoryFeed::default(), Publisher::default());
    let settings = [("CUSTOMER_ATTRIBUTE", "customer")];
    let projector = records::projector(&feed, &settings).with_publisher(Some(publisher.clone()));
    let owned = |id, n, status, customer| {
        let customer = serde_json::json!({ "S": customer });
        records::with(record("Orders", id, n, status), "customer", customer)
    };
    let batch = [
        owned("A", 1, "PLACED", "C"),
        owned("B", 2, "PLACED", "C"),
        owned("A", 3, "PACKED", "D"),
    ];
    assert!(project(&projector, &batch).await.is_empty());
    let expected = [("A", 2), ("B", 1), ("%customer/C", 3), ("%customer/D", 1)];
    assert_eq!(waiting(&publisher), Some(messages(&expected)));
}

/// The writes that follow an append take as long as the append. A message does not wait for them.
#[tokio::test(start_paused = true)]
async fn a_message_does_not_wait_for_the_writes_that_follow_its_append() {
    let (feed, publisher) = (MemoryFeed::default(), Publisher::default());
    let projector = projector(&feed, &publisher);
    project(&projector, &[record("Orders", "A", 1, "PLACED")]).await;
    assert!(waiting(&publisher).is_some());
    publisher.published();
    // The read of the newest entry, the append, and the expiry of the superseded entry.
    feed.inject([None, None, Some(Fault::Hangs)]);
    let batch = [record("Orders", "A", 2, "PACKED")];
    assert!(project(&projector, &batch).now_or_never().is_none());
    assert_eq!(waiting(&publisher), Some(messages(&[("A", 2)])));
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_until_its_messages_are_published() {
    let (feed, publisher) = (MemoryFeed::default(), Publisher::default());
    let projector = projector(&feed, &publisher);
    let batch = [record("Orders", "A", 1, "PLACED")];
    let mut batch = Box::pin(project(&projector, &batch));
    assert!((&mut batch).now_or_never().is_none());
    assert_eq!(waiting(&publisher), Some(messages(&[("A", 1)])));
    assert!((&mut batch).now_or_never().is_none());
    publisher.published();
    assert_eq!(batch.now_or_never(), Some(vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_delays_a_batch_once_and_fails_none() {
    let (feed, publisher) = (MemoryFeed::default(), Publisher::default());
    let projector = projector(&feed, &publisher);
    let start = Instant::now();
    let batch = [record("Orders", "A", 1, "PLACED")];
    assert!(project(&projector, &batch).await.is_empty());
    assert_eq!(start.elapsed(), Duration::from_millis(250));

    // The transport gives up.
    publisher.failed();
    for n in 2..5 {
        let batch = [record("Orders", "A", n, &format!("S{n}"))];
        assert!(project(&projector, &batch).await.is_empty());
    }
    assert_eq!(start.elapsed(), Duration::from_millis(250));
    assert_eq!(statuses(&feed, "A"), ["PLACED", "S2", "S3", "S4"]);
    assert_eq!(waiting(&publisher), None, "old messages are dropped");

    publisher.connected();
    let batch = [record("Orders", "A", 9, "PACKED")];
    assert!(project(&projector, &batch).now_or_never().is_none());
    assert_eq!(waiting(&publisher), Some(messages(&[("A", 5)])));
}

/// A transport that finds its connection closed puts its messages back, and newer ones replace them.
#[tokio::test]
async fn messages_that_were_put_back_are_merged_with_newer_ones() {
    let publisher = Publisher::default();
    let order = |id: &str| OrderId::try_from(id).unwrap();
    publisher.announce(&order("A"), Seq(1));
    publisher.announce(&order("B"), Seq(7));
    let taken = waiting(&publisher).unwrap();
    publisher.announce(&order("A"), Seq(2));
    publisher.put_back(taken);
    assert_eq!(waiting(&publisher), Some(messages(&[("A", 2), ("B", 7)])));
    publisher.announce(&order("A"), Seq(3));
    publisher.published();
    assert!(
        publisher.flush().now_or_never().is_none(),
        "3 is not published"
    );
}

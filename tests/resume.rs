//! Promise 1: every change, in order, once; or `reset`, and then the latest changes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use order_status_stream::feed::Feed;
use order_status_stream::feed::memory::Fault;
use order_status_stream::order::Seq;
use proptest::prelude::*;
use support::{Harness, change_of, order, outline, parse};

const A: &str = "/orders/A/events";

#[tokio::test(start_paused = true)]
async fn a_first_visit_byte_for_byte() {
    let harness = Harness::new();
    harness.change("A", "PAID").await;
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    assert_eq!(connection.chunk().await.unwrap(), ":\n");
    harness.change("A", "SHIPPED").await;
    connection.until("message").await;
    connection.chunk().await.unwrap();
    // Only 500 ms have passed, so the comments are not heartbeats.
    assert_eq!(harness.age(), Duration::from_millis(500));
    assert_eq!(
        connection.text(),
        ":\n\
         event: hello\nretry: 1111\ndata: {}\nid: 0\n\n\
         data: {\"orderId\":\"A\",\"seq\":1,\"status\":\"PAID\",\"previous\":null,\
         \"at\":\"2026-11-22T17:40:00.123Z\",\"attributes\":{}}\nid: 1-4273\n\n\
         event: ready\ndata: {}\nid: 1-4273\n\n\
         :\n\
         data: {\"orderId\":\"A\",\"seq\":2,\"status\":\"SHIPPED\",\"previous\":\"PAID\",\
         \"at\":\"2026-11-22T17:40:00.123Z\",\"attributes\":{}}\nid: 2-763b\n\n\
         :\n"
    );
}

#[tokio::test(start_paused = true)]
async fn hello_is_sent_before_the_feed_is_read() {
    let harness = Harness::new();
    harness.feed.inject([Some(Fault::Hangs)]);
    let mut connection = harness.get(A, "").await;
    assert_eq!(outline(&connection.until("hello").await), ["hello"]);
    assert_eq!(harness.age(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_wait_for_an_unknown_order() {
    let harness = Harness::new();
    let mut connection = harness.get(A, "").await;
    assert_eq!(
        outline(&connection.until("ready").await),
        ["hello", "ready"]
    );
    harness.change("A", "PLACED").await;
    assert_eq!(
        outline(&connection.until("message").await),
        ["hello", "ready", "PLACED"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_changes_after_the_cursor_are_sent() {
    let harness = Harness::new();
    for status in ["PLACED", "PAID", "SHIPPED"] {
        harness.change("A", status).await;
    }
    let first = harness.get(A, "").await.until("ready").await;
    for (seen, id) in first
        .iter()
        .map(|event| event.id.clone())
        .enumerate()
        .take(4)
    {
        let again = harness.get(A, &id).await.until("ready").await;
        assert_eq!(
            outline(&again),
            [
                &["hello"],
                &["PLACED", "PAID", "SHIPPED", "ready"][seen.min(3)..]
            ]
            .concat()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_header_is_newer_than_the_query() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    harness.change("A", "PAID").await;
    let by_query = harness
        .get("/orders/A/events?lastEventId=1", "")
        .await
        .until("ready")
        .await;
    assert_eq!(outline(&by_query), ["hello", "PAID", "ready"]);
    let by_both = harness
        .get("/orders/A/events?lastEventId=1", "2")
        .await
        .until("ready")
        .await;
    assert_eq!(outline(&by_both), ["hello", "ready"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_header_counts_as_absent() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    let request = support::request(
        "GET",
        "/orders/A/events?lastEventId=1",
        &[("last-event-id", "")],
    );
    let mut connection = support::Connection::new(harness.respond(&request).await);
    assert_eq!(
        outline(&connection.until("ready").await),
        ["hello", "ready"]
    );
}

#[track_caller]
fn check_reset(events: &[eventsource_stream::Event], reason: &str) {
    assert_eq!(
        outline(events),
        ["hello", "reset", "PLACED", "PAID", "ready"]
    );
    assert_eq!(
        events[1].data,
        format!(r#"{{"orders":["A"],"reason":"{reason}"}}"#)
    );
    assert_eq!(events[1].id, "0");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_is_not_in_the_log_gets_reset() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    harness.change("A", "PAID").await;
    for cursor in [
        "3-9f2c",
        "3",
        "1-0000",
        "2-0000~",
        "rubbish",
        "1.1",
        "9999999999999999999",
    ] {
        let events = harness.get(A, cursor).await.until("ready").await;
        check_reset(&events, "unknown-cursor");
        // If the client disconnects after `hello`, the next response sends `reset` again.
        let again = harness.get(A, &events[0].id).await.until("ready").await;
        check_reset(&again, "unknown-cursor");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trimmed_history_gets_reset() {
    let harness = Harness::new();
    for status in ["LOST", "PLACED", "PAID"] {
        harness.change("A", status).await;
    }
    let seen = harness
        .get(A, "")
        .await
        .until("message")
        .await
        .pop()
        .unwrap()
        .id;
    harness.feed.delete(order("A"), Seq(1));
    check_reset(&harness.get(A, &seen).await.until("ready").await, "trimmed");
}

#[tokio::test(start_paused = true)]
async fn a_history_that_breaks_within_a_response_is_reset_and_sent_again() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    // All of this happens before the next poll, which does not find the entry of the cursor.
    harness.change("A", "PAID").await;
    harness.change("A", "SHIPPED").await;
    harness.feed.delete(order("A"), Seq(1));
    connection.until("reset").await;
    let events = connection.until("ready").await;
    assert_eq!(
        outline(&events),
        [
            "hello", "PLACED", "ready", "reset", "PAID", "SHIPPED", "ready"
        ]
    );
    assert_eq!(connection.chunk().await.unwrap(), ":\n");
    harness.change("A", "HELD").await;
    assert_eq!(outline(&connection.until("message").await)[7..], ["HELD"]);
}

#[tokio::test(start_paused = true)]
async fn expired_entries_are_not_shown_even_if_they_still_exist() {
    let harness = Harness::new();
    for status in ["LOST", "PLACED", "PAID"] {
        harness.change("A", status).await;
    }
    let now = harness.clock().epoch_seconds();
    harness.feed.delete(order("A"), Seq(1));
    // A new visitor learns that there were earlier changes.
    let events = harness.get(A, "").await.until("ready").await;
    check_reset(&events, "trimmed");
    tokio::time::advance(support::RETENTION).await;
    assert!(harness.clock().epoch_seconds() > now);
    let later = harness.get(A, "").await.until("ready").await;
    assert_eq!(outline(&later), ["hello", "reset", "PAID", "ready"]);
}

#[tokio::test(start_paused = true)]
async fn entries_before_a_gap_are_not_shown() {
    let harness = Harness::new();
    for status in ["A", "B", "C", "D"] {
        harness.change("A", status).await;
    }
    harness.feed.delete(order("A"), Seq(2));
    let events = harness.get(A, "").await.until("ready").await;
    assert_eq!(outline(&events), ["hello", "reset", "C", "D", "ready"]);
    let resumed = harness.get(A, "1").await.until("ready").await;
    assert_eq!(outline(&resumed), ["hello", "reset", "C", "D", "ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_causes_no_reset() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    harness.feed.freeze_replica();
    harness.change("A", "PAID").await;
    let mut connection = harness.get(A, "2").await;
    assert_eq!(
        outline(&connection.until("ready").await),
        ["hello", "ready"]
    );
    harness.change("A", "SHIPPED").await;
    harness.feed.thaw_replica();
    assert_eq!(
        outline(&connection.until("message").await),
        ["hello", "ready", "SHIPPED"]
    );
}

#[tokio::test(start_paused = true)]
async fn several_orders_share_a_connection_and_a_cursor() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    harness.change("B", "PAID").await;
    let mut connection = harness
        .get("/orders/events?order=A&order=C&order=B", "")
        .await;
    let seen = connection.until("ready").await;
    assert_eq!(outline(&seen), ["hello", "PLACED", "PAID", "ready"]);
    let cursor = seen.last().unwrap().id.clone();
    assert_eq!(
        cursor.split('.').map(|mark| mark.len()).collect::<Vec<_>>(),
        [6, 1, 6],
        "{cursor}"
    );
    harness.change("C", "PLACED").await;
    assert_eq!(
        change_of(connection.until("message").await.last().unwrap())["orderId"],
        "C"
    );
    let again = harness
        .get("/orders/events?order=A&order=C&order=B", &cursor)
        .await
        .until("ready")
        .await;
    assert_eq!(outline(&again), ["hello", "PLACED", "ready"]);

    // In another sequence the marks do not fit, so each of these orders gets a `reset`. C needs one read, the others three.
    let reordered = harness
        .get("/orders/events?order=B&order=C&order=A", &cursor)
        .await
        .until("ready")
        .await;
    assert_eq!(
        outline(&reordered),
        [
            "hello", "PLACED", "reset", "PAID", "reset", "PLACED", "ready"
        ]
    );
}

#[derive(Clone, Debug)]
enum Step {
    Change,
    Wait(Duration),
    /// Read at most this many bytes, and lose the connection.
    ReadAndCut(usize),
    /// If true, eventually consistent reads see nothing newer from now on. If false, they catch up.
    Lag(bool),
    Throttle,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Change),
        1 => (1u64..3000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        5 => (0usize..900).prop_map(Step::ReadAndCut),
        1 => any::<bool>().prop_map(Step::Lag),
        1 => Just(Step::Throttle),
    ]
}

/// A client that follows the rules: the last event id is that of the last complete event, and an incomplete one is discarded.
async fn watch_with_cuts(steps: &[Step]) -> (u64, Vec<u64>) {
    let harness = Harness::with(&[
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("WINDOW", "2s"),
    ]);
    let (mut changes, mut seen, mut cursor) = (0, Vec::new(), String::new());
    let mut take = |bytes: &[u8], cursor: &mut String| {
        for event in parse(bytes) {
            assert_ne!(event.event, "reset", "nothing was trimmed");
            *cursor = event.id.clone();
            if event.event == "message" {
                seen.push(change_of(&event)["seq"].as_u64().unwrap());
            }
        }
    };
    for step in steps {
        match step {
            Step::Change => {
                changes += 1;
                harness.change("A", &format!("S{changes}")).await;
            }
            Step::Wait(time) => tokio::time::sleep(*time).await,
            Step::ReadAndCut(bytes) => {
                let mut connection = harness.get(A, &cursor).await;
                while connection.bytes().len() < *bytes && connection.chunk().await.is_some() {}
                let read = connection.bytes();
                take(&read[..read.len().min(*bytes)], &mut cursor);
            }
            Step::Lag(true) => harness.feed.freeze_replica(),
            Step::Lag(false) => harness.feed.thaw_replica(),
            Step::Throttle => {
                harness.feed.inject([Some(Fault::Throttled)]);
                // A read gets the fault: one of this response, or the one after it. A write must not get it, because it is not retried.
                let mut connection = harness.get(A, &cursor).await;
                while connection.chunk().await.is_some() {}
                take(connection.bytes(), &mut cursor);
                let _ = harness.feed.newest(&order("A")).await;
            }
        }
    }
    harness.feed.thaw_replica();
    let mut connection = harness.get(A, &cursor).await;
    connection.until("ready").await;
    take(connection.bytes(), &mut cursor);
    (changes, seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_change_comes_once_and_in_order_after_any_cut(steps in prop::collection::vec(any_step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (changes, seen) = runtime.block_on(watch_with_cuts(&steps));
        prop_assert_eq!(seen, (1..=changes).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_may_be_cut_at_every_byte() {
    let harness = Harness::new();
    for status in ["PLACED", "PAID", "SHIPPED"] {
        harness.change("A", status).await;
    }
    let mut whole = harness.get(A, "").await;
    whole.until("ready").await;
    for cut in 0..=whole.bytes().len() {
        let mut seen = parse(&whole.bytes()[..cut]);
        let cursor = seen
            .last()
            .map(|event| event.id.clone())
            .unwrap_or_default();
        seen.extend(harness.get(A, &cursor).await.until("ready").await);
        let changes: Vec<_> = outline(&seen)
            .into_iter()
            .filter(|event| event.chars().all(char::is_uppercase))
            .collect();
        assert_eq!(changes, ["PLACED", "PAID", "SHIPPED"], "cut at {cut}");
    }
}

/// If `hello` had a readable cursor, a client that disconnects after it would get the replay without `reset`.
#[tokio::test(start_paused = true)]
async fn a_response_to_an_unreadable_cursor_may_be_cut_at_every_byte() {
    let harness = Harness::new();
    for status in ["PLACED", "PAID"] {
        harness.change("A", status).await;
    }
    let mut whole = harness.get(A, "rubbish").await;
    whole.until("ready").await;
    for cut in 0..=whole.bytes().len() {
        let mut seen = parse(&whole.bytes()[..cut]);
        let cursor = seen
            .last()
            .map_or("rubbish".to_owned(), |event| event.id.clone());
        seen.extend(harness.get(A, &cursor).await.until("ready").await);
        let sent: Vec<_> = outline(&seen)
            .into_iter()
            .filter(|event| !["hello", "ready"].contains(&&**event))
            .collect();
        let last_reset = sent.iter().rposition(|event| event == "reset");
        assert_eq!(
            sent[last_reset.unwrap()..],
            ["reset", "PLACED", "PAID"],
            "cut at {cut}"
        );
    }
}

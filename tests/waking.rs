//! Held responses that are woken: a message shows a change at once, and a lost message costs latency, never a change.
//!
//! Here the tests are the server. `tests/wake.rs` has a real one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use order_status_stream::feed::memory::Fault;
use order_status_stream::order::Seq;
use order_status_stream::wake::Wake;
use support::{Connection, Harness, change_of, order, outline};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const A: &str = "/orders/A/events";
const A_AND_B: &str = "/orders/events?order=A&order=B";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A wake whose server confirms each subscription at once. Polls are far apart.
fn server() -> (Wake, JoinHandle<()>) {
    let wake = Wake::new(s(600));
    wake.connected();
    let transport = wake.clone();
    let confirming = tokio::spawn(async move {
        loop {
            let changes = transport.changes().await;
            transport.confirmed(&changes.subscribe);
        }
    });
    (wake, confirming)
}

fn harness(wake: &Wake) -> Harness {
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("WINDOW", "15m"),
    ];
    Harness::with(&settings).woken_by(wake)
}

/// Reads in the background. The result is the statuses, and the time of the last one.
fn read_until(harness: &Harness, mut connection: Connection, last: &'static str) -> Read {
    let clock = harness.clock();
    tokio::spawn(async move {
        loop {
            let changes = connection.until("message").await;
            if change_of(changes.last().unwrap())["status"] == last {
                return (outline(&changes), clock.start().elapsed());
            }
            assert!(connection.chunk().await.is_some());
        }
    })
}

type Read = JoinHandle<(Vec<String>, Duration)>;

#[tokio::test(start_paused = true)]
async fn a_message_shows_a_change_at_once() {
    let (wake, _server) = server();
    let harness = harness(&wake);
    harness.change("A", "PLACED").await;
    let read = read_until(&harness, harness.get(A, "").await, "PACKED");
    sleep(s(100)).await;
    // The read must be consistent: a replica may not have the entry yet.
    harness.feed.freeze_replica();
    harness.change("A", "PACKED").await;
    wake.heard(&order("A"), Seq(2));
    let (statuses, at) = read.await.unwrap();
    assert_eq!(statuses, ["hello", "PLACED", "ready", "PACKED"]);
    assert_eq!(at, s(100));
}

/// From the subscription on, messages arrive. Before it, a change may have had its message already.
#[tokio::test(start_paused = true)]
async fn a_change_just_before_the_subscription_is_read_when_it_is_confirmed() {
    let wake = Wake::new(s(600));
    wake.connected();
    let harness = harness(&wake);
    harness.change("A", "PLACED").await;
    let read = read_until(&harness, harness.get(A, "").await, "PACKED");
    sleep(ms(10)).await;
    let changes = wake.changes().await;
    assert_eq!(changes.subscribe, [order("A").into()]);
    harness.feed.freeze_replica();
    harness.change("A", "PACKED").await;
    sleep(s(100)).await;
    assert!(!read.is_finished(), "only the replica was read");
    wake.confirmed(&changes.subscribe);
    assert_eq!(read.await.unwrap().1, s(100) + ms(10));
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_message_is_lost_is_found_by_a_poll() {
    let (wake, _server) = server();
    let harness = harness(&wake);
    harness.change("A", "PLACED").await;
    let read = read_until(&harness, harness.get(A, "").await, "PACKED");
    sleep(s(1)).await;
    let calls = harness.feed.calls();
    sleep(s(300)).await;
    assert_eq!(harness.feed.calls(), calls, "polls would cost");
    harness.change("A", "PACKED").await;
    let (_, at) = read.await.unwrap();
    assert!((s(480)..=s(600)).contains(&at), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_a_response_polls_as_if_there_was_no_wake() {
    let (wake, server) = server();
    let harness = harness(&wake);
    harness.change("A", "PLACED").await;
    let read = read_until(&harness, harness.get(A, "").await, "PACKED");
    sleep(s(100)).await;
    server.abort();
    wake.lost();
    sleep(s(10)).await;
    harness.change("A", "PACKED").await;
    let (_, at) = read.await.unwrap();
    assert!(at <= s(110) + ms(500), "{at:?}");

    // There is a connection, but no subscription is confirmed.
    wake.connected();
    let read = read_until(&harness, harness.get(A, "").await, "SHIPPED");
    sleep(s(100)).await;
    harness.change("A", "SHIPPED").await;
    let (_, at) = read.await.unwrap();
    assert!(at <= s(210) + ms(1000), "{at:?}");
}

/// After a new connection, the first poll is consistent, and polls are far apart again.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_found_again_misses_nothing() {
    let (wake, _server) = server();
    let harness = harness(&wake);
    harness.change("A", "PLACED").await;
    let read = read_until(&harness, harness.get(A, "").await, "SHIPPED");
    sleep(s(100)).await;
    wake.lost();
    harness.feed.freeze_replica();
    harness.change("A", "PACKED").await;
    sleep(s(10)).await;
    wake.connected();
    sleep(s(1)).await;
    let calls = harness.feed.calls();
    sleep(s(100)).await;
    assert_eq!(harness.feed.calls(), calls);
    harness.change("A", "SHIPPED").await;
    wake.heard(&order("A"), Seq(3));
    let (statuses, at) = read.await.unwrap();
    assert_eq!(statuses[3..], ["PACKED", "SHIPPED"]);
    assert_eq!(at, s(211));
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_repeated_reordered_or_wrong_cause_no_more_than_one_read() {
    let (wake, _server) = server();
    let harness = harness(&wake);
    for status in ["PLACED", "PACKED"] {
        harness.change("A", status).await;
    }
    let read = read_until(&harness, harness.get(A, "").await, "SHIPPED");
    sleep(s(1)).await;
    let calls = harness.feed.calls();
    for (order_id, seq, reads) in [
        ("A", 2, 0),
        ("A", 1, 0),
        ("B", 7, 0),
        // There is no such entry.
        ("A", 4, 1),
        ("A", 4, 1),
        ("A", 3, 1),
        ("A", u64::MAX, 2),
    ] {
        wake.heard(&order(order_id), Seq(seq));
        sleep(s(1)).await;
        assert_eq!(harness.feed.calls(), calls + reads, "{order_id} {seq}");
    }
    // After the wrong number no message is higher, and the poll finds the change.
    harness.change("A", "SHIPPED").await;
    wake.heard(&order("A"), Seq(3));
    let (_, at) = read.await.unwrap();
    assert!(at <= s(601), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_noisy_order_starves_no_other_and_is_read_at_intervals() {
    let (wake, _server) = server();
    let harness = harness(&wake);
    for id in ["A", "B"] {
        harness.change(id, "PLACED").await;
    }
    let both = read_until(&harness, harness.get(A_AND_B, "").await, "PACKED");
    let other = read_until(
        &harness,
        harness.get("/orders/B/events", "").await,
        "PACKED",
    );
    sleep(s(1)).await;
    let calls = harness.feed.calls();
    // Ten thousand messages a second for a second. None of their entries exists.
    for seq in 0..10_000 {
        wake.heard(&order("A"), Seq(100 + seq));
        sleep(Duration::from_micros(100)).await;
        if seq == 5000 {
            harness.change("B", "PACKED").await;
            wake.heard(&order("B"), Seq(2));
        }
    }
    // The clock of tokio has steps of 1 ms. So 10,000 sleeps take 20 s at most.
    let reads = harness.feed.calls() - calls;
    assert!(reads < 1100, "{reads} reads for 10,000 messages");
    let (first, second) = (both.await.unwrap().1, other.await.unwrap().1);
    assert_eq!(first, second, "the noise of A delayed B");
}

/// The order that is read slowly is noisy, and the change of the other one is shown meanwhile.
#[tokio::test(start_paused = true)]
async fn a_message_is_read_while_another_order_is_read_slowly() {
    let (wake, _server) = server();
    let harness = harness(&wake);
    for id in ["A", "B"] {
        harness.change(id, "PLACED").await;
    }
    let read = read_until(&harness, harness.get(A_AND_B, "").await, "PACKED");
    sleep(s(1)).await;
    harness.feed.inject([Some(Fault::Slow(s(4)))]);
    wake.heard(&order("A"), Seq(2));
    sleep(s(1)).await;
    harness.change("B", "PACKED").await;
    wake.heard(&order("B"), Seq(2));
    assert_eq!(read.await.unwrap().1, s(2));
}

#[tokio::test(start_paused = true)]
async fn the_sessions_of_a_process_share_a_read() {
    let (wake, _server) = server();
    let harness = harness(&wake);
    harness.change("A", "PLACED").await;
    let mut reads = Vec::new();
    for _ in 0..100 {
        reads.push(read_until(&harness, harness.get(A, "").await, "PACKED"));
    }
    sleep(s(1)).await;
    harness.change("A", "PACKED").await;
    let calls = harness.feed.calls();
    harness.feed.inject([Some(Fault::Slow(ms(4)))]);
    wake.heard(&order("A"), Seq(2));
    for read in reads {
        assert_eq!(read.await.unwrap().1, s(1) + ms(4));
    }
    assert_eq!(harness.feed.calls(), calls + 1);
}

/// The read that is shared takes 10 s, and the feed gives it up after 5 s. A panic is a failure at once.
#[tokio::test(start_paused = true)]
async fn a_shared_read_that_fails_ends_only_the_response_that_began_it() {
    for fault in [Fault::Slow(s(10)), Fault::Throttled, Fault::Panics] {
        let (wake, _server) = server();
        let harness = harness(&wake);
        harness.change("A", "PLACED").await;
        let mut responses = Vec::new();
        for _ in 0..10 {
            let mut connection = harness.get(A, "").await;
            responses.push(tokio::spawn(async move {
                loop {
                    let seen = outline(&support::parse(connection.bytes()));
                    match seen.last().map(String::as_str) {
                        Some(last @ ("PACKED" | "rest")) => return last.to_owned(),
                        _ => assert!(connection.chunk().await.is_some()),
                    }
                }
            }));
        }
        sleep(s(1)).await;
        harness.change("A", "PACKED").await;
        harness.feed.inject([Some(fault)]);
        wake.heard(&order("A"), Seq(2));
        let mut ends = Vec::new();
        for response in responses {
            ends.push(response.await.unwrap());
        }
        ends.sort();
        assert_eq!(ends[..9], vec!["PACKED"; 9], "{fault:?}");
        assert_eq!(ends[9], "rest", "{fault:?}");
        assert!(harness.age() <= s(6), "{fault:?}: {:?}", harness.age());
    }
}

/// The policy decides each second, without a poll.
#[tokio::test(start_paused = true)]
async fn a_woken_response_still_ends_when_no_change_is_due() {
    let (wake, _server) = server();
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("WINDOW", "15m"),
        ("HOLD", "auto"),
    ];
    let harness = Harness::with(&settings).woken_by(&wake);
    // An order without entries is held for 5 s after the page was opened.
    let connection = harness.get(A, "").await;
    let events = outline(&connection.finish().await);
    assert_eq!(events, ["hello", "ready", "rest"]);
    assert!(
        (s(5)..=s(7)).contains(&harness.age()),
        "{:?}",
        harness.age()
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_that_ends_is_unsubscribed_and_the_next_one_subscribes_again() {
    let wake = Wake::new(s(600));
    wake.connected();
    let harness = harness(&wake);
    harness.change("A", "PLACED").await;
    for _ in 0..2 {
        let first = tokio::spawn(harness.get(A, "").await.finish());
        let second = tokio::spawn(harness.get(A, "").await.finish());
        let changes = wake.changes().await;
        assert_eq!(
            (changes.subscribe, changes.unsubscribe),
            (vec![order("A").into()], vec![])
        );
        first.abort();
        first.await.unwrap_err();
        second.abort();
        second.await.unwrap_err();
        let changes = wake.changes().await;
        assert_eq!(
            (changes.subscribe, changes.unsubscribe),
            (vec![], vec![order("A").into()])
        );
    }
}

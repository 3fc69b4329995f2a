//! A response ends after a complete frame, before the deadline, and says when to come back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use order_status_stream::change::{Change, Write};
use order_status_stream::feed::memory::Fault;
use order_status_stream::feed::{Feed, append};
use order_status_stream::order::Seq;
use support::{Connection, Harness, deadline_after, outline, request};
use tokio::time::Instant;

const A: &str = "/orders/A/events";

async fn held(
    harness: &Harness,
    deadline: Option<Duration>,
) -> (Duration, Vec<eventsource_stream::Event>) {
    let start = Instant::now();
    let deadline = deadline.map_or(0, deadline_after);
    let request = request("GET", A, &[]);
    let response = harness.respond_with(&request, deadline, 7).await;
    let events = Connection::new(response).finish().await;
    (start.elapsed(), events)
}

#[track_caller]
fn check_rest(events: &[eventsource_stream::Event], retry: std::ops::RangeInclusive<u64>) {
    check_data(events, retry, |millis| format!("{{\"retry\":{millis}}}"));
}

/// Checks a rest that says that the stream is unavailable.
#[track_caller]
fn check_unavailable(events: &[eventsource_stream::Event], retry: std::ops::RangeInclusive<u64>) {
    check_data(events, retry, |millis| {
        format!("{{\"retry\":{millis},\"unavailable\":true}}")
    });
}

#[track_caller]
fn check_data(
    events: &[eventsource_stream::Event],
    retry: std::ops::RangeInclusive<u64>,
    data: impl Fn(u64) -> String,
) {
    let rest = events.last().unwrap();
    assert_eq!(rest.event, "rest");
    let millis = u64::try_from(rest.retry.unwrap().as_millis()).unwrap();
    assert!(retry.contains(&millis), "{millis}");
    assert_eq!(rest.data, data(millis));
}

#[tokio::test(start_paused = true)]
async fn the_window_ends_with_rest() {
    let harness = Harness::with(&[
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("WINDOW", "20s"),
    ]);
    harness.change("A", "PLACED").await;
    let (held, events) = held(&harness, None).await;
    assert!(
        (Duration::from_secs(16)..=Duration::from_secs(20)).contains(&held),
        "{held:?}"
    );
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "rest"]);
    assert_eq!(events[3].id, events[1].id);
    check_rest(&events, 1000..=1500);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_before_the_windows_end_is_kept_with_a_margin() {
    let harness = Harness::new();
    let (held, events) = held(&harness, Some(Duration::from_secs(10))).await;
    assert_eq!(held, Duration::from_secs(9));
    check_rest(&events, 1000..=1500);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_is_ignored() {
    let harness = Harness::new();
    let request = request("GET", A, &[]);
    let start = Instant::now();
    Connection::new(harness.respond_with(&request, 600_000, 7).await)
        .finish()
        .await;
    assert!(start.elapsed() >= Duration::from_secs(48));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_comes_while_the_feed_is_read_is_kept() {
    let harness = Harness::new();
    harness.feed.inject([None, None, Some(Fault::Hangs)]);
    let (held, events) = held(&harness, Some(Duration::from_secs(10))).await;
    assert_eq!(held, Duration::from_secs(9));
    assert_eq!(outline(&events), ["hello", "ready", "rest"]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_fails_is_tried_again_later() {
    let harness = Harness::new();
    harness.feed.inject([Some(Fault::Throttled)]);
    let (held, events) = held(&harness, None).await;
    assert_eq!(held, Duration::ZERO);
    assert_eq!(outline(&events), ["hello", "rest"]);
    check_unavailable(&events, 3000..=4500);
}

#[tokio::test(start_paused = true)]
async fn a_comment_is_sent_after_15_s_of_silence() {
    let harness = Harness::new();
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    assert_eq!(connection.chunk().await.unwrap(), ":\n");
    for _ in 0..3 {
        let silence = Instant::now();
        assert_eq!(connection.chunk().await.unwrap(), ":\n");
        assert_eq!(silence.elapsed(), Duration::from_secs(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_sent_within_a_poll_interval_and_delays_the_comment() {
    let harness = Harness::new();
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    connection.chunk().await.unwrap();
    let changing = async {
        // 10 ms after a poll.
        tokio::time::sleep(Duration::from_millis(14_010)).await;
        harness.change("A", "PLACED").await;
        Instant::now()
    };
    let (_, written) = tokio::join!(connection.until("message"), changing);
    assert!(written.elapsed() <= Duration::from_millis(500));
    assert_eq!(connection.chunk().await.unwrap(), ":\n");
    let silence = Instant::now();
    connection.chunk().await.unwrap();
    assert_eq!(silence.elapsed(), Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_ends_the_stream_and_then_gets_204() {
    let harness = Harness::new();
    harness.change("A", "SHIPPED").await;
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    harness.change("A", "DELIVERED").await;
    let events = connection.finish().await;
    assert_eq!(
        outline(&events),
        ["hello", "SHIPPED", "ready", "DELIVERED", "end"]
    );
    let end = events.last().unwrap();
    assert_eq!(end.data, r#"{"orders":{"A":"DELIVERED"}}"#);
    assert_eq!(end.id, format!("{}~", events[3].id));

    let response = harness
        .respond(&request("GET", A, &[("last-event-id", &end.id)]))
        .await;
    assert_eq!(response.status(), 204);

    // A client that was cut off between the last change and `end` must still get `end`.
    let cut_off = harness.get(A, &events[3].id).await.finish().await;
    assert_eq!(outline(&cut_off), ["hello", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_after_the_end_is_sent() {
    let harness = Harness::new();
    harness.change("A", "DELIVERED").await;
    let end = harness.get(A, "").await.finish().await.pop().unwrap().id;
    harness.change("A", "RETURNED").await;
    let events = harness.get(A, &end).await.finish().await;
    assert_eq!(outline(&events), ["hello", "RETURNED", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_ends_no_stream() {
    let harness = Harness::new();
    harness.change("A", "DELIVERED").await;
    let end = harness.get(A, "").await.finish().await.pop().unwrap().id;
    harness.feed.freeze_replica();
    harness.change("A", "DISPUTED").await;
    assert_eq!(
        outline(&harness.get(A, "").await.until("ready").await),
        ["hello", "DELIVERED", "DISPUTED", "ready"]
    );
    assert_eq!(
        outline(&harness.get(A, &end).await.until("ready").await),
        ["hello", "DISPUTED", "ready"]
    );
}

#[tokio::test(start_paused = true)]
async fn several_orders_end_together() {
    let harness = Harness::new();
    harness.change("A", "DELIVERED").await;
    harness.change("B", "SHIPPED").await;
    let path = "/orders/events?order=A&order=B";
    let mut connection = harness.get(path, "").await;
    assert_eq!(
        outline(&connection.until("ready").await),
        ["hello", "DELIVERED", "SHIPPED", "ready"]
    );
    harness.change("B", "DELIVERED").await;
    let end = connection.finish().await.pop().unwrap();
    assert_eq!(end.data, r#"{"orders":{"A":"DELIVERED","B":"DELIVERED"}}"#);
    assert_eq!(
        harness
            .respond(&request("GET", path, &[("last-event-id", &end.id)]))
            .await
            .status(),
        204
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_verified_is_not_sent() {
    let harness = Harness::new();
    harness.change("A", "DELIVERED").await;
    let end = harness.get(A, "").await.finish().await.pop().unwrap().id;
    harness
        .feed
        .inject([Some(Fault::Throttled), Some(Fault::Throttled)]);
    let events = harness.get(A, &end).await.finish().await;
    assert_eq!(outline(&events), ["hello", "rest"]);
}

#[tokio::test(start_paused = true)]
async fn repeated_feed_failures_make_the_rests_longer() {
    let harness = Harness::new();
    let mut expected = 3000;
    for _ in 0..7 {
        harness.feed.inject([Some(Fault::Throttled)]);
        check_unavailable(
            &harness.get(A, "").await.finish().await,
            expected..=expected * 3 / 2,
        );
        // They grow further only if the failures last: `session/backoff.rs` tests that.
        expected = (expected * 2).min(12_000);
    }
    // After one success, the rests are short again.
    harness.get(A, "").await.until("ready").await;
    harness.feed.inject([Some(Fault::Throttled)]);
    check_unavailable(&harness.get(A, "").await.finish().await, 3000..=4500);
}

#[tokio::test(start_paused = true)]
async fn a_feed_failure_after_the_first_byte_ends_the_response_early() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    harness.feed.inject([None, None, Some(Fault::Throttled)]);
    let (held, events) = held(&harness, None).await;
    assert_eq!(held, Duration::from_secs(1), "the time of the third poll");
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "rest"]);
    assert_eq!(events[3].id, events[1].id);
    check_unavailable(&events, 3000..=4500);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_only_its_own_response() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    let mut other = harness.get(A, "").await;
    other.until("ready").await;
    harness.feed.inject([None, Some(Fault::Panics)]);
    let events = harness.get(A, "").await.finish().await;
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "rest"]);
    assert_eq!(events[3].id, events[1].id);
    check_unavailable(&events, 3000..=4500);
    harness.change("A", "PAID").await;
    other.until("message").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_byte_sends_no_204() {
    let harness = Harness::new();
    harness.change("A", "DELIVERED").await;
    let end = harness.get(A, "").await.finish().await.pop().unwrap().id;
    harness.feed.inject([Some(Fault::Panics)]);
    let events = harness.get(A, &end).await.finish().await;
    assert_eq!(outline(&events), ["hello", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_hangs_before_the_first_byte_delays_it_by_3_s_at_most() {
    let harness = Harness::new();
    harness.change("A", "DELIVERED").await;
    let end = harness.get(A, "").await.finish().await.pop().unwrap().id;
    harness.feed.inject([Some(Fault::Hangs)]);
    let start = Instant::now();
    let mut connection = harness.get(A, &end).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    connection.until("end").await;

    // An earlier deadline shortens the delay: half of the 2 s that are left.
    harness.feed.inject([Some(Fault::Hangs)]);
    let hanging = request("GET", A, &[("last-event-id", &end)]);
    let start = Instant::now();
    let response = harness
        .respond_within(harness.age() + Duration::from_secs(2), &hanging)
        .await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(
        outline(&Connection::new(response).finish().await),
        ["hello", "end"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_shorter_than_the_window_still_shows_the_order() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    let (held, events) = held(&harness, Some(Duration::from_millis(400))).await;
    assert_eq!(held, Duration::from_millis(300));
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "rest"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_misses_the_deadline_gets_the_other_changes_next_time() {
    let harness = Harness::new();
    for n in 1..=50 {
        harness.change("A", &format!("S{n}")).await;
    }
    let request = request("GET", A, &[]);
    let response = harness.respond_within(Duration::from_secs(10), &request);
    let mut connection = Connection::new(response.await);
    while outline(&support::parse(connection.bytes()))
        .last()
        .map(String::as_str)
        != Some("S7")
    {
        connection.chunk().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let events = connection.finish().await;
    assert_eq!(events.len(), 9);
    assert_eq!((&*events[8].event, &events[8].id), ("rest", &events[7].id));
    let again = harness.get(A, &events[8].id).await.until("ready").await;
    assert_eq!(outline(&again)[1], "S8");
    assert_eq!(again.len(), 2 + 43);
}

#[tokio::test(start_paused = true)]
async fn the_feed_is_not_read_while_the_client_does_not_read() {
    let harness = Harness::new();
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    // If the session read the feed, it would get the fault.
    harness.feed.inject([Some(Fault::Refused)]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(harness.feed.newest(&support::order("A")).await.is_err());
    harness.change("A", "PLACED").await;
    connection.until("message").await;
}

/// A change of a single order must be enough.
#[tokio::test(start_paused = true)]
async fn a_change_of_any_order_after_the_end_is_sent() {
    for changed in ["A", "B", "C"] {
        let harness = Harness::new();
        for id in ["A", "B", "C"] {
            harness.change(id, "DELIVERED").await;
        }
        let path = "/orders/events?order=A&order=B&order=C";
        let end = harness.get(path, "").await.finish().await.pop().unwrap().id;
        harness.change(changed, "RETURNED").await;
        let events = harness.get(path, &end).await.finish().await;
        assert_eq!(outline(&events), ["hello", "RETURNED", "end"], "{changed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_of_any_order_ends_no_stream() {
    for disputed in ["A", "B", "C"] {
        let harness = Harness::new();
        for id in ["A", "B", "C"] {
            harness.change(id, "DELIVERED").await;
        }
        harness.feed.freeze_replica();
        harness.change(disputed, "DISPUTED").await;
        let path = "/orders/events?order=A&order=B&order=C";
        let events = harness.get(path, "").await.until("ready").await;
        assert!(outline(&events).contains(&"DISPUTED".to_owned()));
        assert!(!outline(&events).contains(&"end".to_owned()), "{disputed}");
    }
}

/// After `RETENTION` the history of a finished order is gone. Its tombstone still has the last status.
#[tokio::test(start_paused = true)]
async fn a_finished_order_stays_finished_after_its_history_expired() {
    for deleted in [false, true] {
        let harness = Harness::new();
        harness.change("A", "SHIPPED").await;
        harness.change("A", "DELIVERED").await;
        let events = harness.get(A, "").await.finish().await;
        assert_eq!(outline(&events), ["hello", "SHIPPED", "DELIVERED", "end"]);
        tokio::time::advance(support::RETENTION).await;
        if deleted {
            for seq in 1..=2 {
                harness.feed.delete(support::order("A"), Seq(seq));
            }
        }
        // A client that was cut off before `end`.
        let cut_off = harness.get(A, &events[2].id).await.finish().await;
        assert_eq!(outline(&cut_off), ["hello", "end"], "{deleted}");
        assert_eq!(cut_off[1].data, r#"{"orders":{"A":"DELIVERED"}}"#);
        assert_eq!(cut_off[1].id, events[3].id);
        // A client that got `end`.
        let finished = request("GET", A, &[("last-event-id", &events[3].id)]);
        assert_eq!(harness.respond(&finished).await.status(), 204, "{deleted}");
        // Clients that missed the last change, or have seen nothing.
        for (cursor, reason) in [
            (&*events[1].id, "trimmed"),
            ("", "trimmed"),
            ("7", "unknown-cursor"),
        ] {
            let late = harness.get(A, cursor).await.finish().await;
            assert_eq!(outline(&late), ["hello", "reset", "DELIVERED", "end"]);
            assert!(late[1].data.contains(reason), "{cursor}: {}", late[1].data);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_without_history_is_shown_beside_an_unfinished_one() {
    let harness = Harness::new();
    harness.change("A", "DELIVERED").await;
    tokio::time::advance(support::RETENTION).await;
    harness.feed.delete(support::order("A"), Seq(1));
    harness.change("B", "SHIPPED").await;
    let path = "/orders/events?order=A&order=B";
    let mut connection = harness.get(path, "").await;
    let events = connection.until("ready").await;
    assert!(outline(&events).contains(&"DELIVERED".to_owned()));
    harness.change("A", "RETURNED").await;
    let change = connection.until("message").await.pop().unwrap();
    assert_eq!(support::change_of(&change)["seq"], 2);
}

/// The id is used again for another customer's order.
#[tokio::test(start_paused = true)]
async fn a_new_life_begins_a_new_history() {
    let harness = Harness::new();
    for status in ["PLACED", "SHIPPED"] {
        harness.change("A", status).await;
    }
    let seen = harness
        .get(A, "")
        .await
        .until("ready")
        .await
        .pop()
        .unwrap()
        .id;
    let mut watching = harness.get(A, &seen).await;
    watching.until("ready").await;
    let write = |n, status, write| Change {
        write,
        ..support::change("A", n, status)
    };
    for (n, status, kind) in [(3, "REMOVED", Write::Remove), (4, "PLACED", Write::Insert)] {
        let change = write(n, status, kind);
        append(&harness.feed, &change, &harness.clock(), support::RETENTION)
            .await
            .unwrap()
            .unwrap();
    }
    let new = harness.get(A, "").await.until("ready").await;
    assert_eq!(outline(&new), ["hello", "PLACED", "ready"]);
    assert_eq!(
        support::change_of(&new[1])["previous"],
        serde_json::Value::Null
    );
    watching.until("reset").await;
    for events in [
        harness.get(A, &seen).await.until("ready").await,
        watching.until("ready").await,
    ] {
        let sent = outline(&events);
        let reset = sent.iter().position(|event| event == "reset").unwrap();
        assert_eq!(sent[reset..], ["reset", "PLACED", "ready"]);
    }
}

//! Promise 3: cost follows change. A response is held if a change is due, and ends if none is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use eventsource_stream::Event;
use order_status_stream::dwell::{Dwells, weight};
use order_status_stream::feed::Feed;
use order_status_stream::feed::memory::Fault;
use order_status_stream::order::Status;
use support::{Connection, Harness, NOW, order, outline, request};
use tokio::time::{Instant, sleep};

const A: &str = "/orders/A/events";

fn harness() -> Harness {
    Harness::with(&[
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("HOLD", "auto"),
    ])
}

/// The feed knows that a hundred orders stayed in a status for this time.
async fn learned(harness: &Harness, status: &str, dwell: Duration) {
    let mut dwells = Dwells::default();
    dwells.add(dwell, 100.0 * weight(NOW.as_secs()));
    harness
        .feed
        .learn(&Status::new(status).unwrap(), &dwells, u64::MAX)
        .await
        .unwrap();
}

fn rest(events: &[Event]) -> Duration {
    let rest = events.last().unwrap();
    assert_eq!(rest.event, "rest");
    rest.retry.unwrap()
}

/// The events of a response, and how long it was held.
async fn watch(harness: &Harness, cursor: &str) -> (Vec<Event>, Duration) {
    let start = Instant::now();
    let events = harness.get(A, cursor).await.finish().await;
    (events, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn if_no_change_is_due_the_response_ends_at_once() {
    let harness = harness();
    learned(&harness, "SHIPPED", Duration::from_secs(2 * 86_400)).await;
    harness.change("A", "SHIPPED").await;
    let (events, held) = watch(&harness, "").await;
    assert_eq!(outline(&events), ["hello", "SHIPPED", "ready", "rest"]);
    assert_eq!(held, Duration::ZERO);
    assert!(
        rest(&events) > Duration::from_secs(4),
        "{:?}",
        rest(&events)
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_in_without_changes_is_one_poll_and_three_frames() {
    let harness = harness();
    harness.change("A", "SHIPPED").await;
    let (first, _) = watch(&harness, "").await;
    harness.feed.inject([None, Some(Fault::Throttled)]);
    let mut connection = harness.get(A, &first.last().unwrap().id).await;
    while connection.chunk().await.is_some() {}
    // The response made no second call, for the order or for dwell times: the fault is still there.
    assert!(harness.feed.newest(&order("A")).await.is_err());
    let text = connection.text();
    let (hello, rest) = text.split_once("event: ready").unwrap();
    assert!(hello.starts_with(":\nevent: hello\n"));
    assert_eq!(rest.matches("event: ").count(), 1, "{text}");
    assert_eq!(
        support::parse(connection.bytes()).last().unwrap().event,
        "rest"
    );
    assert!(
        support::parse(connection.bytes())
            .last()
            .unwrap()
            .retry
            .unwrap()
            < Duration::from_secs(3)
    );
}

#[tokio::test(start_paused = true)]
async fn if_a_change_is_due_within_seconds_the_response_is_held() {
    let harness = harness();
    learned(&harness, "PAYING", Duration::from_secs(4)).await;
    learned(&harness, "PAID", Duration::from_secs(86_400)).await;
    harness.change("A", "PAYING").await;
    sleep(Duration::from_secs(3)).await;
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    sleep(Duration::from_secs(1)).await;
    harness.change("A", "PAID").await;
    let paid = Instant::now();
    let events = connection.finish().await;
    assert_eq!(
        outline(&events),
        ["hello", "PAYING", "ready", "PAID", "rest"]
    );
    assert!(paid.elapsed() <= Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn dwell_times_that_cannot_be_read_delay_nothing() {
    for fault in [Fault::Throttled, Fault::Hangs] {
        let harness = harness();
        learned(&harness, "SHIPPED", Duration::from_secs(2 * 86_400)).await;
        harness.change("A", "SHIPPED").await;
        harness.feed.inject([None, Some(fault)]);
        let mut connection = harness.get(A, "").await;
        let start = Instant::now();
        assert_eq!(
            outline(&connection.until("ready").await),
            ["hello", "SHIPPED", "ready"]
        );
        assert_eq!(start.elapsed(), Duration::ZERO, "{fault:?}");
        let events = connection.finish().await;
        assert!(start.elapsed() <= Duration::from_millis(500), "{fault:?}");
        assert!(rest(&events) < Duration::from_secs(2), "{fault:?}");
        // A minute later, they are read again.
        sleep(Duration::from_secs(61)).await;
        assert!(
            rest(&watch(&harness, "").await.0) > Duration::from_secs(5),
            "{fault:?}"
        );
    }
}

/// A failed check-in does not show whether the order exists.
#[tokio::test(start_paused = true)]
async fn a_failed_check_in_is_not_counted() {
    let harness = Harness::new();
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    harness.feed.inject([Some(Fault::Throttled)]);
    let events = connection.finish().await;
    assert_eq!(outline(&events), ["hello", "ready", "rest"]);
    assert_eq!(events[2].id, "0");
    // The window ends before the feed has answered.
    harness.feed.inject(vec![Some(Fault::Hangs); 100]);
    let events = harness.get(A, "").await.finish().await;
    assert_eq!(outline(&events), ["hello", "rest"]);
    assert_eq!(events[1].id, "0");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_order_is_held_on_the_first_visit_only() {
    let harness = harness();
    let (events, held) = watch(&harness, "").await;
    assert_eq!(outline(&events), ["hello", "ready", "rest"]);
    // There is a poll each half second.
    assert!(
        (Duration::from_secs(5)..Duration::from_millis(5400)).contains(&held),
        "{held:?}"
    );
    assert_eq!(
        watch(&harness, &events.last().unwrap().id).await.1,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn the_order_that_is_due_first_decides_and_a_finished_one_does_not_count() {
    let harness = harness();
    learned(&harness, "SHIPPED", Duration::from_secs(2 * 86_400)).await;
    learned(&harness, "PAYING", Duration::from_secs(100)).await;
    for (order, status) in [("A", "SHIPPED"), ("B", "PAYING"), ("C", "DELIVERED")] {
        harness.change(order, status).await;
    }
    sleep(Duration::from_secs(80)).await;
    let retry = async |path: &str| rest(&harness.get(path, "").await.finish().await);
    let (a, a_and_b) = (
        retry(A).await,
        retry("/orders/events?order=A&order=B").await,
    );
    assert!(a_and_b < a / 2, "{a_and_b:?}, {a:?}");
    assert_eq!(retry("/orders/events?order=A&order=C").await, a);
}

/// The client carries the number of its check-ins in its cursor.
#[tokio::test(start_paused = true)]
async fn an_unknown_order_is_requested_less_and_less_often() {
    let harness = harness();
    let (mut id, mut requests, mut so_far) = (String::new(), 0, Duration::ZERO);
    let mut rests = Vec::new();
    for _ in 0..60 {
        let (events, _) = watch(&harness, &id).await;
        id.clone_from(&events.last().unwrap().id);
        requests += 1;
        assert_eq!(id, format!("0-{requests:04x}"));
        assert!(events.iter().rev().skip(1).all(|event| event.id != id));
        let rest = rest(&events);
        assert!(rest <= Duration::from_secs(3).max(so_far / 8), "{rest:?}");
        rests.push(rest);
        so_far += rest;
        sleep(rest).await;
    }
    assert!(rests[0] < Duration::from_secs(2), "{rests:?}");
    assert!(rests[59] > Duration::from_secs(50), "{rests:?}");
    // With the mark `0`, the count of check-ins begins at zero. A change is sent at the next check-in.
    let (events, _) = watch(&harness, "0").await;
    assert!(rest(&events) < Duration::from_secs(2));
    harness.change("A", "SHIPPED").await;
    let (events, _) = watch(&harness, &id).await;
    assert_eq!(outline(&events), ["hello", "SHIPPED", "ready", "rest"]);
    assert!(events.last().unwrap().id.starts_with("1-"));
}

#[tokio::test(start_paused = true)]
async fn only_the_marks_of_orders_without_changes_count_check_ins() {
    let harness = harness();
    harness.change("B", "SHIPPED").await;
    let path = "/orders/events?order=A&order=B";
    let events = harness.get(path, "0.1").await.finish().await;
    let marks = &events.last().unwrap().id;
    assert!(marks.starts_with("0-0001.1"), "{marks}");
    // A check-in does not count if the feed failed.
    harness.feed.inject([Some(Fault::Throttled)]);
    let events = harness.get(A, "0-0007").await.finish().await;
    assert_eq!(events.last().unwrap().id, "0-0007");
}

/// Clients that get a rest at the same time do not come back at the same time.
#[tokio::test(start_paused = true)]
async fn every_kind_of_rest_has_jitter() {
    let due = |fault| [None, None, fault];
    let held = [("HOLD", "always"), ("WINDOW", "1s")];
    let policy = [("HOLD", "auto"), ("FRESHNESS", "100ms")];
    for (settings, fault) in [
        (held, None),
        (held, Some(Fault::Throttled)),
        (held, Some(Fault::Panics)),
        (policy, None),
        ([policy[0], ("FRESHNESS", "5s")], None),
    ] {
        let always = [("FEED_TABLE", "in memory"), ("ACCESS", "open")];
        let mut rests = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let harness = Harness::with(&[&always, &settings[..]].concat());
            harness.change("A", "SHIPPED").await;
            sleep(Duration::from_secs(30 * 86_400)).await;
            harness.feed.inject(due(fault));
            let response = harness.respond_with(&request("GET", A, &[]), 0, seed).await;
            let rest = rest(&Connection::new(response).finish().await);
            assert!(rest >= Duration::from_secs(1));
            rests.insert(rest);
        }
        assert!(rests.len() > 25, "{settings:?} {fault:?}: {rests:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dwell_times_are_read_once_in_ten_minutes() {
    let harness = harness();
    learned(&harness, "SHIPPED", Duration::from_secs(2 * 86_400)).await;
    harness.change("A", "SHIPPED").await;
    // The second call gets the fault.
    let reads_dwell_times = async |cursor: &str| {
        harness.feed.inject([None, Some(Fault::Throttled)]);
        let (events, _) = watch(&harness, cursor).await;
        assert_eq!(events.last().unwrap().event, "rest");
        harness.feed.newest(&order("A")).await.is_ok()
    };
    watch(&harness, "").await;
    for _ in 0..9 {
        assert!(!reads_dwell_times("1").await);
        sleep(Duration::from_secs(60)).await;
    }
    sleep(Duration::from_secs(60)).await;
    assert!(reads_dwell_times("1").await);
}

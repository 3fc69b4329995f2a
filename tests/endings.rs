//! Promise 2: a response ends on a frame boundary, before the deadline, with a time to come back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use order_status_stream::change::{Change, Write};
use order_status_stream::feed::memory::Fault;
use order_status_stream::feed::{Feed, append};
use order_status_stream::order::Seq;
use support::{Connection, Stage, deadline_after, outline, request};
use tokio::time::Instant;

const A: &str = "/orders/A/events";

async fn held(
    stage: &Stage,
    deadline: Option<Duration>,
) -> (Duration, Vec<eventsource_stream::Event>) {
    let start = Instant::now();
    let deadline = deadline.map_or(0, deadline_after);
    let request = request("GET", A, &[]);
    let response = stage.respond_with(&request, deadline, 7).await;
    let events = Connection::new(response).finish().await;
    (start.elapsed(), events)
}

#[track_caller]
fn check_rest(events: &[eventsource_stream::Event], retry: std::ops::RangeInclusive<u64>) {
    check_data(events, retry, |millis| format!("{{\"retry\":{millis}}}"));
}

/// A rest that says why: the stream cannot be served at the moment.
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
    let stage = Stage::with(&[
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("WINDOW", "20s"),
    ]);
    stage.change("A", "PLACED").await;
    let (held, events) = held(&stage, None).await;
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
    let stage = Stage::new();
    let (held, events) = held(&stage, Some(Duration::from_secs(10))).await;
    assert_eq!(held, Duration::from_secs(9));
    check_rest(&events, 1000..=1500);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_is_none() {
    let stage = Stage::new();
    let request = request("GET", A, &[]);
    let start = Instant::now();
    Connection::new(stage.respond_with(&request, 600_000, 7).await)
        .finish()
        .await;
    assert!(start.elapsed() >= Duration::from_secs(48));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_comes_while_the_feed_is_read_is_kept() {
    let stage = Stage::new();
    stage.feed.inject([None, None, Some(Fault::Hangs)]);
    let (held, events) = held(&stage, Some(Duration::from_secs(10))).await;
    assert_eq!(held, Duration::from_secs(9));
    assert_eq!(outline(&events), ["hello", "ready", "rest"]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_fails_is_tried_again_later() {
    let stage = Stage::new();
    stage.feed.inject([Some(Fault::Throttled)]);
    let (held, events) = held(&stage, None).await;
    assert_eq!(held, Duration::ZERO);
    assert_eq!(outline(&events), ["hello", "rest"]);
    check_unavailable(&events, 3000..=4500);
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_by_a_comment() {
    let stage = Stage::new();
    let mut page = stage.get(A, "").await;
    page.until("ready").await;
    assert_eq!(page.chunk().await.unwrap(), ":\n");
    for _ in 0..3 {
        let silence = Instant::now();
        assert_eq!(page.chunk().await.unwrap(), ":\n");
        assert_eq!(silence.elapsed(), Duration::from_secs(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_shown_within_a_poll_interval_and_puts_off_the_comment() {
    let stage = Stage::new();
    let mut page = stage.get(A, "").await;
    page.until("ready").await;
    page.chunk().await.unwrap();
    let changing = async {
        // Soon after a look.
        tokio::time::sleep(Duration::from_millis(14_010)).await;
        stage.change("A", "PLACED").await;
        Instant::now()
    };
    let (_, written) = tokio::join!(page.until("message"), changing);
    assert!(written.elapsed() <= Duration::from_millis(500));
    assert_eq!(page.chunk().await.unwrap(), ":\n");
    let silence = Instant::now();
    page.chunk().await.unwrap();
    assert_eq!(silence.elapsed(), Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_ends_and_is_not_asked_for_again() {
    let stage = Stage::new();
    stage.change("A", "SHIPPED").await;
    let mut page = stage.get(A, "").await;
    page.until("ready").await;
    stage.change("A", "DELIVERED").await;
    let events = page.finish().await;
    assert_eq!(
        outline(&events),
        ["hello", "SHIPPED", "ready", "DELIVERED", "end"]
    );
    let end = events.last().unwrap();
    assert_eq!(end.data, r#"{"orders":{"A":"DELIVERED"}}"#);
    assert_eq!(end.id, format!("{}~", events[3].id));

    let told = stage
        .respond(&request("GET", A, &[("last-event-id", &end.id)]))
        .await;
    assert_eq!(told.status(), 204);

    // Cut between the last change and `end`: the page must still learn of it.
    let not_told = stage.get(A, &events[3].id).await.finish().await;
    assert_eq!(outline(&not_told), ["hello", "end"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_end_is_shown() {
    let stage = Stage::new();
    stage.change("A", "DELIVERED").await;
    let end = stage.get(A, "").await.finish().await.pop().unwrap().id;
    stage.change("A", "RETURNED").await;
    let events = stage.get(A, &end).await.finish().await;
    assert_eq!(outline(&events), ["hello", "RETURNED", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_ends_nobodys_stream() {
    let stage = Stage::new();
    stage.change("A", "DELIVERED").await;
    let end = stage.get(A, "").await.finish().await.pop().unwrap().id;
    stage.feed.freeze_replica();
    stage.change("A", "DISPUTED").await;
    assert_eq!(
        outline(&stage.get(A, "").await.until("ready").await),
        ["hello", "DELIVERED", "DISPUTED", "ready"]
    );
    assert_eq!(
        outline(&stage.get(A, &end).await.until("ready").await),
        ["hello", "DISPUTED", "ready"]
    );
}

#[tokio::test(start_paused = true)]
async fn several_orders_end_together() {
    let stage = Stage::new();
    stage.change("A", "DELIVERED").await;
    stage.change("B", "SHIPPED").await;
    let path = "/orders/events?order=A&order=B";
    let mut page = stage.get(path, "").await;
    assert_eq!(
        outline(&page.until("ready").await),
        ["hello", "DELIVERED", "SHIPPED", "ready"]
    );
    stage.change("B", "DELIVERED").await;
    let end = page.finish().await.pop().unwrap();
    assert_eq!(end.data, r#"{"orders":{"A":"DELIVERED","B":"DELIVERED"}}"#);
    assert_eq!(
        stage
            .respond(&request("GET", path, &[("last-event-id", &end.id)]))
            .await
            .status(),
        204
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_verified_closes_no_tab() {
    let stage = Stage::new();
    stage.change("A", "DELIVERED").await;
    let end = stage.get(A, "").await.finish().await.pop().unwrap().id;
    stage
        .feed
        .inject([Some(Fault::Throttled), Some(Fault::Throttled)]);
    let events = stage.get(A, &end).await.finish().await;
    assert_eq!(outline(&events), ["hello", "rest"]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_goes_on_failing_is_asked_ever_less_often() {
    let stage = Stage::new();
    let mut expected = 3000;
    for _ in 0..7 {
        stage.feed.inject([Some(Fault::Throttled)]);
        check_unavailable(
            &stage.get(A, "").await.finish().await,
            expected..=expected * 3 / 2,
        );
        expected = (expected * 2).min(48_000);
    }
    // One success, and it starts anew.
    stage.get(A, "").await.until("ready").await;
    stage.feed.inject([Some(Fault::Throttled)]);
    check_unavailable(&stage.get(A, "").await.finish().await, 3000..=4500);
}

#[tokio::test(start_paused = true)]
async fn bad_weather_after_the_first_byte_is_an_early_end_too() {
    let stage = Stage::new();
    stage.change("A", "PLACED").await;
    stage.feed.inject([None, None, Some(Fault::Throttled)]);
    let (held, events) = held(&stage, None).await;
    assert_eq!(held, Duration::from_secs(1), "the third look");
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "rest"]);
    assert_eq!(events[3].id, events[1].id);
    check_unavailable(&events, 3000..=4500);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_early_end_of_that_response_alone() {
    let stage = Stage::new();
    stage.change("A", "PLACED").await;
    let mut other = stage.get(A, "").await;
    other.until("ready").await;
    stage.feed.inject([None, Some(Fault::Panics)]);
    let events = stage.get(A, "").await.finish().await;
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "rest"]);
    assert_eq!(events[3].id, events[1].id);
    check_unavailable(&events, 3000..=4500);
    stage.change("A", "PAID").await;
    other.until("message").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_byte_closes_no_tab() {
    let stage = Stage::new();
    stage.change("A", "DELIVERED").await;
    let end = stage.get(A, "").await.finish().await.pop().unwrap().id;
    stage.feed.inject([Some(Fault::Panics)]);
    let events = stage.get(A, &end).await.finish().await;
    assert_eq!(outline(&events), ["hello", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_hangs_before_the_first_byte_hangs_no_request() {
    let stage = Stage::new();
    stage.change("A", "DELIVERED").await;
    let end = stage.get(A, "").await.finish().await.pop().unwrap().id;
    stage.feed.inject([Some(Fault::Hangs)]);
    let start = Instant::now();
    let mut page = stage.get(A, &end).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    page.until("end").await;

    // A deadline that comes sooner is kept with time to spare.
    stage.feed.inject([Some(Fault::Hangs)]);
    let hanging = request("GET", A, &[("last-event-id", &end)]);
    let start = Instant::now();
    let response = stage
        .respond_within(stage.age() + Duration::from_secs(2), &hanging)
        .await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(
        outline(&Connection::new(response).finish().await),
        ["hello", "end"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_shorter_than_the_window_still_shows_something() {
    let stage = Stage::new();
    stage.change("A", "PLACED").await;
    let (held, events) = held(&stage, Some(Duration::from_millis(400))).await;
    assert_eq!(held, Duration::from_millis(300));
    assert_eq!(outline(&events), ["hello", "PLACED", "ready", "rest"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slower_than_the_deadline_has_the_rest_next_time() {
    let stage = Stage::new();
    for n in 1..=50 {
        stage.change("A", &format!("S{n}")).await;
    }
    let request = request("GET", A, &[]);
    let response = stage.respond_within(Duration::from_secs(10), &request);
    let mut page = Connection::new(response.await);
    while outline(&support::parse(page.bytes()))
        .last()
        .map(String::as_str)
        != Some("S7")
    {
        page.chunk().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let events = page.finish().await;
    assert_eq!(events.len(), 9);
    assert_eq!((&*events[8].event, &events[8].id), ("rest", &events[7].id));
    let again = stage.get(A, &events[8].id).await.until("ready").await;
    assert_eq!(outline(&again)[1], "S8");
    assert_eq!(again.len(), 2 + 43);
}

#[tokio::test(start_paused = true)]
async fn while_nobody_reads_nothing_is_read() {
    let stage = Stage::new();
    let mut page = stage.get(A, "").await;
    page.until("ready").await;
    // Whoever looked at the feed would take it.
    stage.feed.inject([Some(Fault::Refused)]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(stage.feed.newest(&support::order("A")).await.is_err());
    stage.change("A", "PLACED").await;
    page.until("message").await;
}

/// Each of the orders, alone, can keep the tab open.
#[tokio::test(start_paused = true)]
async fn what_comes_to_any_order_after_the_end_is_shown() {
    for changed in ["A", "B", "C"] {
        let stage = Stage::new();
        for id in ["A", "B", "C"] {
            stage.change(id, "DELIVERED").await;
        }
        let path = "/orders/events?order=A&order=B&order=C";
        let end = stage.get(path, "").await.finish().await.pop().unwrap().id;
        stage.change(changed, "RETURNED").await;
        let events = stage.get(path, &end).await.finish().await;
        assert_eq!(outline(&events), ["hello", "RETURNED", "end"], "{changed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lagging_replica_of_any_order_ends_nobodys_stream() {
    for disputed in ["A", "B", "C"] {
        let stage = Stage::new();
        for id in ["A", "B", "C"] {
            stage.change(id, "DELIVERED").await;
        }
        stage.feed.freeze_replica();
        stage.change(disputed, "DISPUTED").await;
        let path = "/orders/events?order=A&order=B&order=C";
        let events = stage.get(path, "").await.until("ready").await;
        assert!(outline(&events).contains(&"DISPUTED".to_owned()));
        assert!(!outline(&events).contains(&"end".to_owned()), "{disputed}");
    }
}

/// After `RETENTION` the history of a finished order is gone. Its tombstone still says how it ended.
#[tokio::test(start_paused = true)]
async fn a_finished_order_stays_finished_after_its_history() {
    for deleted in [false, true] {
        let stage = Stage::new();
        stage.change("A", "SHIPPED").await;
        stage.change("A", "DELIVERED").await;
        let events = stage.get(A, "").await.finish().await;
        assert_eq!(outline(&events), ["hello", "SHIPPED", "DELIVERED", "end"]);
        tokio::time::advance(support::RETENTION).await;
        if deleted {
            for seq in 1..=2 {
                stage.feed.delete(&support::order("A"), Seq(seq));
            }
        }
        // It was cut off before `end`.
        let cut_off = stage.get(A, &events[2].id).await.finish().await;
        assert_eq!(outline(&cut_off), ["hello", "end"], "{deleted}");
        assert_eq!(cut_off[1].data, r#"{"orders":{"A":"DELIVERED"}}"#);
        assert_eq!(cut_off[1].id, events[3].id);
        // It was told the end.
        let told = request("GET", A, &[("last-event-id", &events[3].id)]);
        assert_eq!(stage.respond(&told).await.status(), 204, "{deleted}");
        // It missed the last change, or saw nothing.
        for (cursor, reason) in [
            (&*events[1].id, "trimmed"),
            ("", "trimmed"),
            ("7", "unknown-cursor"),
        ] {
            let late = stage.get(A, cursor).await.finish().await;
            assert_eq!(outline(&late), ["hello", "reset", "DELIVERED", "end"]);
            assert!(late[1].data.contains(reason), "{cursor}: {}", late[1].data);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_without_a_history_is_told_beside_one_that_goes_on() {
    let stage = Stage::new();
    stage.change("A", "DELIVERED").await;
    tokio::time::advance(support::RETENTION).await;
    stage.feed.delete(&support::order("A"), Seq(1));
    stage.change("B", "SHIPPED").await;
    let path = "/orders/events?order=A&order=B";
    let mut page = stage.get(path, "").await;
    let events = page.until("ready").await;
    assert!(outline(&events).contains(&"DELIVERED".to_owned()));
    stage.change("A", "RETURNED").await;
    let change = page.until("message").await.pop().unwrap();
    assert_eq!(support::change_of(&change)["seq"], 2);
}

/// The id is used again, for another customer.
#[tokio::test(start_paused = true)]
async fn a_new_life_begins_a_new_history() {
    let stage = Stage::new();
    for status in ["PLACED", "SHIPPED"] {
        stage.change("A", status).await;
    }
    let seen = stage
        .get(A, "")
        .await
        .until("ready")
        .await
        .pop()
        .unwrap()
        .id;
    let mut watching = stage.get(A, &seen).await;
    watching.until("ready").await;
    let write = |n, status, write| Change {
        write,
        ..support::change("A", n, status)
    };
    for (n, status, kind) in [(3, "REMOVED", Write::Remove), (4, "PLACED", Write::Insert)] {
        let change = write(n, status, kind);
        append(&stage.feed, &change, &stage.clock(), support::RETENTION)
            .await
            .unwrap()
            .unwrap();
    }
    let new = stage.get(A, "").await.until("ready").await;
    assert_eq!(outline(&new), ["hello", "PLACED", "ready"]);
    assert_eq!(
        support::change_of(&new[1])["previous"],
        serde_json::Value::Null
    );
    watching.until("reset").await;
    for events in [
        stage.get(A, &seen).await.until("ready").await,
        watching.until("ready").await,
    ] {
        let told = outline(&events);
        let reset = told.iter().position(|event| event == "reset").unwrap();
        assert_eq!(told[reset..], ["reset", "PLACED", "ready"]);
    }
}

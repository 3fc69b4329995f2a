//! The history is sent page by page and for all orders concurrently, and comments break each silence.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use order_status_stream::feed::memory::Fault;
use order_status_stream::feed::{Feed, PAGE_ENTRIES};
use order_status_stream::order::Seq;
use proptest::prelude::*;
use support::{Connection, Harness, change_of, order, outline, request};
use tokio::time::{Instant, sleep};

const A: &str = "/orders/A/events";
const A_AND_B: &str = "/orders/events?order=A&order=B";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn slow(seconds: u64) -> Option<Fault> {
    Some(Fault::Slow(s(seconds)))
}

fn with(settings: &[(&str, &str)]) -> Harness {
    let always = [("FEED_TABLE", "in memory"), ("ACCESS", "open")];
    Harness::with(&[&always, settings].concat())
}

/// Changes an order so many times: S1, S2 …
async fn history(harness: &Harness, id: &str, changes: u64) {
    for n in 1..=changes {
        harness.change(id, &format!("S{n}")).await;
    }
}

/// The statuses from S`from` to S`to`.
fn statuses(from: u64, to: u64) -> Vec<String> {
    (from..=to).map(|n| format!("S{n}")).collect()
}

/// What was sent between `hello` and the last event.
fn sent(events: &[eventsource_stream::Event]) -> Vec<String> {
    let outline = outline(events);
    outline[1..outline.len() - 1].to_vec()
}

/// Reads until an event of this type came. Returns the longest silence.
async fn silence_until(connection: &mut Connection, event: &str) -> Duration {
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        let seen = support::parse(connection.bytes());
        if seen.last().is_some_and(|last| last.event == event) {
            return longest;
        }
        assert!(
            connection.chunk().await.is_some(),
            "ended: {}",
            connection.text()
        );
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_visitor_gets_the_latest_page_after_a_trimmed_reset() {
    let harness = Harness::new();
    history(&harness, "A", 250).await;
    let events = harness.get(A, "").await.until("ready").await;
    let page_entries = u64::try_from(PAGE_ENTRIES).unwrap();
    assert_eq!(
        sent(&events),
        [vec!["reset".to_owned()], statuses(251 - page_entries, 250)].concat()
    );
    assert_eq!(events[1].data, r#"{"orders":["A"],"reason":"trimmed"}"#);
    assert_eq!(events[1].id, "0");
    // A client that is cut off after `reset` has seen nothing. After the first change, it continues from that one.
    let again = harness.get(A, &events[1].id).await.until("ready").await;
    assert_eq!(sent(&again), sent(&events));
    let again = harness.get(A, &events[2].id).await.until("ready").await;
    assert_eq!(sent(&again), statuses(252 - page_entries, 250));
}

#[tokio::test(start_paused = true)]
async fn a_history_that_fits_one_page_is_sent_completely() {
    let harness = Harness::new();
    history(&harness, "A", u64::try_from(PAGE_ENTRIES).unwrap()).await;
    let events = harness.get(A, "").await.until("ready").await;
    assert_eq!(sent(&events), statuses(1, 100));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_cursor_gets_only_one_reset() {
    let harness = Harness::new();
    history(&harness, "A", 101).await;
    let events = harness.get(A, "rubbish").await.until("ready").await;
    assert_eq!(
        sent(&events),
        [vec!["reset".to_owned()], statuses(2, 101)].concat()
    );
    assert!(events[1].data.contains("unknown-cursor"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_resumes_gets_every_change() {
    for lagging in [false, true] {
        let harness = Harness::new();
        history(&harness, "A", 520).await;
        if lagging {
            harness.feed.freeze_replica();
            harness.change("A", "S521").await;
        }
        let events = harness.get(A, "1").await.until("ready").await;
        assert_eq!(sent(&events), statuses(2, 520), "lagging: {lagging}");
        assert_eq!(harness.age(), Duration::ZERO, "no poll interval passed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lags_far_behind_causes_no_reset() {
    let harness = Harness::new();
    harness.change("A", "S1").await;
    harness.feed.freeze_replica();
    for n in 2..=250 {
        harness.change("A", &format!("S{n}")).await;
    }
    let events = harness.get(A, "2").await.until("ready").await;
    assert_eq!(sent(&events), statuses(3, 250));
}

#[tokio::test(start_paused = true)]
async fn the_next_page_is_read_after_the_client_took_the_last_one() {
    let harness = Harness::new();
    history(&harness, "A", 250).await;
    let mut connection = harness.get(A, "1").await;
    // `hello`, and the first page without its last change.
    for _ in 0..PAGE_ENTRIES - 1 {
        connection.chunk().await.unwrap();
    }
    // If the session read the feed now, it would get the fault.
    harness.feed.inject([Some(Fault::Refused)]);
    connection.chunk().await.unwrap();
    sleep(s(2)).await;
    assert!(harness.feed.newest(&order("A")).await.is_err());
    harness.feed.inject([Some(Fault::Throttled)]);
    connection.until("rest").await;
    let events = support::parse(connection.bytes());
    assert_eq!(sent(&events), statuses(2, 100));
    let rest = harness.get(A, &events.last().unwrap().id).await;
    let events = { rest }.until("ready").await;
    assert_eq!(sent(&events), statuses(101, 250));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_status_in_the_middle_of_a_history_does_not_end_the_stream() {
    let harness = Harness::new();
    history(&harness, "A", 99).await;
    // The last entry of the first page.
    harness.change("A", "DELIVERED").await;
    for n in 101..=150 {
        harness.change("A", &format!("S{n}")).await;
    }
    let events = harness.get(A, "1").await.until("ready").await;
    let expected = [
        statuses(2, 99),
        vec!["DELIVERED".to_owned()],
        statuses(101, 150),
    ];
    assert_eq!(sent(&events), expected.concat());
    // A terminal status at the end of the history ends the stream, after every page.
    harness.change("A", "RETURNED").await;
    let events = harness.get(A, "1").await.until("end").await;
    assert_eq!(sent(&events).last().unwrap(), "RETURNED");
    assert_eq!(sent(&events).len(), 150);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_trimmed_between_two_pages_gets_a_reset() {
    let harness = Harness::new();
    history(&harness, "A", 250).await;
    let mut connection = harness.get(A, "1").await;
    for _ in 0..50 {
        connection.chunk().await.unwrap();
    }
    // The second page begins at entry 100.
    for seq in 1..=180 {
        harness.feed.delete(order("A"), Seq(seq));
    }
    let events = connection.until("ready").await;
    let expected = [
        statuses(2, 100),
        vec!["reset".to_owned()],
        statuses(181, 250),
    ];
    assert_eq!(sent(&events), expected.concat());
}

/// The cursor 0 names no entry to continue from. So the client gets `reset` and the latest page.
#[tokio::test(start_paused = true)]
async fn a_burst_of_first_changes_is_sent_after_a_reset() {
    let harness = Harness::new();
    let mut connection = harness.get(A, "").await;
    connection.until("ready").await;
    history(&harness, "A", 120).await;
    connection.until("reset").await;
    let events = connection.until("ready").await;
    assert_eq!(outline(&events)[..3], ["hello", "ready", "reset"]);
    assert_eq!(outline(&events)[3..103], statuses(21, 120));
    assert_eq!(connection.chunk().await.unwrap(), ":\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_got_reset_gets_no_second_one_after_a_burst() {
    let harness = Harness::new();
    let mut connection = harness.get(A, "3-9f2c").await;
    connection.until("ready").await;
    history(&harness, "A", 120).await;
    connection.until("message").await;
    while connection.chunk().await.unwrap() != ":\n" {}
    let events = support::parse(connection.bytes());
    assert_eq!(outline(&events)[..3], ["hello", "reset", "ready"]);
    assert_eq!(outline(&events)[3..], statuses(21, 120));
}

#[tokio::test(start_paused = true)]
async fn the_latest_page_is_read_once() {
    let harness = Harness::new();
    history(&harness, "A", 120).await;
    harness.feed.inject([None, Some(Fault::Throttled)]);
    let mut connection = harness.get(A, "").await;
    let events = connection.until("ready").await;
    assert_eq!(outline(&events).len(), 103);
    // A second read would have got the fault.
    assert!(harness.feed.newest(&order("A")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn ten_orders_are_read_side_by_side() {
    let harness = with(&[("HEARTBEAT", "1s")]);
    let ids: Vec<_> = ('A'..='J').map(String::from).collect();
    for id in &ids {
        harness.change(id, "PLACED").await;
    }
    harness.feed.inject([slow(4); 10]);
    let path = format!("/orders/events?order={}", ids.join("&order="));
    let mut connection = harness.get(&path, "").await;
    let silence = silence_until(&mut connection, "ready").await;
    assert_eq!(harness.age(), s(4));
    assert_eq!(silence, s(1));
    assert_eq!(support::parse(connection.bytes()).len(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_order_is_sent_as_soon_as_it_is_read() {
    let harness = Harness::new();
    for id in ["A", "B"] {
        harness.change(id, "PLACED").await;
    }
    harness.feed.inject([slow(4)]);
    let mut connection = harness.get(A_AND_B, "").await;
    let first = connection.until("message").await.pop().unwrap();
    assert_eq!(change_of(&first)["orderId"], "B");
    assert_eq!(harness.age(), Duration::ZERO);
    assert!(first.id.starts_with("0.1-"), "{}", first.id);
    let events = connection.until("ready").await;
    assert_eq!(change_of(&events[2])["orderId"], "A");
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_of_one_order_loses_no_change_of_another() {
    let harness = Harness::new();
    for id in ["A", "B"] {
        history(&harness, id, 150).await;
    }
    harness
        .feed
        .inject([Some(Fault::Throttled), slow(1), slow(1)]);
    let events = harness.get(A_AND_B, "1.1").await.finish().await;
    let b = events.iter().filter(|event| event.event == "message");
    assert_eq!(
        b.map(|change| change_of(change)["orderId"].clone())
            .filter(|id| id == "B")
            .count(),
        149
    );
    assert!(events.last().unwrap().data.contains("unavailable"));
}

#[tokio::test(start_paused = true)]
async fn comments_are_sent_while_the_end_is_verified() {
    let harness = with(&[("HEARTBEAT", "1s")]);
    harness.change("A", "DELIVERED").await;
    harness.feed.inject([None, slow(4)]);
    let mut connection = harness.get(A, "").await;
    assert_eq!(silence_until(&mut connection, "end").await, s(1));
    assert_eq!(harness.age(), s(4));
}

#[tokio::test(start_paused = true)]
async fn comments_are_sent_while_dwell_times_are_read() {
    let harness = with(&[
        ("HEARTBEAT", "1s"),
        ("HOLD", "auto"),
        ("POLL_INTERVAL", "980ms"),
    ]);
    // The first visit is held for five seconds. The seventh poll ends after 5.88 s, and then dwell times are read.
    let polls = [None; 7];
    let dwells = Some(Fault::Slow(Duration::from_millis(400)));
    harness.feed.inject(polls.into_iter().chain([dwells]));
    let mut connection = harness.get(A, "").await;
    assert_eq!(silence_until(&mut connection, "rest").await, s(1));
    assert_eq!(harness.age(), Duration::from_millis(6280));
}

/// The client did not read until the response was over. What waits is dropped, but not `hello`.
#[tokio::test(start_paused = true)]
async fn a_first_read_after_the_window_gets_hello_and_rest() {
    for cursor in ["", "1", "rubbish"] {
        let harness = Harness::new();
        history(&harness, "A", 3).await;
        let connection = harness.get(A, cursor).await;
        sleep(s(120)).await;
        let events = connection.finish().await;
        assert_eq!(outline(&events), ["hello", "rest"], "{cursor}");
        let id = if cursor == "rubbish" {
            "?"
        } else {
            &*events[0].id
        };
        assert!(events.iter().all(|event| event.id == id), "{cursor}");
    }
}

/// After `RETENTION` was shortened, later entries expire before earlier ones.
#[tokio::test(start_paused = true)]
async fn a_page_whose_entries_after_the_cursor_have_expired_causes_a_reset() {
    let harness = Harness::new();
    history(&harness, "A", 250).await;
    for seq in 2..=240 {
        harness.feed.expire(&order("A"), Seq(seq), 1).await.unwrap();
    }
    let events = harness.get(A, "1").await.until("ready").await;
    let expected = [vec!["reset".to_owned()], statuses(241, 250)];
    assert_eq!(sent(&events), expected.concat());
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_is_polled_while_another_one_is_held() {
    let harness = Harness::new();
    harness.change("A", "DELIVERED").await;
    harness.change("B", "SHIPPED").await;
    let mut connection = harness.get(A_AND_B, "").await;
    connection.until("ready").await;
    sleep(s(5)).await;
    harness.change("A", "RETURN_REQUESTED").await;
    let requested = Instant::now();
    let change = connection.until("message").await.pop().unwrap();
    assert_eq!(change_of(&change)["status"], "RETURN_REQUESTED");
    assert!(requested.elapsed() <= Duration::from_millis(500));
    // It has to finish again before the response ends.
    harness.change("B", "DELIVERED").await;
    connection.until("message").await;
    harness.change("A", "RETURNED").await;
    let end = connection.finish().await.pop().unwrap();
    assert_eq!(end.data, r#"{"orders":{"A":"RETURNED","B":"DELIVERED"}}"#);
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_of_one_order_does_not_delay_another() {
    let harness = Harness::new();
    for id in ["A", "B"] {
        harness.change(id, "PLACED").await;
    }
    let mut connection = harness.get(A_AND_B, "").await;
    connection.until("ready").await;
    assert_eq!(connection.chunk().await.unwrap(), ":\n");
    harness.feed.inject([slow(4)]);
    let read = async {
        connection.until("message").await;
        harness.age()
    };
    let write = async {
        sleep(s(1)).await;
        harness.change("B", "PAID").await;
        harness.age()
    };
    let (sent, written) = tokio::join!(read, write);
    assert!(
        sent - written <= Duration::from_millis(500),
        "{:?}",
        sent - written
    );
    let events = connection.finish().await;
    assert_eq!(outline(&events).last().unwrap(), "rest");
}

/// Polls that overlap must not delay the end of a round, because the response ends after a round.
#[tokio::test(start_paused = true)]
async fn reads_longer_than_a_poll_interval_do_not_delay_the_end() {
    let harness = with(&[("POLL_INTERVAL", "20ms")]);
    for id in ["A", "B"] {
        harness.change(id, "PLACED").await;
    }
    let mut connection = harness.get(A_AND_B, "").await;
    connection.until("ready").await;
    for id in ["A", "B"] {
        harness.change(id, "DELIVERED").await;
    }
    let times = [30, 45].map(|millis| Some(Fault::Slow(Duration::from_millis(millis))));
    harness.feed.inject(times.into_iter().cycle().take(1000));
    connection.until("end").await;
    assert!(harness.age() < s(1), "{:?}", harness.age());
}

/// While a client does not read, its session does not run. A read that was running exceeds its time limit.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_count_as_a_feed_failure() {
    let harness = Harness::new();
    history(&harness, "A", 3).await;
    history(&harness, "B", 3).await;
    harness.feed.inject([slow(1), slow(4)]);
    let mut connection = harness.get(A_AND_B, "").await;
    connection.until("message").await;
    assert_eq!(harness.age(), s(1));
    sleep(s(10)).await;
    let events = connection.until("ready").await;
    assert_eq!(sent(&events), [statuses(1, 3), statuses(1, 3)].concat());
}

/// The same if the client takes each chunk after a short time, because all chunks of a page take long.
#[tokio::test(start_paused = true)]
async fn a_steady_reader_of_a_long_page_does_not_count_as_a_feed_failure() {
    let harness = Harness::new();
    history(&harness, "A", 3).await;
    history(&harness, "B", 60).await;
    // A is read while the client takes the changes of B.
    harness.feed.inject([slow(1)]);
    let mut connection = harness.get(A_AND_B, "").await;
    connection.until("message").await;
    let events = loop {
        let events = support::parse(connection.bytes());
        if events.last().unwrap().event == "ready" {
            break events;
        }
        sleep(Duration::from_millis(300)).await;
        assert!(
            connection.chunk().await.is_some(),
            "ended: {}",
            connection.text()
        );
    };
    assert_eq!(sent(&events), [statuses(1, 60), statuses(1, 3)].concat());
}

#[derive(Clone, Debug)]
struct Conditions {
    orders: usize,
    changes: u64,
    hold: &'static str,
    faults: Vec<Option<Fault>>,
    deadline: Duration,
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let fault = prop_oneof![
        2 => Just(None),
        4 => (0u64..6000).prop_map(|ms| Some(Fault::Slow(Duration::from_millis(ms)))),
        1 => Just(Some(Fault::Throttled)),
        1 => Just(Some(Fault::Hangs)),
    ];
    (
        1usize..=4,
        prop_oneof![Just(0u64), Just(1), Just(150)],
        prop_oneof![Just("auto"), Just("always")],
        prop::collection::vec(fault, 0..30),
        1000u64..60_000,
    )
        .prop_map(|(orders, changes, hold, faults, deadline)| Conditions {
            orders,
            changes,
            hold,
            faults,
            deadline: Duration::from_millis(deadline),
        })
}

async fn check_silence_and_deadline(conditions: Conditions) {
    let harness = with(&[("HEARTBEAT", "1s"), ("HOLD", conditions.hold)]);
    let ids = &["A", "B", "C", "D"][..conditions.orders];
    for id in ids {
        history(&harness, id, conditions.changes).await;
        if conditions.orders == 2 && conditions.changes > 0 {
            harness.change(id, "DELIVERED").await;
        }
    }
    harness.feed.inject(conditions.faults.clone());
    let path = format!("/orders/events?order={}", ids.join("&order="));
    let request = request("GET", &path, &[]);
    let response = harness.respond_within(conditions.deadline, &request);
    let mut connection = Connection::new(response.await);
    let mut last = Instant::now();
    while connection.chunk().await.is_some() {
        assert!(last.elapsed() <= s(1), "{:?}", last.elapsed());
        last = Instant::now();
    }
    assert!(harness.age() < conditions.deadline);
    let end = support::parse(connection.bytes()).pop().unwrap().event;
    assert!(["rest", "end"].contains(&&*end), "{end}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_response_is_late_or_silent_for_longer_than_a_heartbeat(conditions in any_conditions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check_silence_and_deadline(conditions));
    }
}

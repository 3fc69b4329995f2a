//! Whatever has happened is told page by page, with orders side by side, and never in silence.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use order_status_stream::feed::memory::Fault;
use order_status_stream::feed::{Feed, PAGE_ENTRIES};
use order_status_stream::order::Seq;
use proptest::prelude::*;
use support::{Connection, Stage, change_of, order, outline, request};
use tokio::time::{Instant, sleep};

const A: &str = "/orders/A/events";
const A_AND_B: &str = "/orders/events?order=A&order=B";

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn slow(seconds: u64) -> Option<Fault> {
    Some(Fault::Slow(s(seconds)))
}

fn with(settings: &[(&str, &str)]) -> Stage {
    let always = [("FEED_TABLE", "in memory"), ("ACCESS", "open")];
    Stage::with(&[&always, settings].concat())
}

/// Brings an order through so many statuses: S1, S2 …
async fn history(stage: &Stage, id: &str, changes: u64) {
    for n in 1..=changes {
        stage.change(id, &format!("S{n}")).await;
    }
}

/// The statuses from S`from` to S`to`.
fn statuses(from: u64, to: u64) -> Vec<String> {
    (from..=to).map(|n| format!("S{n}")).collect()
}

/// What was told between `hello` and the last event.
fn told(events: &[eventsource_stream::Event]) -> Vec<String> {
    let outline = outline(events);
    outline[1..outline.len() - 1].to_vec()
}

/// Reads until an event came. Returns the longest silence.
async fn silence_until(page: &mut Connection, event: &str) -> Duration {
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        let seen = support::parse(page.bytes());
        if seen.last().is_some_and(|last| last.event == event) {
            return longest;
        }
        assert!(page.chunk().await.is_some(), "ended: {}", page.text());
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_visitor_is_shown_the_latest_page_and_told_that_it_is_not_all() {
    let stage = Stage::new();
    history(&stage, "A", 250).await;
    let events = stage.get(A, "").await.until("ready").await;
    let page = u64::try_from(PAGE_ENTRIES).unwrap();
    assert_eq!(
        told(&events),
        [vec!["reset".to_owned()], statuses(251 - page, 250)].concat()
    );
    assert_eq!(events[1].data, r#"{"orders":["A"],"reason":"trimmed"}"#);
    assert_eq!(events[1].id, "0");
    // If it is cut off after `reset`, it has still seen nothing. With the first change, it goes on from there.
    let again = stage.get(A, &events[1].id).await.until("ready").await;
    assert_eq!(told(&again), told(&events));
    let again = stage.get(A, &events[2].id).await.until("ready").await;
    assert_eq!(told(&again), statuses(252 - page, 250));
}

#[tokio::test(start_paused = true)]
async fn a_history_that_fits_a_page_is_shown_whole() {
    let stage = Stage::new();
    history(&stage, "A", u64::try_from(PAGE_ENTRIES).unwrap()).await;
    let events = stage.get(A, "").await.until("ready").await;
    assert_eq!(told(&events), statuses(1, 100));
}

#[tokio::test(start_paused = true)]
async fn after_an_unreadable_cursor_one_reset_is_enough() {
    let stage = Stage::new();
    history(&stage, "A", 101).await;
    let events = stage.get(A, "rubbish").await.until("ready").await;
    assert_eq!(
        told(&events),
        [vec!["reset".to_owned()], statuses(2, 101)].concat()
    );
    assert!(events[1].data.contains("unknown-cursor"));
}

#[tokio::test(start_paused = true)]
async fn who_resumes_gets_every_change_however_many_there_are() {
    for lagging in [false, true] {
        let stage = Stage::new();
        history(&stage, "A", 520).await;
        if lagging {
            stage.feed.freeze_replica();
            stage.change("A", "S521").await;
        }
        let events = stage.get(A, "1").await.until("ready").await;
        assert_eq!(told(&events), statuses(2, 520), "lagging: {lagging}");
        assert_eq!(stage.age(), Duration::ZERO, "nobody waited");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lags_far_behind_resets_nobody() {
    let stage = Stage::new();
    stage.change("A", "S1").await;
    stage.feed.freeze_replica();
    for n in 2..=250 {
        stage.change("A", &format!("S{n}")).await;
    }
    let events = stage.get(A, "2").await.until("ready").await;
    assert_eq!(told(&events), statuses(3, 250));
}

#[tokio::test(start_paused = true)]
async fn the_next_page_is_read_when_the_last_one_was_taken() {
    let stage = Stage::new();
    history(&stage, "A", 250).await;
    let mut page = stage.get(A, "1").await;
    // `hello`, and all of the first page but its last change.
    for _ in 0..PAGE_ENTRIES - 1 {
        page.chunk().await.unwrap();
    }
    // If the session read the feed now, it would take the fault.
    stage.feed.inject([Some(Fault::Refused)]);
    page.chunk().await.unwrap();
    sleep(s(2)).await;
    assert!(stage.feed.newest(&order("A")).await.is_err());
    stage.feed.inject([Some(Fault::Throttled)]);
    page.until("rest").await;
    let events = support::parse(page.bytes());
    assert_eq!(told(&events), statuses(2, 100));
    let rest = stage.get(A, &events.last().unwrap().id).await;
    let events = { rest }.until("ready").await;
    assert_eq!(told(&events), statuses(101, 250));
}

#[tokio::test(start_paused = true)]
async fn a_terminal_status_in_the_middle_of_a_history_ends_nothing() {
    let stage = Stage::new();
    history(&stage, "A", 99).await;
    // The last entry of the first page.
    stage.change("A", "DELIVERED").await;
    for n in 101..=150 {
        stage.change("A", &format!("S{n}")).await;
    }
    let events = stage.get(A, "1").await.until("ready").await;
    let expected = [
        statuses(2, 99),
        vec!["DELIVERED".to_owned()],
        statuses(101, 150),
    ];
    assert_eq!(told(&events), expected.concat());
    // And one that is terminal at last ends, after every page.
    stage.change("A", "RETURNED").await;
    let events = stage.get(A, "1").await.until("end").await;
    assert_eq!(told(&events).last().unwrap(), "RETURNED");
    assert_eq!(told(&events).len(), 150);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_trimmed_between_two_pages_is_told_so() {
    let stage = Stage::new();
    history(&stage, "A", 250).await;
    let mut page = stage.get(A, "1").await;
    for _ in 0..50 {
        page.chunk().await.unwrap();
    }
    // The second page begins at entry 100.
    for seq in 1..=180 {
        stage.feed.delete(&order("A"), Seq(seq));
    }
    let events = page.until("ready").await;
    let expected = [
        statuses(2, 100),
        vec!["reset".to_owned()],
        statuses(181, 250),
    ];
    assert_eq!(told(&events), expected.concat());
}

/// A page that was away from an order's first change on has missed some of it: 0 is no entry to go on from.
#[tokio::test(start_paused = true)]
async fn an_order_that_begins_with_a_burst_while_it_is_watched_is_caught_up_with() {
    let stage = Stage::new();
    let mut page = stage.get(A, "").await;
    page.until("ready").await;
    history(&stage, "A", 120).await;
    page.until("reset").await;
    let events = page.until("ready").await;
    assert_eq!(outline(&events)[..3], ["hello", "ready", "reset"]);
    assert_eq!(outline(&events)[3..103], statuses(21, 120));
    assert_eq!(page.chunk().await.unwrap(), ":\n");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_told_reset_is_not_told_again_if_the_order_begins_with_a_burst() {
    let stage = Stage::new();
    let mut page = stage.get(A, "3-9f2c").await;
    page.until("ready").await;
    history(&stage, "A", 120).await;
    page.until("message").await;
    while page.chunk().await.unwrap() != ":\n" {}
    let events = support::parse(page.bytes());
    assert_eq!(outline(&events)[..3], ["hello", "reset", "ready"]);
    assert_eq!(outline(&events)[3..], statuses(21, 120));
}

#[tokio::test(start_paused = true)]
async fn the_latest_page_is_one_reading() {
    let stage = Stage::new();
    history(&stage, "A", 120).await;
    stage.feed.inject([None, Some(Fault::Throttled)]);
    let mut page = stage.get(A, "").await;
    let events = page.until("ready").await;
    assert_eq!(outline(&events).len(), 103);
    // A second reading would have taken the fault.
    assert!(stage.feed.newest(&order("A")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn ten_orders_are_read_side_by_side() {
    let stage = with(&[("HEARTBEAT", "1s")]);
    let ids: Vec<_> = ('A'..='J').map(String::from).collect();
    for id in &ids {
        stage.change(id, "PLACED").await;
    }
    stage.feed.inject([slow(4); 10]);
    let path = format!("/orders/events?order={}", ids.join("&order="));
    let mut page = stage.get(&path, "").await;
    let silence = silence_until(&mut page, "ready").await;
    assert_eq!(stage.age(), s(4));
    assert_eq!(silence, s(1));
    assert_eq!(support::parse(page.bytes()).len(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_order_is_told_as_soon_as_it_is_read() {
    let stage = Stage::new();
    for id in ["A", "B"] {
        stage.change(id, "PLACED").await;
    }
    stage.feed.inject([slow(4)]);
    let mut page = stage.get(A_AND_B, "").await;
    let first = page.until("message").await.pop().unwrap();
    assert_eq!(change_of(&first)["orderId"], "B");
    assert_eq!(stage.age(), Duration::ZERO);
    assert!(first.id.starts_with("0.1-"), "{}", first.id);
    let events = page.until("ready").await;
    assert_eq!(change_of(&events[2])["orderId"], "A");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_cannot_be_read_keeps_nothing_of_the_others_back() {
    let stage = Stage::new();
    for id in ["A", "B"] {
        history(&stage, id, 150).await;
    }
    stage
        .feed
        .inject([Some(Fault::Throttled), slow(1), slow(1)]);
    let events = stage.get(A_AND_B, "1.1").await.finish().await;
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
async fn silence_is_broken_while_the_end_is_verified() {
    let stage = with(&[("HEARTBEAT", "1s")]);
    stage.change("A", "DELIVERED").await;
    stage.feed.inject([None, slow(4)]);
    let mut page = stage.get(A, "").await;
    assert_eq!(silence_until(&mut page, "end").await, s(1));
    assert_eq!(stage.age(), s(4));
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_while_dwell_times_are_read() {
    let stage = with(&[
        ("HEARTBEAT", "1s"),
        ("HOLD", "auto"),
        ("POLL_INTERVAL", "980ms"),
    ]);
    // The first visit holds for five seconds. The seventh look ends after 5.88 s, and then dwell times are read.
    let looks = [None; 7];
    let dwells = Some(Fault::Slow(Duration::from_millis(400)));
    stage.feed.inject(looks.into_iter().chain([dwells]));
    let mut page = stage.get(A, "").await;
    assert_eq!(silence_until(&mut page, "rest").await, s(1));
    assert_eq!(stage.age(), Duration::from_millis(6280));
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_is_looked_at_while_another_one_is_held() {
    let stage = Stage::new();
    stage.change("A", "DELIVERED").await;
    stage.change("B", "SHIPPED").await;
    let mut page = stage.get(A_AND_B, "").await;
    page.until("ready").await;
    sleep(s(5)).await;
    stage.change("A", "RETURN_REQUESTED").await;
    let requested = Instant::now();
    let change = page.until("message").await.pop().unwrap();
    assert_eq!(change_of(&change)["status"], "RETURN_REQUESTED");
    assert!(requested.elapsed() <= Duration::from_millis(500));
    // It has to finish again before the response ends.
    stage.change("B", "DELIVERED").await;
    page.until("message").await;
    stage.change("A", "RETURNED").await;
    let end = page.finish().await.pop().unwrap();
    assert_eq!(end.data, r#"{"orders":{"A":"RETURNED","B":"DELIVERED"}}"#);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_read_slowly_keeps_no_change_of_another_one_back() {
    let stage = Stage::new();
    for id in ["A", "B"] {
        stage.change(id, "PLACED").await;
    }
    let mut page = stage.get(A_AND_B, "").await;
    page.until("ready").await;
    assert_eq!(page.chunk().await.unwrap(), ":\n");
    stage.feed.inject([slow(4)]);
    let read = async {
        page.until("message").await;
        stage.age()
    };
    let write = async {
        sleep(s(1)).await;
        stage.change("B", "PAID").await;
        stage.age()
    };
    let (told, written) = tokio::join!(read, write);
    assert!(
        told - written <= Duration::from_millis(500),
        "{:?}",
        told - written
    );
    let events = page.finish().await;
    assert_eq!(outline(&events).last().unwrap(), "rest");
}

/// Looks that overlap must not put off the end of a round, and with it the end of the response.
#[tokio::test(start_paused = true)]
async fn a_feed_that_takes_longer_than_a_poll_interval_is_read_to_an_end() {
    let stage = with(&[("POLL_INTERVAL", "20ms")]);
    for id in ["A", "B"] {
        stage.change(id, "PLACED").await;
    }
    let mut page = stage.get(A_AND_B, "").await;
    page.until("ready").await;
    for id in ["A", "B"] {
        stage.change(id, "DELIVERED").await;
    }
    let times = [30, 45].map(|millis| Some(Fault::Slow(Duration::from_millis(millis))));
    stage.feed.inject(times.into_iter().cycle().take(1000));
    page.until("end").await;
    assert!(stage.age() < s(1), "{:?}", stage.age());
}

/// While a client takes its time, nothing is polled: a reading that was under way then runs out of time.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_no_failure_of_the_feed() {
    let stage = Stage::new();
    history(&stage, "A", 3).await;
    history(&stage, "B", 3).await;
    stage.feed.inject([slow(1), slow(4)]);
    let mut page = stage.get(A_AND_B, "").await;
    page.until("message").await;
    assert_eq!(stage.age(), s(1));
    sleep(s(10)).await;
    let events = page.until("ready").await;
    assert_eq!(told(&events), [statuses(1, 3), statuses(1, 3)].concat());
}

/// The same if the client takes each chunk after a short time: together the chunks of a page take long.
#[tokio::test(start_paused = true)]
async fn a_steady_reader_of_a_long_page_is_no_failure_of_the_feed() {
    let stage = Stage::new();
    history(&stage, "A", 3).await;
    history(&stage, "B", 60).await;
    // A is being read while the client takes what B has.
    stage.feed.inject([slow(1)]);
    let mut page = stage.get(A_AND_B, "").await;
    page.until("message").await;
    let events = loop {
        let events = support::parse(page.bytes());
        if events.last().unwrap().event == "ready" {
            break events;
        }
        sleep(Duration::from_millis(300)).await;
        assert!(page.chunk().await.is_some(), "ended: {}", page.text());
    };
    assert_eq!(told(&events), [statuses(1, 60), statuses(1, 3)].concat());
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

async fn never_silent(conditions: Conditions) {
    let stage = with(&[("HEARTBEAT", "1s"), ("HOLD", conditions.hold)]);
    let ids = &["A", "B", "C", "D"][..conditions.orders];
    for id in ids {
        history(&stage, id, conditions.changes).await;
        if conditions.orders == 2 && conditions.changes > 0 {
            stage.change(id, "DELIVERED").await;
        }
    }
    stage.feed.inject(conditions.faults.clone());
    let path = format!("/orders/events?order={}", ids.join("&order="));
    let request = request("GET", &path, &[]);
    let response = stage.respond_within(conditions.deadline, &request);
    let mut page = Connection::new(response.await);
    let mut last = Instant::now();
    while page.chunk().await.is_some() {
        assert!(last.elapsed() <= s(1), "{:?}", last.elapsed());
        last = Instant::now();
    }
    assert!(stage.age() < conditions.deadline);
    let end = support::parse(page.bytes()).pop().unwrap().event;
    assert!(["rest", "end"].contains(&&*end), "{end}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_response_is_silent_for_longer_than_a_heartbeat_nor_late(conditions in any_conditions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(never_silent(conditions));
    }
}

//! What remains of a finished order, and of an order whose id is used again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;
mod support;

use std::time::Duration;

use order_status_stream::clock::Clock;
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::feed::{Consistency, Discontinuity, Entry, Feed, Reading, TOMBSTONE};
use order_status_stream::order::{OrderId, Seq};
use proptest::prelude::*;
use records::{
    START, insert, log, modify, project, project_at, projector, record, remove, statuses, with,
};
use serde_json::{Value, json};

const DAY: u64 = 86_400;
const NONE: [String; 0] = [];

fn order() -> OrderId {
    OrderId::try_from("A").unwrap()
}

fn clock(seconds: u64) -> Clock {
    Clock::starting_at(Duration::from_secs(START + seconds))
}

/// What a client sees of the order. Reads until the injected faults are used up.
async fn reading(feed: &MemoryFeed, seconds: u64) -> Reading {
    loop {
        if let Ok(page) = feed.latest(&order(), Consistency::Strong).await {
            return Reading::latest(page.entries, &clock(seconds));
        }
    }
}

fn outline(entries: &[Entry]) -> Vec<(u64, &str)> {
    let entries = entries.iter();
    entries
        .map(|entry| (entry.seq.0, entry.status.as_str()))
        .collect()
}

/// The table's TTL deletes what has expired.
fn delete_expired(feed: &MemoryFeed, seconds: u64) {
    for entry in feed.entries() {
        if entry.is_expired(&clock(seconds)) {
            feed.delete(&entry.order, entry.seq);
        }
    }
}

async fn delivered() -> MemoryFeed {
    let feed = MemoryFeed::default();
    let eta = json!({ "S": "18:20" });
    let records = [
        with(insert("Orders", "A", 1, "PLACED"), "eta", eta.clone()),
        with(record("Orders", "A", 2, "DELIVERED"), "eta", eta),
    ];
    assert_eq!(project_at(&projector(&feed, &[]), &records, 5).await, NONE);
    feed
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_of_a_short_history_lasts_as_long_as_others() {
    let feed = MemoryFeed::default();
    let records = [
        insert("Orders", "A", 1, "DELIVERED"),
        record("Orders", "B", 2, "PAID"),
        record("Copy", "B", 3, "DELIVERED"),
    ];
    assert_eq!(project_at(&projector(&feed, &[]), &records, 5).await, NONE);
    let expiry = START + 5 + 430 * DAY;
    for tombstone in feed.tombstones() {
        assert_eq!(tombstone.expires_at, Some(expiry), "{}", tombstone.order);
    }
    assert_eq!(feed.tombstones().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_record_costs_one_read() {
    let feed = MemoryFeed::default();
    let records = [1, 2, 3].map(|n| record("Orders", "A", n, &format!("STATUS {n}")));
    let projector = projector(&feed, &[]);
    assert_eq!(project(&projector, &records).await, NONE);
    // A second call would fail.
    feed.inject([None, Some(Fault::Throttled)]);
    assert_eq!(project(&projector, &records[1..2]).await, NONE);
}

/// This entry says which records were already read.
#[tokio::test(start_paused = true)]
async fn the_newest_entry_of_a_life_remains_until_the_next_life_has_one() {
    let feed = MemoryFeed::default();
    let former = [
        insert("Orders", "A", 1, "PLACED"),
        record("Orders", "A", 2, "PAID"),
    ];
    let projector = projector(&feed, &[]);
    assert_eq!(project_at(&projector, &former, 5).await, NONE);
    // The four calls: `newest`, `read`, `expire` of the first entry, `put`.
    feed.inject([None, None, None, Some(Fault::AnswerLost)]);
    let next = insert("Orders", "A", 10, "PLACED");
    assert_eq!(project_at(&projector, &[next], 15).await.len(), 1);
    let expiries: Vec<_> = log(&feed, "A")
        .iter()
        .map(|entry| entry.expires_at)
        .collect();
    assert_eq!(expiries, [Some(START + 15), None, None]);
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_is_known_after_its_history_has_expired() {
    let feed = delivered().await;
    let seen = log(&feed, "A")[1].mark();
    assert_eq!(
        outline(reading(&feed, 10).await.entries()),
        [(1, "PLACED"), (2, "DELIVERED")]
    );
    let later = 31 * DAY;
    for deleted in [false, true] {
        if deleted {
            delete_expired(&feed, later);
            assert_eq!(feed.entries(), []);
        }
        let reading = reading(&feed, later).await;
        assert_eq!(outline(reading.entries()), [(2, "DELIVERED")]);
        let newest = reading.newest().unwrap();
        assert!(newest.terminal && newest.view.is_empty() && newest.tombstone);
        // A client that saw it gets no reset.
        assert_eq!(reading.after(&seen), Ok(&[][..]));
        assert!(!reading.is_whole());
    }
    assert_eq!(
        reading(&feed, later + TOMBSTONE.as_secs()).await.entries(),
        []
    );
}

/// The order is delivered, and 31 days pass.
async fn a_month_later(harness: &support::Harness, deleted: bool) {
    harness.change("A", "PLACED").await;
    harness.change("A", "DELIVERED").await;
    tokio::time::advance(Duration::from_secs(31 * DAY)).await;
    if deleted {
        harness.feed.delete(order(), Seq(1));
        harness.feed.delete(order(), Seq(2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_missed_the_end_gets_it_after_the_history_has_expired() {
    for deleted in [false, true] {
        let harness = support::Harness::new();
        a_month_later(&harness, deleted).await;
        let sent = harness.get("/orders/A/events", "").await.finish().await;
        assert_eq!(
            support::outline(&sent),
            ["hello", "reset", "DELIVERED", "end"]
        );
        assert_eq!(support::change_of(&sent[2])["attributes"], json!({}));
        let cursor = &sent[2].id;
        let sent = harness.get("/orders/A/events", cursor).await.finish().await;
        assert_eq!(support::outline(&sent), ["hello", "end"]);
        let ended = support::request("GET", "/orders/A/events", &[("last-event-id", &sent[1].id)]);
        assert_eq!(harness.respond(&ended).await.status(), 204);
        let json = support::request("GET", "/orders/A/events", &[("accept", "application/json")]);
        let mut snapshot = support::Connection::new(harness.respond(&json).await);
        snapshot.chunk().await;
        assert!(snapshot.text().contains(r#""status":"DELIVERED""#));
    }
}

/// A deployment shortens RETENTION, so the last entries expire before earlier ones.
#[tokio::test(start_paused = true)]
async fn a_client_that_resumes_gets_the_end_if_only_earlier_entries_remain() {
    for deleted in [&[][..], &[3], &[2, 3]] {
        let harness = support::Harness::new();
        let records = [
            insert("Orders", "A", 1, "PLACED"),
            record("Orders", "A", 2, "PAID"),
            record("Orders", "A", 3, "DELIVERED"),
        ];
        project_at(&projector(&harness.feed, &[]), &records[..2], 0).await;
        let shorter = [("RETENTION", "2d")];
        project_at(&projector(&harness.feed, &shorter), &records[2..], 0).await;
        tokio::time::advance(Duration::from_secs(3 * DAY)).await;
        let cursor = log(&harness.feed, "A")[0].mark().to_string();
        for seq in deleted {
            harness.feed.delete(order(), Seq(*seq));
        }
        let mut resumed = harness.get("/orders/A/events", &cursor).await;
        assert_eq!(
            support::outline(&resumed.until("end").await),
            ["hello", "reset", "DELIVERED", "end"],
            "{deleted:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_life_shows_nothing_of_the_one_before() {
    let harness = support::Harness::new();
    let before = [
        with(
            insert("Orders", "A", 1, "PLACED"),
            "carrier",
            json!({ "S": "secret" }),
        ),
        with(
            record("Orders", "A", 2, "PAID"),
            "carrier",
            json!({ "S": "secret" }),
        ),
        remove("Orders", "A", 3),
    ];
    project_at(&projector(&harness.feed, &[]), &before, 0).await;
    let cursors: Vec<_> = log(&harness.feed, "A")
        .iter()
        .map(|entry| entry.mark().to_string())
        .collect();
    let again = [
        insert("Orders", "A", 4, "PLACED"),
        record("Orders", "A", 5, "DELIVERED"),
    ];
    project_at(&projector(&harness.feed, &[]), &again, 0).await;
    let sent = harness.get("/orders/A/events", "").await.finish().await;
    assert_eq!(
        support::outline(&sent),
        ["hello", "PLACED", "DELIVERED", "end"]
    );
    for cursor in &cursors {
        let mut resumed = harness.get("/orders/A/events", cursor).await;
        let sent = resumed.until("end").await;
        assert_eq!(
            support::outline(&sent),
            ["hello", "reset", "PLACED", "DELIVERED", "end"]
        );
        assert!(!resumed.text().contains("secret"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_order_continues_where_it_ended() {
    let feed = delivered().await;
    delete_expired(&feed, 31 * DAY);
    let projector = projector(&feed, &[]);
    let late = [
        record("Orders", "A", 2, "DELIVERED"),
        record("Orders", "A", 1, "PLACED"),
    ];
    assert_eq!(project_at(&projector, &late, 31 * DAY).await, NONE);
    assert_eq!(feed.entries(), [], "the repeated records are recognised");
    let returned = [record("Orders", "A", 3, "DISPUTED")];
    project_at(&projector, &returned, 31 * DAY).await;
    let entries = feed.entries();
    assert_eq!(outline(&entries), [(3, "DISPUTED")]);
    assert_eq!(entries[0].previous.as_ref().unwrap().as_str(), "DELIVERED");
    assert_eq!(
        outline(reading(&feed, 31 * DAY).await.entries()),
        [(3, "DISPUTED")]
    );
    project_at(
        &projector,
        &[record("Orders", "A", 4, "REFUNDED")],
        31 * DAY,
    )
    .await;
    assert_eq!(feed.tombstones()[0].seq, Seq(4));
}

#[tokio::test(start_paused = true)]
async fn the_ttl_may_delete_in_any_order() {
    for left in [1, 2] {
        let feed = MemoryFeed::default();
        let records = [
            insert("Orders", "A", 1, "PLACED"),
            record("Orders", "A", 2, "DELIVERED"),
            record("Orders", "A", 3, "DISPUTED"),
            record("Orders", "A", 4, "REFUNDED"),
        ];
        project_at(&projector(&feed, &[]), &records, 5).await;
        let seen = feed.entries()[left - 1].mark();
        for seq in (1..=4).map(Seq).filter(|seq| seq.0 != left as u64) {
            feed.delete(order(), seq);
        }
        // The remaining entry was once the newest, and even terminal. It does not show how the order ended.
        let later = 31 * DAY;
        let page = feed.read(&order(), seen.seq, Consistency::Strong).await;
        let read = Reading::new(page.unwrap().entries, &clock(later));
        assert_eq!(read.newest(), None, "{left}");
        let latest = reading(&feed, later).await;
        assert_eq!(outline(latest.entries()), [(4, "REFUNDED")]);
        assert_eq!(latest.after(&seen), Err(Discontinuity::Trimmed));
        let replaced = [record("Orders", "A", 5, "REPLACED")];
        project_at(&projector(&feed, &[]), &replaced, later).await;
        let log = feed.entries();
        assert_eq!(outline(&log[1..]), [(5, "REPLACED")]);
        assert_eq!(log[1].previous.as_ref().unwrap().as_str(), "REFUNDED");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_with_many_expired_entries_is_finished() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[]);
    let records: Vec<_> = (1..=150)
        .map(|n| record("Orders", "A", n, &format!("S{n}")))
        .collect();
    project_at(&projector, &records, 200).await;
    project_at(&projector, &[record("Orders", "A", 151, "DELIVERED")], 200).await;
    // The tombstone is not on the latest page, and the TTL deletes in any order.
    for deleted in [None, Some(Seq(151))] {
        if let Some(seq) = deleted {
            feed.delete(order(), seq);
        }
        assert_eq!(
            outline(reading(&feed, 31 * DAY).await.entries()),
            [(151, "DELIVERED")],
            "{deleted:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_projector_that_died_before_the_tombstone_writes_it_later() {
    // The four calls: read the newest entry, put the entry, write the tombstone, set the expiry of the superseded entry.
    for calls in 1..=4 {
        for fault in [Fault::Throttled, Fault::AnswerLost] {
            let feed = MemoryFeed::default();
            let records = [
                insert("Orders", "A", 1, "PLACED"),
                record("Orders", "A", 2, "DELIVERED"),
            ];
            project(&projector(&feed, &[]), &records[..1]).await;
            let mut faults = vec![None; calls];
            faults[calls - 1] = Some(fault);
            feed.inject(faults);
            let failed = project(&projector(&feed, &[]), &records[1..]).await;
            assert_eq!(failed.len(), 1, "{calls} {fault:?}");
            assert_eq!(project(&projector(&feed, &[]), &records).await, NONE);
            assert_eq!(statuses(&feed, "A"), ["PLACED", "DELIVERED"]);
            let tombstones = feed.tombstones();
            assert_eq!(
                outline(&tombstones),
                [(2, "DELIVERED")],
                "{calls} {fault:?}"
            );
            assert!(
                feed.entries()
                    .iter()
                    .all(|entry| entry.expires_at.is_some())
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_used_again_begins_a_new_history() {
    let secret = json!({ "S": "the customer before" });
    let first_life = [
        with(
            insert("Orders", "A", 1, "PLACED"),
            "carrier",
            secret.clone(),
        ),
        with(record("Orders", "A", 2, "PAID"), "carrier", secret),
    ];
    // The order was deleted. Or it was deleted without a record. Or it was deleted and inserted into another table.
    let cases: [(&[Value], Value); 3] = [
        (
            &[remove("Orders", "A", 3)],
            insert("Orders", "A", 4, "PLACED"),
        ),
        (&[], insert("Orders", "A", 4, "PLACED")),
        (
            &[remove("Orders", "A", 3)],
            insert("Other", "A", 4, "PLACED"),
        ),
    ];
    for (end, again) in cases {
        let feed = MemoryFeed::default();
        let projector = projector(&feed, &[]);
        project(&projector, &first_life).await;
        project(&projector, end).await;
        let marks: Vec<_> = log(&feed, "A").iter().map(Entry::mark).collect();
        let next = marks.len() as u64 + 1;
        let again = [again];
        for _ in 0..2 {
            assert_eq!(project(&projector, &again).await, NONE);
            let entries = log(&feed, "A");
            assert_eq!(entries.len() as u64, next, "numbers continue");
            let newest = entries.last().unwrap();
            assert!(newest.begins && newest.previous.is_none());
            let reading = reading(&feed, 10_001).await;
            assert_eq!(outline(reading.entries()), [(next, "PLACED")]);
            assert!(reading.is_whole());
            for mark in &marks {
                assert_eq!(reading.after(mark), Err(Discontinuity::Trimmed));
            }
            // A page that ends before the new life does not show the old one either.
            let old = entries[..entries.len() - 1].to_vec();
            assert!(
                old.iter().all(|entry| entry.is_expired(&clock(10_001))),
                "{old:?}"
            );
        }
        project(
            &projector,
            &[
                record("Orders", "A", 5, "PAID"),
                record("Other", "A", 5, "PAID"),
            ],
        )
        .await;
        let reading = reading(&feed, 10_001).await;
        assert_eq!(
            outline(reading.entries()),
            [(next, "PLACED"), (next + 1, "PAID")]
        );
    }
}

/// The shop writes the item first and its status later. So the INSERT record cannot be read.
#[tokio::test(start_paused = true)]
async fn an_id_used_again_without_a_status_begins_a_new_history() {
    let feed = MemoryFeed::default();
    let secret = json!({ "S": "the customer before" });
    let mut draft = insert("Orders", "A", 3, "PLACED");
    draft["dynamodb"]["NewImage"] = json!({ "orderId": { "S": "A" } });
    let records = [
        with(insert("Orders", "A", 1, "PLACED"), "carrier", secret),
        remove("Orders", "A", 2),
        draft,
        record("Orders", "A", 4, "PLACED"),
    ];
    for _ in 0..2 {
        assert_eq!(project(&projector(&feed, &[]), &records).await, NONE);
        let reading = reading(&feed, 10_001).await;
        assert_eq!(outline(reading.entries()), [(3, "PLACED")]);
        assert_eq!(reading.newest().unwrap().previous, None);
    }
    let old = log(&feed, "A");
    assert!(
        old[..2]
            .iter()
            .all(|entry| entry.is_expired(&clock(10_001)))
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_life_survives_a_kill_at_each_call() {
    let before = [
        insert("Orders", "A", 1, "PLACED"),
        record("Orders", "A", 2, "PAID"),
        remove("Orders", "A", 3),
    ];
    let again = [insert("Orders", "A", 4, "PLACED")];
    // The six calls: read the newest entry, read the log, expire two entries, put the new one, expire the one before it.
    for calls in 1..=6 {
        for fault in [Fault::Throttled, Fault::AnswerLost] {
            let feed = MemoryFeed::default();
            project(&projector(&feed, &[]), &before).await;
            let mut faults = vec![None; calls];
            faults[calls - 1] = Some(fault);
            feed.inject(faults);
            assert_eq!(project(&projector(&feed, &[]), &again).await.len(), 1);
            // As soon as the new life has an entry, nothing else is shown.
            let shown = reading(&feed, 10_001).await;
            match log(&feed, "A").len() {
                3 => assert_eq!(shown.newest().unwrap().status.as_str(), "REMOVED"),
                _ => assert_eq!(
                    outline(shown.entries()),
                    [(4, "PLACED")],
                    "{calls} {fault:?}"
                ),
            }
            assert_eq!(project(&projector(&feed, &[]), &again).await, NONE);
            let entries = log(&feed, "A");
            let expired = entries
                .iter()
                .filter(|entry| entry.is_expired(&clock(10_001)));
            assert_eq!(
                (entries.len(), expired.count()),
                (4, 3),
                "{calls} {fault:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_life_is_an_entry_even_if_nothing_differs() {
    let feed = MemoryFeed::default();
    let records = [
        insert("Orders", "A", 1, "PLACED"),
        insert("Orders", "A", 2, "PLACED"),
    ];
    project(&projector(&feed, &[]), &records).await;
    assert_eq!(
        outline(reading(&feed, 10_001).await.entries()),
        [(2, "PLACED")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_copied_table_does_not_begin_a_new_history() {
    let feed = MemoryFeed::default();
    let records = [
        insert("Orders", "A", 1, "PLACED"),
        record("Orders", "A", 2, "PAID"),
    ];
    project(&projector(&feed, &[]), &records).await;
    let copies = [
        insert("Copy", "A", 3, "PAID"),
        record("Copy", "A", 4, "SHIPPED"),
    ];
    project(&projector(&feed, &[]), &copies).await;
    let reading = reading(&feed, 10_001).await;
    assert_eq!(
        outline(reading.entries()),
        [(1, "PLACED"), (2, "PAID"), (3, "SHIPPED")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_named_removed_is_not_a_deletion() {
    let feed = MemoryFeed::default();
    let records = [
        insert("Orders", "A", 1, "PLACED"),
        record("Orders", "A", 2, "REMOVED"),
    ];
    project(&projector(&feed, &[]), &records).await;
    project(&projector(&feed, &[]), &[insert("Copy", "A", 3, "PAID")]).await;
    assert_eq!(outline(reading(&feed, 10_001).await.entries()).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_life_continues_the_numbers_of_an_expired_history() {
    let feed = delivered().await;
    delete_expired(&feed, 31 * DAY);
    let again = [insert("Orders", "A", 9, "PLACED")];
    project_at(&projector(&feed, &[]), &again, 31 * DAY).await;
    let reading = reading(&feed, 31 * DAY + 1).await;
    assert_eq!(outline(reading.entries()), [(3, "PLACED")]);
    assert_eq!(reading.newest().unwrap().previous, None);
    assert!(reading.is_whole());
}

#[tokio::test(start_paused = true)]
async fn touching_an_order_applies_changed_terminal_statuses() {
    let feed = MemoryFeed::default();
    let records = [
        insert("Orders", "A", 1, "PLACED"),
        record("Orders", "A", 2, "COLLECTED"),
    ];
    project(&projector(&feed, &[]), &records).await;
    assert!(!log(&feed, "A")[1].terminal);
    let changed = [("TERMINAL_STATUSES", "COLLECTED")];
    let touch = [with(
        modify("Orders", "A", 3, "COLLECTED", "COLLECTED"),
        "note",
        json!({ "S": "touched" }),
    )];
    for _ in 0..2 {
        assert_eq!(
            project_at(&projector(&feed, &changed), &touch, 50).await,
            NONE
        );
        assert_eq!(
            statuses(&feed, "A"),
            ["PLACED", "COLLECTED"],
            "no entry without a difference"
        );
        let newest = log(&feed, "A").remove(1);
        assert!(newest.terminal);
        assert_eq!(newest.expires_at, Some(START + 50 + 30 * DAY));
        assert_eq!(outline(&feed.tombstones()), [(2, "COLLECTED")]);
    }
    // The old setting again.
    let touch = [modify("Orders", "A", 4, "COLLECTED", "COLLECTED")];
    project(&projector(&feed, &[]), &touch).await;
    let newest = log(&feed, "A").remove(1);
    assert!(!newest.terminal && newest.expires_at.is_none());
    let reading = reading(&feed, 31 * DAY).await;
    assert!(!reading.newest().unwrap().terminal);
}

/// A replay of the stream has the same effect as a touch.
#[tokio::test(start_paused = true)]
async fn a_repeated_record_applies_changed_terminal_statuses() {
    let feed = MemoryFeed::default();
    let records = [
        insert("Orders", "A", 1, "PLACED"),
        record("Orders", "A", 2, "COLLECTED"),
    ];
    project(&projector(&feed, &[]), &records).await;
    let changed = [("TERMINAL_STATUSES", "COLLECTED")];
    project(&projector(&feed, &changed), &records).await;
    assert_eq!(statuses(&feed, "A"), ["PLACED", "COLLECTED"]);
    assert!(log(&feed, "A")[1].terminal);
    assert_eq!(outline(&feed.tombstones()), [(2, "COLLECTED")]);
}

#[tokio::test(start_paused = true)]
async fn the_repair_of_a_terminal_status_survives_a_kill_at_each_call() {
    let changed = [("TERMINAL_STATUSES", "COLLECTED")];
    for calls in 1..=4 {
        for fault in [Fault::Throttled, Fault::AnswerLost] {
            let feed = MemoryFeed::default();
            let records = [
                insert("Orders", "A", 1, "PLACED"),
                record("Orders", "A", 2, "COLLECTED"),
            ];
            project(&projector(&feed, &[]), &records).await;
            let touch = [modify("Orders", "A", 3, "COLLECTED", "COLLECTED")];
            let mut faults = vec![None; calls];
            faults[calls - 1] = Some(fault);
            feed.inject(faults);
            while !project(&projector(&feed, &changed), &touch)
                .await
                .is_empty()
            {}
            assert!(log(&feed, "A")[1].terminal, "{calls} {fault:?}");
            assert_eq!(feed.tombstones().len(), 1, "{calls} {fault:?}");
        }
    }
}

fn any_fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![4 => Just(None), 1 => Just(Some(Fault::Throttled)), 1 => Just(Some(Fault::AnswerLost))]
}

/// The writes to an item: it is changed, deleted, or inserted again after a deletion without a record.
fn any_history() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec((0usize..4, 0usize..3), 1..10).prop_map(|steps| {
        let mut exists = false;
        (1..)
            .zip(steps)
            .map(|(n, (step, status))| {
                let status = ["PLACED", "PAID", "DELIVERED"][status];
                let is_removal = step == 0 && exists;
                let is_insert = !exists || step == 1;
                exists = !is_removal;
                match (is_removal, is_insert) {
                    (true, _) => remove("Orders", "A", n),
                    (_, true) => insert("Orders", "A", n, status),
                    _ => record("Orders", "A", n, status),
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Two projectors run side by side, are killed at any call, and get the records again. The log, what clients see of it,
    /// and the tombstone equal those of one clean delivery.
    #[test]
    fn any_delivery_of_several_lives_equals_one_clean_delivery(
        history in any_history(),
        faults in prop::collection::vec(any_fault(), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (feed, clean) = (MemoryFeed::default(), MemoryFeed::default());
            project(&projector(&clean, &[]), &history).await;
            feed.inject(faults);
            let deliver = async || {
                while !project(&projector(&feed, &[]), &history).await.is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::join!(deliver(), deliver());
            assert_eq!(feed.entries(), clean.entries());
            assert_eq!(feed.tombstones(), clean.tombstones());
            assert_eq!(reading(&feed, 10_001).await, reading(&clean, 10_001).await);
        });
    }
}

//! The feed's contract, on every implementation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use local::dynamo::{Dynamo, create_tables};
use order_status_stream::change::{Change, Position, SourceRecord, Write};
use order_status_stream::clock::Clock;
use order_status_stream::dwell::{Dwells, weight};
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::feed::{
    Consistency, Entry, Feed, FeedError, Put, Reading, Step, TOMBSTONE, append, read_all,
};
use order_status_stream::order::{OrderId, Seq, Status};
use serde_json::json;

const RETENTION: Duration = Duration::from_secs(1000);
/// 2026-11-22T17:40:00Z
const NOW: Duration = Duration::from_secs(1_795_369_200);

fn order(id: &str) -> OrderId {
    OrderId::try_from(id).unwrap()
}

fn change(id: &str, sequence_number: u64, status: &str) -> Change {
    Change {
        order: order(id),
        position: Position::new("2026-11-22T00:00:00.000", &sequence_number.to_string()).unwrap(),
        status: Status::new(status).unwrap(),
        view: BTreeMap::from([
            ("eta".to_owned(), json!("18:20")),
            (
                "parcel".to_owned(),
                json!({ "weight": 1.5, "items": [1, 2, null, true], "tiny": 1e-30, "none": {} }),
            ),
        ]),
        at: Some("2026-11-22T17:40:00.123Z".to_owned()),
        recorded_at: None,
        write: Write::Modify,
        customer: None,
        began: true,
        terminal: status == "DELIVERED",
    }
}

/// The entry that an append of the change would write.
fn entry_after(newest: Option<&Entry>, change: &Change) -> Entry {
    match Entry::after(newest, change, &Clock::starting_at(NOW), RETENTION) {
        Step::Append(entry) => *entry,
        other => panic!("{other:?}"),
    }
}

async fn append_all(feed: &impl Feed, changes: &[Change]) {
    for change in changes {
        append(feed, change, &Clock::starting_at(NOW), RETENTION)
            .await
            .unwrap();
    }
}

async fn read(feed: &impl Feed, id: &str, from: u64) -> Vec<(u64, String)> {
    let entries = read_all(feed, &order(id), Seq(from), Consistency::Strong)
        .await
        .unwrap();
    entries
        .into_iter()
        .map(|entry| (entry.seq.0, entry.status.as_str().to_owned()))
        .collect()
}

fn log(statuses: &[&str]) -> Vec<(u64, String)> {
    (1..)
        .zip(statuses.iter().map(|status| (*status).to_owned()))
        .collect()
}

/// Runs each test on each implementation.
macro_rules! suite {
    ($($test:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test(super::MemoryFeed::default()).await })*
        }
        mod dynamodb {
            $(#[tokio::test] async fn $test() { super::on_dynamodb(super::$test).await })*
        }
    };
}

mod customers;
mod interleaving;

async fn on_dynamodb<T: Future>(test: impl FnOnce(DynamoDbFeed) -> T) {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    let client = dynamo.client();
    create_tables(&client).await.unwrap();
    test(DynamoDbFeed::new(client, "OrderFeed")).await;
}

suite! {
    an_unknown_order_has_no_entries
    an_entry_is_read_as_it_was_written
    entries_are_numbered_from_one_without_a_gap
    orders_do_not_mix
    a_read_begins_at_the_given_number
    a_number_is_taken_once
    a_repeated_change_is_skipped
    a_record_without_a_visible_difference_is_no_change
    a_new_stream_continues_the_log_of_the_old_one
    an_entry_expires_after_it_is_superseded_or_terminal
    an_expiry_never_moves_to_a_later_time
    an_entry_is_amended_only_if_it_is_as_it_was_read
    a_tombstone_comes_before_the_log_and_can_replace_it
    a_tombstone_replaces_an_entry_that_was_deleted_early
    each_settings_value_is_confirmed_separately
    missing_writes_of_a_projector_that_died_are_made_later
    any_record_is_a_change_after_expiry
    concurrent_appenders_make_one_clean_log
    a_log_of_several_pages_is_read_completely
    the_latest_page_ends_with_the_newest_entry
    a_tombstone_comes_before_an_incomplete_latest_page
    an_entry_that_is_too_large_is_refused
    dwell_times_are_kept_for_each_status_and_add_up
    dwell_times_are_learned_for_decades
    dwell_times_can_be_learned_concurrently
}

async fn an_unknown_order_has_no_entries(feed: impl Feed) {
    assert_eq!(feed.newest(&order("A")).await.unwrap(), None);
    assert_eq!(read(&feed, "A", 0).await, []);
}

async fn an_entry_is_read_as_it_was_written(feed: impl Feed) {
    let first = append(
        &feed,
        &change("Ünï / 🚚", 7, "PAID"),
        &Clock::starting_at(NOW),
        RETENTION,
    )
    .await
    .unwrap()
    .unwrap()
    .entry;
    assert_eq!(
        feed.newest(&order("Ünï / 🚚")).await.unwrap().as_ref(),
        Some(&first)
    );
    assert_eq!(
        read_all(&feed, &order("Ünï / 🚚"), Seq(1), Consistency::Eventual)
            .await
            .unwrap(),
        [first]
    );
}

async fn entries_are_numbered_from_one_without_a_gap(feed: impl Feed) {
    append_all(
        &feed,
        &[
            change("A", 1, "PLACED"),
            change("A", 2, "PAID"),
            change("A", 3, "SHIPPED"),
        ],
    )
    .await;
    assert_eq!(
        read(&feed, "A", 0).await,
        log(&["PLACED", "PAID", "SHIPPED"])
    );
    let newest = feed.newest(&order("A")).await.unwrap().unwrap();
    assert_eq!(newest.previous, Status::new("PAID"));
}

async fn orders_do_not_mix(feed: impl Feed) {
    append_all(
        &feed,
        &[
            change("A", 1, "PLACED"),
            change("AB", 2, "PLACED"),
            change("A", 3, "PAID"),
        ],
    )
    .await;
    assert_eq!(read(&feed, "A", 0).await, log(&["PLACED", "PAID"]));
    assert_eq!(read(&feed, "AB", 0).await, log(&["PLACED"]));
}

async fn a_read_begins_at_the_given_number(feed: impl Feed) {
    let statuses: Vec<_> = (1..=12).map(|n| format!("S{n}")).collect();
    for (n, status) in (1..).zip(&statuses) {
        append_all(&feed, &[change("A", n, status)]).await;
    }
    // Sorted as numbers, not as text.
    assert_eq!(
        read(&feed, "A", 9)
            .await
            .into_iter()
            .map(|(seq, _)| seq)
            .collect::<Vec<_>>(),
        [9, 10, 11, 12]
    );
    assert_eq!(read(&feed, "A", 13).await, []);
}

async fn a_number_is_taken_once(feed: impl Feed) {
    let entry = entry_after(None, &change("A", 1, "PLACED"));
    let other = entry_after(None, &change("A", 2, "STOLEN"));
    assert_eq!(feed.put(&entry).await.unwrap(), Put::Done);
    assert_eq!(feed.put(&other).await.unwrap(), Put::Taken);
    assert_eq!(read(&feed, "A", 0).await, log(&["PLACED"]));
}

async fn a_repeated_change_is_skipped(feed: impl Feed) {
    let once = [
        change("A", 1, "PLACED"),
        change("A", 2, "PAID"),
        change("A", 3, "PLACED"),
    ];
    append_all(&feed, &once).await;
    append_all(&feed, &once).await;
    append_all(&feed, &once[1..]).await;
    assert_eq!(
        read(&feed, "A", 0).await,
        log(&["PLACED", "PAID", "PLACED"])
    );
}

async fn a_record_without_a_visible_difference_is_no_change(feed: impl Feed) {
    let mut later = change("A", 2, "PLACED");
    later.at = Some("2026-11-22T18:00:00.000Z".to_owned());
    append_all(&feed, &[change("A", 1, "PLACED"), later]).await;
    let mut other_view = change("A", 3, "PLACED");
    other_view.view.insert("eta".to_owned(), json!("19:00"));
    append_all(&feed, &[other_view]).await;
    assert_eq!(read(&feed, "A", 0).await, log(&["PLACED", "PLACED"]));
}

async fn a_new_stream_continues_the_log_of_the_old_one(feed: impl Feed) {
    let mut on_a_new_stream = change("A", 1, "SHIPPED");
    on_a_new_stream.position = Position::new("2026-11-23T00:00:00.000", "1").unwrap();
    append_all(
        &feed,
        &[
            change("A", 900, "PAID"),
            on_a_new_stream,
            change("A", 901, "LATE"),
        ],
    )
    .await;
    assert_eq!(read(&feed, "A", 0).await, log(&["PAID", "SHIPPED"]));
}

async fn expiries(feed: &impl Feed) -> Vec<Option<u64>> {
    let entries = read_all(feed, &order("A"), Seq::ZERO, Consistency::Strong)
        .await
        .unwrap();
    entries.iter().map(|entry| entry.expires_at).collect()
}

async fn an_entry_expires_after_it_is_superseded_or_terminal(feed: impl Feed) {
    let expiry = Some((NOW + RETENTION).as_secs());
    append_all(&feed, &[change("A", 1, "PLACED"), change("A", 2, "PAID")]).await;
    assert_eq!(expiries(&feed).await, [expiry, None]);
    append_all(&feed, &[change("A", 3, "DELIVERED")]).await;
    assert_eq!(expiries(&feed).await, [expiry, expiry, expiry]);
    append_all(&feed, &[change("A", 4, "DISPUTED")]).await;
    assert_eq!(expiries(&feed).await, [expiry, expiry, expiry, None]);
}

async fn an_expiry_never_moves_to_a_later_time(feed: impl Feed) {
    append_all(&feed, &[change("A", 1, "PLACED")]).await;
    for (at, expected) in [(5, 5), (6, 5), (4, 4)] {
        let entry = feed.expire(&order("A"), Seq(1), at).await.unwrap();
        // The entry as it is now, whether or not this call changed it.
        assert_eq!(entry.unwrap().expires_at, Some(expected));
        assert_eq!(expiries(&feed).await, [Some(expected)]);
    }
    assert_eq!(feed.expire(&order("A"), Seq(2), 7).await.unwrap(), None);
    assert_eq!(expiries(&feed).await, [Some(4)]);
}

async fn an_entry_is_amended_only_if_it_is_as_it_was_read(feed: impl Feed) {
    append_all(&feed, &[change("A", 1, "PLACED")]).await;
    let newest = async || feed.newest(&order("A")).await.unwrap().unwrap();
    let first = newest().await;
    let seen = |sequence_number, recorded_at| SourceRecord {
        position: Position::new("arn:b", sequence_number).unwrap(),
        recorded_at,
    };
    let versions = [
        Entry {
            terminal: true,
            expires_at: Some(5),
            ..first.clone()
        },
        Entry {
            sources: vec![seen("1", None), seen("2", Some(1_795_369_200_123))],
            ..first.clone()
        },
        Entry {
            terminal: true,
            sources: vec![seen("3", Some(7))],
            ..first.clone()
        },
        first.clone(),
    ];
    let mut was = first;
    for is in versions {
        assert_eq!(feed.amend(&was, &is).await.unwrap(), Put::Done);
        assert_eq!(newest().await, is);
        // A writer that read the version before is too late.
        assert_eq!(feed.amend(&was, &was).await.unwrap(), Put::Taken);
        assert_eq!(newest().await, is);
        was = is;
    }
    let missing = Entry { seq: Seq(2), ..was };
    assert_eq!(feed.amend(&missing, &missing).await.unwrap(), Put::Taken);
}

async fn a_tombstone_replaces_an_entry_that_was_deleted_early(feed: impl Feed) {
    let delivered = [change("B", 1, "PLACED"), change("B", 2, "DELIVERED")];
    append_all(&feed, &delivered).await;
    let log = read_all(&feed, &order("B"), Seq(1), Consistency::Strong).await;
    let [placed, delivered] = &log.unwrap()[..] else {
        panic!("expected two entries");
    };
    // The table has deleted the later entry of A, and not yet the earlier.
    let of = |entry: &Entry, seq| Entry {
        order: order("A"),
        seq: Seq(seq),
        ..entry.clone()
    };
    feed.put(&of(placed, 1)).await.unwrap();
    let tombstone = of(&delivered.clone().into_tombstone(), 3);
    feed.put_tombstone(&tombstone).await.unwrap();
    let newest = async || feed.newest(&order("A")).await.unwrap();
    assert_eq!(newest().await, Some(tombstone));
    // A terminal entry after the tombstone: its projector died before it wrote the next tombstone.
    let later = of(delivered, 5);
    feed.put(&later).await.unwrap();
    assert_eq!(newest().await, Some(later));
}

async fn a_tombstone_comes_before_the_log_and_can_replace_it(feed: impl Feed) {
    append_all(
        &feed,
        &[change("B", 1, "PLACED"), change("B", 2, "DELIVERED")],
    )
    .await;
    let latest = async |id| feed.latest(&order(id), Consistency::Strong).await.unwrap();
    let page = latest("B").await;
    assert!(!page.more);
    let numbers: Vec<_> = page
        .entries
        .iter()
        .map(|entry| (entry.seq.0, entry.tombstone))
        .collect();
    assert_eq!(numbers, [(2, true), (1, false), (2, false)]);
    let expected = page.entries[2].clone().into_tombstone();
    assert_eq!(page.entries[0], expected);
    assert_eq!(expected.view, BTreeMap::new());
    assert_eq!(
        expected.expires_at,
        Some((NOW + RETENTION + TOMBSTONE).as_secs())
    );
    assert_eq!(read(&feed, "B", 0).await, log(&["PLACED", "DELIVERED"]));
    assert_eq!(
        feed.newest(&order("B")).await.unwrap().unwrap(),
        page.entries[2]
    );
    // An older tombstone does not replace it. An order may have only a tombstone.
    let tombstone = |seq| Entry {
        order: order("A"),
        seq: Seq(seq),
        ..expected.clone()
    };
    for (seq, kept) in [(3, 3), (2, 3), (4, 4)] {
        feed.put_tombstone(&tombstone(seq)).await.unwrap();
        assert_eq!(
            feed.newest(&order("A")).await.unwrap(),
            Some(tombstone(kept))
        );
    }
    assert_eq!(latest("A").await.entries, [tombstone(4)]);
    assert_eq!(read(&feed, "A", 0).await, []);
    append_all(&feed, &[change("A", 3, "RETURNED")]).await;
    assert_eq!(read(&feed, "A", 0).await, [(5, "RETURNED".to_owned())]);
}

async fn each_settings_value_is_confirmed_separately(feed: impl Feed) {
    let most = (1 << 48) - 1;
    for settings in [0, 7, most] {
        assert!(!feed.settings_confirmed(settings).await.unwrap());
        feed.confirm_settings(settings).await.unwrap();
        feed.confirm_settings(settings).await.unwrap();
        assert!(feed.settings_confirmed(settings).await.unwrap());
    }
    assert!(!feed.settings_confirmed(8).await.unwrap());
    assert_eq!(feed.learned().await.unwrap(), BTreeMap::new());
}

async fn missing_writes_of_a_projector_that_died_are_made_later(feed: impl Feed) {
    append_all(&feed, &[change("A", 1, "PLACED")]).await;
    let first = feed.newest(&order("A")).await.unwrap();
    let died_after = entry_after(first.as_ref(), &change("A", 2, "PAID"));
    feed.put(&died_after).await.unwrap();
    assert_eq!(expiries(&feed).await, [None, None]);
    append_all(&feed, &[change("A", 1, "PLACED"), change("A", 2, "PAID")]).await;
    assert_eq!(
        expiries(&feed).await,
        [Some((NOW + RETENTION).as_secs()), None]
    );
}

async fn any_record_is_a_change_after_expiry(feed: impl Feed) {
    append_all(&feed, &[change("A", 1, "DELIVERED")]).await;
    let later = Clock::starting_at(NOW + RETENTION);
    let touched = append(&feed, &change("A", 2, "DELIVERED"), &later, RETENTION)
        .await
        .unwrap()
        .unwrap();
    // The expired entry is still there, so its number is taken.
    assert_eq!(touched.entry.seq, Seq(2));
}

async fn concurrent_appenders_make_one_clean_log(feed: impl Feed) {
    let changes: Vec<_> = (1..=20).map(|n| change("A", n, &format!("S{n}"))).collect();
    tokio::join!(
        append_all(&feed, &changes),
        append_all(&feed, &changes),
        append_all(&feed, &changes),
        append_all(&feed, &changes),
    );
    let expected: Vec<_> = (1..=20).map(|n| (n, format!("S{n}"))).collect();
    assert_eq!(read(&feed, "A", 0).await, expected);
    let expiry = Some((NOW + RETENTION).as_secs());
    assert_eq!(
        expiries(&feed).await,
        [vec![expiry; 19], vec![None]].concat()
    );
}

async fn a_log_of_several_pages_is_read_completely(feed: impl Feed) {
    // A page ends at 1 MB.
    for n in 1..=8 {
        let mut change = change("A", n, &format!("S{n}"));
        change
            .view
            .insert("note".to_owned(), json!("x".repeat(300_000)));
        append_all(&feed, &[change]).await;
    }
    assert_eq!(read(&feed, "A", 1).await.len(), 8);
}

async fn the_latest_page_ends_with_the_newest_entry(feed: impl Feed) {
    let latest = async || {
        let page = feed.latest(&order("A"), Consistency::Strong).await.unwrap();
        let numbers: Vec<_> = page.entries.iter().map(|entry| entry.seq.0).collect();
        (numbers, page.more)
    };
    assert_eq!(latest().await, (vec![], false));
    for n in 1..=101 {
        append_all(&feed, &[change("A", n, &format!("S{n}"))]).await;
    }
    assert_eq!(latest().await, ((2..=101).collect(), true));
    // A page ends at 1 MB.
    for n in 102..=105 {
        let mut change = change("A", n, &format!("S{n}"));
        let note = json!("x".repeat(300_000));
        change.view.insert("note".to_owned(), note);
        append_all(&feed, &[change]).await;
    }
    let (numbers, more) = latest().await;
    assert!(more && numbers.last() == Some(&105) && numbers.len() <= 4);
}

async fn a_tombstone_comes_before_an_incomplete_latest_page(feed: impl Feed) {
    for n in 1..=101 {
        append_all(&feed, &[change("A", n, &format!("S{n}"))]).await;
    }
    let latest = async || {
        let page = feed.latest(&order("A"), Consistency::Strong).await.unwrap();
        assert!(page.more);
        let numbers = page.entries.iter();
        numbers
            .map(|entry| (entry.seq.0, entry.tombstone))
            .collect::<Vec<_>>()
    };
    let entries = |numbers: std::ops::RangeInclusive<u64>| numbers.map(|seq| (seq, false));
    append_all(&feed, &[change("A", 102, "DELIVERED")]).await;
    let expected: Vec<_> = [(102, true)].into_iter().chain(entries(3..=102)).collect();
    assert_eq!(latest().await, expected);
    // The newest entry was not superseded, because it does not expire. So no later entry was deleted, and no tombstone is read.
    append_all(&feed, &[change("A", 103, "DISPUTED")]).await;
    assert_eq!(latest().await, entries(4..=103).collect::<Vec<_>>());
}

async fn an_entry_that_is_too_large_is_refused(feed: impl Feed) {
    let mut change = change("A", 1, "PLACED");
    change
        .view
        .insert("note".to_owned(), json!("x".repeat(500_000)));
    let refused = append(&feed, &change, &Clock::starting_at(NOW), RETENTION).await;
    assert!(matches!(refused, Err(FeedError::Refused { .. })));
}

async fn dwell_times_are_kept_for_each_status_and_add_up(feed: impl Feed) {
    assert_eq!(feed.learned().await.unwrap(), BTreeMap::new());
    let (paid, shipped) = (
        Status::new("PAID").unwrap(),
        Status::new("Ünterwegs 🚚").unwrap(),
    );
    // Weights of the year 2056, and of now.
    let (mut minutes, mut days) = (Dwells::default(), Dwells::default());
    minutes.add(Duration::from_secs(60), 3.25e110);
    minutes.add(Duration::from_millis(3), 1.5e110);
    days.add(Duration::from_secs(200_000), 1.1);
    let expires_at = (NOW + RETENTION).as_secs();
    assert_eq!(
        feed.learn(&paid, &minutes, expires_at).await.unwrap(),
        4.75e110
    );
    assert_eq!(
        feed.learn(&paid, &minutes, expires_at).await.unwrap(),
        9.5e110
    );
    assert_eq!(feed.learn(&shipped, &days, expires_at).await.unwrap(), 1.1);
    let mut twice = minutes.clone();
    twice.merge(&minutes);
    assert_eq!(
        feed.learned().await.unwrap(),
        BTreeMap::from([(paid, twice), (shipped, days)])
    );
    // They are not part of any order's log.
    append_all(&feed, &[change("dwell", 1, "PAID")]).await;
    assert_eq!(read(&feed, "dwell", 0).await, log(&["PAID"]));
}

async fn dwell_times_are_learned_for_decades(feed: impl Feed) {
    let paid = Status::new("PAID").unwrap();
    let mut expected = Dwells::default();
    // Ten times a year until 2086. From 2031 on a sum has more than 38 digits, from 2057 on a weight is too large for DynamoDB.
    for step in 0..600 {
        let now = NOW.as_secs() + step * 36 * 86_400;
        let mut dwells = Dwells::default();
        dwells.add(Duration::from_secs(60 + step % 7 * 1000), weight(now));
        expected.merge(&dwells);
        let known = feed.learn(&paid, &dwells, now).await.unwrap();
        assert!((known / expected.total() - 1.0).abs() < 1e-9, "{step}");
    }
    let learned = &feed.learned().await.unwrap()[&paid];
    assert!((learned.total() / expected.total() - 1.0).abs() < 1e-9);
}

/// An earlier version learned from the times of the appends, and stored no scale.
#[tokio::test]
async fn dwell_times_of_an_earlier_version_are_ignored() {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    let client = dynamo.client();
    create_tables(&client).await.unwrap();
    let number = |number: &str| AttributeValue::N(number.to_owned());
    let put = client
        .put_item()
        .table_name("OrderFeed")
        .item("order", AttributeValue::S("%dwells".to_owned()))
        // The first six bytes of the SHA-256 of PAID.
        .item("seq", number("247911265231696"))
        .item("status", AttributeValue::S("PAID".to_owned()))
        .item("b0", number("7"))
        .item("total", number("7"));
    put.send().await.unwrap();
    let feed = DynamoDbFeed::new(client, "OrderFeed");
    assert_eq!(feed.learned().await.unwrap(), BTreeMap::new());
    let paid = Status::new("PAID").unwrap();
    let mut one = Dwells::default();
    one.add(Duration::from_secs(60), 1.0);
    assert_eq!(feed.learn(&paid, &one, u64::MAX / 2).await.unwrap(), 1.0);
    assert_eq!(feed.learned().await.unwrap(), BTreeMap::from([(paid, one)]));
}

/// An expiry makes an entry a few bytes larger. DynamoDB refuses that if the entry has exactly the maximum size.
#[tokio::test]
async fn an_entry_that_is_too_large_to_expire_does_not_block_its_order() {
    on_dynamodb(async |feed: DynamoDbFeed| {
        let entry_of = |length: usize| {
            let mut change = change(&format!("A-{length}"), 1, "PLACED");
            let note = json!("x".repeat(length));
            change.view.insert("note".to_owned(), note);
            entry_after(None, &change)
        };
        let (mut fits, mut too_large) = (409_000, 409_600);
        while too_large - fits > 1 {
            let length = usize::midpoint(fits, too_large);
            match feed.put(&entry_of(length)).await {
                Ok(_) => fits = length,
                Err(_) => too_large = length,
            }
        }
        let id = format!("A-{fits}");
        let next = change(&id, 2, "PAID");
        let appended = append(&feed, &next, &Clock::starting_at(NOW), RETENTION).await;
        assert!(matches!(appended, Ok(Some(_))));
        assert_eq!(read(&feed, &id, 1).await, log(&["PLACED", "PAID"]));
        // The id is used again: the entry cannot expire, and the new life begins nevertheless.
        let mut inserted = change(&id, 4, "PLACED");
        inserted.write = Write::Insert;
        let mut removed = change(&id, 3, "REMOVED");
        (removed.write, removed.terminal) = (Write::Remove, true);
        append_all(&feed, &[removed, inserted]).await;
        let shown = Reading::new(
            feed.read(&order(&id), Seq(1), Consistency::Strong)
                .await
                .unwrap()
                .entries,
            &Clock::starting_at(NOW),
        );
        let shown: Vec<_> = shown.entries().iter().map(|entry| entry.seq.0).collect();
        assert_eq!(shown, [4]);
    })
    .await;
}

async fn dwell_times_can_be_learned_concurrently(feed: impl Feed) {
    let paid = Status::new("PAID").unwrap();
    let mut one = Dwells::default();
    one.add(Duration::from_secs(60), 0.1);
    let learn = async || feed.learn(&paid, &one, u64::MAX / 2).await.unwrap();
    tokio::join!(learn(), learn(), learn());
    let total = feed.learned().await.unwrap()[&paid].total();
    assert!((total - 0.3).abs() < 1e-12, "{total}");
}

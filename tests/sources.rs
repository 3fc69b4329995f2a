//! Orders whose records come from several streams: fail-over, migration and roll-back, copies, replays.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use order_status_stream::change::{Position, SourceRecord};
use order_status_stream::feed::memory::{Fault, MemoryFeed};
use order_status_stream::feed::{Entry, Feed, Put};
use order_status_stream::order::Status;
use proptest::prelude::*;
use records::{Logs, insert, project, projector, record, remove, run, statuses, with, written};
use serde_json::{Value, json};

const DROPPED: &str = "dropped a record of an older stream";

/// The feed after these batches, one after the other.
async fn after(batches: &[&[Value]]) -> MemoryFeed {
    let feed = MemoryFeed::default();
    for batch in batches {
        let failed = project(&projector(&feed, &[]), batch).await;
        assert_eq!(failed, [] as [String; 0]);
    }
    feed
}

#[track_caller]
fn check(feed: &MemoryFeed, expected: &[&str]) {
    assert_eq!(statuses(feed, "A"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_replica_takes_over_although_its_stream_is_older() {
    // By its label, the first stream is the newer one.
    let feed = after(&[
        &[
            insert("Zurich", "A", 1, "PLACED"),
            record("Zurich", "A", 2, "PAID"),
        ],
        &[record("Dublin", "A", 3, "SHIPPED")],
        &[record("Dublin", "A", 4, "DELIVERED")],
    ])
    .await;
    check(&feed, &["PLACED", "PAID", "SHIPPED", "DELIVERED"]);
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_order_gets_no_tombstone_from_another_stream() {
    let feed = after(&[
        &[record("Zurich", "A", 1, "PAID")],
        &[record("Dublin", "A", 2, "PAID")],
    ])
    .await;
    assert_eq!(feed.entries()[0].sources.len(), 2);
    assert_eq!(feed.tombstones(), []);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_lower_sequence_numbers_takes_over() {
    let fresh = written(record("New", "A", 1, "SHIPPED"), 902);
    let feed = after(&[&[record("Old", "A", 900, "PAID")], &[fresh]]).await;
    check(&feed, &["PAID", "SHIPPED"]);
}

#[tokio::test(start_paused = true)]
async fn a_migration_can_be_rolled_back_and_repeated() {
    let feed = after(&[
        &[insert("Old", "A", 1, "PLACED")],
        &[
            insert("New", "A", 2, "PLACED"),
            record("New", "A", 3, "PAID"),
        ],
        &[record("Old", "A", 4, "PACKED")],
        &[record("New", "A", 5, "SHIPPED")],
        &[record("Old", "A", 6, "DELIVERED")],
    ])
    .await;
    check(&feed, &["PLACED", "PAID", "PACKED", "SHIPPED", "DELIVERED"]);
}

#[tokio::test(start_paused = true)]
async fn late_records_of_an_old_stream_are_dropped_and_logged() {
    let logs = Logs::start();
    let feed = after(&[
        &[insert("Old", "A", 1, "PLACED")],
        &[record("New", "A", 9, "SHIPPED")],
        &[
            record("Old", "A", 2, "PAID"),
            record("Old", "A", 3, "PACKED"),
        ],
    ])
    .await;
    check(&feed, &["PLACED", "SHIPPED"]);
    let dropped = logs.with("WARN", DROPPED);
    assert_eq!(dropped.len(), 2);
    let fields = &dropped[0]["fields"];
    assert_eq!(fields["order"], "A");
    assert_eq!(fields["sequence_number"], "7000000000000000000000002");
    let name = |field: &str| {
        fields[field]
            .as_str()
            .unwrap()
            .split('/')
            .nth(1)
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (name("source"), name("newest_source")),
        ("Old".to_owned(), "New".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn repeated_records_are_not_logged_as_dropped() {
    let logs = Logs::start();
    let old = [
        insert("Old", "A", 1, "PLACED"),
        record("Old", "A", 2, "PAID"),
    ];
    let new = [record("New", "A", 3, "SHIPPED")];
    let feed = after(&[&old, &new, &old, &new, &old[..1], &old]).await;
    check(&feed, &["PLACED", "PAID", "SHIPPED"]);
    assert_eq!(logs.with("WARN", DROPPED), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_took_over_without_a_difference_is_remembered() {
    let copied = insert("New", "A", 5, "PAID");
    let feed = after(&[
        &[insert("Old", "A", 1, "PAID")],
        std::slice::from_ref(&copied),
        // Written after the newest entry and before the copy.
        &[record("Old", "A", 3, "LATE")],
        std::slice::from_ref(&copied),
    ])
    .await;
    check(&feed, &["PAID"]);
    // It is also remembered after the next entry.
    let feed = after(&[
        &[insert("Old", "A", 1, "PAID")],
        &[copied, record("New", "A", 6, "SHIPPED")],
        &[record("Old", "A", 4, "LATE")],
    ])
    .await;
    check(&feed, &["PAID", "SHIPPED"]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_a_day_makes_no_entry() {
    // A replica has the same writes, each one second later.
    let replica_of = |table, lag| {
        let statuses = ["PLACED", "PAID", "PACKED", "SHIPPED"].into_iter().zip(1..);
        let writes =
            statuses.map(|(status, n)| written(record(table, "A", n, status), 60 * n + lag));
        writes.collect::<Vec<_>>()
    };
    let (day, copies) = (replica_of("Old", 0), replica_of("New", 1));
    let feed = after(&[&day, &copies[..3], &copies, &day]).await;
    check(&feed, &["PLACED", "PAID", "PACKED", "SHIPPED"]);
}

#[tokio::test(start_paused = true)]
async fn both_streams_of_a_global_table_make_one_entry_for_each_change() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[]);
    for (n, status) in (0..).zip(["PLACED", "PAID", "PACKED", "SHIPPED", "DELIVERED"]) {
        let here = written(record("Here", "A", n + 1, status), 10 * n);
        let there = written(record("There", "A", n + 1, status), 10 * n + n % 3);
        project(&projector, &[here]).await;
        project(&projector, &[there]).await;
    }
    check(&feed, &["PLACED", "PAID", "PACKED", "SHIPPED", "DELIVERED"]);
}

#[tokio::test(start_paused = true)]
async fn in_the_same_second_a_new_stream_takes_over_and_an_old_one_does_not_come_back() {
    let at = |table, n, status| written(record(table, "A", n, status), 100);
    let feed = after(&[
        &[at("Old", 1, "PAID")],
        &[at("New", 1, "PACKED")],
        &[at("Old", 2, "LATE")],
    ])
    .await;
    check(&feed, &["PAID", "PACKED"]);
}

#[tokio::test(start_paused = true)]
async fn records_without_a_time_are_taken_in_the_order_of_arrival() {
    let without = |mut record: Value| {
        record["dynamodb"]["ApproximateCreationDateTime"] = json!(0.0);
        record
    };
    let feed = after(&[
        &[without(record("Old", "A", 1, "PAID"))],
        &[without(record("New", "A", 1, "PACKED"))],
        &[without(record("Old", "A", 2, "LATE"))],
        &[without(record("New", "A", 2, "SHIPPED"))],
    ])
    .await;
    check(&feed, &["PAID", "PACKED", "SHIPPED"]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_in_the_table_that_takes_over_is_an_entry() {
    let feed = after(&[&[insert("Old", "A", 1, "PAID")], &[remove("New", "A", 2)]]).await;
    check(&feed, &["PAID", "REMOVED"]);
}

/// One projector amends the newest entry because a stream takes over without a difference. Another one appends meanwhile.
#[tokio::test(start_paused = true)]
async fn a_concurrent_take_over_is_repaired() {
    let feed = after(&[&[insert("Old", "A", 1, "PAID")]]).await;
    // The projector of the old stream reads the newest entry and writes the next. The answer is lost, so it stops there.
    feed.inject([None, Some(Fault::AnswerLost)]);
    let late = record("Old", "A", 3, "LATE");
    assert_eq!(
        project(&projector(&feed, &[]), std::slice::from_ref(&late))
            .await
            .len(),
        1
    );
    // Meanwhile, the entry that it had read was amended.
    let first = records::log(&feed, "A").remove(0);
    let copy = serde_json::from_value(insert("New", "A", 5, "PAID")).unwrap();
    let copy = records::settings(&[]).rules.read(&copy).unwrap().unwrap();
    let was = SourceRecord {
        position: first.position.clone(),
        recorded_at: first.recorded_at,
    };
    let amended = Entry {
        sources: vec![was, copy.source_record()],
        ..first.clone()
    };
    assert_eq!(feed.amend(&first, &amended).await.unwrap(), Put::Done);
    project(&projector(&feed, &[]), &[late]).await;
    check(&feed, &["PAID", "LATE", "PAID"]);
    project(&projector(&feed, &[]), &[record("Old", "A", 4, "LATE")]).await;
    check(&feed, &["PAID", "LATE", "PAID"]);
}

/// A projector dies before it sets the expiry of the superseded entry. Its record is repeated after another stream took over.
#[tokio::test(start_paused = true)]
async fn a_missing_expiry_is_set_after_another_stream_took_over() {
    let feed = after(&[&[insert("Old", "A", 1, "PAID")]]).await;
    feed.inject([None, Some(Fault::AnswerLost)]);
    let packed = record("Old", "A", 2, "PACKED");
    let failed = project(&projector(&feed, &[]), std::slice::from_ref(&packed)).await;
    assert_eq!(failed.len(), 1);
    project(&projector(&feed, &[]), &[record("New", "A", 3, "SHIPPED")]).await;
    project(&projector(&feed, &[]), &[packed]).await;
    check(&feed, &["PAID", "PACKED", "SHIPPED"]);
    let expire = records::log(&feed, "A").into_iter();
    let expire: Vec<_> = expire.map(|entry| entry.expires_at.is_some()).collect();
    assert_eq!(expire, [true, true, false]);
}

/// A projector appends an earlier record of a stream. It dies before it sees that a later record of this stream took over.
#[tokio::test(start_paused = true)]
async fn a_concurrent_take_over_is_repaired_by_any_repeated_record() {
    let feed = after(&[&[insert("Old", "A", 1, "PAID")]]).await;
    let first = records::log(&feed, "A").remove(0);
    let seen = |n, status| {
        let record = serde_json::from_value(record("New", "A", n, status)).unwrap();
        let read = records::settings(&[]).rules.read(&record);
        read.unwrap().unwrap().source_record()
    };
    let was = SourceRecord {
        position: first.position.clone(),
        recorded_at: first.recorded_at,
    };
    let amended = Entry {
        sources: vec![was.clone(), seen(5, "PAID")],
        ..first.clone()
    };
    assert_eq!(feed.amend(&first, &amended).await.unwrap(), Put::Done);
    let earlier = seen(4, "LATE");
    let appended = Entry {
        seq: first.seq.next(),
        status: Status::new("LATE").unwrap(),
        position: earlier.position.clone(),
        sources: vec![was, earlier],
        ..first.clone()
    };
    assert_eq!(feed.put(&appended).await.unwrap(), Put::Done);
    project(&projector(&feed, &[]), &[insert("Old", "A", 1, "PAID")]).await;
    check(&feed, &["PAID", "LATE", "PAID"]);
}

/// An earlier version wrote the stream's label instead of its ARN, and no time.
#[tokio::test(start_paused = true)]
async fn entries_of_an_earlier_version_belong_to_the_stream_with_their_label() {
    let records = [
        insert("Old", "A", 1, "PLACED"),
        record("Old", "A", 2, "PAID"),
    ];
    let feed = MemoryFeed::default();
    for entry in records::log(&after(&[&records]).await, "A") {
        let (_, label) = entry.position.source().rsplit_once('/').unwrap();
        let position = Position::new(label, entry.position.sequence_number()).unwrap();
        let earlier = Entry {
            position,
            recorded_at: None,
            ..entry
        };
        feed.put(&earlier).await.unwrap();
    }
    let logs = Logs::start();
    project(&projector(&feed, &[]), &records).await;
    check(&feed, &["PLACED", "PAID"]);
    project(&projector(&feed, &[]), &[record("Old", "A", 3, "PACKED")]).await;
    project(&projector(&feed, &[]), &records).await;
    check(&feed, &["PLACED", "PAID", "PACKED"]);
    assert_eq!(logs.with("WARN", DROPPED), [] as [Value; 0]);
    // Another stream takes over as usual.
    project(&projector(&feed, &[]), &[record("New", "A", 4, "SHIPPED")]).await;
    project(&projector(&feed, &[]), &[record("Old", "A", 3, "PACKED")]).await;
    check(&feed, &["PLACED", "PAID", "PACKED", "SHIPPED"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Writes go to several tables in any sequence. Each record is delivered more than once, by projectors that are killed
    /// at any call. Each write makes exactly one entry, in order, so the last write is the newest entry.
    #[test]
    fn the_last_write_is_shown_after_any_repetition(
        tables in prop::collection::vec(0usize..3, 1..12),
        again in prop::collection::vec(prop::sample::Index::arbitrary(), 0..12),
        faults in prop::collection::vec(prop_oneof![4 => Just(None), 1 => Just(Some(Fault::Throttled)), 1 => Just(Some(Fault::AnswerLost))], 0..40),
    ) {
        let writes: Vec<_> = (1..).zip(&tables).map(|(n, table)| {
            with(record(["A", "B", "C"][*table], "A", n, &format!("S{n}")), "eta", json!({ "N": n.to_string() }))
        }).collect();
        run(async {
            let feed = MemoryFeed::default();
            feed.inject(faults);
            let deliver = async |record: &Value| {
                while !project(&projector(&feed, &[]), std::slice::from_ref(record)).await.is_empty() {}
            };
            for (n, write) in writes.iter().enumerate() {
                deliver(write).await;
                if let Some(index) = again.get(n) {
                    deliver(&writes[index.index(n + 1)]).await;
                }
            }
            for write in &writes {
                deliver(write).await;
            }
            let expected: Vec<_> = (1..=writes.len()).map(|n| format!("S{n}")).collect();
            assert_eq!(statuses(&feed, "A"), expected);
        });
    }
}

//! The logs of customers, on every implementation.

use std::collections::HashMap;

use order_status_stream::customer::{CustomerId, Place};
use order_status_stream::feed::LogId;
use order_status_stream::feed::memory::Fault;

use super::*;

suite! {
    a_customers_log_has_the_changes_of_all_their_orders
    an_entry_shows_what_the_orders_entry_shows
    an_order_that_changes_hands_is_gone_for_the_one_and_there_for_the_other
    a_change_of_hands_alone_is_a_change
    a_deleted_order_stays_its_customers
    an_order_without_a_customer_has_one_log
    superseded_entries_expire_and_the_newest_of_a_log_remains
    an_entry_at_a_place_expires_only_if_it_is_that_of_the_order
    a_finished_order_that_is_finished_no_longer_is_shown_again
    an_entry_without_room_for_its_attributes_loses_them
    the_other_unfinished_orders_are_counted
    a_change_of_another_stream_comes_after_the_one_that_is_missing
    concurrent_appenders_of_many_orders_make_one_dense_log
    the_newest_entry_of_a_log_remains_if_its_hidden_order_gets_another_customer
}

fn customer(id: &str) -> CustomerId {
    CustomerId::new(id).unwrap()
}

fn log_of(id: &str) -> LogId {
    LogId::from(&customer(id))
}

pub(super) fn owned(change: Change, id: &str) -> Change {
    Change {
        customer: Some(customer(id)),
        ..change
    }
}

/// Of each entry of a customer's log: its number, the order, the order's number, and its status, or `gone`.
async fn listed(feed: &impl Feed, id: &str) -> Vec<(u64, String, u64, String)> {
    let entries = entries(feed, id).await;
    entries.iter().map(line_of).collect()
}

/// A line of [`listed`].
pub(super) fn line_of(entry: &Entry) -> (u64, String, u64, String) {
    let gone = entry.listing.as_ref().unwrap().gone;
    let status = if gone { "gone" } else { entry.status.as_str() };
    let order = entry.order.to_string();
    (entry.number().0, order, entry.seq.0, status.to_owned())
}

async fn entries(feed: &impl Feed, id: &str) -> Vec<Entry> {
    let entries = read_all(feed, &log_of(id), Seq(0), Consistency::Strong).await;
    entries.unwrap()
}

fn line(number: u64, order: &str, seq: u64, status: &str) -> (u64, String, u64, String) {
    (number, order.to_owned(), seq, status.to_owned())
}

async fn a_customers_log_has_the_changes_of_all_their_orders(feed: impl Feed) {
    for (id, n, status, whose) in [
        ("A", 1, "PLACED", "C"),
        ("B", 2, "PLACED", "C"),
        ("A", 3, "PAID", "C"),
        ("X", 4, "PLACED", "D"),
        ("B", 5, "DELIVERED", "C"),
    ] {
        append_all(&feed, &[owned(change(id, n, status), whose)]).await;
    }
    let expected = [
        line(1, "A", 1, "PLACED"),
        line(2, "B", 1, "PLACED"),
        line(3, "A", 2, "PAID"),
        line(4, "B", 2, "DELIVERED"),
    ];
    assert_eq!(listed(&feed, "C").await, expected);
    assert_eq!(listed(&feed, "D").await, [line(1, "X", 1, "PLACED")]);
    // An order's log is as it was.
    assert_eq!(read(&feed, "A", 0).await, log(&["PLACED", "PAID"]));
    let newest = feed.newest(&log_of("C")).await.unwrap().unwrap();
    assert_eq!((newest.number(), newest.order), (Seq(4), order("B")));
    let later = feed.read(&log_of("C"), Seq(3), Consistency::Strong).await;
    assert_eq!(later.unwrap().entries.len(), 2);
}

async fn an_entry_shows_what_the_orders_entry_shows(feed: impl Feed) {
    append_all(&feed, &[owned(change("A", 1, "PLACED"), "C")]).await;
    append_all(&feed, &[owned(change("A", 2, "PAID"), "C")]).await;
    let of_order = feed.newest(&order("A")).await.unwrap().unwrap();
    let place = Place {
        customer: customer("C"),
        seq: Seq(2),
    };
    assert_eq!(of_order.customer, Some(place));
    let listed = feed.newest(&log_of("C")).await.unwrap().unwrap();
    assert!(listed.mark().fingerprint.is_some());
    let same = Entry {
        position: of_order.position.clone(),
        customer: of_order.customer.clone(),
        listing: None,
        began: of_order.began,
        ..listed
    };
    assert_eq!(same, of_order);
}

async fn an_order_that_changes_hands_is_gone_for_the_one_and_there_for_the_other(feed: impl Feed) {
    append_all(&feed, &[owned(change("A", 1, "PLACED"), "C")]).await;
    append_all(&feed, &[owned(change("A", 2, "PAID"), "D")]).await;
    append_all(&feed, &[owned(change("A", 3, "SHIPPED"), "C")]).await;
    append_all(&feed, &[change("A", 4, "LOST")]).await;
    let c = [
        line(1, "A", 1, "PLACED"),
        line(2, "A", 2, "gone"),
        line(3, "A", 3, "SHIPPED"),
        line(4, "A", 4, "gone"),
    ];
    assert_eq!(listed(&feed, "C").await, c);
    let d = [line(1, "A", 2, "PAID"), line(2, "A", 3, "gone")];
    assert_eq!(listed(&feed, "D").await, d);
    // The new state is not for the customer who had the order.
    let gone = entries(&feed, "C").await.swap_remove(1);
    assert_eq!((gone.status.as_str(), gone.previous), ("PLACED", None));
    assert_eq!(gone.view, BTreeMap::new());
}

async fn a_change_of_hands_alone_is_a_change(feed: impl Feed) {
    append_all(&feed, &[change("A", 1, "PLACED")]).await;
    append_all(&feed, &[owned(change("A", 2, "PLACED"), "C")]).await;
    append_all(&feed, &[owned(change("A", 3, "PLACED"), "C")]).await;
    assert_eq!(listed(&feed, "C").await, [line(1, "A", 2, "PLACED")]);
    let newest = feed.newest(&order("A")).await.unwrap().unwrap();
    // No dwell time begins with it.
    assert_eq!((newest.seq, newest.began), (Seq(2), false));
}

async fn a_deleted_order_stays_its_customers(feed: impl Feed) {
    append_all(&feed, &[owned(change("A", 1, "PLACED"), "C")]).await;
    let removed = Change {
        write: Write::Remove,
        terminal: true,
        ..change("A", 2, "REMOVED")
    };
    append_all(&feed, &[removed]).await;
    // The id is used again, for an order of somebody else.
    let again = Change {
        write: Write::Insert,
        ..owned(change("A", 3, "PLACED"), "D")
    };
    append_all(&feed, &[again]).await;
    let c = [
        line(1, "A", 1, "PLACED"),
        line(2, "A", 2, "REMOVED"),
        line(3, "A", 3, "gone"),
    ];
    assert_eq!(listed(&feed, "C").await, c);
    assert_eq!(listed(&feed, "D").await, [line(1, "A", 3, "PLACED")]);
}

async fn an_order_without_a_customer_has_one_log(feed: impl Feed) {
    append_all(&feed, &[change("A", 1, "PLACED"), change("A", 2, "PAID")]).await;
    let newest = feed.newest(&order("A")).await.unwrap().unwrap();
    assert_eq!((newest.customer, newest.former), (None, None));
}

async fn superseded_entries_expire_and_the_newest_of_a_log_remains(feed: impl Feed) {
    let after = Some((NOW + RETENTION).as_secs());
    let kept = after.map(|after| after + TOMBSTONE.as_secs());
    let times = async || {
        let entries = entries(&feed, "C").await.into_iter();
        let times = entries.map(|entry| (entry.shown_until, entry.expires_at));
        times.collect::<Vec<_>>()
    };
    append_all(&feed, &[owned(change("A", 1, "PLACED"), "C")]).await;
    assert_eq!(times().await, [(None, None)]);
    append_all(&feed, &[owned(change("A", 2, "DELIVERED"), "C")]).await;
    assert_eq!(times().await, [(None, after), (after, kept)]);
    // It is not the newest any more.
    append_all(&feed, &[owned(change("B", 3, "PLACED"), "C")]).await;
    assert_eq!(times().await[1..], [(after, after), (None, None)]);
    append_all(&feed, &[owned(change("B", 4, "PLACED"), "D")]).await;
    assert_eq!(times().await[2..], [(None, after), (after, kept)]);
}

/// Otherwise its number would be used again, and clients that know it would take another order's change for one that they have.
async fn the_newest_entry_of_a_log_remains_if_its_hidden_order_gets_another_customer(
    feed: impl Feed,
) {
    append_all(&feed, &[owned(change("A", 1, "DELIVERED"), "C")]).await;
    let before = entries(&feed, "C").await;
    let later = Clock::starting_at(NOW + RETENTION + Duration::from_secs(3600));
    let moved = owned(change("A", 2, "DELIVERED"), "D");
    append(&feed, &moved, &later, RETENTION).await.unwrap();
    assert_eq!(entries(&feed, "C").await, before);
    assert_eq!(listed(&feed, "D").await, [line(1, "A", 2, "DELIVERED")]);
}

async fn an_entry_at_a_place_expires_only_if_it_is_that_of_the_order(feed: impl Feed) {
    append_all(&feed, &[owned(change("A", 1, "PLACED"), "C")]).await;
    append_all(&feed, &[owned(change("B", 2, "PLACED"), "C")]).await;
    let of = feed.newest(&order("A")).await.unwrap().unwrap();
    let place = of.customer.clone().unwrap();
    let expired = async |place: &Place, of: &Entry, at| {
        let found = feed.expire_listed(place, of, at).await.unwrap();
        let entries = entries(&feed, "C").await.into_iter();
        (
            found,
            entries.map(|entry| entry.expires_at).collect::<Vec<_>>(),
        )
    };
    assert_eq!(expired(&place, &of, 9).await, (true, vec![Some(9), None]));
    assert_eq!(expired(&place, &of, 7).await, (true, vec![Some(7), None]));
    assert_eq!(expired(&place, &of, 9).await, (true, vec![Some(7), None]));
    let other = Entry {
        seq: Seq(2),
        ..of.clone()
    };
    assert_eq!(
        expired(&place, &other, 5).await,
        (false, vec![Some(7), None])
    );
    for seq in [2, 3] {
        let place = Place {
            seq: Seq(seq),
            ..place.clone()
        };
        assert_eq!(expired(&place, &of, 5).await, (false, vec![Some(7), None]));
    }
}

async fn a_finished_order_that_is_finished_no_longer_is_shown_again(feed: impl Feed) {
    let terminal = |n, terminal| Change {
        terminal,
        ..owned(change("A", n, "LOST"), "C")
    };
    let newest = async || {
        let newest = feed.newest(&log_of("C")).await.unwrap().unwrap();
        (
            newest.number().0,
            newest.terminal,
            newest.shown_until,
            newest.expires_at,
        )
    };
    let after = (NOW + RETENTION).as_secs();
    let finished = (1, true, Some(after), Some(after + TOMBSTONE.as_secs()));
    append_all(&feed, &[terminal(1, false)]).await;
    assert_eq!(newest().await, (1, false, None, None));
    // `TERMINAL_STATUSES` has changed, and the order is touched.
    append_all(&feed, &[terminal(2, true)]).await;
    assert_eq!(newest().await, finished);
    append_all(&feed, &[terminal(3, false)]).await;
    assert_eq!(newest().await, (1, false, None, None));
}

async fn an_entry_without_room_for_its_attributes_loses_them(feed: impl Feed) {
    let other = owned(change("B", 1, &"S".repeat(1000)), "C");
    append_all(&feed, &[other, owned(change("D", 2, "PLACED"), "C")]).await;
    // With the other orders, the entry of the customer's log is larger than the order's.
    let mut large = owned(change("A", 3, "PAID"), "C");
    for note in (0..=409_600).rev().step_by(200) {
        large.view = BTreeMap::from([("note".to_owned(), json!("x".repeat(note)))]);
        match append(&feed, &large, &Clock::starting_at(NOW), RETENTION).await {
            Err(FeedError::Refused { .. }) => {}
            appended => {
                appended.unwrap();
                break;
            }
        }
    }
    let of_order = feed.newest(&order("A")).await.unwrap().unwrap();
    assert_eq!(of_order.view.len(), 1);
    let listed = feed.newest(&log_of("C")).await.unwrap().unwrap();
    assert_eq!((listed.order, listed.view), (order("A"), BTreeMap::new()));
}

async fn the_other_unfinished_orders_are_counted(feed: impl Feed) {
    let at = |seconds: u64, change| Change {
        recorded_at: Some(seconds * 1000),
        ..owned(change, "C")
    };
    let mut n = 0;
    let mut others = async |id: &str, status: &str, seconds| {
        n += 1;
        append_all(&feed, &[at(seconds, change(id, n, status))]).await;
        let newest = feed.newest(&log_of("C")).await.unwrap().unwrap();
        let others = newest.listing.unwrap().others;
        let groups = others.groups();
        let groups = groups
            .map(|(status, orders, since)| (status.as_str().to_owned(), orders, since / 1000));
        groups.collect::<Vec<_>>()
    };
    let group = |status: &str, orders, since| (status.to_owned(), orders, since);
    assert_eq!(others("A", "PLACED", 100).await, []);
    assert_eq!(others("A", "PAID", 200).await, []);
    assert_eq!(others("B", "PLACED", 300).await, [group("PAID", 1, 200)]);
    let both = [group("PAID", 1, 200), group("PLACED", 1, 300)];
    assert_eq!(others("D", "PAID", 500).await, both);
    assert_eq!(others("B", "PAID", 600).await, [group("PAID", 2, 350)]);
    assert_eq!(others("A", "DELIVERED", 700).await, [group("PAID", 2, 550)]);
    assert_eq!(others("B", "DELIVERED", 800).await, [group("PAID", 1, 500)]);
    assert_eq!(others("D", "DELIVERED", 900).await, []);
}

async fn a_change_of_another_stream_comes_after_the_one_that_is_missing(feed: impl Feed) {
    let of = |source: &str, n: u64, seconds: u64, status| Change {
        position: Position::new(&format!("arn:{source}"), &n.to_string()).unwrap(),
        recorded_at: Some(seconds * 1000),
        ..owned(change("A", 0, status), "C")
    };
    append_all(&feed, &[of("a", 1, 100, "PLACED")]).await;
    // A projector of the first stream dies after its first write.
    let first = feed.newest(&order("A")).await.unwrap();
    let mut died_after = entry_after(first.as_ref(), &of("a", 2, 200, "PAID"));
    died_after.customer.as_mut().unwrap().seq = Seq(2);
    feed.put(&died_after).await.unwrap();
    append_all(&feed, &[of("b", 1, 300, "SHIPPED")]).await;
    let expected = [
        line(1, "A", 1, "PLACED"),
        line(2, "A", 2, "PAID"),
        line(3, "A", 3, "SHIPPED"),
    ];
    assert_eq!(listed(&feed, "C").await, expected);
    let after = Some((NOW + RETENTION).as_secs());
    let expiries: Vec<_> = entries(&feed, "C")
        .await
        .iter()
        .map(|entry| entry.expires_at)
        .collect();
    assert_eq!(expiries, [after, after, None]);
}

async fn concurrent_appenders_of_many_orders_make_one_dense_log(feed: impl Feed) {
    let changes = |id: &str| -> Vec<_> {
        let changes = (1..=5).map(|n| owned(change(id, n, &format!("S{n}")), "C"));
        changes.collect()
    };
    let (a, b, d) = (changes("A"), changes("B"), changes("D"));
    tokio::join!(
        append_all(&feed, &a),
        append_all(&feed, &b),
        append_all(&feed, &d),
        append_all(&feed, &a),
        append_all(&feed, &b),
    );
    let listed = listed(&feed, "C").await;
    let numbers: Vec<_> = listed.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=15).collect::<Vec<_>>());
    for id in ["A", "B", "D"] {
        let of_order = listed.iter().filter(|(_, order, ..)| order == id);
        let seqs: Vec<_> = of_order.map(|(_, _, seq, _)| *seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5], "{id}");
    }
}

/// The table has deleted the entry that was listed, and an old record comes again.
#[tokio::test]
async fn an_entry_that_was_deleted_is_not_listed_again() {
    let feed = MemoryFeed::default();
    let finished = owned(change("A", 1, "DELIVERED"), "C");
    append_all(
        &feed,
        &[finished.clone(), owned(change("B", 2, "PLACED"), "C")],
    )
    .await;
    feed.delete(log_of("C"), Seq(1));
    append_all(&feed, &[finished]).await;
    assert_eq!(listed(&feed, "C").await, [line(2, "B", 1, "PLACED")]);
}

/// The bytes that DynamoDB counts: of the names and of the values.
fn size(item: &HashMap<String, AttributeValue>) -> usize {
    fn of(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            // Two digits a byte, and one byte more.
            AttributeValue::N(number) => number.len().div_ceil(2) + 1,
            AttributeValue::Bool(_) => 1,
            AttributeValue::M(map) => {
                3 + map
                    .iter()
                    .map(|(name, value)| name.len() + of(value) + 1)
                    .sum::<usize>()
            }
            AttributeValue::L(list) => 3 + list.iter().map(|value| of(value) + 1).sum::<usize>(),
            other => panic!("{other:?}"),
        }
    }
    item.iter()
        .map(|(name, value)| name.len() + of(value))
        .sum()
}

/// A check-in reads the newest entry of a log.
#[tokio::test]
async fn the_newest_entry_of_500_orders_has_at_most_a_fifth_more_bytes_than_that_of_one() {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    let client = dynamo.client();
    create_tables(&client).await.unwrap();
    let feed = DynamoDbFeed::new(client.clone(), "OrderFeed");
    for n in 0..500 {
        let status = ["PLACED", "PAID", "PACKED", "SHIPPED", "OUT_FOR_DELIVERY"][n as usize % 5];
        let stream =
            "arn:aws:dynamodb:eu-west-1:123456789012:table/Orders/stream/2026-11-22T00:00:00.000";
        let change = Change {
            position: Position::new(stream, &format!("70000000000000000000{n}")).unwrap(),
            view: BTreeMap::from([("eta".to_owned(), json!("18:20"))]),
            recorded_at: Some(1_795_369_200_000 + n),
            ..owned(change(&format!("A-{n:04}"), 1, status), "C-1001")
        };
        append_all(&feed, &[change]).await;
    }
    let newest = async |log: &str, seq: u64| {
        let get = client.get_item().table_name("OrderFeed");
        let get = get.key("order", AttributeValue::S(log.to_owned()));
        let get = get.key("seq", AttributeValue::N(seq.to_string()));
        size(&get.send().await.unwrap().item.unwrap())
    };
    let (one, all) = (
        newest("A-0499", 1).await,
        newest("%customer/C-1001", 500).await,
    );
    // docs/cost.md has these numbers.
    assert_eq!((one, all), (296, 341), "bytes");
    assert!(10 * all <= 12 * one);
}

/// Another order's projector has read the entry while its order was finished.
#[tokio::test(start_paused = true)]
async fn an_entry_whose_order_is_finished_no_longer_stays() {
    let feed = MemoryFeed::default();
    let terminal = |n, terminal| Change {
        terminal,
        ..owned(change("A", n, "LOST"), "C")
    };
    append_all(&feed, &[terminal(1, true)]).await;
    // The newest entries of the order and of the customer are read, and then the order's entry is written slowly.
    feed.inject([None, None, Some(Fault::Slow(Duration::from_secs(1)))]);
    let other = owned(change("B", 2, "PLACED"), "C");
    let other = [other];
    let touched = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        append_all(&feed, &[terminal(3, false)]).await;
    };
    tokio::join!(append_all(&feed, &other), touched);
    let entries = entries(&feed, "C").await;
    let states: Vec<_> = entries
        .iter()
        .map(|entry| (entry.terminal, entry.expires_at, entry.shown_until))
        .collect();
    assert_eq!(states, [(false, None, None), (false, None, None)]);
}

/// A projector dies after each of its calls, and its record comes again.
#[tokio::test(start_paused = true)]
async fn a_projector_that_dies_between_any_two_writes_leaves_the_same_logs() {
    let changes = [
        owned(change("A", 1, "PLACED"), "C"),
        owned(change("B", 2, "DELIVERED"), "C"),
        owned(change("A", 3, "PAID"), "D"),
        owned(change("A", 4, "DELIVERED"), "C"),
    ];
    let clean = MemoryFeed::default();
    append_all(&clean, &changes).await;
    for fault in [Fault::Throttled, Fault::AnswerLost] {
        for dies_at in 0..clean.calls() {
            let feed = MemoryFeed::default();
            feed.inject((0..dies_at).map(|_| None).chain([Some(fault)]));
            for change in &changes {
                let clock = Clock::starting_at(NOW);
                // There is one fault.
                if append(&feed, change, &clock, RETENTION).await.is_err() {
                    append(&feed, change, &clock, RETENTION).await.unwrap();
                }
            }
            assert_eq!(feed.entries(), clean.entries(), "{fault:?} at {dies_at}");
            assert_eq!(
                feed.tombstones(),
                clean.tombstones(),
                "{fault:?} at {dies_at}"
            );
        }
    }
}

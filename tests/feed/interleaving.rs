//! Projectors that work at the same time and die at any call, in random interleavings: the customers' logs keep their laws.

use order_status_stream::feed::memory::Fault;
use tokio::time::timeout;

use order_status_stream::customer::CustomerId;
use order_status_stream::feed::LogId;

use super::customers::{line_of, owned};
use super::*;

const ORDERS: [&str; 3] = ["A", "B", "D"];
const CHANGES: u64 = 4;

/// The changes of an order. After each of them it may have another customer, or none.
fn changes(id: &str, random: &mut fastrand::Rng) -> Vec<Change> {
    let mut change = |n| {
        let change = change(id, n, &format!("S{n}"));
        match random.u8(0..5) {
            0 => change,
            1 | 2 => owned(change, "D"),
            _ => owned(change, "C"),
        }
    };
    (1..=CHANGES).map(&mut change).collect()
}

/// A projector that gets an order's records, and gets them again from where it failed.
async fn project(feed: &MemoryFeed, changes: &[Change], mut random: fastrand::Rng) {
    let mut from = 0;
    while from < changes.len() {
        // Records are repeated.
        from = from.saturating_sub(random.usize(0..2));
        for change in &changes[from..] {
            let clock = Clock::starting_at(NOW);
            let append = append(feed, change, &clock, RETENTION);
            // It dies while a call is being made.
            let dies_after = Duration::from_millis(random.u64(1..400));
            match timeout(dies_after, append).await {
                Ok(Ok(_)) => from += 1,
                _ => break,
            }
        }
    }
}

fn faults(random: &mut fastrand::Rng) -> Vec<Option<Fault>> {
    let fault = |random: &mut fastrand::Rng| match random.u8(0..40) {
        0 => Some(Fault::Throttled),
        1 => Some(Fault::AnswerLost),
        _ => Some(Fault::Slow(Duration::from_millis(random.u64(0..20)))),
    };
    (0..4000).map(|_| fault(random)).collect()
}

async fn check(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let feed = MemoryFeed::default();
    let orders = ORDERS.map(|id| changes(id, &mut random));
    feed.inject(faults(&mut random));
    // Two or three projectors for each order.
    let projectors = orders.iter().flat_map(|changes| {
        let projectors = (0..random.usize(2..4)).map(|_| random.fork());
        projectors
            .map(|random| project(&feed, changes, random))
            .collect::<Vec<_>>()
    });
    futures_util::future::join_all(projectors).await;
    let entries = feed.entries();
    for whose in ["C", "D"] {
        let log = LogId::from(&CustomerId::new(whose).unwrap());
        let of_log = entries.iter().filter(|entry| entry.log() == log);
        let listed: Vec<_> = of_log.map(line_of).collect();
        let numbers: Vec<_> = listed.iter().map(|(number, ..)| *number).collect();
        let dense: Vec<_> = (1..=listed.len() as u64).collect();
        assert_eq!(numbers, dense, "seed {seed}: {listed:?}");
        for (id, changes) in ORDERS.iter().zip(&orders) {
            let of_order = listed.iter().filter(|(_, order, ..)| order == id);
            let found: Vec<_> = of_order
                .map(|(_, _, seq, status)| (*seq, status.clone()))
                .collect();
            assert_eq!(
                found,
                expected(changes, whose),
                "seed {seed}: {id} of {whose}"
            );
        }
    }
}

/// The entries of an order in a customer's log.
fn expected(changes: &[Change], whose: &str) -> Vec<(u64, String)> {
    let mut had = false;
    let mut expected = Vec::new();
    for (seq, change) in (1..).zip(changes) {
        let has = change
            .customer
            .as_ref()
            .is_some_and(|id| id.as_str() == whose);
        match (had, has) {
            (_, true) => expected.push((seq, change.status.as_str().to_owned())),
            (true, false) => expected.push((seq, "gone".to_owned())),
            (false, false) => {}
        }
        had = has;
    }
    expected
}

#[tokio::test(start_paused = true)]
async fn random_interleavings_of_projectors_leave_dense_logs_with_each_change_once() {
    for seed in 0..150 {
        check(seed).await;
    }
}

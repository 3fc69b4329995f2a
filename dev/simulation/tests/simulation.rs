//! The whole system, with some thousands of seeds. `make simulate` runs more.
#![allow(clippy::print_stdout, reason = "the report")]

use fastrand::Rng;
use simulation::plan::{FAULTS, Plan};
use simulation::{run_many, simulate};

/// With this number, each kind of fault happens in each part of the system.
const SEEDS: u64 = 2000;

#[test]
fn nothing_is_lost_doubled_or_out_of_order_under_any_fault() {
    let report = run_many(1, SEEDS).expect("a runtime");
    println!("{report}");
    assert_eq!(report.failures, 0, "{report}");
    assert_eq!(report.seeds, SEEDS);
    // Without faults, the test would pass and show nothing.
    let faults = &report.tally.faults;
    assert!(faults.keys().eq(&FAULTS), "{faults:?}");
    assert!(faults.values().all(|count| *count >= 100), "{faults:?}");
    assert!(report.tally.lives > 4 * SEEDS);
    assert!(report.tally.shown > 10 * report.tally.lives);
}

#[test]
fn the_documentation_names_each_kind_of_fault() {
    let documentation = include_str!("../../../docs/simulation.md");
    for kind in FAULTS {
        assert!(documentation.contains(&format!("| {kind} |")), "{kind}");
    }
}

/// Seeds without a wake: tokio's `watch` wakes several receivers in a random order, so that equal moments may be traced in
/// another order.
fn replayable(seeds: u64) -> impl Iterator<Item = u64> {
    let has_wake = |seed: &u64| Plan::draw(&mut Rng::with_seed(*seed)).wake.is_some();
    (1..)
        .filter(move |seed| !has_wake(seed))
        .take(seeds as usize)
}

#[test]
fn three_of_ten_seeds_have_their_orders_in_kafka() {
    let has_topic = |seed: &u64| Plan::draw(&mut Rng::with_seed(*seed)).topic.is_some();
    let topics = (1..=SEEDS).filter(has_topic).count() as u64;
    assert!((SEEDS / 4..SEEDS / 3).contains(&topics), "{topics}");
    assert!(replayable(40).any(|seed| has_topic(&seed)));
    let has_customers = |seed| !Plan::draw(&mut Rng::with_seed(seed)).customers.is_empty();
    assert!(replayable(40).any(has_customers));
}

#[test]
fn a_seed_replays_identically() {
    for seed in replayable(40) {
        let first = simulate(seed, true).expect("a runtime");
        // In another thread, hash maps have other keys.
        let again = std::thread::spawn(move || simulate(seed, true)).join();
        let again = again.expect("no panic").expect("a runtime");
        assert!(first.trace.len() > 100);
        for (line, (first, again)) in first.trace.iter().zip(&again.trace).enumerate() {
            assert_eq!(first, again, "seed {seed}, line {line}");
        }
        assert_eq!(first, again);
    }
}

#[test]
fn a_trace_changes_nothing() {
    for seed in replayable(20) {
        let traced = simulate(seed, true).expect("a runtime");
        let silent = simulate(seed, false).expect("a runtime");
        assert_eq!(
            (traced.tally, traced.findings),
            (silent.tally, silent.findings)
        );
    }
}

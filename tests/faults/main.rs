//! `make faults`: one fault after the other against the real binaries, and for each of them what every watcher received.
//!
//! `docs/faults.md` has the table. Without the variable `FAULTS` only a few faults run, as a part of `make test`. `FAULTS=all` runs
//! all of them, `FAULTS=throttled` those whose names contain the word. `MOTO=path/to/moto_server` runs them on moto's DynamoDB.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

#[path = "../support/cloud.rs"]
mod cloud;
#[path = "../support/http.rs"]
mod http_support;
#[path = "../support/key_server.rs"]
mod key_server;
#[path = "../support/stream_server.rs"]
mod stream_server;

mod backfill;
mod clock;
mod database;
mod delivery;
mod feed_proxy;
mod mapping;
mod outcome;
mod rows;
mod sharded;
mod watcher;
mod world;

use std::time::Instant;

use futures_util::stream::{self, StreamExt};

use clock::MovableClock;
use outcome::Outcome;
use rows::{ROWS, Row};
use world::World;

/// How many faults run side by side. Each has its own database and processes.
const AT_A_TIME: usize = 3;

/// moto 5.2.5 refuses to switch a table's stream on again, so these do not run on it.
const NOT_ON_MOTO: [&str; 2] = [
    "the stream of orders is created again (new ARN)",
    "the orders table is restored",
];

fn chosen() -> Vec<&'static Row> {
    let word = std::env::var("FAULTS").unwrap_or_default();
    let rows = ROWS.iter().filter(|row| match word.as_str() {
        "" => row.quick,
        "all" => true,
        word => row.name.contains(word),
    });
    let moto = std::env::var_os("MOTO").is_some();
    rows.filter(|row| {
        if moto && NOT_ON_MOTO.contains(&row.name) {
            println!("{:52} NOT TESTED on moto", row.name);
            return false;
        }
        if row.moves_clock && MovableClock::library().is_none() {
            println!("{:52} NOT TESTED: install faketime", row.name);
            assert!(std::env::var_os("CI").is_none(), "faketime is missing");
            return false;
        }
        true
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_doubles_a_change_or_loses_one_that_was_not_given_up() {
    let rows = chosen();
    assert!(!rows.is_empty(), "no fault has this name");
    println!("\n{:52} written  received  lost  doubled  seconds", "fault");
    let mut running = stream::iter(rows)
        .map(|row| async move {
            let start = Instant::now();
            let outcome = World::run(row).await;
            (row, outcome, start.elapsed())
        })
        .buffered(AT_A_TIME);
    let mut wrong = Vec::new();
    while let Some((row, outcome, took)) = running.next().await {
        let Outcome {
            written,
            received,
            lost,
            doubled,
            ..
        } = outcome;
        let (name, seconds) = (row.name, took.as_secs_f64());
        println!("{name:52} {written:7}  {received:8}  {lost:4}  {doubled:7}  {seconds:7.1}");
        if lost != row.given_up || doubled > 0 || !outcome.violations.is_empty() {
            wrong.push(format!("{name}: {}", outcome.violations.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

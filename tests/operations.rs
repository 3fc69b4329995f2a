//! `docs/operations.md` says what the functions count, and what to do about each alarm.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use order_status_stream::metrics::{Count, Delay};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The metrics and their units.
fn metrics() -> BTreeSet<(String, String)> {
    let counts = Count::ALL.into_iter().map(|it| (it.name(), it.unit()));
    let delays = Delay::ALL.into_iter().map(|it| (it.name(), it.unit()));
    let all = counts.chain(delays);
    all.map(|(name, unit)| (name.to_owned(), unit.name().to_owned()))
        .collect()
}

#[test]
fn the_table_lists_exactly_the_metrics_that_are_written() {
    let docs = read("docs/operations.md");
    let section = docs.split("\n## Metrics\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            (cells[1].replace('`', ""), cells[2].to_owned())
        })
        .collect();
    assert_eq!(listed, metrics());
}

//! Whose an order is: an attribute says it, and the projector keeps a log for each customer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/records.rs"]
mod records;

use order_status_stream::feed::Entry;
use order_status_stream::feed::memory::MemoryFeed;
use records::{Logs, project, projector, record, remove};
use serde_json::{Value, json};

/// The lines of a customer's log: the order, its number there, and its status.
fn listed(feed: &MemoryFeed, customer: &str) -> Vec<(String, u64, String)> {
    let entries = feed.entries().into_iter();
    let log = format!("%customer/{customer}");
    let listed = entries.filter(|entry| entry.log().to_string() == log);
    let line = |entry: Entry| {
        let status = entry.status.as_str().to_owned();
        (entry.order.to_string(), entry.seq.0, status)
    };
    listed.map(line).collect()
}

const INVALID: &str = "the order is in no customer's stream: its customer must be a string of 1 to 128 characters without control \
    characters, or a number";

fn owned(id: &str, n: u64, status: &str, customer: Value) -> Value {
    records::with(record("Orders", id, n, status), "customer", customer)
}

#[tokio::test(start_paused = true)]
async fn an_attribute_says_whose_an_order_is() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[("CUSTOMER_ATTRIBUTE", "customer")]);
    let batch = [
        owned("A", 1, "PAID", json!({ "S": "C-1" })),
        owned("B", 2, "PAID", json!({ "N": "7.0" })),
        owned("D", 3, "PAID", json!({ "NULL": true })),
        record("Orders", "E", 4, "PAID"),
        owned("A", 5, "SHIPPED", json!({ "S": "C-1" })),
        remove("Orders", "A", 6),
    ];
    assert!(project(&projector, &batch).await.is_empty());
    let line = |id: &str, seq, status: &str| (id.to_owned(), seq, status.to_owned());
    let expected = [
        line("A", 1, "PAID"),
        line("A", 2, "SHIPPED"),
        line("A", 3, "REMOVED"),
    ];
    assert_eq!(listed(&feed, "C-1"), expected);
    assert_eq!(listed(&feed, "7"), [line("B", 1, "PAID")]);
    assert_eq!(feed.entries().len(), 6 + 4);
}

/// The order's own stream must not lose the change.
#[tokio::test(start_paused = true)]
async fn an_order_with_an_invalid_customer_is_in_its_own_log_only() {
    let logs = Logs::start();
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[("CUSTOMER_ATTRIBUTE", "customer")]);
    let long = "x".repeat(129);
    let invalid = [
        json!({ "S": "" }),
        json!({ "S": long }),
        json!({ "BOOL": true }),
        json!({ "L": [] }),
    ];
    let batch: Vec<_> = (1..)
        .zip(invalid)
        .map(|(n, value)| owned("A", n, &format!("S{n}"), value))
        .collect();
    assert!(project(&projector, &batch).await.is_empty());
    assert_eq!(feed.entries().len(), 4);
    let lines = logs.with("WARN", INVALID);
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["fields"]["order"], "A");
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_an_order_has_no_customer() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[]);
    let calls = async |n, status: &str| {
        let before = feed.calls();
        project(&projector, &[owned("A", n, status, json!({ "S": "C-1" }))]).await;
        feed.calls() - before
    };
    calls(1, "PLACED").await;
    // The read of the newest entry, the append, and the expiry.
    assert_eq!(calls(2, "PAID").await, 3);
    assert_eq!(listed(&feed, "C-1"), []);
    // No item has an attribute more than before.
    let entry = serde_json::to_value(&feed.entries()[1]).unwrap();
    for name in ["customer", "former", "listing", "shownUntil"] {
        assert_eq!(entry.get(name), None);
    }
}

/// With the setting: the customer's newest entry is read, and two more writes are made.
#[tokio::test(start_paused = true)]
async fn a_change_of_a_customers_order_takes_twice_as_many_calls() {
    let feed = MemoryFeed::default();
    let projector = projector(&feed, &[("CUSTOMER_ATTRIBUTE", "customer")]);
    // The calls that store a dwell time do not count.
    let others = || feed.calls() - feed.learnings();
    let mut calls = Vec::new();
    for (n, status) in [(1, "PLACED"), (2, "PAID"), (3, "PACKED")] {
        let before = others();
        project(&projector, &[owned("A", n, status, json!({ "S": "C-1" }))]).await;
        calls.push(others() - before);
    }
    assert_eq!(calls[1..], [6, 6]);
}

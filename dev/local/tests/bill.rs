//! The bill of the page's customers. Time is an argument.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use local::bill::{Ledger, Part, Price, Used, count_read};
use local::meter::Call;
use serde_json::json;
use tokio::time::Instant;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[track_caller]
fn check(ledger: &Ledger, at: Instant, customer: &str, requests: u64, held_ms: u64) {
    let used = ledger.bill(at).customers[customer].used;
    assert_eq!((used.requests, used.held_ms), (requests, held_ms));
}

#[test]
fn a_response_is_billed_while_it_is_open_and_within_the_minute() {
    let (ledger, start) = (Ledger::default(), Instant::now());
    let at = |millis| start + ms(millis);
    let open = ledger.begin("ada", start);
    check(&ledger, at(1_500), "ada", 1, 1_500);
    check(&ledger, at(1_500), "ben", 0, 0);
    ledger.end(open, at(10_000));
    check(&ledger, at(30_000), "ada", 1, 10_000);
    // The request began before the minute, and a part of it is in the minute.
    check(&ledger, at(64_000), "ada", 0, 6_000);
    check(&ledger, at(70_000), "ada", 0, 0);
    // A response that is held for longer than the minute.
    ledger.begin("ben", start);
    check(&ledger, at(300_000), "ben", 0, 60_000);
}

#[test]
fn each_response_is_rounded_up_to_a_millisecond() {
    let (ledger, start) = (Ledger::default(), Instant::now());
    for _ in 0..3 {
        let open = ledger.begin("ada", start);
        ledger.end(open, start + Duration::from_micros(4_001));
    }
    check(&ledger, start + ms(10), "ada", 3, 15);
}

#[test]
fn a_page_is_watched_between_its_reports_and_not_while_it_is_silent() {
    let (ledger, start) = (Ledger::default(), Instant::now());
    let watched = |at: u64| {
        let bill = ledger.bill(start + ms(at));
        let of = |customer: &str| bill.customers[customer].used.watched_ms;
        (of("ada"), of("ben"), bill.total.used.watched_ms)
    };
    assert!(!ledger.is_watched(start));
    for second in 0..=4 {
        ledger.watch("one", &["ada", "ben"], start + ms(second * 1_000));
    }
    assert!(ledger.is_watched(start + ms(5_000)));
    // Another window, where Ben's stream has ended.
    ledger.watch("other", &["ada"], start + ms(4_000));
    ledger.watch("other", &["ada"], start + ms(5_000));
    assert_eq!(watched(5_000), (5_000, 4_000, 9_000));
    // It was hidden meanwhile.
    ledger.watch("one", &["ada", "ben"], start + ms(20_000));
    assert_eq!(watched(20_000), (5_000, 4_000, 9_000));
    ledger.watch("one", &["ada", "ben"], start + ms(21_000));
    assert_eq!(watched(21_000), (6_000, 5_000, 11_000));
    assert!(!ledger.is_watched(start + ms(24_000)));
    assert_eq!(watched(120_000), (0, 0, 0));
}

/// In the test's own numbers: 0.20 USD per million requests, 1.666675 USD per million seconds of 128 MB, 0.125 USD per million read
/// units.
#[test]
fn the_prices_are_the_list_prices() {
    let used = Used {
        requests: 30,
        held_ms: 12_000,
        read_units: 40.0,
        watched_ms: 120_000,
    };
    let Part {
        usd,
        per_million_minutes,
        ..
    } = used.priced();
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9 * expected);
    let check = |price: Price, scale: f64| {
        near(price.requests, 6.0 * scale);
        near(price.held, 20.0001 * scale);
        near(price.reads, 5.0 * scale);
        near(price.total, 31.0001 * scale);
    };
    check(usd, 1e-6);
    // Two minutes were watched.
    check(per_million_minutes.unwrap(), 0.5);
    let nobody = Used {
        watched_ms: 0,
        ..used
    };
    assert_eq!(nobody.priced().per_million_minutes, None);
    near(Ledger::default().bill(Instant::now()).held_always, 100.0005);
}

#[test]
fn reads_of_a_customers_log_are_counted_and_no_others() {
    let ledger = Ledger::default();
    for (target, key, units) in [
        ("DynamoDB_20120810.Query", "%customer/ada", 0.5),
        ("DynamoDB_20120810.Query", "%customer/ada", 1.0),
        ("DynamoDB_20120810.Query", "%customer/eve", 8.0),
        ("DynamoDB_20120810.Query", "A-1", 8.0),
        ("DynamoDB_20120810.Query", "%dwells", 8.0),
        ("DynamoDB_20120810.UpdateItem", "%customer/ben", 8.0),
    ] {
        let body = json!({"ExpressionAttributeValues": {":a": {"S": key}, ":b": {"N": "1"}}});
        let body = &body;
        count_read(
            &ledger,
            Call {
                target,
                body,
                units,
            },
        );
    }
    let call = Call {
        target: "DynamoDB_20120810.Query",
        body: &json!({}),
        units: 8.0,
    };
    count_read(&ledger, call);
    let bill = ledger.bill(Instant::now());
    let units = |customer: &str| bill.customers[customer].used.read_units;
    assert_eq!(
        (units("ada"), units("ben"), bill.total.used.read_units),
        (1.5, 0.0, 1.5)
    );
}

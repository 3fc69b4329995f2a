//! The figures that `make cost` prints are right.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use std::fs;
use std::time::Duration;

use cost::compare::{fixed, fixed_of_mean};
use cost::shops;
use cost::simulate::{Learned, Outcome, learn, simulate};
use cost::trace::{Change, FOLDS, Trace, Visit, fold};
use order_status_stream::prices::{POLL, REQUEST, SECOND};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Forty orders, a minute apart. Each is PLACED for three minutes, SHIPPED for an hour, then DELIVERED, and is watched for its first
/// ten minutes.
fn trace() -> Trace {
    let mut trace = Trace::default();
    for number in 0..40 {
        let (order, placed) = (format!("order-{number}"), s(60 * number));
        let change = |after, status: &str| Change {
            at: placed + s(after),
            status: status.to_owned(),
        };
        let changes = [
            change(0, "PLACED"),
            change(180, "SHIPPED"),
            change(3780, "DELIVERED"),
        ];
        trace.orders.insert(order.clone(), changes.into());
        let opens = placed + s(1);
        trace.visits.push(Visit {
            order,
            opens,
            closes: opens + s(600),
        });
    }
    trace
}

fn run(variables: &[(&str, &str)]) -> Outcome {
    simulate(&trace(), variables, &learn(&trace()).unwrap(), 1).unwrap()
}

#[test]
fn each_change_that_came_during_a_visit_is_seen_once_whatever_the_settings() {
    for variables in [
        &[][..],
        &[("HOLD", "always")],
        &[("FRESHNESS", "10s"), ("MAX_REST", "20s")],
    ] {
        let outcome = run(variables);
        assert_eq!(outcome.delays.seen.len(), 40, "{variables:?}");
        assert_eq!(outcome.delays.missed, 0, "{variables:?}");
    }
}

#[test]
fn what_is_held_is_billed_each_second_and_beyond_the_visit() {
    let bill = run(&[("HOLD", "always")]).watching.bill();
    let watched = trace().watch_minutes() * 60.0;
    assert!((0.9..1.1).contains(&(bill.held / (watched * SECOND))));
    assert!((0.9..1.1).contains(&(bill.reads / (watched * 2.0 * POLL))));
    // About ten windows of a minute, less their jitter, for each of forty orders.
    let requests = bill.requests / REQUEST;
    assert!((400.0..=560.0).contains(&requests), "{requests}");
}

#[test]
fn what_was_learned_of_other_orders_makes_it_cheaper() {
    let nothing = simulate(&trace(), &[], &Learned::default(), 1).unwrap();
    let bill = run(&[]).watching.bill().total();
    assert!(bill < nothing.watching.bill().total() / 3.0, "{bill}");
}

#[test]
fn no_fold_learns_from_itself() {
    let learned = learn(&trace()).unwrap();
    let orders: Vec<_> = trace().orders.into_keys().collect();
    for (number, learned) in learned.iter().enumerate() {
        let others = orders.iter().filter(|order| fold(order) != number).count();
        assert!(others > 40 / FOLDS, "{others}");
        let weights: Vec<_> = learned.values().map(|dwells| dwells.total()).collect();
        // Dwell times of the same day have nearly the same weight.
        let one = order_status_stream::dwell::weight(cost::simulate::EPOCH.as_secs());
        for weight in weights {
            let counted = weight / one;
            assert!(counted <= others as f64 * 1.01, "{counted} of {others}");
            assert!(counted > others as f64 * 0.85, "{counted} of {others}");
        }
    }
}

#[test]
fn fixed_check_ins_show_a_change_half_an_interval_late_and_are_found_by_their_mean() {
    let (bill, delays) = fixed(&trace(), s(10));
    // The network and the read take 45 ms.
    assert!((delays.mean() - 5.0).abs() < 0.4, "{}", delays.mean());
    // At the opening, and then every ten seconds.
    let check_ins = bill.requests / REQUEST;
    assert!(
        (40.0 * 60.0..=40.0 * 62.0).contains(&check_ins),
        "{check_ins}"
    );
    let (interval, found) = fixed_of_mean(&trace(), delays.mean()).unwrap();
    assert!((interval.as_secs_f64() - 10.0).abs() < 0.5, "{interval:?}");
    assert!((found.total() / bill.total() - 1.0).abs() < 0.05);
    assert!(
        fixed_of_mean(&trace(), 0.3).is_none(),
        "a second apart at least"
    );
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (changes, visits) = (folder.path().join("c.csv"), folder.path().join("v.csv"));
    fs::write(&changes, "order,t,status\nA,1.5,PLACED\r\nA,soon,PAID\n").unwrap();
    fs::write(&visits, "order,opens,closes\nA,0,9\n").unwrap();
    let error = Trace::read(&changes, &visits).unwrap_err();
    assert_eq!(
        error,
        format!(
            "{}, line 3: expected order,t,status, found \"A,soon,PAID\"",
            changes.display()
        )
    );
    fs::write(&changes, "A,1.5,PLACED\n").unwrap();
    let error = Trace::read(&changes, &visits).unwrap_err();
    assert!(error.contains("line 1: expected order,t,status"), "{error}");
    let missing = folder.path().join("nowhere.csv");
    assert!(
        Trace::read(&missing, &visits)
            .unwrap_err()
            .contains("nowhere.csv: ")
    );
}

#[test]
fn the_made_up_shops_can_be_read() {
    let traces = shops::traces().unwrap();
    assert_eq!(traces.len(), 12);
    for trace in traces {
        assert!(trace.watch_minutes() > 0.0, "{}", trace.name);
    }
}

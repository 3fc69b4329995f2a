//! The figures that `make cost` prints are right.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

use std::fs;
use std::time::Duration;

use cost::compare::{fixed, fixed_of_mean};
use cost::herd::{self, Client, Event, Herd};
use cost::lambda::INIT;
use cost::meter::{CALL, Outage};
use cost::prices::{CHECK_IN_BYTES, EGRESS};
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
    let (bill, delays) = fixed(&trace(), s(10), s(0));
    // The network and the read take 45 ms.
    assert!((delays.mean() - 5.0).abs() < 0.4, "{}", delays.mean());
    // At the opening, and then every ten seconds.
    let check_ins = bill.requests / REQUEST;
    assert!(
        (40.0 * 60.0..=40.0 * 62.0).contains(&check_ins),
        "{check_ins}"
    );
    let (interval, found) = fixed_of_mean(&trace(), delays.mean(), s(0)).unwrap();
    assert!((interval.as_secs_f64() - 10.0).abs() < 0.5, "{interval:?}");
    assert!((found.total() / bill.total() - 1.0).abs() < 0.05);
    assert!(
        fixed_of_mean(&trace(), 0.3, s(0)).is_none(),
        "a second apart at least"
    );
}

#[test]
fn fixed_check_ins_wait_for_the_stream_too() {
    let mean = |lag| fixed(&trace(), s(10), lag).1.mean();
    // Two offsets of ten seconds' sixteen.
    let later = mean(Duration::from_millis(1250)) - mean(s(0));
    assert!((later - 1.25).abs() < 0.02, "{later}");
}

/// Every order is watched from a second after its placing, so the environments that the first needs are not enough.
#[test]
fn cold_starts_are_counted_and_billed() {
    let usage = run(&[("HOLD", "always")]).watching;
    // Forty visits of ten minutes, a minute apart, are eleven at once.
    assert!(
        (10..=16).contains(&usage.cold_starts),
        "{}",
        usage.cold_starts
    );
    let each = usage.init_ms as f64 / usage.cold_starts as f64;
    let expected = (INIT + CALL * FOLDS as u32).as_millis() as f64;
    assert!((each - expected).abs() < 2.0, "{each}, not {expected}");
    let bill = usage.bill();
    assert!((bill.cold / (usage.init_ms as f64 / 1000.0 * SECOND) - 1.0).abs() < 1e-9);
    assert!(bill.total() > bill.held + bill.cold);
}

#[test]
fn a_check_in_sends_about_six_hundred_bytes_with_its_head() {
    let usage = simulate(&trace(), &[], &Learned::default(), 1)
        .unwrap()
        .watching;
    let bytes = usage.bytes as f64 / usage.requests as f64;
    assert!((bytes / CHECK_IN_BYTES - 1.0).abs() < 0.15, "{bytes}");
    assert!((usage.bill().egress / (usage.bytes as f64 * EGRESS) - 1.0).abs() < 1e-9);
}

#[test]
fn a_delay_begins_at_the_write_and_its_parts_are_all_of_it() {
    let mut outcome = run(&[("HOLD", "always")]);
    let parts = outcome.delays.parts.mean(outcome.delays.seen.len());
    let sum = parts.stream + parts.projector + parts.wait + parts.network;
    assert!((sum - outcome.delays.mean()).abs() < 0.001, "{sum}");
    assert!((0.15..0.35).contains(&parts.stream), "{parts:?}");
    // No page can show a change before the stream delivers it.
    assert!(outcome.delays.quantile(0.0) > 0.059 + 0.010 + 0.020);
}

fn herd(event: Event, client: Client) -> herd::Report {
    let herd = Herd {
        watchers: 300,
        executions: 50,
        client,
        event,
        seed: 3,
    };
    herd::Report::new(&herd, herd.run().unwrap())
}

#[test]
fn a_herd_comes_back_within_a_minute_of_an_outage_and_nobody_is_lost() {
    for client in Client::ALL {
        let report = herd(Event::Outage(Outage::Repeats), client);
        assert_eq!(
            (report.dead_by_us, report.dead_by_lambda),
            (0, 0),
            "{report:?}"
        );
        assert!(report.ratio <= 2.0, "{report:?}");
        assert!(report.shown <= 60.0, "{report:?}");
        assert_eq!(report.missed, 0, "{report:?}");
    }
}

#[test]
fn an_event_source_does_not_survive_a_429_and_our_client_does() {
    let bare = herd(Event::Throttle, Client::EventSource);
    assert!(bare.throttled > 0 && bare.dead_by_lambda > 0, "{bare:?}");
    let ours = herd(Event::Throttle, Client::Ours);
    assert!(ours.throttled > 0 && ours.dead_by_lambda == 0, "{ours:?}");
    assert_eq!(ours.missed, 0, "{ours:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let rates = || herd(Event::Sale, Client::Ours).rates;
    assert_eq!(rates(), rates());
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

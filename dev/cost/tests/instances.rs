//! What `docs/cost.md` says of Managed Instances.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use cost::instances::{Load, fill_of};
use cost::trace::Trace;

fn traces() -> [Load; 2] {
    ["food", "parcel"].map(|name| {
        let file = |part: &str| {
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("traces/{name}-{part}.csv"))
        };
        let trace = Trace::read(&file("changes"), &file("visits"));
        Load::of(&trace.unwrap())
    })
}

/// A WebSocket at API Gateway costs 1.0 and 2.0 USD.
#[test]
fn a_million_watched_minutes_cost_at_most_1_50_usd_with_the_wake() {
    for load in traces() {
        let bill = load.woken(1.0).per_million(load.minutes);
        assert!(bill.total() <= 1.5, "{bill:?}");
        let polled = load.polled(1.0).per_million(load.minutes);
        assert!(polled.reads > 7.0, "the wake saves {}", polled.reads);
    }
}

#[test]
fn the_price_holds_at_the_fill_that_is_named() {
    for (load, named) in traces().iter().zip([0.76, 0.96]) {
        let fill = fill_of(load, 1.5);
        assert!((fill - named).abs() < 0.005, "{fill}");
        let bill = load.woken(fill).per_million(load.minutes);
        assert!((bill.total() - 1.5).abs() < 1e-9, "{bill:?}");
    }
}

/// A bill is counted again by hand: 1,600 streams for an hour on one of three full instances, each with one change.
#[test]
fn an_hour_of_1600_streams_costs_what_the_prices_say() {
    let load = Load {
        visits: 1600.0,
        minutes: 1600.0 * 60.0,
        live: 1600.0,
    };
    let bill = load.woken(1.0);
    let responses = 1600.0 + 1600.0 * 4.0;
    let instance = 0.0725 * 1.15 + 0.0128 / 3.0;
    let polls = (responses + 1600.0 * 120.0) * 0.125e-6 / 2.0;
    let strong = (responses + 1600.0) * 0.125e-6;
    assert!((bill.other - instance).abs() < 1e-9, "{bill:?}");
    assert!((bill.requests - responses * 0.20e-6).abs() < 1e-9);
    assert!((bill.reads - polls - strong).abs() < 1e-9);
}

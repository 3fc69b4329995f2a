//! What else there is: the same trace by other means, at list prices. `docs/cost.md` has the formulas in words.

use std::time::Duration;

use crate::bill::{Bill, Delays, Usage};
use crate::browser::ONE_WAY;
use crate::meter::CALL;
use crate::prices::{
    APPSYNC_MINUTE, APPSYNC_OPERATION, CHECK_IN, FEWEST_INSTANCES, INSTANCE_FEE, INSTANCE_HOUR,
    INSTANCE_STREAMS, POLL, READ_UNIT, REQUEST, SECOND, WEBSOCKET_MESSAGE, WEBSOCKET_MINUTE,
    WRITE_UNIT,
};
use crate::trace::{Trace, Visit};

/// Fixed check-ins are tried at so many offsets against the changes: what comes of them is no accident of one.
const OFFSETS: u32 = 16;

/// How often a held stream looks at the feed by default.
const POLLS_A_SECOND: f64 = 2.0;

/// A page that asks a plain endpoint each `interval`, until the order is finished.
pub fn fixed(trace: &Trace, interval: Duration) -> (Bill, Delays) {
    let (mut check_ins, mut delays) = (0_u64, Delays::default());
    for offset in 0..OFFSETS {
        for visit in &trace.visits {
            check_ins += check_in(
                trace,
                visit,
                interval,
                interval * offset / OFFSETS,
                &mut delays,
            );
        }
    }
    delays.missed /= OFFSETS as usize;
    let usage = Usage {
        requests: check_ins,
        billed_ms: check_ins * CALL.as_millis() as u64,
        read_units: check_ins as f64 / 2.0,
        ..Usage::default()
    };
    // As each offset is a run of its own, a run is the mean of them.
    (usage.bill().per_million(1e6 * f64::from(OFFSETS)), delays)
}

/// Returns how many check-ins a visit makes: at its opening, `offset` later, and each `interval` from there on.
fn check_in(
    trace: &Trace,
    visit: &Visit,
    interval: Duration,
    offset: Duration,
    delays: &mut Delays,
) -> u64 {
    let changes = trace.changes(&visit.order);
    let looks = |n: u64| match n {
        0 => visit.opens + ONE_WAY + CALL,
        n => visit.opens + offset + interval.mul_f64((n - 1) as f64) + ONE_WAY + CALL,
    };
    let sees = |at: Duration| {
        let after = at.saturating_sub(looks(1));
        let n = (after.as_secs_f64() / interval.as_secs_f64()).ceil() as u64;
        if at <= looks(0) { 0 } else { 1 + n }
    };
    for index in trace.live(visit) {
        let arrives = looks(sees(changes[index].at)) + ONE_WAY;
        match arrives <= visit.closes {
            true => delays
                .seen
                .push((arrives - changes[index].at).as_secs_f64()),
            false => delays.missed += 1,
        }
    }
    let last = trace.finished(&visit.order).map_or(u64::MAX, sees);
    let open = (visit.closes - visit.opens)
        .saturating_sub(offset)
        .as_secs_f64();
    last.min((open / interval.as_secs_f64()).ceil() as u64) + 1
}

/// The fixed check-ins of the same mean delay, where they are not more frequent than one a second.
pub fn fixed_of_mean(trace: &Trace, mean: f64) -> Option<(Duration, Bill)> {
    let (mut low, mut high) = (Duration::from_secs(1), Duration::from_secs(600));
    if fixed(trace, low).1.mean() > mean {
        return None;
    }
    while high - low > Duration::from_millis(20) {
        let middle = (low + high) / 2;
        match fixed(trace, middle).1.mean() <= mean {
            true => low = middle,
            false => high = middle,
        }
    }
    Some((low, fixed(trace, low).0))
}

/// Another service's bill for the trace.
pub struct Alternative {
    /// What it is.
    pub name: &'static str,
    /// For the whole trace.
    pub bill: Bill,
}

/// Push by other services. Each page first asks a plain endpoint where the order stands.
pub fn alternatives(trace: &Trace) -> Vec<Alternative> {
    let visits = trace.visits.len() as f64;
    let minutes = trace.watch_minutes();
    let live: usize = trace
        .visits
        .iter()
        .map(|visit| trace.live(visit).len())
        .sum();
    let changes: usize = trace.orders.values().map(Vec::len).sum();
    let (live, changes) = (live as f64, changes as f64);
    let snapshot = Bill {
        requests: visits * REQUEST,
        held: visits * (CHECK_IN - REQUEST - POLL),
        reads: visits * POLL,
        ..Bill::default()
    };
    // A connection is written down when it opens and when it closes, by a function each; who watches is read at each change.
    let websocket = Bill {
        requests: snapshot.requests + 2.0 * visits * REQUEST,
        held: snapshot.held + 2.0 * visits * 0.010 * SECOND,
        reads: snapshot.reads + changes * READ_UNIT / 2.0,
        writes: 2.0 * visits * WRITE_UNIT,
        other: minutes * WEBSOCKET_MINUTE + live * WEBSOCKET_MESSAGE,
    };
    let operations = 2.0 * visits + changes + live;
    let appsync = Bill {
        other: minutes * APPSYNC_MINUTE + operations * APPSYNC_OPERATION,
        ..snapshot
    };
    let instance_second = INSTANCE_HOUR * (1.0 + INSTANCE_FEE) / 3600.0;
    let streams = Bill {
        requests: (visits + minutes) * REQUEST,
        reads: minutes * 60.0 * POLLS_A_SECOND * POLL,
        ..Bill::default()
    };
    let full = Bill {
        other: minutes * 60.0 * instance_second / INSTANCE_STREAMS,
        ..streams
    };
    let instances = (peak_visits(trace) / INSTANCE_STREAMS)
        .ceil()
        .max(FEWEST_INSTANCES);
    let there = Bill {
        other: trace.span().as_secs_f64() * instance_second * instances,
        ..streams
    };
    [
        ("API Gateway WebSocket", websocket),
        ("AppSync Events", appsync),
        ("Managed Instances, always full", full),
        ("Managed Instances, for this trace", there),
    ]
    .map(|(name, bill)| Alternative { name, bill })
    .into()
}

/// The most visits at a time.
fn peak_visits(trace: &Trace) -> f64 {
    let opens = trace.visits.iter().map(|visit| (visit.opens, 1));
    let closes = trace.visits.iter().map(|visit| (visit.closes, -1));
    let mut events: Vec<_> = opens.chain(closes).collect();
    events.sort_unstable();
    let (mut open, mut peak) = (0, 0);
    for (_, change) in events {
        open += change;
        peak = peak.max(open);
    }
    f64::from(peak)
}

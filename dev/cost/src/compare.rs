//! The alternatives: what the same trace costs with them, at list prices. `docs/cost.md` has the formulas in words.

use std::time::Duration;

use order_status_stream::prices::{POLL, READ_UNIT, REQUEST, SECOND};

use crate::bill::{Bill, Delays, Usage};
use crate::browser::ONE_WAY;
use crate::instances::Load;
use crate::meter::CALL;
use crate::prices::{
    APPSYNC_MINUTE, APPSYNC_OPERATION, CHECK_IN_BYTES, EGRESS, WEBSOCKET_MESSAGE, WEBSOCKET_MINUTE,
    WRITE_UNIT,
};
use crate::trace::{Trace, Visit};

/// The number of offsets between changes and fixed check-ins that are tried, so that the result does not depend on one.
const OFFSETS: u32 = 16;

/// The bytes of a change that is pushed, in its frame. Assumed.
pub(crate) const MESSAGE_BYTES: f64 = 200.0;

/// The bytes of the response that opens a WebSocket. Assumed.
const HANDSHAKE_BYTES: f64 = 300.0;

/// A page that requests the status from a plain endpoint each `interval`, until the order is finished. A change can be read `lag`
/// after its write. Cold starts are not counted.
pub fn fixed(trace: &Trace, interval: Duration, lag: Duration) -> (Bill, Delays) {
    let (mut check_ins, mut delays) = (0_u64, Delays::default());
    for offset in 0..OFFSETS {
        for visit in &trace.visits {
            check_ins += check_in(
                trace,
                visit,
                interval,
                interval * offset / OFFSETS,
                lag,
                &mut delays,
            );
        }
    }
    delays.missed /= OFFSETS as usize;
    let usage = Usage {
        requests: check_ins,
        billed_ms: check_ins * CALL.as_millis() as u64,
        read_units: check_ins as f64 / 2.0,
        bytes: check_ins * CHECK_IN_BYTES as u64,
        ..Usage::default()
    };
    // Each offset is a run of its own. This is the mean.
    (usage.bill().per_million(1e6 * f64::from(OFFSETS)), delays)
}

/// Returns how many check-ins a visit makes: at its opening, `offset` later, and each `interval` from there on.
fn check_in(
    trace: &Trace,
    visit: &Visit,
    interval: Duration,
    offset: Duration,
    lag: Duration,
    delays: &mut Delays,
) -> u64 {
    let changes = trace.changes(&visit.order);
    let reads_at = |n: u64| match n {
        0 => visit.opens + ONE_WAY + CALL,
        n => visit.opens + offset + interval.mul_f64((n - 1) as f64) + ONE_WAY + CALL,
    };
    let sees = |at: Duration| {
        let after = at.saturating_sub(reads_at(1));
        let n = (after.as_secs_f64() / interval.as_secs_f64()).ceil() as u64;
        if at <= reads_at(0) { 0 } else { 1 + n }
    };
    for index in trace.live(visit) {
        let arrives = reads_at(sees(changes[index].at + lag)) + ONE_WAY;
        match arrives <= visit.closes {
            true => delays
                .seen
                .push((arrives - changes[index].at).as_secs_f64()),
            false => delays.missed += 1,
        }
    }
    let last = trace.finished(&visit.order);
    let last = last.map_or(u64::MAX, |at| sees(at + lag));
    let open = (visit.closes - visit.opens)
        .saturating_sub(offset)
        .as_secs_f64();
    last.min((open / interval.as_secs_f64()).ceil() as u64) + 1
}

/// The interval and the bill of fixed check-ins with this mean delay. `None` if the interval would be shorter than a second.
pub fn fixed_of_mean(trace: &Trace, mean: f64, lag: Duration) -> Option<(Duration, Bill)> {
    let (mut low, mut high) = (Duration::from_secs(1), Duration::from_secs(600));
    if fixed(trace, low, lag).1.mean() > mean {
        return None;
    }
    while high - low > Duration::from_millis(20) {
        let middle = (low + high) / 2;
        match fixed(trace, middle, lag).1.mean() <= mean {
            true => low = middle,
            false => high = middle,
        }
    }
    Some((low, fixed(trace, low, lag).0))
}

/// Another service.
pub struct Alternative {
    pub name: &'static str,
    /// For the whole trace.
    pub bill: Bill,
}

/// Push by other services, and by this one on Managed Instances. Each page first requests the order's status from a plain endpoint.
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
        held: visits * CALL.as_secs_f64() * SECOND,
        reads: visits * POLL,
        egress: visits * CHECK_IN_BYTES * EGRESS,
        ..Bill::default()
    };
    // A function writes a table item when a connection opens, and another when it closes. Each change reads who watches.
    let websocket = Bill {
        requests: snapshot.requests + 2.0 * visits * REQUEST,
        held: snapshot.held + 2.0 * visits * 0.010 * SECOND,
        reads: snapshot.reads + changes * READ_UNIT / 2.0,
        writes: 2.0 * visits * WRITE_UNIT,
        egress: snapshot.egress + (visits * HANDSHAKE_BYTES + live * MESSAGE_BYTES) * EGRESS,
        other: minutes * WEBSOCKET_MINUTE + live * WEBSOCKET_MESSAGE,
        ..Bill::default()
    };
    let operations = 2.0 * visits + changes + live;
    let appsync = Bill {
        egress: websocket.egress,
        other: minutes * APPSYNC_MINUTE + operations * APPSYNC_OPERATION,
        ..snapshot
    };
    let load = Load::of(trace);
    let span = trace.span().as_secs_f64() / 60.0;
    [
        ("API Gateway WebSocket", websocket),
        ("AppSync Events", appsync),
        ("Managed Instances, full", load.polled(1.0)),
        ("Managed Instances, wake, full", load.woken(1.0)),
        (
            "Managed Instances, wake, this trace",
            load.woken_for(span, peak_visits(trace)),
        ),
    ]
    .map(|(name, bill)| Alternative { name, bill })
    .into()
}

/// The most concurrent visits.
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

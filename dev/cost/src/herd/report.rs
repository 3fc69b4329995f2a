//! What a run showed.

use serde::Serialize;

use super::{BEFORE, Herd, Outcome, steady};

/// A rate within this part of the steady rate is the steady rate.
const NEAR: f64 = 0.1;

/// The rate of so many seconds is compared with the steady rate.
const WINDOW: usize = 5;

/// The figures of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub event: &'static str,
    pub client: &'static str,
    /// Requests a second, before the event and at the end of the run.
    pub steady: [f64; 2],
    /// The most requests in a second from the event on.
    pub peak: u64,
    /// The peak, as a multiple of the steady rate before.
    pub ratio: f64,
    pub concurrent: u64,
    /// Requests that got 429.
    pub throttled: u64,
    pub cold_starts: u64,
    /// The seconds from the event's end until the rate is steady, and all changes are shown that were written before.
    pub recovered: Option<f64>,
    /// The seconds from the event's end until all changes are shown that were written before. Negative if they were shown earlier.
    pub shown: f64,
    pub dead_by_lambda: usize,
    pub dead_by_us: usize,
    /// Of the changes that were written from the event on, in seconds.
    pub delay: [f64; 2],
    /// How many of them were not shown.
    pub missed: usize,
    /// The rate of requests in each second.
    #[serde(skip)]
    pub rates: Vec<f64>,
}

impl Report {
    pub fn new(herd: &Herd, mut outcome: Outcome) -> Self {
        let seconds = &outcome.seconds;
        let (before, last) = (BEFORE as usize, seconds.len() as u64);
        let steady = [steady(seconds, BEFORE), steady(seconds, last)];
        let during = || seconds.iter().skip(before);
        let peak = during().map(|second| second.requests).max();
        let peak = peak.unwrap_or_default();
        let event_end = (BEFORE + herd.event.duration()) as usize;
        let rates: Vec<_> = seconds.iter().map(|it| it.requests as f64).collect();
        let shown = outcome.shown - event_end as f64;
        let recovered = recovered(&rates, event_end, steady[1]);
        // A herd of which a tenth is gone has not recovered.
        let lives = (outcome.dead_by_lambda + outcome.dead_by_us) * 10 < herd.watchers;
        let recovered = recovered
            .filter(|_| lives)
            .map(|rate_steady| shown.max(rate_steady as f64));
        let concurrent = during().map(|it| it.concurrent).max().unwrap_or_default();
        Self {
            event: herd.event.name(),
            client: herd.client.name(),
            steady,
            peak,
            ratio: peak as f64 / steady[0],
            concurrent,
            throttled: during().map(|second| second.throttled).sum(),
            cold_starts: during().map(|second| second.cold_starts).sum(),
            recovered,
            shown,
            dead_by_lambda: outcome.dead_by_lambda,
            dead_by_us: outcome.dead_by_us,
            delay: [outcome.delays.quantile(0.5), outcome.delays.quantile(0.99)],
            missed: outcome.delays.missed,
            rates,
        }
    }
}

/// The seconds from the event's end after which the rate stays near the steady one. `None` if it does not.
fn recovered(rates: &[f64], event_end: usize, steady: f64) -> Option<usize> {
    let windows = rates.get(event_end..)?.windows(WINDOW);
    let near: Vec<_> = windows
        .map(|window| window.iter().sum::<f64>() / WINDOW as f64)
        .map(|rate| (rate / steady - 1.0).abs() <= NEAR)
        .collect();
    match near.iter().rposition(|near| !near) {
        None => Some(0),
        Some(last) if last + 1 == near.len() => None,
        // Only the last second of the window may have been the one that was missing.
        Some(last) => Some(last + WINDOW),
    }
}

/// Prints a table.
pub fn print(reports: &[Report]) {
    println!(
        "{:28} {:12} {:>7} {:>7} {:>7} {:>6} {:>8} {:>8} {:>6} {:>9} {:>12} {:>9} {:>7} {:>7} {:>7}",
        "",
        "",
        "steady",
        "after",
        "peak",
        "times",
        "at once",
        "429",
        "cold",
        "recovered",
        "dead: Lambda",
        "dead: us",
        "p50",
        "p99",
        "missed"
    );
    for it in reports {
        let recovered = it
            .recovered
            .map_or("never".to_owned(), |s| format!("{s:.0} s"));
        let ([before, after], [p50, p99]) = (it.steady, it.delay);
        println!(
            "{:28} {:12} {before:7.0} {after:7.0} {:7} {:6.2} {:8} {:8} {:6} {recovered:>9} {:12} {:9} {p50:7.2} {p99:7.2} {:7}",
            it.event,
            it.client,
            it.peak,
            it.ratio,
            it.concurrent,
            it.throttled,
            it.cold_starts,
            it.dead_by_lambda,
            it.dead_by_us,
            it.missed
        );
    }
}

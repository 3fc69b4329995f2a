//! Prints the results.

use std::time::Duration;

use order_status_stream::prices::{Price, REQUEST};
use serde::Serialize;

use crate::bill::{Bill, Delays, Usage};
use crate::compare::{alternatives, fixed, fixed_of_mean};
use crate::journey::Parts;
use crate::simulate::Outcome;
use crate::trace::Trace;

/// The results for a trace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    trace: String,
    orders: usize,
    changes: usize,
    visits: usize,
    watch_minutes: f64,
    /// What it costs to project a million changes, whether or not anybody watches, in USD.
    per_million_changes: f64,
    /// From the write of an order until its change can be read from the feed, in seconds: the mean of all rows that measured it.
    lag: f64,
    rows: Vec<Row>,
}

/// One way to watch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    name: String,
    /// USD per million watched minutes.
    total: f64,
    #[serde(flatten)]
    bill: Bill,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<Delay>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak: Option<Peak>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<Used>,
    /// Fixed check-ins with the same mean delay, if they are a second apart or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<Fixed>,
    #[serde(skip)]
    projecting: f64,
}

/// The delay of live changes, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Delay {
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    seen: usize,
    /// The number of changes that came before the page was closed, but were not shown.
    missed: usize,
    /// The parts of the mean.
    parts: Parts,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Peak {
    requests_per_second: u64,
    concurrent_executions: u64,
}

/// The counts behind the bill of a million watched minutes.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    cold_starts: f64,
    handshakes: f64,
    gigabytes: f64,
    bytes_per_request: f64,
}

impl Used {
    fn of(usage: &Usage, minutes: f64) -> Self {
        let per_million = |count: u64| count as f64 * 1e6 / minutes;
        Self {
            cold_starts: per_million(usage.cold_starts),
            handshakes: per_million(usage.handshakes),
            gigabytes: per_million(usage.bytes) / 1e9,
            bytes_per_request: usage.bytes as f64 / usage.requests.max(1) as f64,
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Fixed {
    interval: f64,
    total: f64,
    /// How many times more expensive fixed check-ins are.
    ratio: f64,
}

impl Delay {
    fn of(mut delays: Delays) -> Self {
        Self {
            mean: delays.mean(),
            p50: delays.quantile(0.5),
            p95: delays.quantile(0.95),
            p99: delays.quantile(0.99),
            parts: delays.parts.mean(delays.seen.len()),
            seen: delays.seen.len(),
            missed: delays.missed,
        }
    }
}

/// From the write of an order until its change can be read from the feed.
fn lag(parts: &Parts) -> Duration {
    Duration::from_secs_f64(parts.stream + parts.projector)
}

impl Row {
    /// The row of a run.
    pub fn of(trace: &Trace, settings: &[(&str, &str)], note: &str, outcome: Outcome) -> Self {
        let minutes = trace.watch_minutes();
        let request = settings.iter().find(|(name, _)| *name == "REQUEST_PRICE");
        let request = request.and_then(|(_, price)| Price::parse(price));
        let request = request.map_or(REQUEST, Price::usd);
        let bill = outcome.watching.bill().with_request_price(request);
        let bill = bill.per_million(minutes);
        let delay = Delay::of(outcome.delays);
        let total = bill.total();
        let fixed = fixed_of_mean(trace, delay.mean, lag(&delay.parts)).map(|(interval, fixed)| {
            let fixed = fixed.with_request_price(request);
            let fixed = fixed.per_million(minutes).total();
            Fixed {
                interval: interval.as_secs_f64(),
                total: fixed,
                ratio: fixed / total,
            }
        });
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let changes: usize = trace.orders.values().map(Vec::len).sum();
        Self {
            name: settings.join(" ") + note,
            total,
            bill,
            delay: Some(delay),
            peak: Some(Peak {
                requests_per_second: outcome.peak_requests,
                concurrent_executions: outcome.peak_concurrency,
            }),
            used: Some(Used::of(&outcome.watching, minutes)),
            fixed,
            projecting: outcome.projecting.bill().total() / changes as f64 * 1e6,
        }
    }

    fn alternative(name: String, bill: Bill, delay: Option<Delay>) -> Self {
        Self {
            name,
            total: bill.total(),
            bill,
            delay,
            peak: None,
            used: None,
            fixed: None,
            projecting: 0.0,
        }
    }
}

impl Report {
    /// The rows of the runs, and those of the alternatives.
    pub fn new(trace: &Trace, mut rows: Vec<Row>) -> Self {
        let minutes = trace.watch_minutes();
        let measured = rows.iter().filter_map(|row| row.delay);
        let lags = measured.map(|delay| lag(&delay.parts));
        let lag = lags.sum::<Duration>() / u32::try_from(rows.len().max(1)).unwrap_or(1);
        for seconds in [1, 5, 15] {
            let (bill, delays) = fixed(trace, Duration::from_secs(seconds), lag);
            let name = format!("fixed check-ins, {seconds} s");
            rows.push(Row::alternative(
                name,
                bill.per_million(minutes),
                Some(Delay::of(delays)),
            ));
        }
        for alternative in alternatives(trace) {
            let bill = alternative.bill.per_million(minutes);
            rows.push(Row::alternative(alternative.name.to_owned(), bill, None));
        }
        Self {
            trace: trace.name.clone(),
            orders: trace.orders.len(),
            changes: trace.orders.values().map(Vec::len).sum(),
            visits: trace.visits.len(),
            watch_minutes: minutes,
            per_million_changes: rows.first().map_or(0.0, |row| row.projecting),
            lag: lag.as_secs_f64(),
            rows,
        }
    }

    /// From the write of an order until its change can be read from the feed.
    pub fn lag(&self) -> Duration {
        Duration::from_secs_f64(self.lag)
    }

    /// For each row whose name begins with `prefix`: mean delay, USD per million watched minutes, and the setting's value.
    pub fn points(&self, prefix: &str) -> Vec<(f64, f64, String)> {
        let points = self.rows.iter().filter_map(|row| {
            let value = row.name.strip_prefix(prefix)?;
            let learned = !value.contains(',');
            learned.then_some((row.delay?.mean, row.total, value.to_owned()))
        });
        points.collect()
    }

    /// Prints a table.
    pub fn print(&self) {
        println!(
            "\n{}: {} orders, {} changes, {} visits, {:.0} minutes watched. USD per million watched minutes; seconds of delay.",
            self.trace, self.orders, self.changes, self.visits, self.watch_minutes
        );
        println!(
            "{:34} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>8} | {:>6} {:>6} {:>6} {:>6} {:>6} | {:>5} {:>5} | fixed check-ins of that mean",
            "",
            "total",
            "requests",
            "held",
            "cold",
            "reads",
            "writes",
            "egress",
            "other",
            "mean",
            "p50",
            "p95",
            "p99",
            "missed",
            "req/s",
            "at once"
        );
        for row in &self.rows {
            row.print();
        }
        println!("From the write of the order to the page, seconds of the mean delay:");
        for row in &self.rows {
            row.print_parts();
        }
        println!(
            "To project a million changes, watched or not, costs {:.2} USD.",
            self.per_million_changes
        );
    }
}

impl Row {
    /// The parts of the delay, and what was used of what the bill counts.
    fn print_parts(&self) {
        let (Some(Delay { parts, .. }), Some(used)) = (self.delay, self.used) else {
            return;
        };
        let Parts {
            stream,
            projector,
            wait,
            network,
        } = parts;
        println!(
            "{:34} stream {stream:.2}, projector {projector:.2}, wait {wait:.2}, network {network:.2} | a million minutes: {:.0} cold \
             starts, {:.0} handshakes, {:.2} GB, {:.0} bytes a request",
            self.name, used.cold_starts, used.handshakes, used.gigabytes, used.bytes_per_request
        );
    }

    fn print(&self) {
        let Bill {
            requests,
            held,
            cold,
            reads,
            writes,
            egress,
            other,
        } = self.bill;
        print!(
            "{:34} {:8.2} {requests:8.2} {held:8.2} {cold:7.2} {reads:7.2} {writes:7.2} {egress:7.2} {other:8.2} |",
            self.name, self.total
        );
        match self.delay {
            Some(Delay {
                mean,
                p50,
                p95,
                p99,
                missed,
                ..
            }) => {
                print!(" {mean:6.2} {p50:6.2} {p95:6.2} {p99:6.2} {missed:6} |");
            }
            None => print!(" {:34} |", "push: as it comes"),
        }
        if let Some(peak) = self.peak {
            print!(
                " {:5} {:7} |",
                peak.requests_per_second, peak.concurrent_executions
            );
        }
        if let Some(fixed) = self.fixed {
            print!(
                " {:.2} s: {:.2}, {:.2} times this",
                fixed.interval, fixed.total, fixed.ratio
            );
        }
        println!();
    }
}

/// Prints the results for programs.
pub fn print_json<R: Serialize>(reports: &[R]) {
    match serde_json::to_string_pretty(reports) {
        Ok(json) => println!("{json}"),
        Err(error) => eprintln!("{error}"),
    }
}

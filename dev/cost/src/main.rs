//! `make cost`: what order-status-stream costs and how late it is, on traces, next to the alternatives.
#![allow(clippy::print_stderr, reason = "a command line program")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use cost::herd::{self, Client, Event, Herd};
use cost::report::{self, Report, Row};
use cost::simulate::{Learned, learn, simulate};
use cost::trace::Trace;
use cost::{chart, shops};

/// Prints what order-status-stream costs and how late it shows a change, next to the alternatives
#[derive(Parser)]
#[command(name = "cost")]
struct Arguments {
    /// A trace of your own: a CSV file with the columns order,t,status
    #[arg(long, value_name = "FILE", requires = "visits")]
    changes: Option<PathBuf>,
    /// Who watched it: a CSV file with the columns order,opens,closes
    #[arg(long, value_name = "FILE", requires = "changes")]
    visits: Option<PathBuf>,
    /// Run the made-up shops
    #[arg(long, conflicts_with = "changes")]
    shapes: bool,
    /// Run a herd of watchers through outages, a throttle, a deployment and a sale instead
    #[arg(long, conflicts_with_all = ["changes", "shapes"])]
    herd: bool,
    /// How many watch in the herd
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 50_000,
        requires = "herd"
    )]
    watchers: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the results into this file as well
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A variable and its value.
type Setting = (&'static str, &'static str);

/// What the template sets: a request of Lambda, of CloudFront, and of its function.
const BEHIND_CLOUDFRONT: Setting = ("REQUEST_PRICE", "1.30");

/// What the template sets: a request of Lambda, and of the REST API.
const BEHIND_A_REST_API: Setting = ("REQUEST_PRICE", "3.70");

/// The settings to run each trace with.
const SETTINGS: &[&[Setting]] = &[
    &[("HOLD", "always")],
    &[("FRESHNESS", "500ms")],
    &[("FRESHNESS", "900ms")],
    &[BEHIND_CLOUDFRONT, ("FRESHNESS", "900ms")],
    &[BEHIND_A_REST_API, ("FRESHNESS", "900ms")],
    &[BEHIND_A_REST_API, ("FRESHNESS", "5s")],
    &[("FRESHNESS", "2s")],
    &[("FRESHNESS", "5s")],
    &[("FRESHNESS", "10s")],
];

/// The settings to run each made-up shop with.
const FEWER_SETTINGS: &[&[Setting]] = &[&[("FRESHNESS", "900ms")], &[("FRESHNESS", "5s")]];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.herd {
        return run_herds(arguments);
    }
    let settings = match arguments.shapes {
        true => FEWER_SETTINGS,
        false => SETTINGS,
    };
    let mut reports = Vec::new();
    for trace in traces(arguments)? {
        let minutes = trace.watch_minutes();
        eprintln!("{}: {minutes:.0} minutes watched …", trace.name);
        let report = report_on(&trace, settings)?;
        reports.push((trace, report));
    }
    if let Some(path) = &arguments.svg {
        chart::draw(path, &reports)?;
    }
    let reports = reports.into_iter().map(|(_, report)| report);
    match arguments.json {
        true => report::print_json(&reports.collect::<Vec<_>>()),
        false => reports.for_each(|report| report.print()),
    }
    Ok(())
}

/// Runs each event with each client, and the account's default limit. A smaller herd has a smaller limit.
fn run_herds(arguments: &Arguments) -> Result<(), String> {
    let mut reports = Vec::new();
    for event in Event::ALL {
        eprintln!("{} …", event.name());
        let run = |client| {
            let herd = Herd {
                watchers: arguments.watchers,
                executions: (arguments.watchers as u64).div_ceil(50),
                client,
                event,
                seed: 1,
            };
            Ok::<_, String>(herd::Report::new(&herd, herd.run()?))
        };
        reports.extend(side_by_side(Client::ALL, run)?);
    }
    if let Some(path) = &arguments.svg {
        herd::draw(path, &reports)?;
    }
    match arguments.json {
        true => report::print_json(&reports),
        false => herd::print(&reports),
    }
    Ok(())
}

/// Runs each of these in a thread of its own.
fn side_by_side<A: Send, R: Send>(
    of: impl IntoIterator<Item = A>,
    run: impl Fn(A) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    thread::scope(|scope| {
        let spawn = |one| scope.spawn(|| run(one));
        let runs: Vec<_> = of.into_iter().map(spawn).collect();
        let panicked = |_| Err("a run panicked".to_owned());
        let results = runs
            .into_iter()
            .map(|run| run.join().unwrap_or_else(panicked));
        results.collect()
    })
}

/// The traces that the arguments name, or the two of this repository.
fn traces(arguments: &Arguments) -> Result<Vec<Trace>, String> {
    match (&arguments.changes, &arguments.visits) {
        (Some(changes), Some(visits)) => Ok(vec![Trace::read(changes, visits)?]),
        _ if arguments.shapes => shops::traces(),
        _ => ["food", "parcel"].into_iter().map(stored).collect(),
    }
}

fn stored(name: &str) -> Result<Trace, String> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/traces"));
    Trace::read(
        &folder.join(format!("{name}-changes.csv")),
        &folder.join(format!("{name}-visits.csv")),
    )
}

/// Runs the trace with each of the settings, and with the default when nothing was learned.
fn report_on(trace: &Trace, settings: &[&[Setting]]) -> Result<Report, String> {
    if trace.watch_minutes() <= 0.0 {
        return Err(format!("{}: nobody watches an order", trace.name));
    }
    let (learned, nothing) = (learn(trace)?, Learned::default());
    let default: &[Setting] = &[("FRESHNESS", "900ms")];
    let mut runs: Vec<_> = settings
        .iter()
        .map(|settings| (*settings, &learned, ""))
        .collect();
    runs.push((default, &nothing, ", nothing learned"));
    let rows = side_by_side(runs, |(settings, learned, note)| {
        let outcome = simulate(trace, settings, learned, 1)?;
        Ok(Row::of(trace, settings, note, outcome))
    })?;
    Ok(Report::new(trace, rows))
}

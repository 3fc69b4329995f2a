//! What order-status-stream costs and how late it shows a change, on traces, beside what else there is.
#![allow(clippy::print_stderr, reason = "a tool")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use cost::picture;
use cost::report::{self, Report, Row};
use cost::shapes;
use cost::simulate::{Learned, learn, simulate};
use cost::trace::Trace;

/// A variable and its value.
type Setting = (&'static str, &'static str);

/// What is tried of each trace.
const SETTINGS: &[&[Setting]] = &[
    &[("HOLD", "always")],
    &[("FRESHNESS", "500ms")],
    &[("FRESHNESS", "900ms")],
    &[("FRESHNESS", "2s")],
    &[("FRESHNESS", "5s")],
    &[("FRESHNESS", "10s")],
];

/// What is tried of those that are made up.
const FEWER_SETTINGS: &[&[Setting]] = &[&[("FRESHNESS", "900ms")], &[("FRESHNESS", "5s")]];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut reports = Vec::new();
    for trace in traces()? {
        eprintln!(
            "{}: {:.0} minutes watched …",
            trace.name,
            trace.watch_minutes()
        );
        let settings = match variable("SHAPES") {
            Some(_) => FEWER_SETTINGS,
            None => SETTINGS,
        };
        let report = report_on(&trace, settings)?;
        reports.push((trace, report));
    }
    if let Some(path) = variable("SVG") {
        picture::draw(Path::new(&path), &reports)?;
    }
    let reports = reports.into_iter().map(|(_, report)| report);
    match variable("JSON") {
        Some(_) => report::print_json(&reports.collect::<Vec<_>>()),
        None => reports.for_each(|report| report.print()),
    }
    Ok(())
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// `CHANGES` and `VISITS`, the made-up ones with `SHAPES`, or the two that are kept here.
fn traces() -> Result<Vec<Trace>, String> {
    if variable("SHAPES").is_some() {
        return Ok(shapes::all());
    }
    match (variable("CHANGES"), variable("VISITS")) {
        (Some(changes), Some(visits)) => {
            Ok(vec![Trace::read(Path::new(&changes), Path::new(&visits))?])
        }
        (None, None) => ["food", "parcel"].into_iter().map(kept).collect(),
        _ => Err("CHANGES and VISITS go together: the paths of two CSV files".to_owned()),
    }
}

fn kept(name: &str) -> Result<Trace, String> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/traces"));
    Trace::read(
        &folder.join(format!("{name}-changes.csv")),
        &folder.join(format!("{name}-visits.csv")),
    )
}

fn report_on(trace: &Trace, settings: &[&[Setting]]) -> Result<Report, String> {
    if trace.watch_minutes() <= 0.0 {
        return Err(format!("{}: nobody watches an order", trace.name));
    }
    let learned = learn(trace)?;
    let nothing = Learned::default();
    let default: &[_] = &[("FRESHNESS", "900ms")];
    let mut runs: Vec<_> = settings
        .iter()
        .map(|settings| (*settings, &learned, ""))
        .collect();
    runs.push((default, &nothing, ", nothing learned"));
    let rows = thread::scope(|scope| {
        let runs: Vec<_> = runs
            .into_iter()
            .map(|(settings, learned, note)| {
                scope.spawn(move || {
                    Ok(Row::of(
                        trace,
                        settings,
                        note,
                        simulate(trace, settings, learned, 1)?,
                    ))
                })
            })
            .collect();
        let joined = runs.into_iter().map(|run| {
            run.join()
                .unwrap_or_else(|_| Err("a run panicked".to_owned()))
        });
        joined.collect::<Result<Vec<Row>, String>>()
    })?;
    Ok(Report::new(trace, rows))
}

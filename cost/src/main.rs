//! What order-status-stream costs and how late it shows a change, on recorded traces, beside what else there is.
#![allow(clippy::print_stderr, reason = "a tool")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use cost::report::{self, Report, Row};
use cost::simulate::{Learned, learn, simulate};
use cost::trace::Trace;

/// What is tried of each trace.
const SETTINGS: &[&[(&str, &str)]] = &[
    &[("HOLD", "always")],
    &[("FRESHNESS", "500ms")],
    &[("FRESHNESS", "900ms")],
    &[("FRESHNESS", "2s")],
    &[("FRESHNESS", "5s")],
    &[("FRESHNESS", "10s")],
];

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
    let reports = traces()?
        .iter()
        .map(report_on)
        .collect::<Result<Vec<_>, _>>()?;
    match std::env::var_os("JSON") {
        Some(_) => report::print_json(&reports),
        None => reports.iter().for_each(Report::print),
    }
    Ok(())
}

/// `CHANGES` and `VISITS`, or the two that are kept here.
fn traces() -> Result<Vec<Trace>, String> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
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

fn report_on(trace: &Trace) -> Result<Report, String> {
    let learned = learn(trace)?;
    let nothing = Learned::default();
    let default: &[_] = &[("FRESHNESS", "900ms")];
    let mut runs: Vec<_> = SETTINGS
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

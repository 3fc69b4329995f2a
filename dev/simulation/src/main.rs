//! `make simulate`.

use std::process::ExitCode;

use simulation::{run_many, simulate};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print(&error);
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, String> {
    if let Some(seed) = number("SEED")? {
        let outcome = simulate(seed, true)?;
        for line in &outcome.trace {
            print(line);
        }
        return Ok(outcome.findings.is_empty());
    }
    let report = run_many(
        number("FIRST")?.unwrap_or(1),
        number("SEEDS")?.unwrap_or(10_000),
    )?;
    print(&report.to_string());
    Ok(report.failures == 0)
}

/// An empty variable counts as not set, because `make` passes unset variables as empty ones.
fn number(name: &str) -> Result<Option<u64>, String> {
    match std::env::var(name).unwrap_or_default().as_str() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| format!("{name} is {text:?}, it must be a number")),
    }
}

#[expect(clippy::print_stdout, reason = "it is a tool for a terminal")]
fn print(line: &str) {
    println!("{line}");
}

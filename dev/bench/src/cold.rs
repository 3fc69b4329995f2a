//! How long a new process takes until its client sees the first change, and what a process that is warm costs.
//!
//! The function is the real binary. DynamoDB is the embedded one behind `tls`. The `runtime_api` takes the times. Only the
//! function's process is in the `cgroup`.

mod cgroup;
mod compare;
mod feed;
mod measure;
mod process;
mod programs;
mod ratios;
mod runtime_api;
mod tls;

use std::error::Error;

use cgroup::Cgroup;
pub use compare::compare;
use measure::{Cold, Limit, Warm, cold, warm};
use programs::Programs;

use crate::rows::Row;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const COLD: &str = "A new process";
const WARM: &str = "A warm process";

/// How much of a core a new process gets.
struct Share {
    name: &'static str,
    percent: u64,
    /// Whether its start is not limited, only what follows.
    free_start: bool,
    times: usize,
}

const SHARES: [Share; 3] = [
    Share {
        name: "a whole core",
        percent: 100,
        free_start: false,
        times: 25,
    },
    Share {
        name: "7 % of a core",
        percent: 7,
        free_start: false,
        times: 15,
    },
    Share {
        name: "7 % from the event on",
        percent: 7,
        free_start: true,
        times: 15,
    },
];

/// Measures everything, and records the rows.
pub async fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let feed = feed::Harness::new(folder.path()).await?;
    let programs = Programs::new(&feed);
    if let Err(reason) = &programs.others {
        Row::new(COLD, "Node.js", "").skipped(reason).record()?;
    }
    for share in &SHARES {
        let cgroup = Cgroup::new(share.percent);
        let limit = match &cgroup {
            Ok(cgroup) if share.free_start => Limit::FromEvent(cgroup),
            Ok(cgroup) => Limit::FromStart(cgroup),
            // Threads may then take more than one core.
            Err(_) if share.percent == 100 => Limit::None,
            Err(error) => {
                let reason = format!("no cgroup with the controller cpu can be made: {error}");
                Row::new(COLD, share.name, "").skipped(&reason).record()?;
                continue;
            }
        };
        let mut seen = Vec::new();
        for program in programs.all() {
            seen.push((program.name, cold(program, &limit, share.times).await?));
        }
        cold_rows(share.name, &seen)?;
    }
    let mut seen = Vec::new();
    for program in programs.all() {
        seen.push((program.name, warm(program).await?));
    }
    warm_rows(&seen)
}

type Part<T> = (&'static str, &'static str, fn(&T) -> f64, &'static str);

const COLD_PARTS: [Part<Cold>; 7] = [
    (
        "process start to first change",
        "ms",
        |cold| cold.change.median,
        "",
    ),
    ("the same, the slowest", "ms", |cold| cold.change.worst, ""),
    (
        "process start to ready for events",
        "ms",
        |cold| cold.init.median,
        "",
    ),
    (
        "event to first byte",
        "ms",
        |cold| cold.first_byte.median,
        "",
    ),
    (
        "event to first change",
        "ms",
        |cold| cold.first_change.median,
        "",
    ),
    (
        "CPU until ready for events",
        "ms",
        |cold| cold.init_cpu.median,
        "",
    ),
    (
        "CPU from event to end",
        "ms",
        |cold| cold.event_cpu.median,
        "",
    ),
];

const WARM_PARTS: [Part<Warm>; 4] = [
    ("a check-in", "ms", |warm| warm.check_in, ""),
    ("CPU of a check-in", "µs", |warm| warm.check_in_cpu, ""),
    (
        "CPU of a delivered frame",
        "µs",
        |warm| warm.frame_cpu,
        "1,000 changes in one response",
    ),
    (
        "peak memory",
        "MB",
        |warm| warm.megabytes,
        "after all of these",
    ),
];

fn cold_rows(share: &str, seen: &[(&str, Cold)]) -> Result<()> {
    for (what, unit, value, note) in COLD_PARTS {
        record(
            Row::new(COLD, &format!("{what}, {share}"), unit).note(note),
            seen,
            value,
        )?;
    }
    Ok(())
}

fn warm_rows(seen: &[(&str, Warm)]) -> Result<()> {
    for (what, unit, value, note) in WARM_PARTS {
        record(Row::new(WARM, what, unit).note(note), seen, value)?;
    }
    Ok(())
}

/// The first of those seen is ours.
fn record<T>(mut row: Row, seen: &[(&str, T)], value: fn(&T) -> f64) -> Result<()> {
    for (place, (name, seen)) in seen.iter().enumerate() {
        row = match place {
            0 => row.ours(value(seen)),
            _ => row.other(name, value(seen)),
        };
    }
    Ok(row.record()?)
}

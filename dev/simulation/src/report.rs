//! Runs many seeds on all cores, and reports their results.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::run::{Outcome, simulate};
use crate::world::{Kind, Tally, lock};

/// The number of failing seeds that the report lists.
const KEPT: usize = 10;

/// The results of many seeds.
#[derive(Debug, Default)]
pub struct Report {
    /// How many seeds ran.
    pub seeds: u64,
    /// The sum of their counts.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
    /// The first seeds that broke a promise.
    pub failed: Vec<Outcome>,
    /// How many seeds broke a promise.
    pub failures: u64,
}

/// Runs seeds from `first` on, with one thread for each core.
///
/// # Errors
///
/// If the machine cannot make a runtime.
pub fn run_many(first: u64, seeds: u64) -> Result<Report, String> {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let report = Mutex::new(Report::default());
    let work = || -> Result<(), String> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return Ok(());
            }
            let outcome = simulate(seed, false)?;
            lock(&report).add(outcome);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut results = workers.into_iter().map(|worker| worker.join());
        results
            .try_for_each(|result| result.unwrap_or_else(|_| Err("a thread panicked".to_owned())))
    })?;
    let mut report = report.into_inner().unwrap_or_default();
    report.took = began.elapsed();
    report.failed.sort_by_key(|outcome| outcome.seed);
    report.failed.truncate(KEPT);
    Ok(report)
}

impl Report {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.tally.add(&outcome.tally);
        if !outcome.findings.is_empty() {
            self.failures += 1;
            self.failed.push(outcome);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            lives,
            deliveries,
            connections,
            shown,
            faults,
            broken,
        } = &self.tally;
        let rate = |count: u64| count as f64 / self.took.as_secs_f64();
        writeln!(
            f,
            "{:>10} seeds, {:.0} a second",
            self.seeds,
            rate(self.seeds)
        )?;
        writeln!(f, "{lives:>10} order lives, {:.0} a second", rate(*lives))?;
        writeln!(f, "{deliveries:>10} records delivered")?;
        writeln!(
            f,
            "{connections:>10} connections, on which {shown} changes were shown"
        )?;
        for (kind, count) in faults {
            writeln!(f, "{count:>10} {kind}")?;
        }
        for outcome in &self.failed {
            writeln!(
                f,
                "seed {}: {}",
                outcome.seed,
                outcome.findings.first().map_or("", String::as_str)
            )?;
        }
        if self.failures > 0 {
            writeln!(
                f,
                "{} seeds failed: `make simulate SEED=` prints the trace of one",
                self.failures
            )?;
        }
        let count = |kind| broken.get(&kind).copied().unwrap_or_default();
        let (lost, doubled) = (count(Kind::Lost), count(Kind::Doubled));
        write!(
            f,
            "lost {lost}, doubled {doubled}, disordered {}, otherwise wrong {}",
            count(Kind::Disordered),
            count(Kind::Other)
        )
    }
}

//! `make smoke URL=…`: prints a line for each check of a deployment. The exit code is 0 if no check failed, 1 if one did, and 2 if
//! nothing could be checked.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its user"
)]

use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use conformance::rules::Remark;
use conformance::smoke::{CHECKS, Finding, Options, Smoke};
use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;

/// How often the progress is shown: on a terminal in one line, elsewhere in a line each.
const ON_A_TERMINAL: Duration = Duration::from_secs(1);
const ELSEWHERE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let as_json = options.json;
    let smoke = match Smoke::start(reqwest::Client::builder(), options).await {
        Ok(smoke) => smoke,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let mut findings = Vec::new();
    let mut coming = smoke.findings();
    let progress = Progress::new();
    while let Some(next) = CHECKS.get(findings.len()) {
        match timeout(progress.interval, coming.next()).await {
            Err(_) => progress.show(findings.len(), next.title),
            Ok(None) => break,
            Ok(Some(finding)) => {
                progress.clear();
                if !as_json {
                    print(&finding);
                }
                findings.push(finding);
            }
        }
    }
    summary(&findings, as_json)
}

/// What is shown while a check takes its time.
struct Progress {
    start: Instant,
    terminal: bool,
    interval: Duration,
}

impl Progress {
    fn new() -> Self {
        let terminal = stderr().is_terminal();
        Self {
            start: Instant::now(),
            terminal,
            interval: if terminal { ON_A_TERMINAL } else { ELSEWHERE },
        }
    }

    fn show(&self, done: usize, next: &str) {
        let (seconds, all) = (self.start.elapsed().as_secs(), CHECKS.len());
        let line = format!("{seconds} s, {done} of {all} checked, waiting: {next}");
        match self.terminal {
            true => eprint!("\r\x1b[K{line}"),
            false => eprintln!("{line}"),
        }
        // Nobody would learn of a failure to show progress.
        let _ = stderr().flush();
    }

    fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}

/// The word of an outcome, and what was seen.
fn words(finding: &Finding) -> (&'static str, &str) {
    match &finding.outcome {
        Ok(seen) => ("ok", seen),
        Err(Remark::Fail(seen) | Remark::Note(seen)) => ("FAIL", seen),
        Err(Remark::Skip(why)) => ("skipped", why),
    }
}

fn print(finding: &Finding) {
    let (word, seen) = words(finding);
    println!("{word:7}  {}: {seen}", finding.check.title);
    if word == "FAIL" {
        println!("         to do: {}", finding.check.advice);
    }
}

fn summary(findings: &[Finding], as_json: bool) -> ExitCode {
    let count = |wanted: &str| {
        let found = findings.iter().filter(|finding| words(finding).0 == wanted);
        found.count()
    };
    let failed = count("FAIL");
    if as_json {
        let findings = findings.iter().map(|finding| {
            let (outcome, seen) = words(finding);
            let advice = (outcome == "FAIL").then_some(finding.check.advice);
            json!({ "check": finding.check.name, "title": finding.check.title, "outcome": outcome, "seen": seen, "advice": advice })
        });
        println!("{}", json!(findings.collect::<Vec<_>>()));
    } else {
        println!(
            "\n{} ok, {failed} failed, {} skipped",
            count("ok"),
            count("skipped")
        );
    }
    ExitCode::from(u8::from(failed > 0))
}

//! `make conformance URL=…`: prints a line for each rule. The exit code is 0 if no rule failed, 1 if one did, and 2 if nothing
//! could be checked.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its user"
)]

use std::process::ExitCode;

use clap::Parser;
use conformance::Options;
use conformance::rules::{Finding, Remark, check};

#[tokio::main]
async fn main() -> ExitCode {
    match check(Options::parse()).await {
        Ok(findings) => report(&findings),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn report(findings: &[Finding]) -> ExitCode {
    let mut counts = [0; 4];
    for Finding { rule, verdict } in findings {
        let (index, word, what) = match verdict {
            Ok(()) => (0, "pass", None),
            Err(Remark::Fail(seen)) => (1, "FAIL", Some(seen)),
            Err(Remark::Skip(why)) => (2, "skip", Some(why)),
            Err(Remark::Note(seen)) => (3, "note", Some(seen)),
        };
        counts[index] += 1;
        println!("{word}  {:4} {}", rule.id, rule.title);
        if let Some(what) = what {
            println!("           {what}");
        }
        if let Err(Remark::Fail(_) | Remark::Note(_)) = verdict {
            println!("           to do: {}", rule.advice);
        }
    }
    let [passed, failed, skipped, notes] = counts;
    println!("\n{passed} passed, {failed} failed, {skipped} skipped, {notes} notes");
    ExitCode::from(u8::from(failed > 0))
}

//! `make conformance URL=…`: a line a rule, and an exit code.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its user"
)]

use std::process::ExitCode;
use std::time::Duration;

use conformance::rules::{Finding, Verdict, judge};
use conformance::{Options, evidence};

const USAGE: &str = "usage: conformance URL [--any] [--order ID] [--finished ID] [--token TOKEN] [--shop URL] [--patience SECONDS]

  URL         a server of docs/protocol.md: what stands before /orders/…
  --any       URL is a stream of any other server: only the rules for all of them
  --order     an order that has changes and is not finished
  --finished  an order that is finished
  --token     sent as `authorization: Bearer`
  --shop      the demo shop (make run: http://localhost:8080), where an order may be placed
  --patience  how long a response is waited for to end; 75 by default";

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match evidence::gather(&options).await {
        Ok(evidence) => report(&judge(&evidence)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn read(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        url: String::new(),
        any_server: false,
        order: None,
        finished: None,
        token: None,
        shop: None,
        patience: Duration::from_secs(75),
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--any" => options.any_server = true,
            "--order" => options.order = Some(arguments.next()?),
            "--finished" => options.finished = Some(arguments.next()?),
            "--token" => options.token = Some(arguments.next()?),
            "--shop" => options.shop = Some(arguments.next()?),
            "--patience" => options.patience = Duration::from_secs(arguments.next()?.parse().ok()?),
            url if url.starts_with("http") && options.url.is_empty() => options.url = argument,
            _ => return None,
        }
    }
    (!options.url.is_empty()).then_some(options)
}

fn report(findings: &[Finding]) -> ExitCode {
    let mut counts = [0; 4];
    for Finding { rule, verdict } in findings {
        let (index, word, what) = match verdict {
            Verdict::Pass => (0, "pass", None),
            Verdict::Fail(seen) => (1, "FAIL", Some(seen)),
            Verdict::Skip(why) => (2, "skip", Some(why)),
            Verdict::Note(seen) => (3, "note", Some(seen)),
        };
        counts[index] += 1;
        println!("{word}  {:4} {}", rule.id, rule.text);
        if let Some(what) = what {
            println!("           {what}");
        }
        if let Verdict::Fail(_) | Verdict::Note(_) = verdict {
            println!("           to do: {}", rule.advice);
        }
    }
    let [passed, failed, skipped, notes] = counts;
    println!("\n{passed} passed, {failed} failed, {skipped} skipped, {notes} notes");
    ExitCode::from(u8::from(failed > 0))
}

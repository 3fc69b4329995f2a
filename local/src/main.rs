//! `make run`: the whole of order-status-stream on this machine, until Ctrl-C.
//!
//! An embedded DynamoDB, both functions under `cargo lambda watch`, the pump between them, a shop and the page. When one
//! of them ends, all do.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program talks to its user")]

mod functions;
mod ports;

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::iter::successors;
use std::net::Ipv4Addr;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use local::dynamo::{Dynamo, create_tables};
use local::offspring::{self, Kept};
use local::page::Page;
use local::pump::{BoxError, HttpFunction, Pump, Settings};
use local::shop::{Shop, Simulation};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Where the embedded DynamoDB is.
const DYNAMO_PORT: u16 = 8000;

/// Where the page is.
const PAGE_PORT: u16 = 8080;

/// How often something happens in the shop, on average.
const PACE: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let outcome = match arguments.next() {
        None => supervise(),
        Some(word) if word == offspring::KEEP => keep(arguments),
        Some(word) => Err(format!("unexpected argument {}", word.display()).into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("\nerror: {}", chain(&*error));
        ExitCode::FAILURE
    })
}

fn keep(mut command: impl Iterator<Item = OsString>) -> Result<ExitCode, BoxError> {
    let program = command.next().ok_or("keep what?")?;
    Ok(offspring::keep(program, command)?)
}

/// Runs the stage until it fails or someone ends it, and leaves no process behind.
fn supervise() -> Result<ExitCode, BoxError> {
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(tracing::Level::WARN).init();
    offspring::adopt()?;
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            signal = ended_by_signal() => signal,
            failure = stage() => failure.map(|never| match never {}),
        }
    });
    // Before the signal, or the failure, is told: whoever reads that may start again at once.
    offspring::end_all()?;
    println!("\n{}: everything has ended", outcome?);
    Ok(ExitCode::SUCCESS)
}

/// The name of the signal that asks for the end.
async fn ended_by_signal() -> Result<&'static str, BoxError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => Ok("interrupted"),
        _ = terminate.recv() => Ok("terminated"),
        _ = hangup.recv() => Ok("hung up"),
    }
}

/// Starts everything, in the order of need, and returns when a part of it has ended.
async fn stage() -> Result<Infallible, BoxError> {
    check()?;
    let keeper = env::current_exe()?;
    let dynamo = Dynamo::start((Ipv4Addr::LOCALHOST, DYNAMO_PORT)).await?;
    let stream_arn = create_tables(&dynamo.client()).await?;
    println!("building the functions …");
    functions::build(&keeper).await?;
    println!("starting the functions …");
    let mut functions = functions::start(&keeper, &dynamo.endpoint())?;
    tokio::select! {
        answered = functions::answer() => answered?,
        ended = ended(&mut functions) => return ended,
    }

    let pump = Pump {
        streams: dynamo.streams(),
        stream_arn,
        function: HttpFunction::new(functions::projector_url())?,
        settings: Settings::default(),
    };
    let shop = Shop::new(dynamo.client());
    let page = Page {
        shop: shop.clone(),
        stream_url: functions::stream_url(),
        files: functions::root().join("web"),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PAGE_PORT)).await?;
    let shown = shop.place().await?;
    announce(&shown.order_id);
    tokio::select! {
        ended = ended(&mut functions) => ended,
        ended = pump.run(std::future::pending()) => Err(format!("the pump ended: {ended:?}").into()),
        ended = page.serve(listener) => Err(format!("the page's server ended: {ended:?}").into()),
        ended = Simulation::new(shop).run(PACE) => Ok(ended?),
    }
}

async fn ended(functions: &mut Kept) -> Result<Infallible, BoxError> {
    let status = functions.ended().await?;
    Err(format!("cargo lambda watch ended ({status}), and with it the functions").into())
}

/// Says what is missing or in the way before anything is started.
fn check() -> Result<(), BoxError> {
    let complaints: Vec<_> = [
        (DYNAMO_PORT, "DynamoDB"),
        (PAGE_PORT, "the page"),
        (functions::PORT, "the functions"),
    ]
    .into_iter()
    .filter_map(|(port, purpose)| ports::complaint(port, purpose))
    .collect();
    if !complaints.is_empty() {
        return Err(complaints.join("\n").into());
    }
    let lambda = Command::new("cargo").args(["lambda", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !lambda.is_ok_and(|status| status.success()) {
        return Err("cargo-lambda is missing: `make run` installs it into .tools/, and starts this program".into());
    }
    Ok(())
}

fn announce(order_id: &str) {
    println!(
        "
  the page   http://localhost:{PAGE_PORT}
  a stream   curl -N {}/orders/{order_id}/events
  DynamoDB   http://localhost:{DYNAMO_PORT}  (tables Orders and OrderFeed, any credentials)

Ctrl-C ends all of it.
",
        functions::stream_url()
    );
}

/// An error and what led to it.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<_> = successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}

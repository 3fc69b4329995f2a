//! `make run`: the whole of order-status-stream on this machine, until Ctrl-C.
//!
//! An embedded DynamoDB, both functions under `cargo lambda watch`, the pump between them, a shop and the page. When one
//! of them ends, all do.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its user"
)]

mod functions;
mod ports;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::iter::successors;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use std::{env, future};

use jsonwebtoken::Algorithm;
use local::dynamo::{Dynamo, create_tables};
use local::issuer::Issuer;
use local::offspring::{Offspring, adopt, die_with_parent};
use local::page::Page;
use local::pump::{BoxError, Pump, Settings};
use local::shop::{Shop, Simulation};
use reqwest::Url;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use functions::Functions;
use ports::Ports;

/// How often something happens in the shop, on average.
const PACE: Duration = Duration::from_secs(4);

/// The argument that makes this program the stage; without, it is what starts the stage and cleans up after it.
const STAGE: &str = "stage";

/// The argument that makes it ask a stage that runs for a token, of the orders that are named next.
const TOKEN: &str = "token";

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match env::args().nth(1).as_deref() {
        None => supervise().await,
        Some(STAGE) => stage().await.map(|never| match never {}),
        Some(TOKEN) => token(env::args().nth(2)).await,
        Some(_) => Err("this takes no arguments".into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("\nerror: {}", chain(&*error));
        ExitCode::FAILURE
    })
}

/// Runs the stage until it fails or a signal asks for its end, and leaves no process behind.
async fn supervise() -> Result<ExitCode, BoxError> {
    adopt()?;
    let asked = asked_to_end()?;
    let mut stage = Offspring::start(Command::new(env::current_exe()?).arg(STAGE))?;
    let outcome = tokio::select! {
        signal = asked => Ok(signal),
        status = stage.ended() => Err(status?),
    };
    stage.end()?;
    match outcome {
        Ok(signal) => println!("\n{signal}: everything has ended"),
        // Else it has said what was wrong.
        Err(status) if status.code().is_none() => eprintln!("\nerror: the stage ended: {status}"),
        Err(_) => {}
    }
    Ok(if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Ends with the first signal that asks for it; from now on, they do not end the process by themselves.
fn asked_to_end() -> io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "terminated",
            _ = hangup.recv() => "hung up",
        }
    })
}

/// Prints a token of the stage that runs, which opens orders that are separated by commas.
async fn token(orders: Option<String>) -> Result<ExitCode, BoxError> {
    let orders = orders.filter(|orders| !orders.is_empty());
    let orders = orders.ok_or("of which orders? make token ORDERS=A,B")?;
    let port = env::var("PAGE_PORT").unwrap_or_else(|_| Ports::PAGE.to_string());
    let url = format!("http://localhost:{port}/token");
    let url = Url::parse_with_params(&url, [("orders", orders)])?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.get(url).send().await;
    let answer = answer.map_err(|_| "`make run` makes the tokens, and it is not running")?;
    let answer = answer.error_for_status()?.bytes().await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let token = answer["token"].as_str();
    println!(
        "{}",
        token.ok_or("the page's server answered without a token")?
    );
    Ok(ExitCode::SUCCESS)
}

/// Starts everything, in the order of need, and returns when a part of it has ended.
async fn stage() -> Result<Infallible, BoxError> {
    die_with_parent();
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    let ports = Ports::free(|name| env::var(name).ok())?;
    let binaries = binaries().await?;

    println!("starting …");
    let dynamo = Dynamo::start((Ipv4Addr::LOCALHOST, ports.dynamo)).await?;
    let stream_arn = create_tables(&dynamo.client()).await?;
    let issuer = Issuer::new(Algorithm::ES256, "local")?;
    let mut functions = Functions::start(
        &binaries,
        &dynamo.endpoint(),
        &issuer.jwks()?,
        ports.functions,
    )
    .await?;
    let pump = Pump {
        streams: dynamo.streams(),
        stream_arn,
        function: functions::projector(ports.functions)?,
        settings: Settings::default(),
    };
    let shop = Shop::new(dynamo.client());
    let page = Page {
        shop: shop.clone(),
        stream_url: functions::stream_url(ports.functions),
        issuer,
        files: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web")),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.page)).await?;
    announce(ports, &shop.place().await?.order_id);

    tokio::select! {
        ended = functions.ended() => Err(ended),
        ended = Simulation::new(shop).run(PACE) => Ok(ended?),
        ended = pump.run(future::pending()) => { ended?; Err("the pump ended".into()) }
        ended = page.serve(listener) => { ended?; Err("the page's server ended".into()) }
    }
}

/// The directory of the built functions, which is this program's own, once it is certain that nothing is missing.
async fn binaries() -> Result<PathBuf, BoxError> {
    let emulator = Command::new("cargo")
        .args(["lambda", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    if !emulator.is_ok_and(|status| status.success()) {
        return Err("cargo-lambda is missing: `make run` installs it into .tools/".into());
    }
    let mut directory = env::current_exe()?;
    directory.pop();
    for function in ["projector", "stream"] {
        if !directory.join(function).exists() {
            return Err(format!("{function} is not built: `make run` does that").into());
        }
    }
    Ok(directory)
}

fn announce(ports: Ports, order_id: &str) {
    println!(
        "
  the page   http://localhost:{}
  a stream   curl -N -H \"Authorization: Bearer $(make -s token ORDERS={order_id})\" {}/orders/{order_id}/events
  DynamoDB   http://localhost:{}, tables Orders and OrderFeed, any credentials

Ctrl-C ends all of it.
",
        ports.page,
        functions::stream_url(ports.functions),
        ports.dynamo,
    );
}

/// An error and what led to it.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<_> = successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect();
    causes.join(": ")
}

//! `make run`: all of order-status-stream on this machine, until Ctrl-C.
//!
//! It runs an embedded DynamoDB, both functions under `cargo lambda watch`, the event source between them, a shop and the page. If
//! one of them ends, all end.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its user"
)]

mod functions;
mod ports;
mod source;

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::io;
use std::iter::successors;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitCode, Stdio};

use clap::{Parser, Subcommand};
use jsonwebtoken::Algorithm;
use lambda_stand_in::{ProcessGroup, adopt_orphans};
use local::bill::{Ledger, count_read};
use local::connections::Connections;
use local::dynamo::{Dynamo, create_tables};
use local::event_source::BoxError;
use local::issuer::Issuer;
use local::meter::Meter;
use local::page::PageServer;
use local::shop::{Shop, Traffic, remember_dwells};
use reqwest::Url;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use functions::Functions;
use ports::Ports;
use source::Source;

/// Runs order-status-stream on this machine: database, functions, a shop and the page. Ctrl-C ends it.
#[derive(Parser)]
#[command(name = "local")]
struct Arguments {
    #[command(flatten)]
    ports: Ports,
    #[command(flatten)]
    source: Source,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Print a token that gives access to orders. `make run` must be running.
    Token {
        /// The order ids, separated by commas. `*` means every order.
        #[arg(value_parser = order_ids)]
        orders: String,
    },
}

fn order_ids(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("name the orders: make token ORDERS=A,B"),
        orders => Ok(orders.to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.action {
        None => run(arguments.ports, arguments.source).await,
        Some(Action::Token { orders }) => print_token(&orders, arguments.ports.page_port).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {}", error_chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Runs everything until a part of it fails or a signal arrives. Then no process is left.
async fn run(ports: Ports, source: Source) -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    ports.check()?;
    adopt_orphans()?;
    let end_signal = end_signal()?;
    let processes = ProcessGroup::new()?;
    let outcome = {
        let system = pin!(run_system(ports, source, &processes));
        let outcome = tokio::select! {
            signal = end_signal => Ok(signal),
            failed = system => failed.map(|never| match never {}),
        };
        // Before `system` is dropped: a function that outlives the database or the emulator would log errors.
        processes.kill();
        outcome
    };
    processes.end()?;
    println!("\n{}: everything has ended", outcome?);
    Ok(())
}

/// Waits for a signal that asks this process to end. After this call such a signal no longer ends it by itself.
fn end_signal() -> io::Result<impl Future<Output = &'static str>> {
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

/// Asks a running `make run` for a token, and prints it.
async fn print_token(orders: &str, page_port: u16) -> Result<(), BoxError> {
    let url = format!("http://localhost:{page_port}/token");
    let url = Url::parse_with_params(&url, [("orders", orders)])?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let response = client.get(url).send().await;
    let response = response.map_err(|_| "`make run` makes the tokens, and it is not running")?;
    let body = response.error_for_status()?.bytes().await?;
    let body: Value = serde_json::from_slice(&body)?;
    let token = body["token"].as_str();
    println!(
        "{}",
        token.ok_or("the response of the page's server has no token")?
    );
    Ok(())
}

/// Starts everything, each part after those it needs, and returns when a part has ended.
async fn run_system(
    ports: Ports,
    source: Source,
    processes: &ProcessGroup,
) -> Result<Infallible, BoxError> {
    let changes = source.open().await?;
    let binaries = binaries(processes).await?;
    println!("starting …");
    let dynamo = Dynamo::start((Ipv4Addr::LOCALHOST, ports.dynamodb_port)).await?;
    let stream_arn = create_tables(&dynamo.client()).await?;
    remember_dwells(dynamo.client()).await?;
    let issuer = Issuer::new(Algorithm::ES256, "local")?;
    let ledger = Ledger::default();
    let counted = ledger.clone();
    // Between the stream function and the database.
    let meter = Meter::start(dynamo.endpoint(), move |call| count_read(&counted, call)).await?;
    let mut functions = Functions::start(
        processes,
        &binaries,
        [&dynamo.endpoint(), meter.endpoint()],
        &issuer.jwks()?,
        ports.functions_port,
    )
    .await?;
    let projector = functions::projector(ports.functions_port)?;
    let event_source = changes.deliver(&dynamo, stream_arn, projector);
    let shop = Shop::new(dynamo.client());
    let (placed, orders) = mpsc::unbounded_channel();
    let page = PageServer {
        shop: shop.clone(),
        stream_url: functions::stream_url(ports.functions_port),
        issuer,
        files: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../web")),
        ledger: ledger.clone(),
        connections: Connections::default(),
        placed,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.page_port)).await?;
    announce(ports, &shop.place().await?.order_id);

    tokio::select! {
        ended = functions.ended() => Err(ended),
        ended = Traffic::new(shop, orders).run(|| ledger.is_watched(Instant::now())) => Ok(ended?),
        ended = event_source => ended,
        ended = page.serve(listener) => { ended?; Err("the page's server ended".into()) }
    }
}

/// The directory of the built functions, which is also the directory of this program. It checks that everything is there.
async fn binaries(processes: &ProcessGroup) -> Result<PathBuf, BoxError> {
    let mut version = Command::new("cargo");
    version
        .args(["lambda", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let installed = match processes.spawn(&mut version) {
        Ok(mut process) => process.wait().await?.success(),
        Err(_) => false,
    };
    if !installed {
        return Err("cargo-lambda is missing: `make run` installs it into .tools/".into());
    }
    let mut directory = env::current_exe()?;
    directory.pop();
    for function in ["projector", "stream"] {
        if !directory.join(function).exists() {
            return Err(format!("{function} is not built: `make run` builds it").into());
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
        ports.page_port,
        functions::stream_url(ports.functions_port),
        ports.dynamodb_port,
    );
}

/// An error and its causes.
fn error_chain(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<_> = successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect();
    causes.join(": ")
}

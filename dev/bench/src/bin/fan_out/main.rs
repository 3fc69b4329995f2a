//! One change to N watchers, and N changes to N watchers: this project beside nchan and axum's `Sse`. And what a stream costs as
//! streams, changes and histories grow.
//!
//! ```text
//! publisher ──▶ embedded DynamoDB, Valkey ──▶ stream ──┐
//!           ──▶ nginx with nchan ─────────────────────┼──▶ N sockets, read by this process
//!           ──▶ floor (axum) ─────────────────────────┘
//! ```
//!
//! Publisher and watchers are one process with one clock. This process is also the Runtime API of `stream`, so each of the three
//! servers writes each frame into one socket that is read here, and no relay is measured.

mod growth;
mod growth_picture;
mod measure;
mod process;
mod publisher;
mod report;
mod runtime_api;
mod server;
mod tools;
mod watchers;

use std::error::Error;
use std::process::ExitCode;

use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: fan_out watchers [NUMBER…] | growth FILE.svg";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // The servers end with the measurement. Without this, nginx's worker would outlive a program that is told to end.
    let ended = tokio::select! {
        ended = run() => ended,
        told = told_to_end() => told,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => tools::fail(&*error),
    }
}

async fn told_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = ctrl_c() => interrupted?,
    }
    Err("ended before the last measurement".into())
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["watchers", ref numbers @ ..] => report::run(numbers).await,
        ["growth", file] => growth::run(file).await,
        _ => Err(USAGE.into()),
    }
}

//! `make dashboard`: records a local run, or draws the dashboard of a log.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its user"
)]

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use dashboard::body::{of_template, widgets};
use dashboard::page::{html, size};
use dashboard::samples::Samples;
use dashboard::stage::{STACK, Stage};

/// The CloudWatch dashboard of template.yaml, drawn from the log of a local run.
#[derive(Parser)]
#[command(name = "dashboard")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the functions with a shop and its customers, and write the lines of metrics into a file.
    Record {
        log: PathBuf,
        /// The folder with the binaries `projector` and `stream`.
        #[arg(long)]
        functions: PathBuf,
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
        minutes: u64,
    },
    /// Draw the dashboard as an HTML page, and print its width and height in pixels.
    Draw { log: PathBuf, page: PathBuf },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error + Send + Sync>> {
    match command {
        Command::Record {
            log,
            functions,
            minutes,
        } => {
            let stage = Stage::start(&functions).await?;
            let lines = stage.run(Duration::from_secs(60 * minutes)).await?;
            fs::write(&log, lines.join("\n"))
                .map_err(|error| format!("{}: {error}", log.display()))?;
        }
        Command::Draw { log, page } => {
            let text =
                fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))?;
            let widgets = widgets(&of_template(STACK))?;
            let drawn = html(&widgets, &Samples::read(&text)?)?;
            fs::write(&page, drawn).map_err(|error| format!("{}: {error}", page.display()))?;
            let (width, height) = size(&widgets);
            println!("{width},{height}");
        }
    }
    Ok(())
}

//! `bench report OUTPUT ROWS…` makes one table of files of rows, prints it, and writes it to a document. `bench cold` measures
//! new and warm processes. `bench compare BEFORE NOW` measures the functions of two folders in turns, and prints a table.
#![allow(clippy::print_stdout, reason = "a command")]

use std::fs;
use std::path::{Path, PathBuf};

use bench::cold::{self, Result};
use bench::{report, rows};

const USAGE: &str = "usage: bench report OUTPUT ROWS…, bench cold, or bench compare BEFORE NOW";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, _)) if command == "cold" => cold::run().await,
        Some((command, [before, now])) if command == "compare" => {
            println!("{}", cold::compare(before.as_ref(), now.as_ref()).await?);
            Ok(())
        }
        Some((command, files)) if command == "report" => write_report(files),
        _ => Err(USAGE.into()),
    }
}

fn write_report(files: &[String]) -> Result<()> {
    let (output, files) = files.split_first().ok_or(USAGE)?;
    let mut all = Vec::new();
    for file in files.iter().map(PathBuf::from) {
        all.extend(rows::read(&file)?);
    }
    let table = report::table(&all);
    println!("{table}");
    fs::write(Path::new(output), report::document(&table))?;
    Ok(())
}

//! Lines for people or for programs, and the progress of long work.

use std::fmt::Display;
use std::io::{self, Write};
use std::process;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Prints results to standard output: text, or a JSON object a line.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// Prints a result. Programs get all its fields.
    ///
    /// If nobody reads the output any more, as after `| head`, the command ends.
    pub fn line(self, result: &(impl Display + Serialize)) {
        let text = match serde_json::to_string(result) {
            Ok(json) if self.json => json,
            _ => result.to_string(),
        };
        if writeln!(io::stdout(), "{text}").is_err() {
            process::exit(0);
        }
    }
}

/// The progress of long work, on standard error if that is a terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// `total` is `None` if it is not known.
    pub fn new(what: &'static str, total: Option<u64>) -> Self {
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(total, target).with_message(what);
        let template = match total {
            Some(_) => "{msg}: {human_pos} of about {human_len} ({per_sec}, {eta} left)",
            None => "{msg}: {human_pos} ({per_sec})",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub fn add(&self, done: u64) {
        self.0.inc(done);
    }

    /// Removes the progress, so that the next line begins at the left.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

//! Logs and metrics: each is a line of JSON on standard output, as Lambda's JSON log format expects it.

use std::error::Error;
use std::io::{self, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The log targets of this crate: the library and the binaries.
const OWN_TARGETS: [&str; 3] = ["order_status_stream", "projector", "stream"];

/// The highest level of other crates. At DEBUG and TRACE, the runtime writes whole events, and the SDK writes requests and
/// responses. They hold tokens and every attribute of an order.
const OTHER_CRATES: LevelFilter = LevelFilter::INFO;

/// Starts logging. The level is `AWS_LAMBDA_LOG_LEVEL` (Lambda sets it from the function's logging configuration), else `RUST_LOG`,
/// else INFO. It is the level of this crate: other crates never log more than INFO.
pub fn start(variable: impl Fn(&str) -> Option<String>) {
    let level = variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| variable("RUST_LOG"));
    // Lambda's FATAL is above every level of `tracing`.
    let level = level
        .map(|level| level.replace("FATAL", "OFF"))
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        // The span holds only the request id, which Lambda's own lines have too.
        .with_current_span(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(
            Targets::new()
                .with_default(level.min(OTHER_CRATES))
                .with_targets(OWN_TARGETS.map(|target| (target, level))),
        )
        .init();
}

/// Writes a line of metrics to standard output, at every log level: it is no log message, and CloudWatch reads it there.
pub fn write_metrics(mut line: String) {
    line.push('\n');
    // The whole line at once, so that no log line comes into its middle. Without a standard output, nobody reads it.
    let _ = io::stdout().lock().write_all(line.as_bytes());
}

/// An error and its causes in one line. The innermost cause says why a connection failed.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

//! Logs: a line of JSON each on standard output, as Lambda's JSON log format wants them.

use std::error::Error;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The targets of what this crate logs: the library, and the binaries.
const OURS: [&str; 3] = ["order_status_stream", "projector", "stream"];

/// The most that anyone else logs. At DEBUG and TRACE the runtime writes whole events, and the SDK
/// requests and answers: tokens, and all that the orders table holds of an order.
const OTHERS: LevelFilter = LevelFilter::INFO;

/// Starts logging. The level is `AWS_LAMBDA_LOG_LEVEL` (what the function's logging configuration
/// sets), else `RUST_LOG`, else INFO. It is ours alone: other crates never log more than INFO.
pub fn start(variable: impl Fn(&str) -> Option<String>) {
    let level = variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| variable("RUST_LOG"));
    // Lambda's FATAL is above every level of ours.
    let level = level
        .map(|level| level.replace("FATAL", "OFF"))
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        // The span holds no more than the request id, which Lambda's own lines carry too.
        .with_current_span(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(
            Targets::new()
                .with_default(level.min(OTHERS))
                .with_targets(OURS.map(|ours| (ours, level))),
        )
        .init();
}

/// An error and what caused it, in one line: why a connection failed is said by the innermost.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

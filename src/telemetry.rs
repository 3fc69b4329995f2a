//! Logs: a line of JSON each on standard output, as Lambda's JSON log format wants them.

use tracing_subscriber::filter::LevelFilter;

/// Starts logging. The level is `AWS_LAMBDA_LOG_LEVEL` (what the function's logging configuration sets), else `RUST_LOG`,
/// else INFO.
pub fn start(variable: impl Fn(&str) -> Option<String>) {
    let level = variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| variable("RUST_LOG"));
    // Lambda's FATAL is above every level of ours.
    let level = level
        .map(|level| level.replace("FATAL", "OFF"))
        .and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .json()
        // The span holds no more than the request id, which Lambda's own lines carry too.
        .with_current_span(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .init();
}

//! What order-status-stream costs and how late it shows a change: the real endpoint, session, policy and projector on a
//! recorded trace, with time paused and DynamoDB in memory. Never deployed.
//!
//! - [`trace`]: what happened to orders, and who watched.
//! - [`shapes`]: traces that are made up.
//! - [`simulate`]: runs a trace.
//! - [`browser`]: those who watch, and Lambda before them.
//! - [`meter`]: DynamoDB, with what it counts.
//! - [`bill`]: what was used, and what that costs.
//! - [`prices`]: list prices.
//! - [`compare`]: the same by other means.
//! - [`report`]: what is printed.
//! - [`picture`]: what is drawn.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool that prints what it counted"
)]

pub mod bill;
pub mod browser;
pub mod compare;
pub mod meter;
pub mod picture;
pub mod prices;
pub mod report;
pub mod shapes;
pub mod simulate;
pub mod trace;

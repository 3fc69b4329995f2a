//! What order-status-stream costs and how late it shows a change. Runs the real endpoint, session, policy and projector on a
//! trace, with paused time and DynamoDB in memory. Never deployed.
//!
//! - [`trace`]: what happened to orders, and who watched them.
//! - [`shops`]: traces of made-up shops.
//! - [`simulate`]: runs a trace.
//! - [`journey`]: the way of a change from the write of its order to the page.
//! - [`browser`]: a page that watches an order.
//! - [`lambda`]: Lambda between the page and the endpoint.
//! - [`environments`]: Lambda's execution environments and limits.
//! - [`meter`]: DynamoDB, with the units that it bills.
//! - [`bill`]: what was used, and what that costs.
//! - [`prices`]: prices of the alternatives.
//! - [`compare`]: the cost of the alternatives for the same trace.
//! - [`instances`]: the cost of Managed Instances.
//! - [`report`]: prints the results.
//! - [`chart`]: draws the results.
//! - [`herd`]: fifty thousand watchers through an outage, a throttle, a deployment and a sale.
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
pub mod chart;
pub mod compare;
pub mod environments;
pub mod herd;
pub mod instances;
pub mod journey;
pub mod lambda;
pub mod meter;
pub mod prices;
pub mod report;
pub mod shops;
pub mod simulate;
pub mod trace;

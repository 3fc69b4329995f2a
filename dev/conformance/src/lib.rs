//! Checks a server of Server-Sent Events against `docs/protocol.md`, rule by rule, whoever wrote it and wherever it runs.
//!
//! - [`exchange`]: a request, and every byte that came back.
//! - [`transcript`]: a strict reading of an event stream: what a lenient client would forgive is seen here. Pure.
//! - [`evidence`]: all requests of a run.
//! - [`rules`]: what is concluded from them, a verdict a rule. Pure.
//!
//! The rules that hold for any server of Server-Sent Events are told apart from those of this project's contract.

pub mod evidence;
pub mod exchange;
pub mod rules;
pub mod transcript;

use std::time::Duration;

/// What is checked, and what is known of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of this contract: the base that paths such as `/orders/A/events` are added to. Of any other server: a stream.
    pub url: String,
    /// The rules of any server alone.
    pub any_server: bool,
    /// An order that has changes and is not finished.
    pub order: Option<String>,
    /// An order that is finished.
    pub finished: Option<String>,
    /// Sent as `authorization: Bearer`.
    pub token: Option<String>,
    /// The demo shop's API, where orders may be placed and moved on.
    pub shop: Option<String>,
    /// How long a response is waited for to end.
    pub patience: Duration,
}

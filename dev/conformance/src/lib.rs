//! Checks a server of Server-Sent Events against `docs/protocol.md`, rule by rule. The server may be anybody's, anywhere.
//!
//! - [`rules`]: each rule sends its requests and judges the responses.
//! - `server`: the server under test. It keeps the responses that several rules need.
//! - `exchange`: one request and its response, byte by byte.
//! - [`transcript`]: a strict reader of event streams. It records what lenient clients forgive. Pure.
//! - [`smoke`]: after a deployment, what cannot be seen without AWS: buffers, CORS, access, delays.
//!
//! Some rules hold for any server of Server-Sent Events, the others for this project's contract only.

mod exchange;
pub mod rules;
mod server;
pub mod smoke;
pub mod transcript;

use std::time::Duration;

use clap::Parser;

/// Checks a server of Server-Sent Events against docs/protocol.md, rule by rule
#[derive(Clone, Debug, Parser)]
#[command(name = "conformance")]
pub struct Options {
    /// A server of docs/protocol.md: what comes before /orders/…. With --any, a stream of any other server
    #[arg(value_parser = url)]
    pub url: String,
    /// URL is a stream of any other server: check only the rules that hold for every server
    #[arg(long = "any")]
    pub any_server: bool,
    /// An order that has changes and is not finished
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
    /// An order that is finished
    #[arg(long, value_name = "ID")]
    pub finished: Option<String>,
    /// Sent as `authorization: Bearer`
    #[arg(long)]
    pub token: Option<String>,
    /// The token names a customer who has orders: check the customer's stream too
    #[arg(long)]
    pub customer: bool,
    /// The demo shop (make run: http://localhost:8080), where an order may be placed
    #[arg(long, value_name = "URL")]
    pub shop: Option<String>,
    /// How long to wait for a response to end
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub patience: Duration,
}

fn url(text: &str) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.to_owned()),
        Ok(_) => Err("it must begin with http:// or https://".to_owned()),
        Err(error) => Err(format!("it is not a URL: {error}")),
    }
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

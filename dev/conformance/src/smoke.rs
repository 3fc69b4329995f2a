//! `make smoke`: whether a deployment does what cannot be seen without AWS. The reasons are in `docs/deploy.md`.
//!
//! - `stage`: the deployment, and the responses that several checks judge,
//! - `request`: what a request for a stream gets: the head, or a refusal,
//! - `cors`: what pages of other origins may do,
//! - `stream`: when the parts of a response arrive, and how it ends,
//! - `resume`: where a client continues,
//! - `live`: from a write to its frame.

mod cors;
mod live;
mod request;
mod resume;
mod stage;
mod stream;

use std::time::Duration;

use clap::Parser;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, Stream, StreamExt};
use reqwest::ClientBuilder;

use crate::rules::Remark;
use stage::Stage;

/// Checks a deployment in two minutes: what cannot be seen without AWS
#[derive(Clone, Debug, Parser)]
#[command(name = "smoke")]
pub struct Options {
    /// What comes before /orders/…: the stack's output StreamUrl
    #[arg(value_parser = crate::url)]
    pub url: String,
    /// An order that has changes and is not finished
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
    /// An order that is finished
    #[arg(long, value_name = "ID")]
    pub finished: Option<String>,
    /// A token, best for * or every order. Without one, only open access can be checked
    #[arg(long)]
    pub token: Option<String>,
    /// The demo shop (make run: http://localhost:8080), where orders may be placed
    #[arg(long, value_name = "URL")]
    pub shop: Option<String>,
    /// A shell command that writes $STATUS as the status of the order $ORDER, which is --order
    #[arg(
        long,
        value_name = "COMMAND",
        requires = "order",
        conflicts_with = "shop"
    )]
    pub write: Option<String>,
    /// The origin of a page that may read streams, such as `https://shop.example`
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,
    /// An origin whose pages may not read streams
    #[arg(long, value_name = "ORIGIN")]
    pub other_origin: Option<String>,
    /// The setting HEARTBEAT
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = crate::seconds)]
    pub heartbeat: Duration,
    /// How long to wait for a response to end, and for a change to arrive
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = crate::seconds)]
    pub patience: Duration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// A short name, for programs.
    pub name: &'static str,
    /// What holds if the check passes.
    pub title: &'static str,
    /// What to do if it fails.
    pub advice: &'static str,
    run: for<'a> fn(&'a Stage) -> BoxFuture<'a, Outcome>,
}

/// What was seen, or why the check did not pass. A note counts as a pass.
pub type Outcome = Result<String, Remark>;

/// A check and its outcome.
#[derive(Clone, Debug)]
pub struct Finding {
    pub check: Check,
    pub outcome: Outcome,
}

/// In the order of the report: first those that need one short request.
pub const CHECKS: [Check; 17] = [
    request::STREAM,
    request::VERSION,
    request::TLS,
    request::CACHE,
    request::NO_TOKEN,
    request::WRONG_TOKEN,
    request::OTHER_ORDER,
    cors::ORIGIN,
    cors::OTHER_ORIGIN,
    cors::PREFLIGHT,
    resume::LAST_EVENT_ID,
    resume::FINISHED,
    stream::FIRST_CHUNK,
    stream::SMALL_CHUNKS,
    live::WRITE,
    stream::HEARTBEAT,
    stream::END,
];

/// A deployment that has answered.
#[derive(Debug)]
pub struct Smoke(Stage);

impl Smoke {
    /// Sends the first request.
    ///
    /// # Errors
    ///
    /// The HTTP client cannot be set up, or there is no response. An invalid certificate is not an error but a finding.
    pub async fn start(client: ClientBuilder, options: Options) -> Result<Self, String> {
        let stage = Stage::new(client, options).map_err(|error| error.to_string())?;
        match stage.head().await {
            Err(error) if !request::is_about_certificate(error) => Err(error.clone()),
            _ => Ok(Self(stage)),
        }
    }

    /// Runs all checks side by side. Their findings come in the order of [`CHECKS`].
    pub fn findings(&self) -> impl Stream<Item = Finding> + Unpin {
        let running = CHECKS.into_iter().map(|check| async move {
            let outcome = match (check.run)(&self.0).await {
                Err(Remark::Note(seen)) => Ok(seen),
                outcome => outcome,
            };
            Finding { check, outcome }
        });
        running.collect::<FuturesOrdered<_>>().boxed()
    }
}

/// Seconds with one digit after the point, or two if there are few.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds < 1.0 {
        true => format!("{seconds:.2} s"),
        false => format!("{seconds:.1} s"),
    }
}

//! Both functions, behind the emulator of `cargo lambda watch`.
//!
//! The emulator can also start them itself, but this has three problems. It uses `cargo run`, which waits for the build lock, and
//! it starts another process each 100 ms while a request waits: 16 of each function on a machine that was busy building. It
//! starts each of them in a session of its own, so they do not end with this program. It does not replace a process that ends,
//! and the next request for that process hangs. So this program starts them. They answer within milliseconds, and it sees if one
//! ends.

use std::env;
use std::iter;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select_all;
use lambda_stand_in::ProcessGroup;
use local::dynamo::FEED;
use local::event_source::{BoxError, HttpFunction, Invoke};
use local::shop::CUSTOMER;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time;

/// Processes of `stream`. This is the number of streams at a time: a request waits if all are busy. A window of the demo page has
/// two streams. A browser opens six connections to a host, so a third window leaves none for other requests.
const STREAMS: usize = 12;

/// How long the emulator and the functions may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Environment variables of the functions, unless this program's environment sets them.
const DEFAULTS: [(&str, &str); 4] = [
    ("PUBLIC_ATTRIBUTES", "eta,carrier,trackingUrl"),
    // If all orders of a customer are finished, no change is due. With the default, the page shows a new order after up to a minute.
    ("MAX_REST", "10s"),
    // Their lines would stand between the program's own.
    ("METRICS", "off"),
    ("RUST_LOG", "warn"),
];

/// Environment variables of the functions that replace those of this program: no call may reach an AWS account.
const FIXED: [(&str, &str); 8] = [
    ("FEED_TABLE", FEED),
    // The page's customers have streams.
    ("CUSTOMER_ATTRIBUTE", CUSTOMER),
    ("JWT_CUSTOMER_CLAIM", "sub"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "local"),
    ("AWS_SECRET_ACCESS_KEY", "local"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
];

/// The processes of the emulator and the functions.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    processes: Vec<(&'static str, Child)>,
}

impl Functions {
    /// Starts the emulator at `port`, then the functions in the directory `binaries`, and returns when one process of each function
    /// has answered. The endpoints of their database are those for `projector` and for `stream`. `jwks` are the keys of the tokens that they accept.
    pub(crate) async fn start(
        group: &ProcessGroup,
        binaries: &Path,
        [projector, stream]: [&str; 2],
        jwks: &str,
        port: u16,
    ) -> Result<Self, BoxError> {
        let mut functions = Self::default();
        functions.spawn(group, "cargo lambda watch", &mut emulator(port))?;
        // A function ends if its Runtime API does not listen.
        functions.or_ended(listens(port)).await?;
        let streams = iter::repeat_n(("stream", stream), STREAMS);
        for (name, dynamo) in iter::once(("projector", projector)).chain(streams) {
            let mut function = function(name, binaries, dynamo, port);
            functions.spawn(group, name, function.env("JWKS", jwks))?;
        }
        functions.or_ended(answer(port)).await?;
        Ok(functions)
    }

    /// Returns when one of the processes has ended. This is always an error.
    pub(crate) async fn ended(&mut self) -> BoxError {
        let endings = self.processes.iter_mut().map(|(name, child)| {
            Box::pin(async move {
                match child.wait().await {
                    Ok(status) => format!("{name} ended: {status}"),
                    Err(error) => format!("waiting for {name} failed: {error}"),
                }
            })
        });
        select_all(endings).await.0.into()
    }

    async fn or_ended(
        &mut self,
        start: impl Future<Output = Result<(), BoxError>>,
    ) -> Result<(), BoxError> {
        tokio::select! {
            started = time::timeout(START_LIMIT, start) => match started {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("the functions did not start within {} s", START_LIMIT.as_secs()).into()),
            },
            ended = self.ended() => Err(ended),
        }
    }

    fn spawn(
        &mut self,
        group: &ProcessGroup,
        name: &'static str,
        command: &mut Command,
    ) -> Result<(), BoxError> {
        let child = group
            .spawn(command.stdin(Stdio::null()))
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        self.processes.push((name, child));
        Ok(())
    }
}

/// The URL of the function `stream` for a browser.
pub(crate) fn stream_url(port: u16) -> String {
    format!("http://localhost:{port}/lambda-url/stream")
}

/// The function `projector`, which the event source invokes.
pub(crate) fn projector(port: u16) -> Result<HttpFunction, BoxError> {
    let url = format!("http://localhost:{port}/2015-03-31/functions/projector/invocations");
    Ok(HttpFunction::new(url)?)
}

fn emulator(port: u16) -> Command {
    let mut command = Command::new("cargo");
    command
        .args([
            "lambda",
            "watch",
            "--only-lambda-apis",
            "--invoke-address",
            "127.0.0.1",
            "--invoke-port",
        ])
        .arg(port.to_string())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        // At its default level it explains how to start a function by hand.
        .env("RUST_LOG", "warn");
    command
}

fn function(name: &str, binaries: &Path, dynamo: &str, port: u16) -> Command {
    let mut command = Command::new(binaries.join(name));
    command
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env(
            "AWS_LAMBDA_RUNTIME_API",
            format!("http://127.0.0.1:{port}/.rt/{name}"),
        )
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamo)
        .envs(FIXED)
        .envs(
            DEFAULTS
                .into_iter()
                .filter(|(name, _)| env::var_os(name).is_none()),
        );
    command
}

async fn listens(port: u16) -> Result<(), BoxError> {
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_err()
    {
        time::sleep(RETRY_INTERVAL).await;
    }
    Ok(())
}

/// Sends each function a request that has no effect: an unknown path, and a batch without records.
async fn answer(port: u16) -> Result<(), BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let response = client.get(stream_url(port) + "/").send().await?;
    if response.status().is_server_error() {
        return Err(format!("stream answered with status {}", response.status()).into());
    }
    projector(port)?
        .invoke(Bytes::from_static(br#"{"Records":[]}"#))
        .await?;
    Ok(())
}

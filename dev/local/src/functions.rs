//! Both functions, behind the emulator of `cargo lambda watch`.
//!
//! The emulator could start them too: by `cargo run`, another each 100 ms while a request waits, each in a session of its
//! own. On a machine that was busy building, that made 16 processes of each before the first had answered. Nor does it
//! replace one that dies; the next request that it hands to that one hangs. Started here, they answer within milliseconds,
//! wait for no build lock, and are missed when they die.

use std::env;
use std::iter;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select_all;
use local::dynamo::FEED;
use local::pump::{BoxError, HttpFunction, Invoke};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time;

/// Processes of `stream`: the streams that can be held at a time, for a request that finds all of them busy waits. A
/// browser has six connections to a host.
const STREAMS: usize = 12;

/// How long the emulator and the functions may take to start.
const START: Duration = Duration::from_secs(30);

/// Between two attempts to reach them.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// What the functions are told, unless the caller's environment says otherwise.
const DEFAULTS: [(&str, &str); 1] = [("PUBLIC_ATTRIBUTES", "eta,carrier,trackingUrl")];

/// What the functions are told whatever the caller's environment says: nothing of this may reach an AWS account.
const FIXED: [(&str, &str); 6] = [
    ("FEED_TABLE", FEED),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "local"),
    ("AWS_SECRET_ACCESS_KEY", "local"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
];

/// The emulator and the functions' processes.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    processes: Vec<(&'static str, Child)>,
}

impl Functions {
    /// Starts the emulator at `port`, then the functions that were built into the directory `binaries`, and returns when
    /// one process of each has answered. `dynamo` is their database, `jwks` the keys of the tokens that open orders.
    pub(crate) async fn start(
        binaries: &Path,
        dynamo: &str,
        jwks: &str,
        port: u16,
    ) -> Result<Self, BoxError> {
        let mut functions = Self::default();
        functions.spawn("cargo lambda watch", &mut emulator(port))?;
        // A function that finds nobody at its Runtime API ends.
        functions.or_ended(listens(port)).await?;
        for name in iter::once("projector").chain(iter::repeat_n("stream", STREAMS)) {
            let mut function = function(name, binaries, dynamo, port);
            functions.spawn(name, function.env("JWKS", jwks))?;
        }
        functions.or_ended(answer(port)).await?;
        Ok(functions)
    }

    /// Returns when one of the processes has ended, which none should.
    pub(crate) async fn ended(&mut self) -> BoxError {
        let endings = self.processes.iter_mut().map(|(name, child)| {
            Box::pin(async move {
                match child.wait().await {
                    Ok(status) => format!("{name} ended: {status}"),
                    Err(error) => format!("{name} cannot be waited for: {error}"),
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
            started = time::timeout(START, start) => match started {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("the functions did not start within {} s", START.as_secs()).into()),
            },
            ended = self.ended() => Err(ended),
        }
    }

    fn spawn(&mut self, name: &'static str, command: &mut Command) -> Result<(), BoxError> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        self.processes.push((name, child));
        Ok(())
    }
}

/// The URL of the function `stream`, as a browser has it.
pub(crate) fn stream_url(port: u16) -> String {
    format!("http://localhost:{port}/lambda-url/stream")
}

/// Where the function `projector` is invoked.
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
        // At its own level it explains how to start a function by hand.
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
        time::sleep(TRY_AGAIN).await;
    }
    Ok(())
}

/// Asks each function for what costs nothing: a path that is no order's, and a batch of no records.
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

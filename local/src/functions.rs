//! Both functions, under `cargo lambda watch`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use local::dynamo::FEED;
use local::offspring::Kept;
use local::pump::{BoxError, HttpFunction, Invoke};
use tokio::time;

/// Where the functions are.
pub(crate) const PORT: u16 = 9000;

/// The most processes of one function, so the most streams at a time. Another starts when all are busy; one that a client
/// has left stays busy until its window ends.
const CONCURRENCY: u32 = 16;

/// How long the emulator and the first process of each function may take to start. They are built by then.
const START: Duration = Duration::from_secs(60);

/// Between two attempts to reach the emulator.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// What the functions are told, unless the caller's environment says otherwise.
const DEFAULTS: [(&str, &str); 2] =
    [("ACCESS", "open"), ("PUBLIC_ATTRIBUTES", "eta,carrier,trackingUrl")];

/// What the functions are told whatever the caller's environment says: nothing of this may reach an AWS account.
const FIXED: [(&str, &str); 4] = [
    ("FEED_TABLE", FEED),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "local"),
    ("AWS_SECRET_ACCESS_KEY", "local"),
];

/// The URL of the function `stream`, as a browser has it.
pub(crate) fn stream_url() -> String {
    format!("http://localhost:{PORT}/lambda-url/stream")
}

/// The endpoint that the function `projector` is invoked at.
pub(crate) fn projector_url() -> String {
    format!("http://localhost:{PORT}/2015-03-31/functions/projector/invocations")
}

/// Builds both functions, showing how far it is. The emulator's processes start by `cargo run`, another each 100 ms while a
/// request waits: they must find everything built.
pub(crate) async fn build(keeper: &Path) -> Result<(), BoxError> {
    let status = Kept::start(keeper, cargo().args(["build", "--bins"]))?.ended().await?;
    if status.success() { Ok(()) } else { Err("the functions cannot be built, see above".into()) }
}

/// Starts the emulator.
pub(crate) fn start(keeper: &Path, dynamo: &str) -> Result<Kept, BoxError> {
    let mut command = cargo();
    command
        .args(["lambda", "watch", "--ignore-changes", "--quiet", "--invoke-address", "127.0.0.1"])
        .args(["--invoke-port", &PORT.to_string()])
        .args(["--concurrency", &CONCURRENCY.to_string()])
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamo)
        .envs(FIXED);
    for (name, value) in DEFAULTS {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    Ok(Kept::start(keeper, &command)?)
}

/// Returns when a process of each function has answered, so that the first visitor need not wait for one to start.
pub(crate) async fn answer() -> Result<(), BoxError> {
    time::timeout(START, async { tokio::try_join!(stream_answers(), projector_answers()) })
        .await
        .map_err(|_| format!("the functions did not answer within {} s", START.as_secs()))??;
    Ok(())
}

/// The address alone is no order's: the function has to answer, with 404.
async fn stream_answers() -> Result<(), BoxError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    loop {
        match client.get(stream_url() + "/").send().await {
            Ok(response) if response.status().is_server_error() => {
                return Err(format!("the function stream failed with status {}", response.status()).into());
            }
            Ok(_) => return Ok(()),
            Err(_) => time::sleep(TRY_AGAIN).await,
        }
    }
}

/// A batch of no records.
async fn projector_answers() -> Result<(), BoxError> {
    let projector = HttpFunction::new(projector_url())?;
    // The emulator listens by now, or will be heard of by `stream_answers`.
    while projector.invoke(Bytes::from_static(br#"{"Records":[]}"#)).await.is_err() {
        time::sleep(TRY_AGAIN).await;
    }
    Ok(())
}

/// The toolchain's own, in the directory of the workspace.
fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root());
    cargo
}

/// The directory of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

//! Browsers that tests open on a page, and the server that the page reports to.
#![allow(
    dead_code,
    unused_macros,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "as in mod.rs"
)]

/// Runs each of these tests in Chromium and Firefox, and in WebKitGTK too if the list begins with `webkit_gtk:`.
macro_rules! in_each_browser {
    ($($test:ident),*) => {
        $(mod $test { in_browser!($test, chromium Chromium, firefox Firefox); })*
    };
    (webkit_gtk: $($test:ident),*) => {
        $(mod $test { in_browser!($test, chromium Chromium, firefox Firefox, webkit_gtk WebKitGtk); })*
    };
}

macro_rules! in_browser {
    ($test:ident, $first:ident $browser:ident $(, $name:ident $more:ident)*) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $first() {
            super::within_limit(super::$test(super::Browser::$browser)).await;
        }

        in_browser!($test $(, $name $more)*);
    };
    ($test:ident) => {};
}

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::http_support::{Server, serve};

/// A path, and the content type and content of the file at it.
pub type StaticFile = (&'static str, &'static str, Bytes);

/// Serves files, and passes on the JSON that is posted to `/report`.
pub async fn report_server(files: Vec<StaticFile>) -> (Server, mpsc::UnboundedReceiver<Value>) {
    let (report, reports) = mpsc::unbounded_channel();
    let server = serve(move |request: Request<Bytes>| {
        let path = request.uri().path();
        if path == "/report" {
            let _ = report.send(serde_json::from_slice(request.body()).unwrap());
        }
        let file = files.iter().find(|(at, ..)| *at == path).cloned();
        async move {
            let response = Response::builder();
            match file {
                Some((_, content_type, content)) => response
                    .header("content-type", content_type)
                    .body(content)
                    .unwrap(),
                None => response.status(204).body(Bytes::new()).unwrap(),
            }
        }
    })
    .await;
    (server, reports)
}

macro_rules! client_file {
    ($path:literal) => {
        (
            concat!("/", $path),
            "text/javascript",
            Bytes::from_static(include_bytes!(concat!("../../web/", $path))),
        )
    };
}

/// A page, and the files of the browser's client, which it can import.
pub fn with_client(page: &'static [u8]) -> Vec<StaticFile> {
    vec![
        ("/", "text/html", Bytes::from_static(page)),
        client_file!("order-stream.js"),
        client_file!("order-stream/connection.js"),
        client_file!("order-stream/event-stream.js"),
        client_file!("order-stream/page.js"),
        client_file!("order-stream/shared.js"),
        client_file!("order-stream/tokens.js"),
    ]
}

/// A page that is open in a browser, and its reports.
pub struct Opened {
    pub reports: mpsc::UnboundedReceiver<Value>,
    _server: Server,
    _window: Window,
}

impl Opened {
    /// Serves the files and opens a URL of their server. `None` if the browser is not installed.
    pub async fn new(browser: Browser, files: Vec<StaticFile>, query: &str) -> Option<Self> {
        let served = report_server(files).await;
        Self::at(browser, served, &format!("/?{query}")).await
    }

    pub async fn at(
        browser: Browser,
        (server, reports): (Server, mpsc::UnboundedReceiver<Value>),
        path: &str,
    ) -> Option<Self> {
        let window = browser.open(&format!("{}{path}", server.url)).await?;
        Some(Self {
            reports,
            _server: server,
            _window: window,
        })
    }

    /// Reads reports until one matches. Returns all of them.
    pub async fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut reports = Vec::new();
        loop {
            reports.push(self.reports.recv().await.unwrap());
            if wanted(&reports[reports.len() - 1]) {
                return reports;
            }
        }
    }
}

/// Runs a script with Node.js, which prints JSON. `None` if it fails because something is not installed.
pub async fn node(script: &str, arguments: &[&str]) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("node")
        .arg(root.join(script))
        .args(arguments)
        .output()
        .await;
    match output {
        Ok(output) if output.status.success() => {
            Some(serde_json::from_slice(&output.stdout).unwrap())
        }
        Ok(output) => missing(script, String::from_utf8_lossy(&output.stderr)),
        Err(error) => missing("Node.js", error),
    }
}

/// Handles a program that is not installed: a failure in CI, which must have it, and a line on stderr elsewhere.
pub fn missing<T>(what: impl Display, why: impl Display) -> Option<T> {
    if std::env::var_os("CI").is_some() {
        panic!("{what} does not start: {why}");
    }
    // Not `eprintln!`, because its output is hidden if the test passes.
    let _ = writeln!(io::stderr(), "NOT TESTED: {what} does not start ({why})");
    None
}

/// Fails a test that is not over after ten minutes, many times as long as it takes. Otherwise, a browser that reports nothing
/// would block all other tests.
pub async fn within_limit(test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(600);
    assert!(timeout(limit, test).await.is_ok(), "not over in {limit:?}");
}

/// A browser whose `EventSource` is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Browser {
    Chromium,
    Firefox,
    WebKitGtk,
}

/// A browser's processes and its profile. If it is dropped, they are killed and deleted.
pub struct Window {
    _processes: Vec<Child>,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page. `None` if the browser is missing.
    pub async fn open(self, url: &str) -> Option<Window> {
        let profile = tempfile::tempdir().unwrap();
        let processes = match self {
            Self::Chromium => chromium(profile.path(), url).map(|process| vec![process]),
            Self::Firefox => firefox(profile.path(), url).map(|process| vec![process]),
            Self::WebKitGtk => webkit_gtk(profile.path(), url).await,
        };
        match processes {
            Ok(processes) => Some(Window {
                _processes: processes,
                _profile: profile,
            }),
            Err(error) => missing(format_args!("{self:?}"), error),
        }
    }
}

fn chromium(profile: &Path, url: &str) -> io::Result<Child> {
    quiet("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-quic", "--no-first-run", "--disable-sync"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        // A page can open another one in front of it.
        .arg("--disable-popup-blocking")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url)
        .spawn()
}

/// No requests to Mozilla, and a page can open another one in front of it.
const FIREFOX_PREFERENCES: &str = r#"
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("dom.disable_open_during_load", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
"#;

fn firefox(profile: &Path, url: &str) -> io::Result<Child> {
    std::fs::write(profile.join("user.js"), FIREFOX_PREFERENCES)?;
    let start = |program| {
        quiet(program)
            .args(["--headless", "--no-remote", "--profile"])
            .arg(profile)
            .arg(url)
            .env("HOME", profile)
            .spawn()
    };
    // Debian's package, or any other Firefox.
    start("firefox-esr").or_else(|_| start("firefox"))
}

/// WebKitGTK has no headless mode, so a virtual display is started first.
async fn webkit_gtk(profile: &Path, url: &str) -> io::Result<Vec<Child>> {
    let mut display = quiet("Xvfb")
        .args([
            "-displayfd",
            "1",
            "-nolisten",
            "tcp",
            "-screen",
            "0",
            "640x480x24",
        ])
        .stdout(Stdio::piped())
        .spawn()?;
    let number = first_line(&mut display).await?;
    // Debian's Python, because Debian's packages are installed for it.
    let mut window = quiet("/usr/bin/python3")
        .args([
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/webkit.py"),
            url,
        ])
        .env("DISPLAY", format!(":{number}"))
        .env("HOME", profile)
        .env("GIO_USE_PROXY_RESOLVER", "dummy")
        .stdout(Stdio::piped())
        .spawn()?;
    first_line(&mut window).await?;
    Ok(vec![window, display])
}

/// The first line that a process prints.
async fn first_line(process: &mut Child) -> io::Result<String> {
    let stdout = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let line = BufReader::new(stdout).lines().next_line().await?;
    line.ok_or_else(|| io::Error::other("it ended before it printed a line"))
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

//! The three servers, each started with the settings that suit it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use local::dynamo::{Dynamo, FEED, create_tables};
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::Result;
use super::process::Process;
use super::publisher::{Publisher, append};
use super::runtime_api::RuntimeApi;
use super::tools::{free_port, until_connected};
use super::watchers::Watcher;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Nchan,
    Axum,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) publisher: Publisher,
    kind: Kind,
    front: Front,
    /// What it needs until it ends.
    _backing: Option<Backing>,
    _folder: TempDir,
}

/// Where watchers come in.
enum Front {
    RuntimeApi(RuntimeApi),
    Url(String),
}

/// What `stream` needs: an empty feed, and Valkey.
struct Backing {
    dynamo: Dynamo,
    valkey: Option<(Process, u16)>,
    _folder: TempDir,
}

impl Backing {
    async fn start() -> Result<Self> {
        let dynamo = Dynamo::start("127.0.0.1:0").await?;
        create_tables(&dynamo.client()).await?;
        let folder = tempfile::tempdir()?;
        let valkey = match env::var_os("WITHOUT_WAKE") {
            Some(_) => None,
            None => Some(valkey(folder.path()).await?),
        };
        Ok(Self {
            dynamo,
            valkey,
            _folder: folder,
        })
    }

    fn feed(&self) -> DynamoDbFeed {
        DynamoDbFeed::new(self.dynamo.client(), FEED)
    }
}

/// Debian has it under one of two names.
async fn valkey(folder: &Path) -> Result<(Process, u16)> {
    let port = free_port().await?;
    let start = |name: &str| {
        let mut command = Command::new(name);
        command
            .args(["--port", &port.to_string(), "--save", "", "--dir"])
            .arg(folder)
            .stdout(Stdio::null());
        Process::start(&mut command)
    };
    let process = start("valkey-server").or_else(|_| start("redis-server"));
    let process = process.map_err(|_| "neither valkey-server nor redis-server is installed")?;
    until_connected(port).await?;
    Ok((process, port))
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Nchan, Self::Axum];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "order-status-stream",
            Self::Nchan => "nchan",
            Self::Axum => "axum",
        }
    }

    /// The text with which a stream is open: `ready`, or the end of the response's head.
    const fn opened(self) -> &'static [u8] {
        match self {
            Self::Ours => b"event: ready",
            Self::Nchan | Self::Axum => b"\r\n\r\n",
        }
    }

    pub(crate) async fn start(self, streams: usize) -> Result<Server> {
        let folder = tempfile::tempdir()?;
        let mut backing = None;
        let (process, front, publisher) = match self {
            Self::Ours => ours(backing.insert(Backing::start().await?), streams).await?,
            Self::Nchan => nchan(folder.path()).await?,
            Self::Axum => axum().await?,
        };
        Ok(Server {
            process,
            publisher,
            kind: self,
            front,
            _backing: backing,
            _folder: folder,
        })
    }
}

impl Server {
    /// Opens the stream of an order.
    pub(crate) async fn open(&self, order: &str, watcher: Watcher) -> Result<()> {
        match &self.front {
            Front::RuntimeApi(api) => {
                let headers = json!({ "accept": "text/event-stream" });
                api.request(&format!("/orders/{order}/events"), headers, watcher);
            }
            Front::Url(address) => {
                let mut socket = TcpStream::connect(address).await?;
                let request = format!(
                    "GET /sub/{order} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n"
                );
                socket.write_all(request.as_bytes()).await?;
                tokio::spawn(watcher.read(socket));
            }
        }
        Ok(())
    }

    pub(crate) const fn opened(&self) -> &'static [u8] {
        self.kind.opened()
    }

    /// Writes an order's first changes, if the server keeps changes.
    pub(crate) async fn prepare(&mut self, order: &str, history: u64) -> Result<()> {
        if let Publisher::Feed { feed, seq, .. } = &mut self.publisher {
            for number in 1..=history {
                append(feed, order, number).await?;
            }
            *seq = history;
        }
        Ok(())
    }
}

type Started = (Process, Front, Publisher);

/// The variables with which `stream` runs, as on a Managed Instance with so many streams.
fn stream(dynamo: &str, api: &RuntimeApi, streams: usize) -> Result<Command> {
    let mut command = Command::new(binary("FUNCTIONS", "stream")?);
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
        .env("AWS_LAMBDA_MAX_CONCURRENCY", streams.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "stream")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "2048")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST.PUBLISHED")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "stream")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamo)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("FEED_TABLE", FEED)
        .env("ACCESS", "open")
        .env("PUBLIC_ATTRIBUTES", "n")
        .env("HOLD", "always")
        .env("WINDOW", "15m")
        .stdout(Stdio::null());
    Ok(command)
}

async fn ours(backing: &Backing, streams: usize) -> Result<Started> {
    let api = RuntimeApi::start().await?;
    let mut command = stream(&backing.dynamo.endpoint(), &api, streams)?;
    let mut valkey = None;
    if let Some((_, port)) = &backing.valkey {
        command.env("WAKE_URL", format!("redis://127.0.0.1:{port}"));
        let socket = TcpStream::connect(("127.0.0.1", *port)).await?;
        socket.set_nodelay(true)?;
        valkey = Some(socket);
    }
    let process = Process::start(&mut command)?;
    let publisher = Publisher::Feed {
        feed: backing.feed(),
        valkey,
        seq: 1,
    };
    Ok((process, Front::RuntimeApi(api), publisher))
}

async fn nchan(folder: &Path) -> Result<Started> {
    let port = free_port().await?;
    let configuration = include_str!("nchan.conf")
        .replace("PORT", &port.to_string())
        .replace("FOLDER", &folder.display().to_string());
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file).arg("-e").arg("stderr");
    let process = Process::start(&mut command)?;
    until_connected(port).await?;
    http(process, format!("127.0.0.1:{port}"))
}

async fn axum() -> Result<Started> {
    let mut command = Command::new(binary("FLOOR", "floor")?);
    let mut process = Process::start(command.stdout(Stdio::piped()))?;
    let stdout = process.stdout().ok_or("floor has no output")?;
    let address = BufReader::new(stdout).lines().next_line().await?;
    http(process, address.ok_or("floor ended at once")?)
}

fn http(process: Process, address: String) -> Result<Started> {
    let publisher = Publisher::Http {
        client: reqwest::Client::builder().no_proxy().build()?,
        url: format!("http://{address}/pub/"),
        seq: 1,
    };
    Ok((process, Front::Url(address), publisher))
}

/// A binary in the folder that a variable names.
fn binary(folder: &str, name: &str) -> Result<PathBuf> {
    let folder =
        env::var_os(folder).ok_or_else(|| format!("{folder} is not set: run `make bench`"))?;
    Ok(std::path::absolute(PathBuf::from(folder).join(name))?)
}

/// For how long a server may take to open streams, or to deliver changes.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

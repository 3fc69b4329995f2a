//! A real Valkey or Redis on this machine, with a folder and a port of its own.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

use std::net::TcpListener;
use std::process::Stdio;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::Stream;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::{Client, Msg, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub struct Server {
    process: Child,
    port: u16,
    tls_port: u16,
    arguments: Vec<String>,
    folder: TempDir,
}

fn program() -> Option<&'static str> {
    let is_there = |name: &&str| {
        let version = std::process::Command::new(name).arg("--version").output();
        version.is_ok()
    };
    let found = ["valkey-server", "redis-server"].into_iter().find(is_there);
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "neither Valkey nor Redis is installed"
        );
        eprintln!("NOT TESTED: neither Valkey nor Redis is installed");
    }
    found
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl Server {
    /// `None` if no server is installed.
    pub async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    pub async fn with(arguments: &[&str]) -> Option<Self> {
        let arguments = arguments.iter().map(|it| (*it).to_owned()).collect();
        Self::begin(arguments, tempfile::tempdir().unwrap(), 0).await
    }

    /// It has a password, and a certificate for `localhost`.
    pub async fn with_tls() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &authority).unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let port = free_port();
        let arguments = [
            ("--tls-port", port.to_string()),
            (
                "--tls-cert-file",
                write("server.pem", pem("CERTIFICATE", certificate.der())),
            ),
            (
                "--tls-key-file",
                write("server.key", pem("PRIVATE KEY", &key.serialize_der())),
            ),
            (
                "--tls-ca-cert-file",
                write("authority.pem", pem("CERTIFICATE", authority.der())),
            ),
            ("--tls-auth-clients", "no".to_owned()),
            ("--requirepass", "right".to_owned()),
        ];
        let arguments = arguments
            .into_iter()
            .flat_map(|(name, value)| [name.to_owned(), value]);
        Self::begin(arguments.collect(), folder, port).await
    }

    async fn begin(arguments: Vec<String>, folder: TempDir, tls_port: u16) -> Option<Self> {
        let program = program()?;
        let port = free_port();
        let process = run(program, port, &arguments, &folder).await;
        Some(Self {
            process,
            port,
            tls_port,
            arguments,
            folder,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The file of the authority that signed its certificate.
    pub fn authority(&self) -> String {
        let path = self.folder.path().join("authority.pem");
        path.to_str().unwrap().to_owned()
    }

    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// On the same port.
    pub async fn restart(&mut self) {
        let program = program().unwrap();
        self.process = run(program, self.port, &self.arguments, &self.folder).await;
    }

    pub fn signal(&self, name: &str) {
        let process = self.process.id().unwrap().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &process])
            .status();
        assert!(sent.unwrap().success());
    }

    fn client(&self) -> Client {
        let password = match self.arguments.iter().any(|it| it == "right") {
            true => ":right@",
            false => "",
        };
        Client::open(format!("redis://{password}127.0.0.1:{}", self.port)).unwrap()
    }

    async fn connection(&self) -> MultiplexedConnection {
        self.client()
            .get_multiplexed_async_connection()
            .await
            .unwrap()
    }

    pub async fn publish(&self, channel: &str, seq: u64) {
        let mut connection = self.connection().await;
        let publish = redis::cmd("PUBLISH")
            .arg(channel)
            .arg(seq)
            .exec_async(&mut connection)
            .await;
        publish.unwrap();
    }

    /// Publishes the numbers from 1 on.
    pub fn flood(&self, channel: &'static str, messages: u64) -> impl Future<Output = ()> + use<> {
        let client = self.client();
        async move {
            // It waits longer than the library allows by default.
            let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = connection.await.unwrap();
            for first in (1..=messages).step_by(1000) {
                let mut pipeline = redis::pipe();
                for seq in first..first + 1000 {
                    pipeline.publish(channel, seq).ignore();
                }
                pipeline.exec_async(&mut connection).await.unwrap();
            }
        }
    }

    pub async fn listen(&self, channel: &str) -> impl Stream<Item = Msg> + Unpin + use<> {
        let mut listening = self.client().get_async_pubsub().await.unwrap();
        listening.subscribe(channel).await.unwrap();
        listening.into_on_message()
    }

    /// Waits until a channel has this number of subscribers.
    pub async fn subscribed(&self, channel: &str, subscribers: u64) {
        let mut connection = self.connection().await;
        loop {
            let mut ask = redis::cmd("PUBSUB");
            let ask = ask.arg("NUMSUB").arg(channel);
            let (_, found): (String, u64) = ask.query_async(&mut connection).await.unwrap();
            if found == subscribers {
                return;
            }
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// Starts the server, and waits until it accepts connections.
async fn run(program: &str, port: u16, arguments: &[String], folder: &TempDir) -> Child {
    let mut process = Command::new(program)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--daemonize",
            "no",
        ])
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("{program} ended before it was ready"));
        if line.contains("Ready to accept connections") {
            break;
        }
    }
    // Its later output must not fill the pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    process
}

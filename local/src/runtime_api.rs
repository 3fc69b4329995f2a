//! A strict stand-in for Lambda: real function binaries on one side, real HTTP clients on the other.
//!
//! ```text
//! client ──HTTP──▶ function_url ─┐                                 ┌─▶ endpoint ◀──Runtime API── process
//!                                ├─▶ invocation ─▶ environment ────┤
//! test ──invoke──────────────────┘    (deadline)   (its pollers)   └─▶ process (start, kill, log)
//! ```
//!
//! What it takes from the platform, and emulators commonly do not:
//!
//! - A process has one request at a time, or as many as `AWS_LAMBDA_MAX_CONCURRENCY` says. Where none is idle, another
//!   process is started.
//! - The deadline is epoch milliseconds from the moment when the process takes the invocation, and it is kept: the process
//!   is killed with SIGKILL, and the client's connection cut without the last chunk.
//! - A client that leaves is not told to the function, which is billed to the end of its response.
//! - Before a response has begun, whatever goes wrong is a 502; after that, a cut.
//!
//! And what only a stand-in can do: [`Function::inject`], [`Function::kill`], [`Function::refuse_connections`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use local::runtime_api::Function;
//!
//! let function = Function::builder("target/debug/stream").env("WINDOW", "2s").start().await?;
//! let response = reqwest::get(format!("{}/orders/A/events", function.url())).await?;
//! assert_eq!(function.stats().cold_starts, 1);
//! # Ok(())
//! # }
//! ```

mod connection;
mod endpoint;
mod environment;
mod error;
mod event;
mod fault;
mod function_url;
mod head;
mod invocation;
mod process;
mod shared;
mod stats;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{net::TcpSocket, sync::Mutex, task::JoinSet};

pub use error::{FunctionError, InvokeError, StartError};
pub use fault::Fault;
pub use stats::Stats;

use invocation::Part;
use shared::{Settings, Shared};

/// A function, deployed: its Function URL listens, and processes start as requests come.
///
/// Dropping it kills its processes and cuts its clients; so does the end of this process, however it comes.
pub struct Function {
    shared: Arc<Shared>,
    address: SocketAddr,
    gate: Mutex<Gate>,
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Whether clients can connect.
#[derive(Default)]
struct Gate {
    /// The task that accepts them. Aborted by drop.
    listening: JoinSet<()>,
    /// Where there is none: a socket that is bound and does not listen. It refuses connections and keeps the port.
    held: Option<TcpSocket>,
}

/// What a [`Function`] is started with.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
}

impl Function {
    /// A function whose processes run this file, such as `env!("CARGO_BIN_EXE_stream")`.
    pub fn builder(bootstrap: impl Into<PathBuf>) -> Builder {
        Builder {
            settings: Settings::new(bootstrap.into()),
        }
    }

    /// The Function URL's base, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Invokes the function as `Invoke` does: the response, whole. Of a streamed one, the body without its prelude.
    ///
    /// # Errors
    ///
    /// Whatever kept the response from ending well. Nothing is retried.
    pub async fn invoke(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let mut response = self.shared.invoke(payload, None);
        let mut body = BytesMut::new();
        while let Some(part) = response.recv().await {
            match part {
                Part::Begin(_) => {}
                Part::Chunk(chunk) => body.extend_from_slice(&chunk),
                Part::End(end) => return end.map(|()| body.freeze()),
            }
        }
        Err(InvokeError::Crashed {
            status: "the stand-in was stopped".into(),
        })
    }

    /// The counts at this moment.
    pub fn stats(&self) -> Stats {
        *self.shared.stats.borrow()
    }

    /// Waits until the counts satisfy a condition, and returns them. It may wait for ever.
    pub async fn wait_for(&self, condition: impl FnMut(&Stats) -> bool) -> Stats {
        // It fails only where the sender is dropped, which `self` holds.
        self.shared
            .stats
            .subscribe()
            .wait_for(condition)
            .await
            .map_or_else(|_| self.stats(), |stats| *stats)
    }

    /// The lines that the processes wrote to standard output and standard error, and the platform's own on invocations that
    /// failed. They also go to this process's standard error where `FUNCTION_LOGS` is set.
    pub fn logs(&self) -> Vec<String> {
        self.shared.log.lines.borrow().clone()
    }

    /// Waits for a line that contains `text`, and returns the first. It may wait for ever.
    pub async fn wait_for_log(&self, text: &str) -> String {
        let find = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let mut lines = self.shared.log.lines.subscribe();
        let found = lines.wait_for(|lines| find(lines).is_some()).await;
        found
            .ok()
            .and_then(|lines| find(&lines))
            .unwrap_or_default()
    }

    /// Kills every process with SIGKILL, and returns how many once they are dead.
    pub async fn kill(&self) -> usize {
        let environments = lock(&self.shared.environments).clone();
        for environment in &environments {
            environment.kill().await;
        }
        environments.len()
    }

    /// Sets what befalls the next requests to the Function URL, one fault a request, after those set before.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.shared.faults).extend(faults);
    }

    /// From now on connections are refused, and requests on those that clients kept open are answered by closing them.
    /// Responses that have begun go on.
    ///
    /// # Errors
    ///
    /// The port was lost.
    pub async fn refuse_connections(&self) -> io::Result<()> {
        let mut gate = self.gate.lock().await;
        self.shared.refusing.store(true, Ordering::Release);
        gate.listening.shutdown().await;
        if gate.held.is_none() {
            gate.held = Some(bound(self.address)?);
        }
        Ok(())
    }

    /// Ends [`refuse_connections`](Self::refuse_connections).
    ///
    /// # Errors
    ///
    /// The port was lost.
    pub async fn accept_connections(&self) -> io::Result<()> {
        let mut gate = self.gate.lock().await;
        if let Some(socket) = gate.held.take() {
            let listener = socket.listen(BACKLOG)?;
            gate.listening
                .spawn(function_url::listen(self.shared.clone(), listener));
        }
        self.shared.refusing.store(false, Ordering::Release);
        Ok(())
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Builder {
    /// The function's name, `AWS_LAMBDA_FUNCTION_NAME`; the file's by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// An environment variable for the processes, which get none of this process's but `PATH`.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.variables.push((name.into(), value.into()));
        self
    }

    /// The function's timeout; Lambda's default of 3 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Runs the function as on Lambda Managed Instances: up to `requests` at a time in a process. There a deadline cuts its
    /// client and leaves the process alone, for the sake of the others.
    pub fn max_concurrency(mut self, requests: usize) -> Self {
        self.settings.max_concurrency = Some(requests.max(1));
        self
    }

    /// Breaks the process's connection when a client leaves. Lambda does not; some platforms do.
    pub fn propagate_disconnect(mut self, propagate: bool) -> Self {
        self.settings.propagate_disconnect = propagate;
        self
    }

    /// Makes the Function URL listen. No process is started before the first request.
    ///
    /// # Errors
    ///
    /// There is no bootstrap, or this machine refuses a port or a process.
    pub async fn start(self) -> Result<Function, StartError> {
        let Settings { bootstrap, .. } = &self.settings;
        std::fs::metadata(bootstrap).map_err(|source| StartError::Bootstrap {
            path: bootstrap.clone(),
            source,
        })?;
        let socket = bound((Ipv4Addr::LOCALHOST, 0).into()).map_err(StartError::Listen)?;
        let function = Function {
            address: socket.local_addr().map_err(StartError::Listen)?,
            gate: Mutex::new(Gate {
                held: Some(socket),
                ..Gate::default()
            }),
            shared: Shared::new(self.settings).map_err(StartError::Group)?,
        };
        function
            .accept_connections()
            .await
            .map_err(StartError::Listen)?;
        Ok(function)
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that were open on the port linger for a minute.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// No code panics while it holds one of these locks; where it did, a test has failed already.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A random id in the form of a UUID (version 4).
fn request_id() -> String {
    let id = format!("{:032x}", fastrand::u128(..));
    format!(
        "{}-{}-4{}-a{}-{}",
        &id[..8],
        &id[8..12],
        &id[13..16],
        &id[17..20],
        &id[20..]
    )
}

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

mod builder;
mod connection;
mod cors;
mod endpoint;
mod environment;
mod error;
mod event;
mod fault;
mod function_url;
mod gate;
mod head;
mod invocation;
mod process;
mod shared;
mod stats;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use tokio::sync::Mutex;

pub use builder::Builder;
pub use error::{FunctionError, InvokeError, StartError};
pub use fault::Fault;
pub use stats::Stats;

use builder::Settings;
use fault::Chooser;
use gate::Gate;
use invocation::Part;
use shared::Shared;

/// A function, deployed: its Function URL listens, and processes start as requests come.
///
/// Dropping it kills its processes and cuts its clients; so does the end of this process, however it comes.
pub struct Function {
    shared: Arc<Shared>,
    address: SocketAddr,
    gate: Mutex<Gate>,
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

    /// Lets each request's own fault be chosen, where none of [`inject`](Self::inject) is left: for clients that come side by
    /// side. The request waits for the choice.
    pub fn inject_by<F>(&self, choose: impl Fn(&Parts) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Option<Fault>> + Send + 'static,
    {
        let chooser: Chooser = Arc::new(move |request| Box::pin(choose(request)));
        *lock(&self.shared.chooser) = Some(chooser);
    }

    /// From now on connections are refused, and requests on those that clients kept open are answered by closing them.
    /// Responses that have begun go on.
    ///
    /// # Errors
    ///
    /// The port was lost.
    pub async fn refuse_connections(&self) -> io::Result<()> {
        self.shared.refusing.store(true, Ordering::Release);
        self.gate.lock().await.close().await
    }

    /// Ends [`refuse_connections`](Self::refuse_connections).
    ///
    /// # Errors
    ///
    /// The port was lost.
    pub async fn accept_connections(&self) -> io::Result<()> {
        self.shared.refusing.store(false, Ordering::Release);
        let shared = self.shared.clone();
        self.gate
            .lock()
            .await
            .open(|listener| function_url::listen(shared, listener))
    }

    async fn start(settings: Settings) -> Result<Self, StartError> {
        std::fs::metadata(&settings.bootstrap).map_err(|source| StartError::Bootstrap {
            path: settings.bootstrap.clone(),
            source,
        })?;
        let shared = Shared::new(settings).map_err(StartError::Group)?;
        let gate = Gate::new().map_err(StartError::Listen)?;
        let function = Self {
            shared,
            address: gate.address,
            gate: Mutex::new(gate),
        };
        function
            .accept_connections()
            .await
            .map_err(StartError::Listen)?;
        Ok(function)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.shared.stop();
    }
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

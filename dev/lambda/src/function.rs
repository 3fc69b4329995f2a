//! A deployed function that tests and other programs use.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use tokio::sync::Mutex;

use crate::builder::Builder;
use crate::context::Context;
use crate::error::{InvokeError, StartError};
use crate::host::Host;
use crate::host::fault::{Fault, FaultChooser};
use crate::host::port::Port;
use crate::invocation::{Invocation, Reading, ResponsePart};
use crate::lock::lock;
use crate::pool::Pool;
use crate::stats::Stats;

/// A deployed function: its Function URL listens, and processes start when requests arrive.
///
/// Dropping it kills its processes and cuts its clients. The end of this process does the same, also if it is killed.
pub struct Function {
    host: Arc<Host>,
    address: SocketAddr,
    port: Mutex<Port>,
}

impl Function {
    /// A function whose processes run this file, such as `env!("CARGO_BIN_EXE_stream")`.
    pub fn builder(bootstrap: impl Into<PathBuf>) -> Builder {
        Builder::new(bootstrap.into())
    }

    /// The Function URL without a path, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Invokes the function as `Invoke` does, and returns the whole response. A streamed response comes as the process wrote it:
    /// the prelude, eight NULs and the body. A load balancer or an HTTP API cannot read that.
    ///
    /// # Errors
    ///
    /// The response is not complete. Nothing is retried.
    pub async fn invoke(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let mut parts = Invocation::start(&self.host.pool, payload, Reading::AsWritten);
        let mut body = BytesMut::new();
        while let Some(part) = parts.recv().await {
            match part {
                ResponsePart::Head(_) => {}
                ResponsePart::Chunk(chunk) => body.extend_from_slice(&chunk),
                ResponsePart::End(end) => return end.map(|()| body.freeze()),
            }
        }
        Err(InvokeError::Crashed {
            status: "the stand-in was stopped".into(),
        })
    }

    pub fn stats(&self) -> Stats {
        *self.context().stats.borrow()
    }

    /// Waits until the counts satisfy a condition, and returns them. It may wait for ever.
    pub async fn wait_for(&self, condition: impl FnMut(&Stats) -> bool) -> Stats {
        // It fails only if the sender is dropped, which `self` holds.
        self.context()
            .stats
            .subscribe()
            .wait_for(condition)
            .await
            .map_or_else(|_| self.stats(), |stats| *stats)
    }

    /// The lines that the processes wrote to standard output and standard error, and the platform's lines about invocations that
    /// failed. They also go to this process's standard error if `FUNCTION_LOGS` is set.
    pub fn logs(&self) -> Vec<String> {
        self.context().log.lines.borrow().clone()
    }

    /// Waits for a line that contains `text`, and returns the first one. It may wait for ever.
    pub async fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_line(|line| line.contains(text)).await
    }

    /// Waits for a log line that satisfies a condition, and returns it.
    pub async fn wait_for_line(&self, is_it: impl Fn(&str) -> bool) -> String {
        let find = |lines: &Vec<String>| lines.iter().find(|line| is_it(line)).cloned();
        let mut lines = self.context().log.lines.subscribe();
        let found = lines.wait_for(|lines| find(lines).is_some()).await;
        found
            .ok()
            .and_then(|lines| find(&lines))
            .unwrap_or_default()
    }

    /// Kills every process with SIGKILL, and returns how many once they are dead.
    pub async fn kill(&self) -> usize {
        self.host.pool.kill().await
    }

    /// Sets the faults of the next requests to the Function URL, one fault for each request, after those set before.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.host.faults).extend(faults);
    }

    /// Chooses a fault for each request, if none of [`inject`](Self::inject) is left. This is for clients that run side by side.
    /// The request waits for the choice.
    pub fn inject_by<F>(&self, choose: impl Fn(&Parts) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Option<Fault>> + Send + 'static,
    {
        let chooser: FaultChooser = Arc::new(move |request| Box::pin(choose(request)));
        *lock(&self.host.chooser) = Some(chooser);
    }

    /// Refuses new connections from now on, and closes connections that clients kept open when they send a request. Responses
    /// that have begun go on.
    pub async fn refuse_connections(&self) -> io::Result<()> {
        self.host.refusing.store(true, Ordering::Release);
        self.port.lock().await.close().await;
        Ok(())
    }

    /// Ends [`refuse_connections`](Self::refuse_connections).
    pub async fn accept_connections(&self) -> io::Result<()> {
        self.host.refusing.store(false, Ordering::Release);
        let host = Arc::clone(&self.host);
        let mut port = self.port.lock().await;
        port.open(|listener| host.listen(listener))
    }

    fn context(&self) -> &Context {
        &self.host.pool.context
    }
}

impl Builder {
    /// Makes the Function URL listen. No process is started before the first request.
    ///
    /// # Errors
    ///
    /// There is no bootstrap, or this machine refuses a port or a process.
    pub async fn start(self) -> Result<Function, StartError> {
        let Self {
            settings,
            cors,
            stage,
        } = self;
        std::fs::metadata(&settings.bootstrap).map_err(|source| StartError::Bootstrap {
            path: settings.bootstrap.clone(),
            source,
        })?;
        let context = Context::new(settings).map_err(StartError::ProcessGroup)?;
        let port = Port::new().map_err(StartError::Listen)?;
        let function = Function {
            host: Arc::new(Host::new(Pool::new(context), cors, stage)),
            address: port.address,
            port: Mutex::new(port),
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
        self.context().stop();
    }
}

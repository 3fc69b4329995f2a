//! One execution environment: a process, and the Runtime API that only this process uses.
//!
//! As on Lambda, each process has its own Runtime API, here at a port of 127.0.0.1. So the listener that accepts a call says
//! which process made it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::context::Context;
use crate::error::InvokeError;
use crate::queue::Queue;
use crate::runtime_api::RuntimeApi;

pub(crate) struct Environment {
    context: Arc<Context>,
    pub(crate) queue: Arc<Queue>,
    kill: Notify,
    /// How the process ended, once it has.
    exited: watch::Sender<Option<String>>,
}

impl Environment {
    /// Starts the process. The listener is bound first, because the process needs its address.
    pub(crate) fn start(context: &Arc<Context>) -> io::Result<Arc<Self>> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut process = context
            .processes
            .spawn(&mut command(context, listener.local_addr()?))?;
        context.log.follow(&mut process);
        let environment = Arc::new(Self {
            context: Arc::clone(context),
            queue: Arc::new(Queue::new(Arc::clone(context))),
            kill: Notify::new(),
            exited: watch::Sender::new(None),
        });
        context.stats.send_modify(|stats| {
            stats.cold_starts += 1;
            stats.processes += 1;
        });
        context.spawn(Arc::clone(&environment).run(process, listener));
        Ok(environment)
    }

    /// Kills the process with SIGKILL and returns once it is dead.
    pub(crate) async fn kill(&self) {
        self.kill.notify_one();
        self.wait().await;
    }

    /// Returns once the process has ended.
    pub(crate) async fn wait(&self) {
        // It cannot fail: this environment holds the sender.
        let _ = self.exited.subscribe().wait_for(Option::is_some).await;
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.exited.borrow().is_none()
    }

    /// Why the process has not answered, once it has ended.
    pub(crate) fn failure(&self) -> InvokeError {
        let status = || self.exited.borrow().clone();
        match self.queue.take_init_error() {
            Some(error) => InvokeError::FunctionError(error),
            None => InvokeError::Crashed {
                status: status().unwrap_or_else(|| "killed".into()),
            },
        }
    }

    async fn run(self: Arc<Self>, mut process: Child, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let status = loop {
            tokio::select! {
                status = process.wait() => break describe(status),
                () = self.kill.notified() => {
                    // It fails only if the process has ended already.
                    let _ = process.start_kill();
                }
                Ok((stream, _)) = listener.accept() => {
                    let (context, queue) = (Arc::clone(&self.context), Arc::clone(&self.queue));
                    connections.spawn(RuntimeApi { context, queue }.serve(stream));
                }
                Some(_) = connections.join_next() => {}
            }
        };
        // Both change at once, so a task that sees one change sees the other too.
        self.context.stats.send_modify(|stats| {
            stats.processes -= 1;
            self.exited.send_replace(Some(status));
        });
        // The process's last bytes may still be in its sockets. These all end with the process.
        while connections.join_next().await.is_some() {}
        self.queue.close().await;
    }
}

/// A process gets these environment variables, the function's own, and `PATH`:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>.
fn command(context: &Context, runtime_api: SocketAddr) -> Command {
    let settings = &context.settings;
    let concurrency = settings.max_concurrency.map(|max| max.to_string());
    let mut command = Command::new(&settings.bootstrap);
    command
        .env_clear()
        .envs(std::env::var("PATH").map(|path| ("PATH", path)))
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", &settings.name)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .envs(concurrency.map(|max| ("AWS_LAMBDA_MAX_CONCURRENCY", max)))
        .envs(settings.variables.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn describe(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

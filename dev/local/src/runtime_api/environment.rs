//! One execution environment: a process, and the Runtime API that it alone speaks to.
//!
//! As on Lambda, each process has a Runtime API of its own, at `127.0.0.1` and a port: which process asks is known by the
//! listener it asks.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    process::ExitStatus,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    net::TcpListener,
    process::Child,
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    FunctionError, InvokeError, Shared, endpoint,
    invocation::{Answer, Queued},
    lock,
};

pub(super) struct Environment {
    pub(super) shared: Arc<Shared>,
    queue: mpsc::UnboundedSender<Queued>,
    /// Behind an asynchronous mutex because each of the process's pollers waits on it.
    queued: tokio::sync::Mutex<mpsc::UnboundedReceiver<Queued>>,
    pollers: Mutex<Pollers>,
    /// Invocations that the process has taken and not answered, by request id.
    pub(super) taken: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    /// Whether the process ever asked for an invocation, which ends its init phase.
    initialized: AtomicBool,
    pub(super) init_error: Mutex<Option<FunctionError>>,
    kill: Notify,
    exited: watch::Sender<Option<String>>,
}

/// The process's loops that call `/next`, each good for one invocation at a time.
struct Pollers {
    /// In `/next` now.
    waiting: usize,
    /// On their way to `/next`: the process has just started, or they have just answered. One whose connection broke is not
    /// expected back, so a process that loses workers loses capacity.
    expected: usize,
    /// Invocations promised to these.
    claimed: usize,
}

impl Environment {
    /// Starts the process. The listener is bound before, so that its address can be told.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Arc<Self>> {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let child = shared.spawn_process(listener.local_addr()?)?;
        let (queue, queued) = mpsc::unbounded_channel();
        let expected = shared.settings.max_concurrency.unwrap_or(1);
        let environment = Arc::new(Self {
            shared: shared.clone(),
            queue,
            queued: tokio::sync::Mutex::new(queued),
            pollers: Mutex::new(Pollers {
                waiting: 0,
                expected,
                claimed: 0,
            }),
            taken: Mutex::default(),
            initialized: AtomicBool::new(false),
            init_error: Mutex::default(),
            kill: Notify::new(),
            exited: watch::Sender::new(None),
        });
        shared.spawn(environment.clone().run(child, listener));
        Ok(environment)
    }

    /// Promises one of the process's pollers to an invocation, which is then to be [pushed](Self::push).
    pub(super) fn claim(&self) -> bool {
        let mut pollers = lock(&self.pollers);
        let idle = pollers.waiting + pollers.expected > pollers.claimed;
        pollers.claimed += usize::from(idle);
        idle
    }

    /// Queues an invocation. Should the process have ended, it is dropped, which whoever queued it notices.
    pub(super) fn push(&self, invocation: Queued) {
        let _ = self.queue.send(invocation);
    }

    /// The next invocation for a poller; `None` once the process has ended.
    pub(super) async fn next(&self) -> Option<Queued> {
        self.initialized.store(true, Ordering::Release);
        let mut poll = Poll::new(self);
        let next = self.queued.lock().await.recv().await;
        poll.took = next.is_some();
        next
    }

    /// A poller has answered and will ask for the next invocation.
    pub(super) fn expect_poll(&self) {
        lock(&self.pollers).expected += 1;
    }

    /// Kills the process with SIGKILL and returns once it is dead.
    pub(super) async fn kill(&self) {
        self.kill.notify_one();
        self.exit().await;
    }

    /// Returns once the process has ended.
    pub(super) async fn exit(&self) {
        // It cannot fail: the sender is this environment's own.
        let _ = self.exited.subscribe().wait_for(Option::is_some).await;
    }

    /// Whether the process ever asked for an invocation.
    pub(super) fn is_initialized(&self) -> bool {
        self.initialized.load(Ordering::Acquire)
    }

    /// Why the process has not answered, once it has ended.
    pub(super) fn failure(&self) -> InvokeError {
        match lock(&self.init_error).take() {
            Some(error) => InvokeError::FunctionError(error),
            None => InvokeError::Crashed {
                status: self
                    .exited
                    .borrow()
                    .clone()
                    .unwrap_or_else(|| "killed".into()),
            },
        }
    }

    async fn run(self: Arc<Self>, mut child: Child, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let status = loop {
            tokio::select! {
                status = child.wait() => break describe(status),
                () = self.kill.notified() => {
                    // It fails only where the process has ended already.
                    let _ = child.start_kill();
                }
                Ok((stream, _)) = listener.accept() => {
                    connections.spawn(endpoint::serve(self.clone(), stream));
                }
                Some(_) = connections.join_next() => {}
            }
        };
        self.shared.forget(&self);
        self.exited.send_replace(Some(status));
        // The process's last words may still be in its sockets, which all end with it.
        while connections.join_next().await.is_some() {}
        let mut queued = self.queued.lock().await;
        queued.close();
        while queued.try_recv().is_ok() {}
        lock(&self.taken).clear();
    }
}

/// Keeps count of one `/next` while it waits, also where its connection breaks.
struct Poll<'a> {
    environment: &'a Environment,
    took: bool,
}

impl<'a> Poll<'a> {
    fn new(environment: &'a Environment) -> Self {
        let mut counts = lock(&environment.pollers);
        counts.waiting += 1;
        counts.expected = counts.expected.saturating_sub(1);
        drop(counts);
        let stats = &environment.shared.stats;
        stats.send_modify(|stats| stats.idle += 1);
        Self {
            environment,
            took: false,
        }
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let mut counts = lock(&self.environment.pollers);
        counts.waiting -= 1;
        counts.claimed -= usize::from(self.took);
        drop(counts);
        let stats = &self.environment.shared.stats;
        stats.send_modify(|stats| stats.idle -= 1);
    }
}

fn describe(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// What the platform sets for a process, beside the function's own variables:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>.
pub(super) fn variables(
    name: &str,
    runtime_api: SocketAddr,
    max_concurrency: Option<usize>,
) -> Vec<(String, String)> {
    let mut variables = vec![
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
    ];
    variables.extend(max_concurrency.map(|max| ("AWS_LAMBDA_MAX_CONCURRENCY", max.to_string())));
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

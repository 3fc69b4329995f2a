//! What one process may take, and where its responses go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body_util::combinators::BoxBody;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::context::Context;
use crate::error::FunctionError;
use crate::lock::lock;

/// An invocation that waits for a process.
pub(crate) struct QueuedInvocation {
    pub(crate) request_id: String,
    pub(crate) payload: Bytes,
    /// Receives the time when the process takes it. From then on it is billed, and the time to the deadline runs.
    pub(crate) taken: oneshot::Sender<Instant>,
    pub(crate) outcome: oneshot::Sender<Outcome>,
}

/// What the process posts for an invocation.
pub(crate) enum Outcome {
    Response(PostedResponse),
    Error(FunctionError),
}

/// A response that may still be on its way from the process.
pub(crate) struct PostedResponse {
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) has_prelude: bool,
    pub(crate) body: BoxBody<Bytes, hyper::Error>,
    /// The status for the process at the end: 202, or 410 if the deadline has passed. If this is dropped, the process's
    /// connection is closed.
    pub(crate) done: oneshot::Sender<StatusCode>,
}

/// The invocations of one process.
pub(crate) struct Queue {
    context: Arc<Context>,
    sender: mpsc::UnboundedSender<QueuedInvocation>,
    /// An asynchronous mutex, because each of the process's pollers waits on it.
    receiver: tokio::sync::Mutex<mpsc::UnboundedReceiver<QueuedInvocation>>,
    pollers: Mutex<Pollers>,
    /// Invocations that the process has taken and not answered, by request id.
    unanswered: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    /// Whether the process ever asked for an invocation, which ends its init phase.
    initialized: AtomicBool,
    init_error: Mutex<Option<FunctionError>>,
}

/// The process's loops that call `/next`. Each takes one invocation at a time.
struct Pollers {
    /// Waiting in `/next` now.
    waiting: usize,
    /// About to call `/next`: the process has just started, or the poller has just answered. A poller whose connection broke
    /// does not count, so a process that loses workers loses capacity.
    expected: usize,
    /// Invocations that were promised to these pollers.
    claimed: usize,
}

impl Queue {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let expected = context.settings.max_concurrency.unwrap_or(1);
        Self {
            context,
            sender,
            receiver: tokio::sync::Mutex::new(receiver),
            pollers: Mutex::new(Pollers {
                waiting: 0,
                expected,
                claimed: 0,
            }),
            unanswered: Mutex::default(),
            initialized: AtomicBool::new(false),
            init_error: Mutex::default(),
        }
    }

    /// Promises one of the process's pollers to an invocation, which the caller must then [push](Self::push).
    pub(crate) fn claim(&self) -> bool {
        let mut pollers = lock(&self.pollers);
        let idle = pollers.waiting + pollers.expected > pollers.claimed;
        pollers.claimed += usize::from(idle);
        idle
    }

    /// Queues an invocation. If the process has ended, the invocation is dropped, and its caller sees that.
    pub(crate) fn push(&self, invocation: QueuedInvocation) {
        let _ = self.sender.send(invocation);
    }

    /// The next invocation for a poller; `None` once the process has ended.
    pub(crate) async fn next(&self) -> Option<QueuedInvocation> {
        self.initialized.store(true, Ordering::Release);
        let mut poller = WaitingPoller::new(self);
        let next = self.receiver.lock().await.recv().await;
        poller.took = next.is_some();
        next
    }

    /// Notes that the process has taken an invocation, whose outcome it will post under this id.
    pub(crate) fn insert_unanswered(&self, request_id: &str, outcome: oneshot::Sender<Outcome>) {
        lock(&self.unanswered).insert(request_id.to_owned(), outcome);
    }

    /// Where the outcome of an invocation goes; `None` if the id is unknown or already answered.
    pub(crate) fn remove_unanswered(&self, request_id: &str) -> Option<oneshot::Sender<Outcome>> {
        lock(&self.unanswered).remove(request_id)
    }

    /// Notes that a poller has answered and will ask for the next invocation.
    pub(crate) fn expect_poll(&self) {
        lock(&self.pollers).expected += 1;
    }

    pub(crate) fn is_initialized(&self) -> bool {
        self.initialized.load(Ordering::Acquire)
    }

    pub(crate) fn set_init_error(&self, error: FunctionError) {
        *lock(&self.init_error) = Some(error);
    }

    pub(crate) fn take_init_error(&self) -> Option<FunctionError> {
        lock(&self.init_error).take()
    }

    /// Drops all invocations that the process did not take or did not answer, once it has ended.
    pub(crate) async fn close(&self) {
        let mut receiver = self.receiver.lock().await;
        receiver.close();
        while receiver.try_recv().is_ok() {}
        lock(&self.unanswered).clear();
    }
}

/// Counts one `/next` while it waits, also if its connection breaks.
struct WaitingPoller<'a> {
    queue: &'a Queue,
    took: bool,
}

impl<'a> WaitingPoller<'a> {
    fn new(queue: &'a Queue) -> Self {
        let mut pollers = lock(&queue.pollers);
        pollers.waiting += 1;
        pollers.expected = pollers.expected.saturating_sub(1);
        drop(pollers);
        queue.context.stats.send_modify(|stats| stats.idle += 1);
        Self { queue, took: false }
    }
}

impl Drop for WaitingPoller<'_> {
    fn drop(&mut self) {
        let mut pollers = lock(&self.queue.pollers);
        pollers.waiting -= 1;
        pollers.claimed -= usize::from(self.took);
        drop(pollers);
        let stats = &self.queue.context.stats;
        stats.send_modify(|stats| stats.idle -= 1);
    }
}

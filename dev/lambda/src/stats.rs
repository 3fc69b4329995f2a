//! Counts of what a function did.

/// Counts since the function started. Once its response has ended, an invocation is counted in one of `completed`, `failed`,
/// `timed_out`, `crashed` and `disconnected`, also if the response was not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Invocations begun, by the Function URL and by Invoke. Requests that a fault refused do not count.
    pub started: u64,
    /// Complete responses.
    pub completed: u64,
    /// Errors that the function reported, and malformed responses.
    pub failed: u64,
    /// Invocations that reached their deadline.
    pub timed_out: u64,
    /// Invocations whose process ended, could not be started, or broke off its response.
    pub crashed: u64,
    /// Responses broken off because the client left, see [`propagate_disconnect`](crate::Builder::propagate_disconnect).
    pub disconnected: u64,
    pub cold_starts: u64,
    /// Sum over all invocations, each rounded up to a millisecond: from the hand-over to the process until the end of the
    /// response or the kill. The init phase is not included.
    pub billed_ms: u64,
    /// Processes that are alive.
    pub processes: usize,
    /// Calls of `/next` that wait for an invocation. This number of requests can be taken at once.
    pub idle: usize,
}

impl Stats {
    /// Invocations that have begun and not ended.
    pub fn in_flight(&self) -> u64 {
        self.started
            - self.completed
            - self.failed
            - self.timed_out
            - self.crashed
            - self.disconnected
    }
}

//! What a function did, counted.

/// Counts since the function started. An invocation is in one of the five ends once its response has ended, whether or
/// not anybody was there to read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Invocations begun, by the Function URL and by Invoke. Requests that a fault refused are none.
    pub started: u64,
    /// Responses that ended well.
    pub completed: u64,
    /// Errors that the function reported, and responses that were malformed.
    pub failed: u64,
    /// Invocations that met their deadline.
    pub timed_out: u64,
    /// Invocations whose process ended, or could not be started, or broke its response off.
    pub crashed: u64,
    /// Responses broken off because the client left and the function was to be told.
    pub disconnected: u64,
    /// Processes started.
    pub cold_starts: u64,
    /// Sum over the invocations of the milliseconds, each rounded up, from the hand-over to the process until the end of the
    /// response or the kill. The init phase is not in it.
    pub billed_ms: u64,
    /// Processes alive.
    pub processes: usize,
    /// Calls of `/next` that wait for an invocation: what the processes alive could take at once.
    pub idle: usize,
}

impl Stats {
    /// Invocations begun and not ended.
    pub fn in_flight(&self) -> u64 {
        self.started
            - self.completed
            - self.failed
            - self.timed_out
            - self.crashed
            - self.disconnected
    }
}

//! Fault injection.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{StatusCode, request::Parts};

/// Chooses the fault of a request; see [`inject_by`](crate::Function::inject_by).
pub(crate) type FaultChooser =
    Arc<dyn Fn(&Parts) -> BoxFuture<'static, Option<Fault>> + Send + Sync>;

/// A fault for one request to the Function URL; see [`inject`](crate::Function::inject).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Closes the client's connection after this many bytes of the response's body (without chunk framing), and without the
    /// last chunk. `0` is right after the head. A shorter response is complete.
    CutAfter {
        /// Bytes that the client still receives.
        bytes: u64,
        /// With RST instead of FIN. A RST discards what the client's system has not received yet. On loopback, with a client
        /// that reads, that is nothing.
        reset: bool,
    },
    /// Sends this status at once and invokes nothing. The platform throttles with 429 and fails with 502.
    Refuse(StatusCode),
    /// Reads the response's body from the function at this rate, as for a slow client. With `0`, only the head is read.
    SlowRead { bytes_per_second: u32 },
}

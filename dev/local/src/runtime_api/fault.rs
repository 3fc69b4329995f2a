//! Weather on demand.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{StatusCode, request::Parts};

/// Says what befalls a request; see [`inject_by`](super::Function::inject_by).
pub(super) type Chooser = Arc<dyn Fn(&Parts) -> BoxFuture<'static, Option<Fault>> + Send + Sync>;

/// What befalls one request to the Function URL; see [`inject`](super::Function::inject).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client's connection ends after this many bytes of the response's body (chunk framing not counted), without the
    /// last chunk. `0` is right after the head. A shorter response ends well.
    CutAfter {
        /// Bytes that still reach the client.
        bytes: u64,
        /// By RST, where it is otherwise FIN. A RST discards what the client's system has not yet taken in; on loopback, with
        /// a client that reads, that is nothing.
        reset: bool,
    },
    /// Answered with this status at once: nothing is invoked. 429 is how the platform throttles, 502 how it fails.
    Refuse(StatusCode),
    /// The response's body is taken from the function at this rate, as behind a slow client. `0`: never; only the head is.
    SlowRead {
        /// Bytes a second.
        bytes_per_second: u32,
    },
}

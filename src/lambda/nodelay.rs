//! `TCP_NODELAY` for the connections to Lambda's Runtime API.
//!
//! `lambda_runtime` writes the prelude, the separator and the chunks of a response as small segments. It leaves its sockets at
//! the default and offers no connector. So Nagle's algorithm meets the receiver's delayed acknowledgement, and the first byte of
//! every response waits 40 ms. Lambda bills them. `make bench` measures it.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use http::Uri;
use socket2::SockRef;

/// The shortest time between two listings of the process's descriptors. With 1,600 streams a listing takes 1 to 2 ms, and all of
/// them may begin at once.
pub const PAUSE: Duration = Duration::from_millis(10);

/// The option was not set within the last [`PAUSE`].
const IDLE: u8 = 0;
/// The option was set within the last [`PAUSE`].
const PAUSED: u8 = 1;
/// A response began in the pause: at its end the option is set again.
const WANTED: u8 = 2;

/// Sets the option on the connections that responses take: at once for a response that begins alone, after up to [`PAUSE`] for
/// those that begin together.
#[derive(Clone)]
pub struct NoDelay(Arc<Shared>);

struct Shared {
    set: Box<dyn Fn() + Send + Sync>,
    state: AtomicU8,
}

impl NoDelay {
    /// For the connections to this address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self::with(move || set_on_connections_to(address))
    }

    /// `set` sets the option on all connections.
    #[must_use]
    pub fn with(set: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            set: Box::new(set),
            state: AtomicU8::new(IDLE),
        }))
    }

    /// A response has its connection now. It must be called in a Tokio runtime.
    pub fn begin(&self) {
        let begun = |state| Some(if state == IDLE { PAUSED } else { WANTED });
        let before = (self.0.state).fetch_update(Ordering::AcqRel, Ordering::Acquire, begun);
        if before == Ok(IDLE) {
            (self.0.set)();
            tokio::spawn(pause(Arc::clone(&self.0)));
        }
    }
}

impl fmt::Debug for NoDelay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NoDelay")
    }
}

/// Waits until no response has begun for a [`PAUSE`].
async fn pause(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let state = &shared.state;
        if (state.compare_exchange(PAUSED, IDLE, Ordering::AcqRel, Ordering::Acquire)).is_ok() {
            return;
        }
        // Before the listing, because a response that begins during it may be missed by it.
        state.store(PAUSED, Ordering::Release);
        (shared.set)();
    }
}

/// The Runtime API's address, if it is a number, as on Lambda. `text` is the value of `AWS_LAMBDA_RUNTIME_API`.
pub fn address(text: &str) -> Option<SocketAddr> {
    text.parse::<Uri>().ok()?.authority()?.as_str().parse().ok()
}

/// Sets `TCP_NODELAY` on every connection of this process to the address.
///
/// Call it while the response is sent: then the connection exists, and setting the option sends what waits (tcp(7)). If the
/// process's descriptors cannot be listed, nothing happens: the option only saves time.
pub fn set_on_connections_to(address: SocketAddr) {
    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let descriptors =
        descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for descriptor in descriptors {
        // SAFETY: the descriptor was open when it was listed. If another thread has closed it since, the calls below fail,
        // or set a harmless option on the socket that took its number.
        #[expect(unsafe_code, reason = "no safe call borrows a descriptor by number")]
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let socket = SockRef::from(&descriptor);
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        if peer == Some(address) {
            let _ = socket.set_tcp_nodelay(true);
        }
    }
}

//! `TCP_NODELAY` for the connections to Lambda's Runtime API.
//!
//! `lambda_runtime` writes a response's prelude, separator and chunks as small segments on sockets that it leaves at the
//! default, and hands out no connector: Nagle's algorithm then meets the receiver's delayed acknowledgement, and the first
//! byte of every response waits 40 ms, which are billed: `make bench` measures it.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};

use socket2::SockRef;

/// Sets `TCP_NODELAY` on every connection of this process to the address.
///
/// To be called while the response is being sent: by then its connection exists, and setting the option flushes what waits
/// (tcp(7)). Where the process's descriptors cannot be listed nothing happens; the option is a matter of speed alone.
pub fn set_on_connections_to(address: SocketAddr) {
    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let descriptors =
        descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    for descriptor in descriptors {
        // SAFETY: the descriptor was open when it was listed. Should another thread have closed it since, the calls below
        // fail, or set a harmless option on the socket that took its number.
        #[expect(unsafe_code, reason = "no safe call borrows a descriptor by number")]
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let socket = SockRef::from(&descriptor);
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        if peer == Some(address) {
            let _ = socket.set_tcp_nodelay(true);
        }
    }
}

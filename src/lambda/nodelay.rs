//! `TCP_NODELAY` for the connections to Lambda's Runtime API.
//!
//! `lambda_runtime` writes the prelude, the separator and the chunks of a response as small segments. It leaves its sockets at
//! the default and offers no connector. So Nagle's algorithm meets the receiver's delayed acknowledgement, and the first byte of
//! every response waits 40 ms. Lambda bills them. `make bench` measures it.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, RawFd};

use http::Uri;
use socket2::SockRef;

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

//! Whether the ports that are promised are free.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// `localhost` is either, and clients try both.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// What to tell the user where another program listens on `port`, which is for `purpose`.
pub(crate) fn complaint(port: u16, purpose: &str) -> Option<String> {
    is_taken(port).then(|| {
        format!(
            "port {port} ({purpose}) is taken by another program.\n  \
             To see which: lsof -nP -iTCP:{port} -sTCP:LISTEN, or ss -ltnp 'sport = :{port}'. \
             End it and start again."
        )
    })
}

fn is_taken(port: u16) -> bool {
    // A machine without IPv6 refuses its address in another way.
    LOOPBACK.iter().any(|&address| {
        TcpListener::bind(SocketAddr::new(address, port))
            .is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_while_someone_listens_on_either_loopback_address() {
        for address in LOOPBACK {
            let Ok(listener) = TcpListener::bind(SocketAddr::new(address, 0)) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let told = complaint(port, "the page").unwrap();
            assert!(told.contains(&format!("port {port} (the page) is taken")), "{told}");
            drop(listener);
            assert_eq!(complaint(port, "the page"), None);
        }
    }
}

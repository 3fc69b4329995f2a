//! Whether the ports that are promised are free.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// `localhost` is either, and clients try both.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The ports of the stage, each with the variable that moves it elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    /// `DYNAMODB_PORT`
    pub(crate) dynamo: u16,
    /// `PAGE_PORT`
    pub(crate) page: u16,
    /// `FUNCTIONS_PORT`
    pub(crate) functions: u16,
}

impl Ports {
    /// Of the page, unless `PAGE_PORT` says otherwise.
    pub(crate) const PAGE: u16 = 8080;

    /// Reads them from the environment, and checks that they are free.
    ///
    /// # Errors
    ///
    /// Names every one that is not, and what can be done about it.
    pub(crate) fn free(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut complaints = Vec::new();
        let mut port = |name: &str, default: u16| match variable(name)
            .map_or(Ok(default), |text| text.parse())
        {
            Ok(port) => {
                complaints.extend(is_taken(port).then(|| taken(port, name)));
                port
            }
            Err(_) => {
                complaints.push(format!("{name} is no port number"));
                default
            }
        };
        let ports = Self {
            dynamo: port("DYNAMODB_PORT", 8000),
            page: port("PAGE_PORT", Self::PAGE),
            functions: port("FUNCTIONS_PORT", 9000),
        };
        if complaints.is_empty() {
            Ok(ports)
        } else {
            Err(complaints.join("\n       "))
        }
    }
}

fn taken(port: u16, name: &str) -> String {
    format!(
        "port {port} is taken by another program: end it (`lsof -nP -iTCP:{port} -sTCP:LISTEN` tells which it is), or \
         take another port ({name}={})",
        port.saturating_add(1)
    )
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
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_port_is_taken_while_someone_listens_on_either_loopback_address() {
        for address in LOOPBACK {
            let Ok(listener) = TcpListener::bind(SocketAddr::new(address, 0)) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            assert!(is_taken(port), "{address}");
            drop(listener);
            assert!(!is_taken(port), "{address}");
        }
    }
}

//! The ports of `make run`, and whether they are free.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

/// Clients try both addresses of `localhost`.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Ports {
    /// The port of DynamoDB
    #[arg(long, env, global = true, default_value_t = 8000)]
    pub(crate) dynamodb_port: u16,
    /// The port of the page
    #[arg(long, env, global = true, default_value_t = 8080)]
    pub(crate) page_port: u16,
    /// The port of the functions
    #[arg(long, env, global = true, default_value_t = 9000)]
    pub(crate) functions_port: u16,
}

impl Ports {
    /// Checks that all ports are free.
    ///
    /// # Errors
    ///
    /// Names every port that is in use, and what to do about it.
    pub(crate) fn check(self) -> Result<(), String> {
        let ports = [
            ("DYNAMODB_PORT", self.dynamodb_port),
            ("PAGE_PORT", self.page_port),
            ("FUNCTIONS_PORT", self.functions_port),
        ];
        let used = ports.into_iter().filter(|&(_, port)| is_in_use(port));
        let errors: Vec<_> = used.map(|(name, port)| in_use(name, port)).collect();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(errors.join("\n       ")),
        }
    }
}

fn in_use(name: &str, port: u16) -> String {
    format!(
        "port {port} is in use by another program: end it (`lsof -nP -iTCP:{port} -sTCP:LISTEN` shows which one it is), or \
         choose another port ({name}={})",
        port.saturating_add(1)
    )
}

fn is_in_use(port: u16) -> bool {
    // On a machine without IPv6, the IPv6 address fails with another error.
    LOOPBACK.iter().any(|&address| {
        TcpListener::bind((address, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_listener_on_either_loopback_address_uses_the_port() {
        for address in LOOPBACK {
            let Ok(listener) = TcpListener::bind((address, 0)) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            assert!(is_in_use(port), "{address}");
            drop(listener);
            assert!(!is_in_use(port), "{address}");
        }
    }
}

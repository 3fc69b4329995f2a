//! The socket option that makes each response 40 ms faster.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{TcpListener, TcpStream};

use order_status_stream::lambda::nodelay;

#[test]
fn only_connections_to_the_address_are_changed() {
    let (runtime_api, other) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let address = runtime_api.local_addr().unwrap();
    let connections = [
        TcpStream::connect(address).unwrap(),
        TcpStream::connect(address).unwrap(),
    ];
    let elsewhere = TcpStream::connect(other.local_addr().unwrap()).unwrap();

    nodelay::set_on_connections_to(address);
    assert!(
        connections
            .iter()
            .all(|connection| connection.nodelay().unwrap())
    );
    assert!(!elsewhere.nodelay().unwrap());
}

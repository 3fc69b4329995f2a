//! The socket option that makes each response 40 ms faster.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use order_status_stream::lambda::nodelay::{self, NoDelay, PAUSE};
use tokio::time::sleep;

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

/// One listing for each response would make the cost of N responses that begin together grow with N².
#[tokio::test(start_paused = true)]
async fn responses_that_begin_together_share_a_listing_and_one_alone_does_not_wait() {
    let listings = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&listings);
    let nodelay = NoDelay::with(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let count = || listings.load(Ordering::Relaxed);
    nodelay.begin();
    assert_eq!(count(), 1, "at once");
    for _ in 0..1600 {
        nodelay.begin();
    }
    assert_eq!(count(), 1, "in the pause");
    sleep(PAUSE + Duration::from_millis(1)).await;
    assert_eq!(count(), 2, "for those that began in the pause");
    sleep(3 * PAUSE).await;
    assert_eq!(count(), 2, "nothing has begun since");
    nodelay.begin();
    assert_eq!(count(), 3, "alone again: at once");
}

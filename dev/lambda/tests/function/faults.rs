//! Fault injection.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use http::StatusCode;
use lambda_stand_in::Fault;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

use crate::harness::{Ending, RawClient, Received, assert_responds, function, start};

#[tokio::test]
async fn the_connection_is_cut_at_the_given_byte() {
    const BODY: &str = "nothing here";
    let function = function().start().await.unwrap();
    for (reset, cut) in [(false, Ending::Cut), (true, Ending::Reset)] {
        for bytes in 0..=BODY.len() {
            function.inject([Fault::CutAfter {
                bytes: bytes as u64,
                reset,
            }]);
            let Received { head, body, ending } = RawClient::get(&function, "/").await.end().await;
            assert!(head.starts_with("HTTP/1.1 404"), "{head}");
            assert_eq!((body.as_str(), ending), (&BODY[..bytes], cut));
            // The client's response ends before the function's.
            function.wait_for(|stats| stats.in_flight() == 0).await;
        }
        function.inject([Fault::CutAfter {
            bytes: BODY.len() as u64 + 1,
            reset,
        }]);
        let Received { body, ending, .. } = RawClient::get(&function, "/").await.end().await;
        assert_eq!((body.as_str(), ending), (BODY, Ending::Whole));
    }
    // The function did not notice the cuts.
    let stats = function.wait_for(|stats| stats.in_flight() == 0).await;
    assert_eq!((stats.completed, stats.cold_starts), (28, 1));
}

#[tokio::test]
async fn a_live_response_is_cut_while_the_function_goes_on() {
    let (function, harness) = start(function()).await;
    function.inject([Fault::CutAfter {
        bytes: 3,
        reset: true,
    }]);
    let (client, mut pipe) = harness.open(&function).await;
    pipe.write_all(b"12345").await.unwrap();
    let Received { body, ending, .. } = client.end().await;
    assert_eq!((body.as_str(), ending), ("!12", Ending::Reset));

    pipe.write_all(b"6").await.unwrap();
    pipe.shutdown().await.unwrap();
    assert_eq!(
        function
            .wait_for(|stats| stats.in_flight() == 0)
            .await
            .completed,
        1
    );
}

#[tokio::test]
async fn a_fault_is_chosen_for_a_request_if_no_injected_fault_is_left() {
    let function = function().start().await.unwrap();
    function.inject([Fault::Refuse(StatusCode::BAD_GATEWAY)]);
    function.inject_by(|request| {
        let chosen = request.uri.path() == "/chosen";
        async move { chosen.then_some(Fault::Refuse(StatusCode::TOO_MANY_REQUESTS)) }
    });
    for (path, status) in [
        ("/chosen", "502"),
        ("/other", "404"),
        ("/chosen", "429"),
        ("/chosen", "429"),
    ] {
        let Received { head, .. } = RawClient::get(&function, path).await.end().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}

#[tokio::test]
async fn refused_requests_invoke_nothing() {
    let function = function().start().await.unwrap();
    function.inject([Fault::Refuse(StatusCode::TOO_MANY_REQUESTS); 2]);
    function.inject([Fault::Refuse(StatusCode::BAD_GATEWAY)]);
    for (status, body) in [
        (
            "429 Too Many Requests",
            r#"{"Message":"Too Many Requests"}"#,
        ),
        (
            "429 Too Many Requests",
            r#"{"Message":"Too Many Requests"}"#,
        ),
        ("502 Bad Gateway", r#"{"Message":"Internal Server Error"}"#),
        ("404 Not Found", "nothing here"),
    ] {
        let ended = RawClient::get(&function, "/").await.end().await;
        assert!(
            ended.head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{}",
            ended.head
        );
        assert_eq!((ended.body.as_str(), ended.ending), (body, Ending::Whole));
    }
    assert_eq!(function.stats().started, 1);
}

#[tokio::test]
async fn a_response_that_is_not_read_blocks_the_function_until_its_deadline() {
    let (function, harness) = start(function().timeout(Duration::from_secs(1))).await;
    function.inject([Fault::SlowRead {
        bytes_per_second: 0,
    }]);
    let (client, mut pipe) = tokio::join!(RawClient::get(&function, &harness.path), harness.pipe());

    // This is more than all buffers on the way can hold. The write ends only with the process.
    let written = pipe.write_all(&vec![b'x'; 64 << 20]).await;
    assert!(written.is_err());
    let Received { head, body, ending } = client.end().await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!((body.as_str(), ending), ("", Ending::Cut));
    assert_eq!(function.stats().timed_out, 1);
}

#[tokio::test]
async fn a_response_that_is_not_read_ends_with_its_process() {
    let (function, harness) = start(function()).await;
    function.inject([Fault::SlowRead {
        bytes_per_second: 0,
    }]);
    let (mut client, _pipe) =
        tokio::join!(RawClient::get(&function, &harness.path), harness.pipe());
    client.until("\r\n\r\n").await;
    assert_eq!(function.kill().await, 1);
    assert_eq!(client.end().await.ending, Ending::Cut);
}

#[tokio::test]
async fn a_slow_read_takes_time() {
    let function = function().start().await.unwrap();
    function.inject([Fault::SlowRead {
        bytes_per_second: 40,
    }]);
    let start = Instant::now();
    let Received { body, ending, .. } = RawClient::get(&function, "/").await.end().await;
    assert_eq!((body.as_str(), ending), ("nothing here", Ending::Whole));
    assert!(
        start.elapsed() >= Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let (function, harness) = start(function()).await;
    let (mut begun, mut pipe) = harness.open(&function).await;
    let mut kept = RawClient::send(&function, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    kept.until("nothing here").await;

    function.refuse_connections().await.unwrap();
    let address = function.url().strip_prefix("http://").unwrap().to_owned();
    assert_eq!(
        TcpStream::connect(&address).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    // The port stays reserved: another socket cannot get it.
    let other = TcpSocket::new_v4().unwrap().bind(address.parse().unwrap());
    assert_eq!(other.unwrap_err().kind(), ErrorKind::AddrInUse);
    // A request on a kept connection is refused too. A response that has begun goes on.
    kept.again("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(kept.end().await.head, "");
    pipe.write_all(b"more").await.unwrap();
    begun.until("more").await;

    function.accept_connections().await.unwrap();
    assert_responds(&function).await;
}

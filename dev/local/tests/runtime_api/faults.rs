//! Faults on demand.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use http::StatusCode;
use local::runtime_api::Fault;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

use crate::stage::{Client, Ended, How, Stage, function};

#[tokio::test]
async fn the_connection_is_cut_at_the_byte_asked_for() {
    const BODY: &str = "nothing here";
    let function = function().start().await.unwrap();
    for (reset, cut) in [(false, How::Cut), (true, How::Reset)] {
        for bytes in 0..=BODY.len() {
            function.inject([Fault::CutAfter {
                bytes: bytes as u64,
                reset,
            }]);
            let Ended { head, body, how } = Client::get(&function, "/").await.end().await;
            assert!(head.starts_with("HTTP/1.1 404"), "{head}");
            assert_eq!((body.as_str(), how), (&BODY[..bytes], cut));
            // The client's end comes before the function's.
            function.wait_for(|stats| stats.in_flight() == 0).await;
        }
        function.inject([Fault::CutAfter {
            bytes: BODY.len() as u64 + 1,
            reset,
        }]);
        let Ended { body, how, .. } = Client::get(&function, "/").await.end().await;
        assert_eq!((body.as_str(), how), (BODY, How::Whole));
    }
    // The function noticed nothing of it.
    let stats = function.wait_for(|stats| stats.in_flight() == 0).await;
    assert_eq!((stats.completed, stats.cold_starts), (28, 1));
}

#[tokio::test]
async fn a_live_response_is_cut_while_the_function_goes_on() {
    let (function, stage) = (function().start().await.unwrap(), Stage::new().await);
    function.inject([Fault::CutAfter {
        bytes: 3,
        reset: true,
    }]);
    let (client, mut ear) = stage.open(&function).await;
    ear.write_all(b"12345").await.unwrap();
    let Ended { body, how, .. } = client.end().await;
    assert_eq!((body.as_str(), how), ("!12", How::Reset));

    ear.write_all(b"6").await.unwrap();
    ear.shutdown().await.unwrap();
    assert_eq!(
        function
            .wait_for(|stats| stats.in_flight() == 0)
            .await
            .completed,
        1
    );
}

#[tokio::test]
async fn each_request_has_the_fault_that_is_chosen_for_it_once_no_other_is_left() {
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
        let Ended { head, .. } = Client::get(&function, path).await.end().await;
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
        let ended = Client::get(&function, "/").await.end().await;
        assert!(
            ended.head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{}",
            ended.head
        );
        assert_eq!((ended.body.as_str(), ended.how), (body, How::Whole));
    }
    assert_eq!(function.stats().started, 1);
}

#[tokio::test]
async fn a_response_that_nobody_reads_holds_the_function_up_until_its_deadline() {
    let (function, stage) = (
        function()
            .timeout(Duration::from_secs(1))
            .start()
            .await
            .unwrap(),
        Stage::new().await,
    );
    function.inject([Fault::SlowRead {
        bytes_per_second: 0,
    }]);
    let (client, mut ear) = tokio::join!(Client::get(&function, &stage.path), stage.ear());

    // More than all buffers on the way hold together: it ends only with the process.
    let written = ear.write_all(&vec![b'x'; 64 << 20]).await;
    assert!(written.is_err());
    let Ended { head, body, how } = client.end().await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!((body.as_str(), how), ("", How::Cut));
    assert_eq!(function.stats().timed_out, 1);
}

#[tokio::test]
async fn a_response_that_nobody_reads_ends_with_its_process() {
    let (function, stage) = (function().start().await.unwrap(), Stage::new().await);
    function.inject([Fault::SlowRead {
        bytes_per_second: 0,
    }]);
    let (mut client, _ear) = tokio::join!(Client::get(&function, &stage.path), stage.ear());
    client.until("\r\n\r\n").await;
    assert_eq!(function.kill().await, 1);
    assert_eq!(client.end().await.how, How::Cut);
}

#[tokio::test]
async fn a_slow_reader_takes_its_time() {
    let function = function().start().await.unwrap();
    function.inject([Fault::SlowRead {
        bytes_per_second: 40,
    }]);
    let start = Instant::now();
    let Ended { body, how, .. } = Client::get(&function, "/").await.end().await;
    assert_eq!((body.as_str(), how), ("nothing here", How::Whole));
    assert!(
        start.elapsed() >= Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let (function, stage) = (function().start().await.unwrap(), Stage::new().await);
    let (mut begun, mut ear) = stage.open(&function).await;
    let mut kept = Client::send(&function, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    kept.until("nothing here").await;

    function.refuse_connections().await.unwrap();
    let address = function.url().strip_prefix("http://").unwrap().to_owned();
    assert_eq!(
        TcpStream::connect(&address).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    // The port is kept: no other socket that asks for any port gets it.
    let other = TcpSocket::new_v4().unwrap().bind(address.parse().unwrap());
    assert_eq!(other.unwrap_err().kind(), ErrorKind::AddrInUse);
    // A connection that was kept open is of no use either; a response that has begun goes on.
    kept.again("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(kept.end().await.head, "");
    ear.write_all(b"more").await.unwrap();
    begun.until("more").await;

    function.accept_connections().await.unwrap();
    assert_eq!(
        Client::get(&function, "/").await.end().await.how,
        How::Whole
    );
}

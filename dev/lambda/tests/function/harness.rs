//! Both ends of a response: the pipe through which a test controls the function, and the client.

use std::time::Duration;

use lambda_stand_in::{Builder, Function};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A timeout that no test reaches.
pub(crate) const NEVER: Duration = Duration::from_secs(900);

/// The example function. `cargo test` builds it with the tests.
pub(crate) fn function() -> Builder {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/function");
    assert!(
        path.exists(),
        "no {}: cargo build -p lambda-stand-in --examples",
        path.display()
    );
    Function::builder(path).timeout(NEVER)
}

pub(crate) async fn start(function: Builder) -> (Function, Harness) {
    (function.start().await.unwrap(), Harness::new().await)
}

/// Checks that a request gets a complete response.
pub(crate) async fn assert_responds(function: &Function) {
    let received = RawClient::get(function, "/").await.end().await;
    assert_eq!(received.ending, Ending::Whole);
}

/// The function connects to this listener, and streams what the test writes.
pub(crate) struct Harness {
    listener: TcpListener,
    /// The path of a request that makes the function connect here.
    pub(crate) path: String,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let path = format!("/pipe?to={}", listener.local_addr().unwrap());
        Self { listener, path }
    }

    /// The connection of the function, once it has a request. Each write becomes a chunk, and shutdown ends the response.
    pub(crate) async fn pipe(&self) -> TcpStream {
        let (pipe, _) = self.listener.accept().await.unwrap();
        pipe.set_nodelay(true).unwrap();
        pipe
    }

    /// Sends a request, and returns once its client has the head and the first chunk, `!`.
    pub(crate) async fn open(&self, function: &Function) -> (RawClient, TcpStream) {
        let (mut client, mut pipe) =
            tokio::join!(RawClient::get(function, &self.path), self.pipe());
        pipe.write_all(b"!").await.unwrap();
        client.until("!").await;
        (client, pipe)
    }
}

/// Whether the other end has closed, with FIN or with RST.
pub(crate) async fn closed(mut stream: TcpStream) -> bool {
    stream.read(&mut [0]).await.unwrap_or(0) == 0
}

/// An HTTP client that sees each byte.
pub(crate) struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a client received until its connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) head: String,
    /// Without the chunk framing.
    pub(crate) body: String,
    pub(crate) ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With the last chunk, or with all of `content-length`.
    Whole,
    /// Without, closed with FIN.
    Cut,
    /// Without, closed with RST.
    Reset,
}

impl RawClient {
    pub(crate) async fn get(function: &Function, path: &str) -> Self {
        Self::send(
            function,
            &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        )
        .await
    }

    pub(crate) async fn send(function: &Function, request: &str) -> Self {
        let mut stream = TcpStream::connect(function.url().strip_prefix("http://").unwrap())
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Sends another request on the same connection, and drops what was received.
    pub(crate) async fn again(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.received.clear();
    }

    /// Reads until `text` was received.
    pub(crate) async fn until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.received).contains(text) {
            assert_ne!(
                self.stream.read_buf(&mut self.received).await.unwrap(),
                0,
                "ended before {text:?}"
            );
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn end(mut self) -> Received {
        let reset = self.stream.read_to_end(&mut self.received).await.is_err();
        let text = String::from_utf8(self.received).unwrap();
        let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let (body, whole) = match head.contains("transfer-encoding: chunked") {
            true => dechunk(rest),
            false => (
                rest.to_owned(),
                head.contains(&format!("content-length: {}", rest.len())),
            ),
        };
        let ending = match (reset, whole) {
            (true, _) => Ending::Reset,
            (false, true) => Ending::Whole,
            (false, false) => Ending::Cut,
        };
        Received {
            head: head.to_owned(),
            body,
            ending,
        }
    }
}

fn dechunk(mut text: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, rest == "\r\n");
        }
        body.push_str(&rest[..size]);
        text = rest[size..].strip_prefix("\r\n").unwrap();
    }
    (body, false)
}

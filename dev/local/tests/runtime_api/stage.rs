//! The two ends of a response: the pipe by which a test tells the function what to say, and the client.

use std::{path::PathBuf, time::Duration};

use local::runtime_api::{Builder, Function};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A timeout that no test lives to see.
pub(crate) const NEVER: Duration = Duration::from_secs(900);

/// The example function, which `cargo test -p local` builds beside the tests.
pub(crate) fn function() -> Builder {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path: PathBuf = path.join("examples/function");
    assert!(
        path.exists(),
        "no {}: cargo build -p local --examples",
        path.display()
    );
    Function::builder(path).timeout(NEVER)
}

/// Where the function asks what to say.
pub(crate) struct Stage {
    listener: TcpListener,
    /// The path that makes the function ask here.
    pub(crate) path: String,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let path = format!("/pipe?to={}", listener.local_addr().unwrap());
        Self { listener, path }
    }

    /// The function's ear, once it has got a request. What is written is a chunk, shutdown is the response's end.
    pub(crate) async fn ear(&self) -> TcpStream {
        let (ear, _) = self.listener.accept().await.unwrap();
        ear.set_nodelay(true).unwrap();
        ear
    }

    /// A request that has begun: its client has the head and the first chunk, `!`.
    pub(crate) async fn open(&self, function: &Function) -> (Client, TcpStream) {
        let (mut client, mut ear) = tokio::join!(Client::get(function, &self.path), self.ear());
        ear.write_all(b"!").await.unwrap();
        client.until("!").await;
        (client, ear)
    }
}

/// Whether the other end has closed, be it by FIN or by RST.
pub(crate) async fn closed(mut stream: TcpStream) -> bool {
    stream.read(&mut [0]).await.unwrap_or(0) == 0
}

/// An HTTP client that sees each byte.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response, as it was when its connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) head: String,
    /// Without the chunk framing.
    pub(crate) body: String,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With the last chunk, or all of `content-length`.
    Whole,
    /// Without.
    Cut,
    /// Without, and by RST.
    Reset,
}

impl Client {
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

    /// Sends another request on the same connection, and forgets the response before.
    pub(crate) async fn again(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.received.clear();
    }

    /// Reads until `text` has come.
    pub(crate) async fn until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.received).contains(text) {
            assert_ne!(
                self.stream.read_buf(&mut self.received).await.unwrap(),
                0,
                "ended before {text:?}"
            );
        }
    }

    /// Reads to the connection's end.
    pub(crate) async fn end(mut self) -> Ended {
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
        let how = match (reset, whole) {
            (true, _) => How::Reset,
            (false, true) => How::Whole,
            (false, false) => How::Cut,
        };
        Ended {
            head: head.to_owned(),
            body,
            how,
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

//! The endpoint behind a server that keeps the contract, but for one fault.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "as in mod.rs"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use order_status_stream::endpoint::Body;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Stage, request};

/// A request as it came, and may be changed before the endpoint sees it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    /// The path and query as they came, and as the endpoint sees them.
    pub target: String,
    pub path: String,
    pub host: String,
    pub origin: String,
    pub authorization: String,
    pub cursor: String,
    pub accept: String,
}

type Headers = Vec<(String, String)>;

/// What is done to requests and responses.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
    pub request: fn(&mut Asked),
    pub head: fn(&Asked, &mut u16, &mut Headers),
    pub chunk: fn(&Asked, &str) -> Vec<u8>,
    /// The last chunk, which ends the response, is not written.
    pub cut: bool,
    /// The body is collected, and sent with its length.
    pub collected: bool,
}

/// No fault.
pub const GOOD: Fault = Fault {
    name: "none",
    rule: "",
    request: |_| {},
    head: |_, _, _| {},
    chunk: |_, chunk| chunk.into(),
    cut: false,
    collected: false,
};

const STATUSES: [&str; 3] = ["PLACED", "PAID", "SHIPPED"];

/// A server on a free port, for as long as it is not dropped. The shop's API is at `/shop`.
pub struct BadServer {
    pub url: String,
    _tasks: JoinSet<()>,
}

impl BadServer {
    /// Orders: `A`, which is paid, `F`, which was delivered, and each again by a name that a URL cannot hold as it is.
    pub async fn start(fault: Fault) -> Self {
        let stage = Stage::with(&[
            ("FEED_TABLE", "in memory"),
            ("ACCESS", "open"),
            ("WINDOW", "1s"),
            ("POLL_INTERVAL", "20ms"),
        ]);
        for (order, status) in [
            ("A", "PLACED"),
            ("A", "PAID"),
            ("F", "PAID"),
            ("F", "DELIVERED"),
            ("#1 a+b&c?d/e", "PLACED"),
            ("#2 é", "DELIVERED"),
        ] {
            stage.change(order, status).await;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stage, moves) = (Arc::new(stage), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (stage, moves) = (Arc::clone(&stage), Arc::clone(&moves));
                // A client that has seen enough leaves.
                connections.spawn(async move { serve(stream, &stage, &moves, fault).await.ok() });
            }
        });
        Self { url, _tasks: tasks }
    }
}

async fn serve(
    stream: TcpStream,
    stage: &Stage,
    moves: &AtomicUsize,
    fault: Fault,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(mut asked) = read_request(&mut stream).await? {
        if asked.path.starts_with("/shop") {
            let status = STATUSES[moves.fetch_add(1, Ordering::Relaxed).min(2)];
            stage.change("L", status).await;
            let body = format!(r#"{{"orderId":"L","status":"{status}"}}"#);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            continue;
        }
        (fault.request)(&mut asked);
        answer(&mut stream, stage, &asked, fault).await?;
    }
    Ok(())
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Asked>> {
    let mut asked = Asked::default();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(Some(asked));
        } else if asked.method.is_empty() {
            let mut words = text.split(' ').map(str::to_owned);
            asked.method = words.next().unwrap_or_default();
            asked.target = words.next().unwrap_or_default();
            asked.path = asked.target.clone();
        } else if let Some(cursor) = text.strip_prefix("last-event-id: ") {
            asked.cursor = cursor.to_owned();
        } else if let Some(accept) = text.strip_prefix("accept: ") {
            asked.accept = accept.to_owned();
        } else if let Some(origin) = text.strip_prefix("origin: ") {
            asked.origin = origin.to_owned();
        } else if let Some(host) = text.strip_prefix("host: ") {
            asked.host = host.to_owned();
        } else if let Some(token) = text.strip_prefix("authorization: ") {
            asked.authorization = token.to_owned();
        }
    }
}

async fn answer(
    stream: &mut BufReader<TcpStream>,
    stage: &Stage,
    asked: &Asked,
    fault: Fault,
) -> std::io::Result<()> {
    let mut headers = vec![("accept", asked.accept.as_str())];
    if !asked.cursor.is_empty() {
        headers.push(("last-event-id", &asked.cursor));
    }
    let response = stage
        .respond(&request(&asked.method, &asked.path, &headers))
        .await;
    let (parts, mut body) = response.into_parts();
    let mut status = parts.status.as_u16();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let mut headers: Headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    (fault.head)(asked, &mut status, &mut headers);
    let bodiless = status == 204 || asked.method == "HEAD";
    let mut collected = None;
    if fault.collected && !bodiless {
        let mut bytes = Vec::new();
        while let Some(chunk) = next_chunk(&mut body, asked, fault).await {
            bytes.extend(chunk);
        }
        headers.push(("content-length".to_owned(), bytes.len().to_string()));
        collected = Some(bytes);
    } else if !bodiless {
        headers.push(("transfer-encoding".to_owned(), "chunked".to_owned()));
    }
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    stream
        .write_all(format!("HTTP/1.1 {status} Status\r\n{headers}\r\n").as_bytes())
        .await?;
    if bodiless {
        return Ok(());
    }
    if let Some(bytes) = collected {
        return stream.write_all(&bytes).await;
    }
    while let Some(chunk) = next_chunk(&mut body, asked, fault).await {
        if !chunk.is_empty() {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat();
            stream.write_all(&framed).await?;
        }
    }
    match fault.cut {
        true => stream.shutdown().await,
        false => stream.write_all(b"0\r\n\r\n").await,
    }
}

async fn next_chunk(body: &mut Body, asked: &Asked, fault: Fault) -> Option<Vec<u8>> {
    let chunk = body.frame().await?.unwrap().into_data().unwrap();
    Some((fault.chunk)(asked, std::str::from_utf8(&chunk).unwrap()))
}

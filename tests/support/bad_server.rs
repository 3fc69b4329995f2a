//! The endpoint, behind a server that adds one fault to requests or responses.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "as in mod.rs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;
use order_status_stream::customer::CustomerId;
use order_status_stream::endpoint::Body;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Harness, request};

/// A request. A fault can change it before the endpoint reads it.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    pub method: String,
    /// The path and query that the client sent.
    pub target: String,
    /// The path and query that the endpoint reads.
    pub path: String,
    pub host: String,
    pub origin: String,
    pub authorization: String,
    pub cursor: String,
    pub accept: String,
}

type Headers = Vec<(String, String)>;

/// Changes requests and responses.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
    pub request: fn(&mut Incoming),
    pub head: fn(&Incoming, &mut u16, &mut Headers),
    pub chunk: fn(&Incoming, &str) -> Vec<u8>,
    /// Leaves out the last chunk, which ends the response.
    pub cut: bool,
    /// Collects the whole body and sends it with its length.
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

/// A server on a free port. It stops if it is dropped. The shop's API is at `/shop`.
pub struct BadServer {
    pub url: String,
    _tasks: JoinSet<()>,
}

impl BadServer {
    /// Order `A` is paid, and `F` is delivered. Two more orders have the same states, and names that a URL must encode.
    pub async fn start(fault: Fault) -> Self {
        Self::with(fault, None, &[("ACCESS", "open")]).await
    }

    /// As [`start`](Self::start), with tokens of these keys. They name customers in the claim `customer`, and all orders are those of
    /// the customer `C`.
    pub async fn start_with_customers(fault: Fault, jwks: &str) -> Self {
        let settings = [("JWKS", jwks), ("JWT_CUSTOMER_CLAIM", "customer")];
        Self::with(fault, CustomerId::new("C"), &settings).await
    }

    async fn with(fault: Fault, customer: Option<CustomerId>, settings: &[(&str, &str)]) -> Self {
        let base = [
            ("FEED_TABLE", "in memory"),
            ("WINDOW", "1s"),
            ("POLL_INTERVAL", "20ms"),
        ];
        let harness = Harness::with(&[&base, settings].concat()).of_customer(customer);
        for (order, status) in [
            ("A", "PLACED"),
            ("A", "PAID"),
            ("F", "PAID"),
            ("F", "DELIVERED"),
            ("#1 a+b&c?d/e", "PLACED"),
            ("#2 é", "DELIVERED"),
        ] {
            harness.change(order, status).await;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (harness, moves) = (Arc::new(harness), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (harness, moves) = (Arc::clone(&harness), Arc::clone(&moves));
                // Writing fails after the client has disconnected.
                connections.spawn(async move { serve(stream, &harness, &moves, fault).await.ok() });
            }
        });
        Self { url, _tasks: tasks }
    }
}

async fn serve(
    stream: TcpStream,
    harness: &Harness,
    moves: &AtomicUsize,
    fault: Fault,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(mut incoming) = read_request(&mut stream).await? {
        if incoming.path.starts_with("/shop") {
            let status = STATUSES[moves.fetch_add(1, Ordering::Relaxed).min(2)];
            harness.change("L", status).await;
            let body = format!(r#"{{"orderId":"L","status":"{status}"}}"#);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            continue;
        }
        (fault.request)(&mut incoming);
        respond(&mut stream, harness, &incoming, fault).await?;
    }
    Ok(())
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Incoming>> {
    let mut incoming = Incoming::default();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(Some(incoming));
        } else if incoming.method.is_empty() {
            let mut words = text.split(' ').map(str::to_owned);
            incoming.method = words.next().unwrap_or_default();
            incoming.target = words.next().unwrap_or_default();
            incoming.path = incoming.target.clone();
        } else if let Some(cursor) = text.strip_prefix("last-event-id: ") {
            incoming.cursor = cursor.to_owned();
        } else if let Some(accept) = text.strip_prefix("accept: ") {
            incoming.accept = accept.to_owned();
        } else if let Some(origin) = text.strip_prefix("origin: ") {
            incoming.origin = origin.to_owned();
        } else if let Some(host) = text.strip_prefix("host: ") {
            incoming.host = host.to_owned();
        } else if let Some(token) = text.strip_prefix("authorization: ") {
            incoming.authorization = token.to_owned();
        }
    }
}

async fn respond(
    stream: &mut BufReader<TcpStream>,
    harness: &Harness,
    incoming: &Incoming,
    fault: Fault,
) -> std::io::Result<()> {
    let mut headers = vec![("accept", incoming.accept.as_str())];
    if !incoming.cursor.is_empty() {
        headers.push(("last-event-id", &incoming.cursor));
    }
    if !incoming.authorization.is_empty() {
        headers.push(("authorization", &incoming.authorization));
    }
    let response = harness
        .respond(&request(&incoming.method, &incoming.path, &headers))
        .await;
    let (parts, mut body) = response.into_parts();
    let mut status = parts.status.as_u16();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let mut headers: Headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    (fault.head)(incoming, &mut status, &mut headers);
    let bodiless = status == 204 || incoming.method == "HEAD";
    let mut collected = None;
    if fault.collected && !bodiless {
        let mut bytes = Vec::new();
        while let Some(chunk) = next_chunk(&mut body, incoming, fault).await {
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
    while let Some(chunk) = next_chunk(&mut body, incoming, fault).await {
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

async fn next_chunk(body: &mut Body, incoming: &Incoming, fault: Fault) -> Option<Vec<u8>> {
    let chunk = body.frame().await?.unwrap().into_data().unwrap();
    Some((fault.chunk)(
        incoming,
        std::str::from_utf8(&chunk).unwrap(),
    ))
}

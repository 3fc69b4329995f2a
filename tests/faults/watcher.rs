//! A client that follows docs/protocol.md, and counts what it receives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conformance::transcript::{Frame, Transcript};
use tokio::sync::watch;
use tokio::time::sleep;

/// Clients come back this many times sooner than they are told.
const HURRY: u32 = 20;

/// What one client received.
#[derive(Debug, Default)]
pub struct Received {
    pub orders: Vec<String>,
    /// For each order, the status of each number.
    pub changes: BTreeMap<String, BTreeMap<u64, String>>,
    pub doubled: usize,
    /// What the protocol forbids.
    pub violations: Vec<String>,
}

pub struct Watcher {
    url: String,
    token: String,
    http: reqwest::Client,
    cursor: String,
    retry: Duration,
    ended: bool,
    pub received: Arc<Mutex<Received>>,
    /// Counts the changes of all watchers.
    count: watch::Sender<usize>,
}

impl Watcher {
    pub fn new(base: &str, orders: &[String], token: &str, count: watch::Sender<usize>) -> Self {
        let path = match orders {
            [order] => format!("{base}/orders/{order}/events"),
            orders => format!("{base}/orders/events?order={}", orders.join("&order=")),
        };
        Self {
            url: path,
            token: token.to_owned(),
            http: reqwest::Client::new(),
            cursor: String::new(),
            retry: Duration::from_secs(3),
            ended: false,
            received: Arc::new(Mutex::new(Received {
                orders: orders.to_vec(),
                ..Received::default()
            })),
            count,
        }
    }

    /// Watches until the server says that nothing more will come.
    pub async fn run(mut self) {
        while !self.connect().await {
            sleep(self.retry / HURRY).await;
        }
        if !self.ended {
            self.violation("204 without an end".to_owned());
        }
    }

    /// One connection. Returns whether the server said not to come back.
    async fn connect(&mut self) -> bool {
        let mut request = self.http.get(&self.url);
        if !self.cursor.is_empty() {
            request = request.header("last-event-id", &self.cursor);
        }
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        match request.send().await {
            Ok(response) if response.status() == 204 => return true,
            Ok(response) if response.status() == 200 => self.read(response).await,
            // The platform's own refusal, or no connection.
            Ok(response) if response.status().is_server_error() => {}
            Ok(response) => self.violation(format!("the status {}", response.status())),
            Err(_) => {}
        }
        false
    }

    async fn read(&mut self, mut response: reqwest::Response) {
        let (mut body, mut taken) = (Vec::new(), 0);
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            let read = Transcript::read(&body);
            for frame in &read.frames[taken..] {
                self.take(frame);
            }
            taken = read.frames.len();
        }
    }

    fn take(&mut self, frame: &Frame) {
        if let Some(id) = frame.get("id") {
            self.cursor = id.to_owned();
        }
        if let Some(retry) = frame.get("retry").and_then(|retry| retry.parse().ok()) {
            self.retry = Duration::from_millis(retry);
        }
        match frame.event() {
            "message" => self.change(&frame.json().unwrap_or_default()),
            "end" => self.ended = true,
            "reset" => self.violation(format!("a reset: {}", frame.data())),
            _ => {}
        }
    }

    fn change(&mut self, change: &serde_json::Value) {
        let order = change["orderId"].as_str().unwrap_or_default().to_owned();
        let status = change["status"].as_str().unwrap_or_default().to_owned();
        let seq = change["seq"].as_u64().unwrap_or_default();
        let mut received = self.received.lock().unwrap();
        let seen = received.changes.entry(order.clone()).or_default();
        let expected = seen.len() as u64 + 1;
        let is_new = seen.insert(seq, status).is_none();
        received.doubled += usize::from(!is_new);
        drop(received);
        if is_new {
            self.count.send_modify(|count| *count += 1);
        }
        if is_new && seq != expected {
            self.violation(format!("{seq} of {order} came instead of {expected}"));
        }
    }

    fn violation(&mut self, what: String) {
        let what = format!("{}: {what}", self.url);
        self.received.lock().unwrap().violations.push(what);
    }
}

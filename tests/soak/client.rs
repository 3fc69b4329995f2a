//! A client that follows docs/protocol.md: the last event id is that of the last complete event, an incomplete one is discarded,
//! and the client comes back after `retry`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use conformance::transcript::{Frame, Transcript};
use tokio::time::sleep;

use super::World;
use super::tally::count;

/// How many of its last steps a client reports with a violation.
const TRACE: usize = 60;

pub struct Client {
    world: Arc<World>,
    http: reqwest::Client,
    orders: Vec<String>,
    last_event_id: String,
    retry: Duration,
    /// How many changes of each order it has seen.
    seen: HashMap<String, u64>,
    ended: bool,
    trace: VecDeque<String>,
}

impl Client {
    pub fn new(world: Arc<World>, orders: Vec<String>) -> Self {
        count(&world.tally.clients);
        Self {
            world,
            http: reqwest::Client::new(),
            orders,
            last_event_id: String::new(),
            retry: Duration::from_secs(3),
            seen: HashMap::new(),
            ended: false,
            trace: VecDeque::new(),
        }
    }

    /// Watches until the server says that nothing more will come.
    pub async fn run(mut self) {
        let name = self.path();
        self.world
            .tally
            .watching
            .lock()
            .unwrap()
            .insert(name.clone());
        while !self.connect().await {
            sleep(self.retry / self.world.hurry).await;
        }
        self.check_all();
        self.world.tally.watching.lock().unwrap().remove(&name);
    }

    fn path(&self) -> String {
        match &self.orders[..] {
            [order] => format!("/orders/{order}/events"),
            orders => format!("/orders/events?order={}", orders.join("&order=")),
        }
    }

    /// One connection. Returns whether the server said not to come back.
    async fn connect(&mut self) -> bool {
        count(&self.world.tally.connections);
        let function = fastrand::choice(&self.world.streams).unwrap();
        let request = self.http.get(format!("{}{}", function.url(), self.path()));
        self.note(format!("connects with {:?}", self.last_event_id));
        let request = match self.last_event_id.is_empty() {
            true => request,
            false => request.header("last-event-id", &self.last_event_id),
        };
        match request.send().await {
            Ok(response) if response.status() == 204 => {
                if !self.ended {
                    self.violation("lost", "204 without an end");
                }
                return true;
            }
            Ok(response) if response.status() == 200 => self.read(response).await,
            // An `EventSource` gives up here. Its page opens another one with the cursor.
            Ok(response) => self.note(format!("is refused: {}", response.status())),
            Err(error) => self.note(format!("does not connect: {error}")),
        }
        false
    }

    /// Reads until the response ends, or the client cuts its own connection.
    async fn read(&mut self, mut response: reqwest::Response) {
        let cut = (fastrand::u8(..4) == 0).then(|| fastrand::usize(..900));
        if cut.is_some() {
            count(&self.world.tally.cuts);
        }
        let (mut body, mut read_frames) = (Vec::new(), 0);
        loop {
            let chunk = response.chunk().await;
            let ended = !matches!(chunk, Ok(Some(_)));
            body.extend_from_slice(&chunk.ok().flatten().unwrap_or_default());
            let read = &body[..body.len().min(cut.unwrap_or(usize::MAX))];
            let transcript = Transcript::read(read);
            for frame in &transcript.frames[read_frames..] {
                self.take(frame);
            }
            read_frames = transcript.frames.len();
            if ended || cut.is_some_and(|cut| cut <= body.len()) {
                return self.note(format!(
                    "was cut after {} bytes, or the response ended",
                    read.len()
                ));
            }
        }
    }

    fn take(&mut self, frame: &Frame) {
        self.note(format!("sees {:?}", frame.fields));
        if let Some(id) = frame.get("id") {
            self.last_event_id = id.to_owned();
        }
        if let Some(retry) = frame.get("retry") {
            self.retry = Duration::from_millis(retry.parse().unwrap_or(0));
            if self.retry < Duration::from_secs(1) {
                self.violation("disordered", "a retry shorter than a second");
            }
        }
        match frame.event() {
            "message" => self.change(&frame.json().unwrap_or_default()),
            "rest" => count(&self.world.tally.rests),
            "end" => {
                count(&self.world.tally.ends);
                self.ended = true;
            }
            "reset" => self.violation("lost", "reset, but nothing was trimmed"),
            _ => {}
        }
    }

    fn change(&mut self, change: &serde_json::Value) {
        count(&self.world.tally.events);
        let order = change["orderId"].as_str().unwrap_or_default().to_owned();
        let seq = change["seq"].as_u64().unwrap_or(0);
        let seen = *self.seen.get(&order).unwrap_or(&0);
        let written = self
            .world
            .written
            .lock()
            .unwrap()
            .get(&order)
            .cloned()
            .unwrap_or_default();
        let status = seq
            .checked_sub(1)
            .and_then(|index| written.get(usize::try_from(index).ok()?))
            .cloned();
        if seq > seen + 1 {
            self.violation("lost", &format!("{seq} after {seen} of {order}"));
        } else if seq <= seen {
            self.violation("doubled", &format!("{seq} after {seen} of {order}"));
        } else if status.as_deref() != change["status"].as_str() {
            self.violation(
                "disordered",
                &format!("{change}, but {written:?} was written"),
            );
        }
        self.seen.insert(order, seq);
    }

    fn check_all(&mut self) {
        for order in self.orders.clone() {
            let written = self.world.written.lock().unwrap()[&order].len() as u64;
            if self.seen.get(&order) != Some(&written) {
                self.violation(
                    "lost",
                    &format!("{:?} of {written} of {order}", self.seen.get(&order)),
                );
            }
        }
    }

    fn note(&mut self, step: String) {
        self.trace.push_back(step);
        if self.trace.len() > TRACE {
            self.trace.pop_front();
        }
    }

    fn violation(&mut self, kind: &str, what: &str) {
        let tally = &self.world.tally;
        count(match kind {
            "lost" => &tally.lost,
            "doubled" => &tally.doubled,
            _ => &tally.disordered,
        });
        let trace: Vec<_> = self.trace.iter().map(String::as_str).collect();
        let text = format!(
            "{kind}: {what}\n  {}\n  {}",
            self.path(),
            trace.join("\n  ")
        );
        tally.violations.lock().unwrap().push(text);
    }
}

//! A page that watches an order, with an `EventSource` or with this project's client.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use order_status_stream::request::Request;
use tokio::time::{Instant, sleep, sleep_until};

use super::writes::name;
use crate::browser::ONE_WAY;
use crate::lambda::{Part, Platform};
use crate::meter::MeteredFeed;

/// What a page uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// It never comes back after a status other than 200.
    EventSource,
    /// `web/order-stream.js`. After a 429, it comes back after 1 to 2 s, and after twice that with each further failure, up to 16 to
    /// 32 s. But it waits as long as it rested last, up to 16 s.
    Ours,
}

impl Client {
    pub const ALL: [Self; 2] = [Self::EventSource, Self::Ours];

    pub fn name(self) -> &'static str {
        match self {
            Self::EventSource => "EventSource",
            Self::Ours => "our client",
        }
    }
}

/// `web/order-stream/connection.js` has these.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(16);

#[derive(Debug)]
pub(super) struct Page {
    pub(super) client: Client,
    pub(super) platform: Arc<Platform<MeteredFeed>>,
    pub(super) order: usize,
    /// When the order's changes are written, in seconds from the beginning. The first was before the page was opened.
    pub(super) written: Vec<f64>,
    pub(super) opens: Instant,
    pub(super) closes: Instant,
    pub(super) random: fastrand::Rng,
}

/// What a page saw.
#[derive(Debug, Default)]
pub(super) struct End {
    /// When each change was written and shown, in seconds from the beginning.
    pub(super) shown: Vec<(f64, f64)>,
    /// It got an answer after which it never comes back: from Lambda, or from the endpoint.
    pub(super) dead: Option<bool>,
}

/// What a client keeps between two requests.
#[derive(Debug, Default)]
struct State {
    last_event_id: String,
    retry: Duration,
    /// How many changes it has received.
    seq: usize,
    failures: u32,
}

impl Page {
    /// Watches until the page is closed, or its client gives up.
    pub(super) async fn watch(mut self) -> End {
        sleep_until(self.opens).await;
        let (mut state, mut end) = (State::default(), End::default());
        while Instant::now() < self.closes {
            let status = self.read(&mut state, &mut end).await;
            let rest = match (status, self.client) {
                (StatusCode::OK, _) => state.retry.max(SHORTEST_DELAY),
                (status, Client::EventSource) => {
                    end.dead = Some(status == StatusCode::TOO_MANY_REQUESTS);
                    break;
                }
                (_, Client::Ours) => self.failed(&mut state),
            };
            sleep_until(self.closes.min(Instant::now() + rest)).await;
        }
        end
    }

    fn failed(&mut self, state: &mut State) -> Duration {
        let longest = LONGEST_DELAY.min(SHORTEST_DELAY * 2u32.pow(state.failures.min(16)));
        state.failures += 1;
        let rest = state.retry.min(LONGEST_DELAY);
        let rest = rest.mul_f64(0.9 + self.random.f64() / 5.0);
        longest.mul_f64(1.0 + self.random.f64()).max(rest)
    }

    /// Reads one response.
    async fn read(&mut self, state: &mut State, end: &mut End) -> StatusCode {
        sleep(ONE_WAY).await;
        let path = format!("/orders/{}/events", name(self.order));
        let request = Request::new(Method::GET, &path);
        let request = match state.last_event_id.as_str() {
            "" => request,
            id => request.with_header("last-event-id", id),
        };
        let mut parts = self.platform.invoke(0, request, self.random.fork());
        let mut status = StatusCode::OK;
        while let Some(part) = parts.recv().await {
            match part {
                Part::Head(head) => status = head,
                Part::Chunk(chunk) if status == StatusCode::OK => {
                    self.receive(&chunk, state, end);
                }
                Part::Chunk(_) => {}
            }
        }
        sleep(ONE_WAY).await;
        status
    }

    /// Reads a chunk, which is whole frames, as the endpoint writes them.
    fn receive(&self, chunk: &[u8], state: &mut State, end: &mut End) {
        let text = String::from_utf8_lossy(chunk);
        let mut event = "message";
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("event", name)) => event = if name == "hello" { "hello" } else { "other" },
                Some(("retry", millis)) => {
                    state.retry = Duration::from_millis(millis.parse().unwrap_or(1000));
                }
                Some(("data", _)) => {
                    if event != "hello" {
                        state.failures = 0;
                    }
                    if event == "message" {
                        self.show(state, end);
                    }
                }
                Some(("id", id)) => id.clone_into(&mut state.last_event_id),
                None if line.is_empty() => event = "message",
                _ => {}
            }
        }
    }

    fn show(&self, state: &mut State, end: &mut End) {
        let arrives = Instant::now() + ONE_WAY;
        if let Some(written) = self.written.get(state.seq).copied()
            && written >= 0.0
            && arrives <= self.closes
        {
            let arrives = (arrives - self.platform.start).as_secs_f64();
            end.shown.push((written, arrives));
        }
        state.seq += 1;
    }
}

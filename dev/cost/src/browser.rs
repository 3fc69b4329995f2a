//! A page with an `EventSource`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use order_status_stream::request::Request;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::bill::Delays;
use crate::journey::Journeys;
use crate::lambda::{Part, Platform};
use crate::meter::MeteredFeed;
use crate::trace::{Change, Visit, fold};

/// The time that the network takes from the browser to the function, or back.
pub const ONE_WAY: Duration = Duration::from_millis(20);

/// A page with an `EventSource`.
#[derive(Debug)]
pub struct Browser {
    pub platform: Arc<Platform<MeteredFeed>>,
    pub journeys: Journeys,
    pub visit: Visit,
    /// All changes of the visit's order.
    pub changes: Vec<Change>,
    /// The changes that come during the visit.
    pub live: Range<usize>,
    /// Seeds the endpoint's random numbers.
    pub random: fastrand::Rng,
}

/// The state of an `EventSource`.
#[derive(Debug, Default)]
struct EventSource {
    last_event_id: String,
    retry: Duration,
    /// How many changes it has received.
    seq: usize,
    ended: bool,
}

impl Browser {
    /// Watches from the page's opening to its closing.
    pub async fn watch(mut self) -> Delays {
        let start = self.platform.start;
        let closes = start + self.visit.closes;
        sleep_until(start + self.visit.opens).await;
        let (mut source, mut delays) = (EventSource::default(), Delays::default());
        while !source.ended && Instant::now() < closes {
            let read = self.read(&mut source, &mut delays);
            if timeout_at(closes, read).await.is_err() {
                break;
            }
            if !source.ended {
                let _ = timeout_at(closes, sleep(source.retry)).await;
            }
        }
        delays.missed = self.live.len() - delays.seen.len();
        delays
    }

    /// Reads one response.
    async fn read(&mut self, source: &mut EventSource, delays: &mut Delays) {
        sleep(ONE_WAY).await;
        let (feed, request) = (fold(&self.visit.order), self.request(source));
        let mut parts = self.platform.invoke(feed, request, self.random.fork());
        while let Some(part) = parts.recv().await {
            if let Part::Chunk(chunk) = part {
                let arrives = Instant::now() + ONE_WAY;
                self.receive(&chunk, arrives, source, delays);
            }
        }
        sleep(ONE_WAY).await;
    }

    fn request(&self, source: &EventSource) -> Request {
        let path = format!("/orders/{}/events", self.visit.order);
        let request = Request::new(Method::GET, &path);
        match source.last_event_id.as_str() {
            "" => request,
            id => request.with_header("last-event-id", id),
        }
    }

    /// Reads a chunk, which is whole frames, as the endpoint writes them.
    fn receive(
        &self,
        chunk: &[u8],
        arrives: Instant,
        source: &mut EventSource,
        delays: &mut Delays,
    ) {
        let text = String::from_utf8_lossy(chunk);
        let mut event = "message";
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("event", name)) => event = if name == "end" { "end" } else { "other" },
                Some(("retry", millis)) => {
                    source.retry = Duration::from_millis(millis.parse().unwrap_or(1000))
                }
                Some(("data", _)) if event == "message" => {
                    self.show(source.seq, arrives, delays);
                    source.seq += 1;
                }
                Some(("data", _)) => source.ended |= event == "end",
                Some(("id", id)) => source.last_event_id = id.to_owned(),
                _ => {}
            }
        }
    }

    fn show(&self, index: usize, arrives: Instant, delays: &mut Delays) {
        let start = self.platform.start;
        let closes = start + self.visit.closes;
        if let Some(change) = self.changes.get(index)
            && self.live.contains(&index)
            && arrives <= closes
        {
            let written = start + change.at;
            let delay = arrives.saturating_duration_since(written);
            delays.seen.push(delay.as_secs_f64());
            let order = &self.visit.order;
            delays.parts += self
                .journeys
                .parts(order, index as u64 + 1, written, arrives);
        }
    }
}

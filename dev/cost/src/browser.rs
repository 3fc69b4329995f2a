//! A page with an `EventSource`, and Lambda between it and the endpoint.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use order_status_stream::clock::Clock;
use order_status_stream::endpoint::Endpoint;
use order_status_stream::invocation::Invocation;
use order_status_stream::request::Request;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::bill::Delays;
use crate::meter::{Meter, MeteredFeed, lock};
use crate::simulate::EPOCH;
use crate::trace::{Change, Visit};

/// The time that the network takes from the browser to the function, or back.
pub const ONE_WAY: Duration = Duration::from_millis(20);

/// Lambda: counts and bills invocations, also those that nobody reads any more.
#[derive(Debug)]
pub struct Platform {
    start: Instant,
    meter: Meter,
    in_flight: AtomicU64,
    peak: AtomicU64,
    requests: Mutex<BTreeMap<u64, u64>>,
    ended: Notify,
}

impl Platform {
    pub fn new(start: Instant, meter: Meter) -> Self {
        Self {
            start,
            meter,
            in_flight: AtomicU64::default(),
            peak: AtomicU64::default(),
            requests: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// Waits until no invocation runs.
    pub async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.in_flight.load(Ordering::Relaxed) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// The most requests in one second.
    pub fn peak_requests(&self) -> u64 {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.values().copied().max().unwrap_or_default()
    }

    /// The most concurrent invocations.
    pub fn peak_concurrency(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Runs an invocation to its end. As on Lambda, it does not learn that the client has left.
    async fn invoke(
        self: Arc<Self>,
        endpoint: Arc<Endpoint<MeteredFeed>>,
        request: Request,
        random: fastrand::Rng,
        chunks: mpsc::UnboundedSender<Bytes>,
    ) {
        let began = Instant::now();
        let since_start = began - self.start;
        let running = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(running, Ordering::Relaxed);
        *self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(since_start.as_secs())
            .or_default() += 1;
        let clock = Clock::starting_at(EPOCH + since_start);
        let invocation = Invocation::new(clock, 0, random);
        let mut body = endpoint.respond(&request, invocation).await.into_body();
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(chunk) = frame.into_data() {
                bytes += u64::try_from(chunk.len()).unwrap_or_default();
                let _ = chunks.send(chunk);
            }
        }
        let mut meter = lock(&self.meter);
        meter.invoked(began.elapsed());
        meter.bytes += bytes;
        drop(meter);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.ended.notify_waiters();
    }
}

/// A page with an `EventSource`.
#[derive(Debug)]
pub struct Browser {
    pub endpoint: Arc<Endpoint<MeteredFeed>>,
    pub platform: Arc<Platform>,
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
        let (sender, mut chunks) = mpsc::unbounded_channel();
        let invocation = Arc::clone(&self.platform).invoke(
            Arc::clone(&self.endpoint),
            self.request(source),
            self.random.fork(),
            sender,
        );
        tokio::spawn(invocation);
        while let Some(chunk) = chunks.recv().await {
            let arrives = Instant::now() + ONE_WAY;
            self.receive(&chunk, arrives, source, delays);
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
        let arrives = arrives - self.platform.start;
        if let Some(change) = self.changes.get(index)
            && self.live.contains(&index)
            && arrives <= self.visit.closes
        {
            let delay = arrives.saturating_sub(change.at);
            delays.seen.push(delay.as_secs_f64());
        }
    }
}

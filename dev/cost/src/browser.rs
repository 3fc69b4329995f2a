//! A browser's `EventSource`, and Lambda between it and the endpoint.

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

/// From the browser to the function, or back.
pub const ONE_WAY: Duration = Duration::from_millis(20);

/// Lambda: invocations are counted and billed, whether or not somebody is there to read.
#[derive(Debug)]
pub struct Platform {
    start: Instant,
    meter: Meter,
    in_flight: AtomicU64,
    peak: AtomicU64,
    requests: Mutex<BTreeMap<u64, u64>>,
    idle: Notify,
}

impl Platform {
    /// Nothing runs yet.
    pub fn new(start: Instant, meter: Meter) -> Self {
        Self {
            start,
            meter,
            in_flight: AtomicU64::default(),
            peak: AtomicU64::default(),
            requests: Mutex::default(),
            idle: Notify::new(),
        }
    }

    /// Returns when nothing runs any more.
    pub async fn ended(&self) {
        loop {
            let idle = self.idle.notified();
            if self.in_flight.load(Ordering::Relaxed) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// The most requests in a second.
    pub fn peak_requests(&self) -> u64 {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.values().copied().max().unwrap_or_default()
    }

    /// The most invocations at a time.
    pub fn peak_concurrency(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// An invocation, to its end. It is not told when nobody reads any more.
    async fn invoke(
        self: Arc<Self>,
        endpoint: Arc<Endpoint<MeteredFeed>>,
        request: Request,
        random: fastrand::Rng,
        client: mpsc::UnboundedSender<Bytes>,
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
                let _ = client.send(chunk);
            }
        }
        let mut meter = lock(&self.meter);
        meter.invoked(began.elapsed());
        meter.bytes += bytes;
        drop(meter);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.idle.notify_waiters();
    }
}

/// A page with an `EventSource`.
#[derive(Debug)]
pub struct Browser {
    /// What it watches.
    pub endpoint: Arc<Endpoint<MeteredFeed>>,
    /// What runs that.
    pub platform: Arc<Platform>,
    /// When, and which order.
    pub visit: Visit,
    /// Of the order.
    pub changes: Vec<Change>,
    /// Those of them that come during the visit.
    pub live: Range<usize>,
    /// For the responses.
    pub random: fastrand::Rng,
}

/// What a page has understood so far.
#[derive(Debug, Default)]
struct Page {
    last_event_id: String,
    retry: Duration,
    /// Of the changes that it was shown, the last one's number.
    seq: usize,
    ended: bool,
}

impl Browser {
    /// From the page's opening to its closing.
    pub async fn watch(mut self) -> Delays {
        let start = self.platform.start;
        let closes = start + self.visit.closes;
        sleep_until(start + self.visit.opens).await;
        let (mut page, mut delays) = (Page::default(), Delays::default());
        while !page.ended && Instant::now() < closes {
            if timeout_at(closes, self.read(&mut page, &mut delays))
                .await
                .is_err()
            {
                break;
            }
            if !page.ended {
                let _ = timeout_at(closes, sleep(page.retry)).await;
            }
        }
        delays.missed = self.live.len() - delays.seen.len();
        delays
    }

    /// One response.
    async fn read(&mut self, page: &mut Page, delays: &mut Delays) {
        sleep(ONE_WAY).await;
        let (client, mut chunks) = mpsc::unbounded_channel();
        let invocation = Arc::clone(&self.platform).invoke(
            Arc::clone(&self.endpoint),
            self.request(page),
            self.random.fork(),
            client,
        );
        tokio::spawn(invocation);
        while let Some(chunk) = chunks.recv().await {
            let arrives = Instant::now() + ONE_WAY;
            self.take(&chunk, arrives, page, delays);
        }
        sleep(ONE_WAY).await;
    }

    fn request(&self, page: &Page) -> Request {
        let path = format!("/orders/{}/events", self.visit.order);
        let request = Request::new(Method::GET, &path);
        match page.last_event_id.as_str() {
            "" => request,
            id => request.with_header("last-event-id", id),
        }
    }

    /// Whole frames, as the endpoint writes them.
    fn take(&self, chunk: &[u8], arrives: Instant, page: &mut Page, delays: &mut Delays) {
        let text = String::from_utf8_lossy(chunk);
        let mut event = "message";
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("event", name)) => event = if name == "end" { "end" } else { "other" },
                Some(("retry", millis)) => {
                    page.retry = Duration::from_millis(millis.parse().unwrap_or(1000))
                }
                Some(("data", _)) if event == "message" => {
                    self.shown(page.seq, arrives, delays);
                    page.seq += 1;
                }
                Some(("data", _)) => page.ended |= event == "end",
                Some(("id", id)) => page.last_event_id = id.to_owned(),
                _ => {}
            }
        }
    }

    fn shown(&self, index: usize, arrives: Instant, delays: &mut Delays) {
        let arrives = arrives - self.platform.start;
        if let Some(change) = self.changes.get(index)
            && self.live.contains(&index)
            && arrives <= self.visit.closes
        {
            delays
                .seen
                .push((arrives.saturating_sub(change.at)).as_secs_f64());
        }
    }
}

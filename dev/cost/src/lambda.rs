//! Lambda between browsers and the endpoint: execution environments, their limits, and what is billed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use order_status_stream::clock::Clock;
use order_status_stream::endpoint::{Body, Endpoint};
use order_status_stream::feed::Feed;
use order_status_stream::invocation::Invocation;
use order_status_stream::lambda::PREPARE_LIMIT;
use order_status_stream::request::Request;
use order_status_stream::settings::StreamSettings;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::environments::{Environments, Limit, Second};
use crate::meter::{Meter, lock};
use crate::simulate::EPOCH;

/// A cold start, before the function's own code runs: a place for the environment, and the code in it. Assumed. Not billed.
pub const PLACEMENT: Duration = Duration::from_millis(100);

/// The function's Init without its reads, with the handshake. Assumed: three times as long as `docs/performance.md` measures at the
/// share of a core that 128 MB get. Billed like the rest of the duration since August 2025.
pub const INIT: Duration = Duration::from_millis(230);

/// How long a TLS handshake with DynamoDB takes in a warm environment, with the same share of a core. Assumed.
pub const HANDSHAKE: Duration = Duration::from_millis(60);

/// DynamoDB closes a connection that was idle for this long. Assumed: AWS documents no time.
const CONNECTION_IDLE: Duration = Duration::from_secs(60);

/// The bytes that Lambda adds to a response's head. Counted on a typical response of a Function URL: status line, `Date`,
/// `Transfer-Encoding`, `Connection`, `x-amzn-RequestId`, `X-Amzn-Trace-Id`, `Access-Control-Allow-Origin` and `Vary`.
const PLATFORM_HEAD: usize = 340;

/// The bytes around a chunk of `Transfer-Encoding: chunked`: its length, and two line breaks.
const CHUNK_FRAME: usize = 6;

/// Part of a response, as its reader gets it.
#[derive(Debug)]
pub enum Part {
    Head(StatusCode),
    Chunk(Bytes),
}

/// Lambda. Counts and bills invocations, also those that nobody reads any more.
#[derive(Debug)]
pub struct Platform<F> {
    pub start: Instant,
    meter: Meter,
    /// An environment has an endpoint for each.
    feeds: Vec<F>,
    settings: StreamSettings,
    environments: Mutex<Environments<Endpoint<F>>>,
    ended: Notify,
}

impl<F: Feed> Platform<F> {
    pub fn new(
        start: Instant,
        meter: Meter,
        feeds: Vec<F>,
        settings: StreamSettings,
        limit: Limit,
    ) -> Self {
        Self {
            start,
            meter,
            feeds,
            settings,
            environments: Mutex::new(Environments::new(start, limit)),
            ended: Notify::new(),
        }
    }

    pub fn environments(&self) -> MutexGuard<'_, Environments<Endpoint<F>>> {
        self.environments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no invocation runs.
    pub async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.environments().in_flight() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// What happened in each second.
    pub fn seconds(&self) -> Vec<Second> {
        self.environments().seconds.clone()
    }

    /// Begins an invocation, which runs to its end: as on Lambda, it does not learn that its client has left. Without a free
    /// execution, the answer is Lambda's 429.
    pub fn invoke(
        self: &Arc<Self>,
        feed: usize,
        request: Request,
        random: fastrand::Rng,
    ) -> mpsc::UnboundedReceiver<Part> {
        let (parts, receiver) = mpsc::unbounded_channel();
        match self.environments().admit(Instant::now()) {
            Err(_) => {
                let _ = parts.send(Part::Head(StatusCode::TOO_MANY_REQUESTS));
            }
            Ok(environment) => {
                let run = Arc::clone(self).run(environment, feed, request, random, parts);
                tokio::spawn(run);
            }
        }
        receiver
    }

    async fn run(
        self: Arc<Self>,
        warm: Option<Warm<F>>,
        feed: usize,
        request: Request,
        random: fastrand::Rng,
        parts: mpsc::UnboundedSender<Part>,
    ) {
        let deployment = self.environments().deployment;
        let environment = match warm {
            Some(warm) => warm,
            None => self.start(deployment).await,
        };
        let began = Instant::now();
        if began - environment.used > CONNECTION_IDLE {
            lock(&self.meter).handshakes += 1;
            sleep(HANDSHAKE).await;
        }
        let clock = Clock::starting_at(EPOCH + (began - self.start));
        let invocation = Invocation::new(clock, 0, random);
        let response = environment.endpoints[feed].respond(&request, invocation);
        let bytes = send(response.await, &parts).await;
        let mut meter = lock(&self.meter);
        meter.invoked(began.elapsed());
        meter.bytes += bytes;
        drop(meter);
        self.environments().ended(environment, Instant::now());
        self.ended.notify_waiters();
    }

    /// A cold start.
    async fn start(&self, deployment: u64) -> Warm<F> {
        sleep(PLACEMENT).await;
        let began = Instant::now();
        let clock = Clock::starting_at(EPOCH + (began - self.start));
        sleep(INIT).await;
        let endpoint = |feed: &F| Endpoint::new(feed.clone(), self.settings.clone());
        let endpoints: Vec<_> = self.feeds.iter().map(endpoint).collect();
        for endpoint in &endpoints {
            endpoint.prepare(PREPARE_LIMIT, &clock).await;
        }
        lock(&self.meter).started(began.elapsed());
        Warm {
            endpoints,
            used: Instant::now(),
            deployment,
        }
    }
}

type Warm<F> = crate::environments::Environment<Endpoint<F>>;

/// Sends a response, and returns the bytes that leave AWS for it.
async fn send(response: Response<Body>, parts: &mpsc::UnboundedSender<Part>) -> u64 {
    let headers = response.headers().iter();
    let own: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let mut bytes = PLATFORM_HEAD + own;
    let _ = parts.send(Part::Head(response.status()));
    let mut body = response.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(chunk) = frame.into_data() {
            bytes += chunk.len() + CHUNK_FRAME;
            let _ = parts.send(Part::Chunk(chunk));
        }
    }
    u64::try_from(bytes).unwrap_or_default()
}

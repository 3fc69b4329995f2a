//! A herd: many watchers with the real endpoint, session and policy, through something that happens to all of them at once.
//!
//! The population is stationary: each order changes once in four hours on average, however long it has not changed. So the rate
//! of requests is constant until something happens.

mod chart;
mod page;
mod report;
mod writes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use order_status_stream::dwell::{Dwells, weight};
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::order::Status;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub use chart::draw;
pub use page::Client;
pub use report::{Report, print};

use crate::bill::Delays;
use crate::environments::{Limit, Second};
use crate::lambda::Platform;
use crate::meter::{Meter, MeteredFeed, Outage};
use crate::simulate::{EPOCH, paused, settings};
use page::{End, Page};
use writes::Writes;

/// The time before the event. In its second half, the steady rate is measured.
pub const BEFORE: u64 = 60;

/// The time after the event's end. In its last `LAST` seconds, the steady rate is measured again.
pub const AFTER: u64 = 120;

const LAST: u64 = 30;

/// All pages are opened within these first seconds: about as long as a rest, so the requests are spread evenly from then on.
const OPENING: f64 = 9.0;

/// Each order's mean time between two changes, in seconds. 50,000 watchers of such orders make 5,700 requests a second by default:
/// a little more than half of what 1,000 concurrent executions allow.
const PLACED: (&str, f64) = ("PLACED", 4.0 * 3600.0);

/// The status into which the sale moves orders. The next change comes four times as soon.
const PAID: (&str, f64) = ("PAID", 3600.0);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// For five minutes, calls of DynamoDB end like this.
    Outage(Outage),
    /// For a minute, the account has room for half of the function's requests.
    Throttle,
    /// All execution environments are replaced at once.
    Deployment,
    /// A fifth of the orders change within a second.
    Sale,
}

impl Event {
    pub const ALL: [Self; 6] = [
        Self::Outage(Outage::Repeats),
        Self::Outage(Outage::RepeatsSlowly),
        Self::Outage(Outage::Hangs),
        Self::Throttle,
        Self::Deployment,
        Self::Sale,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Outage(Outage::RepeatsSlowly) => "outage, the SDK's repetitions",
            Self::Outage(Outage::Hangs) => "outage, calls hang",
            Self::Outage(_) => "outage, calls fail",
            Self::Throttle => "throttle to a half",
            Self::Deployment => "deployment",
            Self::Sale => "sale",
        }
    }

    /// In seconds.
    pub fn duration(self) -> u64 {
        match self {
            Self::Outage(_) => 300,
            Self::Throttle => 60,
            Self::Deployment => 0,
            Self::Sale => 1,
        }
    }

    /// The end of the run, in seconds from its beginning.
    fn end(self) -> u64 {
        BEFORE + self.duration() + AFTER
    }
}

/// A run.
#[derive(Clone, Copy, Debug)]
pub struct Herd {
    pub watchers: usize,
    /// The account's concurrent executions.
    pub executions: u64,
    pub client: Client,
    pub event: Event,
    pub seed: u64,
}

/// What happened in a run.
#[derive(Debug, Default)]
pub struct Outcome {
    pub seconds: Vec<Second>,
    /// The delays of changes that were written from the event's beginning until a minute after its end.
    pub delays: Delays,
    /// When the last of the changes was shown that were written before the event's end, in seconds from the run's beginning.
    pub shown: f64,
    /// How many pages got an answer after which an `EventSource` never comes back: from Lambda.
    pub dead_by_lambda: usize,
    /// From the endpoint.
    pub dead_by_us: usize,
}

impl Herd {
    /// Runs it in paused time.
    ///
    /// # Errors
    ///
    /// A bug: the settings or an order's id are invalid.
    pub fn run(self) -> Result<Outcome, String> {
        paused()?.block_on(self.simulate())
    }

    async fn simulate(self) -> Result<Outcome, String> {
        let writes = Writes::new(&self);
        let feed = MeteredFeed {
            log: MemoryFeed::default(),
            learned: Arc::new(learned()?),
            ..MeteredFeed::default()
        };
        writes.preload(&feed.log).await?;
        let start = Instant::now();
        let platform = Arc::new(Platform::new(
            start,
            Meter::clone(&feed.watching),
            vec![feed.clone()],
            settings(&[])?,
            // The opening of all pages within some seconds is not what is measured.
            Limit::NONE,
        ));
        let closes = start + Duration::from_secs(self.event.end());
        let mut pages = JoinSet::new();
        let mut random = fastrand::Rng::with_seed(self.seed);
        for order in 0..self.watchers {
            let page = Page {
                client: self.client,
                platform: Arc::clone(&platform),
                order,
                written: writes.of(order),
                opens: start + Duration::from_secs_f64(random.f64() * OPENING),
                closes,
                random: random.fork(),
            };
            pages.spawn(page.watch());
        }
        let deliveries = writes.deliver(&feed, start)?;
        self.happen(&platform, &feed.outage).await;
        let mut outcome = Outcome::default();
        while let Some(page) = pages.join_next().await {
            let end = page.map_err(|error| error.to_string())?;
            outcome.add(&end, &self);
        }
        drop(deliveries);
        outcome.delays.missed = writes.count(self.counted()) - outcome.delays.seen.len();
        outcome.seconds = platform.seconds();
        outcome.seconds.truncate(self.event.end() as usize);
        Ok(outcome)
    }

    /// Lets the event happen.
    async fn happen(&self, platform: &Platform<MeteredFeed>, outage: &Mutex<Outage>) {
        let set = |now| *outage.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let begins = platform.start + Duration::from_secs(BEFORE);
        sleep_until(begins - Duration::from_secs(LAST)).await;
        platform.environments().limit = Limit::of(self.executions);
        sleep_until(begins).await;
        match self.event {
            Event::Outage(kind) => set(kind),
            Event::Throttle => {
                let steady = steady(&platform.seconds(), BEFORE) / 2.0;
                platform.environments().limit.requests_per_second = steady as u64;
            }
            Event::Deployment => platform.environments().deploy(),
            Event::Sale => {}
        }
        sleep_until(begins + Duration::from_secs(self.event.duration())).await;
        set(Outage::None);
        platform.environments().limit = Limit::of(self.executions);
    }

    /// The changes whose delays count, by the seconds of their writes.
    fn counted(&self) -> std::ops::Range<f64> {
        BEFORE as f64..(BEFORE + self.event.duration() + 60) as f64
    }
}

impl Outcome {
    fn add(&mut self, end: &End, herd: &Herd) {
        self.dead_by_lambda += usize::from(end.dead == Some(true));
        self.dead_by_us += usize::from(end.dead == Some(false));
        for (written, shown) in &end.shown {
            if herd.counted().contains(written) {
                self.delays.seen.push(shown - written);
            }
            if *written < (BEFORE + herd.event.duration()) as f64 {
                self.shown = self.shown.max(*shown);
            }
        }
    }
}

/// The mean rate of the [`LAST`] seconds before a time.
fn steady(seconds: &[Second], before: u64) -> f64 {
    let counted = seconds
        .iter()
        .take(before as usize)
        .skip((before - LAST) as usize);
    counted.map(|second| second.requests as f64).sum::<f64>() / LAST as f64
}

/// The dwell times of a thousand orders in each status, which have no memory.
fn learned() -> Result<BTreeMap<Status, Dwells>, String> {
    let learned = [PLACED, PAID].map(|(status, mean)| {
        let mut dwells = Dwells::default();
        for part in 0..1000 {
            let dwell = -mean * (1.0 - (f64::from(part) + 0.5) / 1000.0).ln();
            dwells.add(Duration::from_secs_f64(dwell), weight(EPOCH.as_secs()));
        }
        let status = Status::new(status).ok_or_else(|| format!("{status} is no status"));
        status.map(|status| (status, dwells))
    });
    learned.into_iter().collect()
}

//! Runs the real endpoint, session, policy and projector on a trace, in paused time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event;
use order_status_stream::clock::Clock;
use order_status_stream::dwell::Dwells;
use order_status_stream::feed::Feed;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::order::Status;
use order_status_stream::projector::Projector;
use order_status_stream::settings::{ProjectorSettings, StreamSettings};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::bill::{Delays, Usage};
use crate::browser::Browser;
use crate::environments::{Limit, Second};
use crate::journey::{Journeys, stream_lag};
use crate::lambda::{INIT, PLACEMENT, Platform};
use crate::meter::{Meter, MeteredFeed, lock};
use crate::trace::{Change, FOLDS, Trace, fold};

/// When a trace begins: Monday, 2026-11-23T00:00:00Z.
pub const EPOCH: Duration = Duration::from_secs(1_795_392_000);

/// The projector has a cold start if it was idle for longer. The middle of the published range.
const PROJECTOR_IDLE: Duration = Duration::from_secs(360);

/// For each fold, the dwell times that were learned from all other folds.
pub type Learned = [Arc<BTreeMap<Status, Dwells>>; FOLDS];

/// The results of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Used by watching.
    pub watching: Usage,
    /// Used by the projector, whether or not anybody watches.
    pub projecting: Usage,
    pub delays: Delays,
    /// The most requests in one second.
    pub peak_requests: u64,
    /// The most concurrent invocations.
    pub peak_concurrency: u64,
}

/// Lets the projector learn dwell times from the trace, as if all of it had happened just before the run.
///
/// # Errors
///
/// See [`simulate`].
pub fn learn(trace: &Trace) -> Result<Learned, String> {
    let runtime = paused()?;
    let mut learned = Learned::default();
    for (number, learned) in learned.iter_mut().enumerate() {
        let feed = MemoryFeed::default();
        let projector = projector(feed.clone())?;
        let changes = changes(trace).filter(|(_, order, _)| fold(order) != number);
        let changes: Vec<_> = changes.collect();
        let dwells = runtime.block_on(async {
            for (n, order, change) in changes {
                let clock = Clock::starting_at(EPOCH + change.at - trace.span());
                let written = clock.epoch_seconds();
                let batch = [(n, order, change.status.as_str(), written)];
                project(&projector, &batch, &clock).await?;
            }
            feed.learned().await.map_err(|error| error.to_string())
        })?;
        *learned = Arc::new(dwells);
    }
    Ok(learned)
}

/// Runs a trace with these environment variables, until the last response has ended.
///
/// # Errors
///
/// The settings or an order's id are invalid.
pub fn simulate(
    trace: &Trace,
    variables: &[(&str, &str)],
    learned: &Learned,
    seed: u64,
) -> Result<Outcome, String> {
    let runtime = paused()?;
    runtime.block_on(run(trace, variables, learned, seed))
}

async fn run(
    trace: &Trace,
    variables: &[(&str, &str)],
    learned: &Learned,
    seed: u64,
) -> Result<Outcome, String> {
    let start = Instant::now();
    let (watching, projecting) = (Meter::default(), Meter::default());
    let (log, journeys) = (MemoryFeed::default(), Journeys::default());
    let feeds = learned.each_ref().map(|learned| MeteredFeed {
        log: log.clone(),
        learned: Arc::clone(learned),
        watching: Arc::clone(&watching),
        projecting: Arc::clone(&projecting),
        journeys: journeys.clone(),
        ..MeteredFeed::default()
    });
    let platform = Arc::new(Platform::new(
        start,
        Arc::clone(&watching),
        feeds.to_vec(),
        settings(variables)?,
        Limit::NONE,
    ));
    let delays = Arc::new(Mutex::new(Delays::default()));
    let mut visits = JoinSet::new();
    for (number, visit) in (0..).zip(&trace.visits) {
        let browser = Browser {
            platform: Arc::clone(&platform),
            journeys: journeys.clone(),
            visit: visit.clone(),
            changes: trace.changes(&visit.order).to_vec(),
            live: trace.live(visit),
            random: fastrand::Rng::with_seed(seed << 32 | number),
        };
        let delays = Arc::clone(&delays);
        visits.spawn(async move {
            let seen = browser.watch().await;
            let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
            delays.add(seen);
        });
    }
    replay(trace, feeds, &journeys, start, seed).await?;
    while visits.join_next().await.is_some() {}
    platform.idle().await;
    let seconds = platform.seconds();
    let peak = |count: fn(&Second) -> u64| seconds.iter().map(count).max().unwrap_or_default();
    let delays = std::mem::take(&mut *delays.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Outcome {
        watching: *lock(&watching),
        projecting: *lock(&projecting),
        delays,
        peak_requests: peak(|second| second.requests),
        peak_concurrency: peak(|second| second.concurrent),
    })
}

/// The stream function's settings.
///
/// # Errors
///
/// A variable is invalid.
pub fn settings(variables: &[(&str, &str)]) -> Result<StreamSettings, String> {
    let all = [
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("PUBLIC_ATTRIBUTES", "n"),
    ];
    let variable = |name: &str| {
        let mut variables = all.iter().chain(variables);
        let found = variables.find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    StreamSettings::read(variable).map_err(|error| error.to_string())
}

/// Delivers each change of the trace when the stream would: some time after its write, and each order's in order.
async fn replay(
    trace: &Trace,
    feeds: [MeteredFeed; FOLDS],
    journeys: &Journeys,
    start: Instant,
    seed: u64,
) -> Result<(), String> {
    let mut projectors = Vec::new();
    for feed in feeds {
        projectors.push(Arc::new(projector(feed)?));
    }
    let mut orders = BTreeMap::<&str, Vec<_>>::new();
    for (n, order, change) in changes(trace) {
        orders.entry(order).or_default().push((n, change.clone()));
    }
    let environment = Arc::new(Mutex::new(None));
    let mut deliveries = JoinSet::new();
    for (number, (order, changes)) in (0..).zip(orders) {
        deliveries.spawn(deliver(Delivery {
            projector: Arc::clone(&projectors[fold(order)]),
            environment: Arc::clone(&environment),
            journeys: journeys.clone(),
            start,
            order: order.to_owned(),
            changes,
            random: fastrand::Rng::with_seed(seed << 48 | number),
        }));
    }
    while let Some(delivered) = deliveries.join_next().await {
        delivered.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// The changes of an order, and what they need.
struct Delivery {
    projector: Arc<Projector<MeteredFeed>>,
    /// When the projector's environment was used last.
    environment: Arc<Mutex<Option<Instant>>>,
    journeys: Journeys,
    start: Instant,
    order: String,
    changes: Vec<(usize, Change)>,
    random: fastrand::Rng,
}

impl Delivery {
    /// Uses the projector's environment. Returns whether it was there.
    fn warms(&self) -> bool {
        let mut used = self
            .environment
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = used.replace(Instant::now());
        before.is_some_and(|before| before.elapsed() < PROJECTOR_IDLE)
    }
}

async fn deliver(mut delivery: Delivery) -> Result<(), String> {
    let changes = std::mem::take(&mut delivery.changes);
    for (seq, (n, change)) in (1..).zip(changes) {
        sleep_until(delivery.start + change.at + stream_lag(delivery.random.f64())).await;
        let order = &delivery.order;
        delivery.journeys.delivered(order, seq, Instant::now());
        let is_warm = delivery.warms();
        if !is_warm {
            sleep(PLACEMENT + INIT).await;
        }
        let written = Clock::starting_at(EPOCH + change.at).epoch_seconds();
        let clock = Clock::starting_at(EPOCH + (Instant::now() - delivery.start));
        let batch = [(n, order.as_str(), change.status.as_str(), written)];
        if !project(&delivery.projector, &batch, &clock)
            .await?
            .is_empty()
        {
            return Err(format!("{order} could not be projected"));
        }
    }
    Ok(())
}

/// All changes in the order of time, with a number and their order's id.
pub fn changes(trace: &Trace) -> impl Iterator<Item = (usize, &str, &Change)> {
    let changes = trace.orders.iter();
    let changes = changes
        .flat_map(|(order, changes)| changes.iter().map(move |change| (order.as_str(), change)));
    let mut changes: Vec<_> = changes.collect();
    changes.sort_by_key(|(_, change)| change.at);
    let numbered = changes.into_iter().enumerate();
    numbered.map(|(n, (order, change))| (n, order, change))
}

/// The projector, with the default settings.
///
/// # Errors
///
/// A bug: the settings are invalid.
pub fn projector<F: Feed>(feed: F) -> Result<Projector<F>, String> {
    let variable = |name: &str| match name {
        "FEED_TABLE" => Some("in memory".to_owned()),
        "PUBLIC_ATTRIBUTES" => Some("n".to_owned()),
        _ => None,
    };
    let settings = ProjectorSettings::read(variable).map_err(|error| error.to_string())?;
    Ok(Projector::new(feed, settings.rules, settings.retention))
}

/// A stream record. The number `n` is public, so each row of a trace is a change. The old image has another `n`, so the
/// projector knows that the status began with this record.
pub fn record(n: usize, order: &str, status: &str, epoch_seconds: u64) -> Value {
    json!({
        "eventID": n.to_string(),
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-22T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": epoch_seconds,
            "Keys": { "orderId": { "S": order } },
            "NewImage": { "orderId": { "S": order }, "status": { "S": status }, "n": { "N": n.to_string() } },
            "OldImage": { "orderId": { "S": order }, "status": { "S": status }, "n": { "S": "another" } },
            "SequenceNumber": format!("{n:021}"),
            "SizeBytes": 59,
            "StreamViewType": "NEW_AND_OLD_IMAGES"
        }
    })
}

/// Delivers records to the projector: number, order, status, and when it was written. Returns the sequence numbers of those that
/// must be delivered again.
///
/// # Errors
///
/// A bug: the records are not stream records.
pub async fn project<F: Feed>(
    projector: &Projector<F>,
    records: &[(usize, &str, &str, u64)],
    clock: &Clock,
) -> Result<Vec<String>, String> {
    let records: Vec<_> = records
        .iter()
        .map(|(n, order, status, written)| record(*n, order, status, *written))
        .collect();
    let batch: Event =
        serde_json::from_value(json!({ "Records": records })).map_err(|error| error.to_string())?;
    let end = Instant::now() + Duration::from_secs(58);
    let response = projector.project(&batch, clock, end).await;
    let failures = response.batch_item_failures.into_iter();
    Ok(failures.filter_map(|it| it.item_identifier).collect())
}

/// A runtime with paused time.
///
/// # Errors
///
/// The system refuses one.
pub fn paused() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.map_err(|error| error.to_string())
}

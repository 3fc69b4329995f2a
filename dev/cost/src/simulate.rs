//! Runs the real endpoint, session, policy and projector on a trace, in paused time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event;
use order_status_stream::clock::Clock;
use order_status_stream::dwell::Dwells;
use order_status_stream::endpoint::Endpoint;
use order_status_stream::feed::Feed;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::order::Status;
use order_status_stream::projector::Projector;
use order_status_stream::settings::{ProjectorSettings, StreamSettings};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::bill::{Delays, Usage};
use crate::browser::{Browser, Platform};
use crate::meter::{Meter, MeteredFeed, lock};
use crate::trace::{FOLDS, Trace, fold};

/// When a trace begins: Monday, 2026-11-23T00:00:00Z.
pub const EPOCH: Duration = Duration::from_secs(1_795_392_000);

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
                project(&projector, n, order, &change.status, &clock).await?;
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
    let log = MemoryFeed::default();
    let feeds = learned.each_ref().map(|learned| MeteredFeed {
        log: log.clone(),
        learned: Arc::clone(learned),
        written: Arc::default(),
        watching: Arc::clone(&watching),
        projecting: Arc::clone(&projecting),
    });
    let all = [
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("PUBLIC_ATTRIBUTES", "n"),
    ];
    let variable = |name: &str| {
        let found = all
            .iter()
            .chain(variables)
            .find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let settings = StreamSettings::read(variable).map_err(|error| error.to_string())?;
    let platform = Arc::new(Platform::new(start, Arc::clone(&watching)));
    let endpoints = feeds
        .clone()
        .map(|feed| Arc::new(Endpoint::new(feed, settings.clone())));
    let delays = Arc::new(Mutex::new(Delays::default()));
    let mut visits = JoinSet::new();
    for (number, visit) in (0..).zip(&trace.visits) {
        let browser = Browser {
            endpoint: Arc::clone(&endpoints[fold(&visit.order)]),
            platform: Arc::clone(&platform),
            visit: visit.clone(),
            changes: trace.changes(&visit.order).to_vec(),
            live: trace.live(visit),
            random: fastrand::Rng::with_seed(seed << 32 | number),
        };
        let delays = Arc::clone(&delays);
        visits.spawn(async move {
            let seen = browser.watch().await;
            let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
            delays.missed += seen.missed;
            delays.seen.extend(seen.seen);
        });
    }
    replay(trace, feeds, start).await?;
    while visits.join_next().await.is_some() {}
    platform.idle().await;
    let delays = std::mem::take(&mut *delays.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Outcome {
        watching: *lock(&watching),
        projecting: *lock(&projecting),
        delays,
        peak_requests: platform.peak_requests(),
        peak_concurrency: platform.peak_concurrency(),
    })
}

/// Delivers each change of the trace at its time.
async fn replay(trace: &Trace, feeds: [MeteredFeed; FOLDS], start: Instant) -> Result<(), String> {
    let mut projectors = Vec::new();
    for feed in feeds {
        projectors.push(projector(feed)?);
    }
    for (n, order, change) in changes(trace) {
        sleep_until(start + change.at).await;
        let clock = Clock::starting_at(EPOCH + change.at);
        project(&projectors[fold(order)], n, order, &change.status, &clock).await?;
    }
    Ok(())
}

/// All changes in the order of time, with a number and their order's id.
pub fn changes(trace: &Trace) -> impl Iterator<Item = (usize, &str, &crate::trace::Change)> {
    let changes = trace.orders.iter();
    let changes = changes
        .flat_map(|(order, changes)| changes.iter().map(move |change| (order.as_str(), change)));
    let mut changes: Vec<_> = changes.collect();
    changes.sort_by_key(|(_, change)| change.at);
    let numbered = changes.into_iter().enumerate();
    numbered.map(|(n, (order, change))| (n, order, change))
}

fn projector<F: Feed>(feed: F) -> Result<Projector<F>, String> {
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

/// Delivers one record to the projector.
async fn project<F: Feed>(
    projector: &Projector<F>,
    n: usize,
    order: &str,
    status: &str,
    clock: &Clock,
) -> Result<(), String> {
    let record = record(n, order, status, clock.epoch_seconds());
    let batch: Event = serde_json::from_value(json!({ "Records": [record] }))
        .map_err(|error| error.to_string())?;
    let end = Instant::now() + Duration::from_secs(60);
    let response = projector.project(&batch, clock, end).await;
    match response.batch_item_failures.is_empty() {
        true => Ok(()),
        false => Err(format!("{order} could not be projected")),
    }
}

fn paused() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.map_err(|error| error.to_string())
}

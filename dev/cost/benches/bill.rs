//! Whether the simulation is right: runs a short trace simulated, and in real time with the real functions, and compares the
//! bills. Fails if they differ by more than a tenth.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

mod harness;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cost::bill::Usage;
use cost::browser::ONE_WAY;
use cost::simulate::{EPOCH, Learned, changes, record, simulate};
use cost::trace::{Change, Trace, Visit};
use fastrand::Rng;
use harness::Harness;
use lambda_stand_in::Function;
use order_status_stream::dwell::{Dwells, weight};
use order_status_stream::feed::Feed;
use order_status_stream::order::Status;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How long orders stay in a status on average, in seconds.
const STATUSES: [(&str, f64); 4] = [
    ("PLACED", 6.0),
    ("PAID", 25.0),
    ("PACKED", 120.0),
    ("SHIPPED", 86_400.0),
];

/// How long the trace takes, in seconds.
const SPAN: f64 = 90.0;

const ORDERS: usize = 16;

#[tokio::main]
async fn main() -> ExitCode {
    let trace = trace();
    println!(
        "{} visits, {:.0} minutes watched, in {SPAN} s …",
        trace.visits.len(),
        trace.watch_minutes()
    );
    let measured = measure(&trace).await;
    let learned: Learned = std::array::from_fn(|_| Arc::new(learned(EPOCH.as_secs())));
    let simulation = std::thread::scope(|scope| {
        let run = scope.spawn(|| simulate(&trace, &[], &learned, 1).unwrap());
        run.join().unwrap()
    });
    // The stand-in for Lambda has one environment, which is warm, and nothing here measures egress.
    let simulated = Usage {
        init_ms: 0,
        bytes: 0,
        ..simulation.watching
    };
    match compare(&simulated, &measured) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Prints both, and returns whether the bills agree.
fn compare(simulated: &Usage, measured: &Usage) -> bool {
    println!(
        "{:22}{:>12}{:>12}{:>8}",
        "", "simulated", "measured", "ratio"
    );
    let row = |what: &str, simulated: f64, measured: f64| {
        let ratio = simulated / measured;
        println!("{what:22}{simulated:12.2}{measured:12.2}{ratio:8.2}");
        ratio
    };
    row(
        "requests",
        simulated.requests as f64,
        measured.requests as f64,
    );
    row(
        "billed seconds",
        simulated.billed_ms as f64 / 1e3,
        measured.billed_ms as f64 / 1e3,
    );
    row(
        "read request units",
        simulated.read_units,
        measured.read_units,
    );
    row(
        "write request units",
        simulated.write_units,
        measured.write_units,
    );
    let ratio = row(
        "bill, 1e-6 USD",
        simulated.bill().total() * 1e6,
        measured.bill().total() * 1e6,
    );
    (0.9..1.1).contains(&ratio)
}

fn trace() -> Trace {
    let mut random = Rng::with_seed(5);
    let mut trace = Trace::default();
    for order in 0..ORDERS {
        let (order, opens) = (format!("order-{order}"), random.f64() * 10.0);
        trace.visits.push(Visit {
            order: order.clone(),
            opens: Duration::from_secs_f64(opens),
            closes: Duration::from_secs_f64(SPAN - random.f64() * 20.0),
        });
        let (mut at, mut changes) = (opens - 1.0, Vec::new());
        for (status, mean) in STATUSES {
            if at < SPAN {
                let (at, status) = (Duration::from_secs_f64(at.max(0.0)), status.to_owned());
                changes.push(Change { at, status });
            }
            at += mean * (0.5 + random.f64());
        }
        trace.orders.insert(order, changes);
    }
    trace
}

/// The dwell times of a hundred orders, as learned at `now`, in seconds since the Unix epoch.
fn learned(now: u64) -> BTreeMap<Status, Dwells> {
    let dwells = STATUSES.map(|(status, mean)| {
        let mut dwells = Dwells::default();
        for part in 0..100 {
            let dwell = mean * (0.5 + f64::from(part) / 100.0);
            dwells.add(Duration::from_secs_f64(dwell), weight(now));
        }
        (Status::new(status).unwrap(), dwells)
    });
    BTreeMap::from(dwells)
}

/// Runs the trace in real time.
async fn measure(trace: &Trace) -> Usage {
    let harness = Harness::new().await;
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let feed = harness.feed();
    for (status, dwells) in learned(now) {
        let learned = feed.learn(&status, &dwells, now + 86_400).await;
        learned.unwrap();
    }
    let stream = harness.function("stream").start().await.unwrap();
    let projector = harness.function("projector");
    let projector = projector.start().await.unwrap();
    let start = Instant::now();
    let mut visits = JoinSet::new();
    for visit in &trace.visits {
        visits.spawn(watch(stream.url(), visit.clone(), start));
    }
    replay(trace, &projector, start).await;
    visits.join_all().await;
    let stats = stream.wait_for(|stats| stats.in_flight() == 0).await;
    let mut usage = *harness.watching.lock().unwrap();
    usage.requests = stats.started;
    usage.billed_ms = stats.billed_ms;
    usage
}

async fn replay(trace: &Trace, projector: &Function, start: Instant) {
    for (n, order, change) in changes(trace) {
        sleep_until(start + change.at).await;
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let batch = serde_json::json!({ "Records": [record(n, order, &change.status, now)] });
        let response = projector.invoke(batch.to_string().into()).await.unwrap();
        assert_eq!(response, r#"{"batchItemFailures":[]}"#);
    }
}

/// A page with an `EventSource`, with the network delay of the simulation.
async fn watch(url: String, visit: Visit, start: Instant) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{url}/orders/{}/events", visit.order);
    let closes = start + visit.closes;
    sleep_until(start + visit.opens).await;
    let mut last_event_id = String::new();
    while Instant::now() < closes {
        let response = async {
            sleep(ONE_WAY).await;
            let request = client.get(&url).header("last-event-id", &last_event_id);
            let text = request.send().await.unwrap().text().await.unwrap();
            sleep(ONE_WAY).await;
            text
        };
        let Ok(text) = timeout_at(closes, response).await else {
            return;
        };
        let last = |field: &str| {
            let mut values = text.lines().filter_map(|line| line.strip_prefix(field));
            values.next_back().unwrap().to_owned()
        };
        let retry = last("retry: ").parse().unwrap();
        last_event_id = last("id: ");
        let _ = timeout_at(closes, sleep(Duration::from_millis(retry))).await;
    }
}

//! `make soak`: many orders and clients, the real binaries, and fault injection.
//!
//! It runs for `SOAK_MINUTES`, or for 20 seconds without that variable, as a part of `make test`. Clients wait for `retry` divided
//! by `SOAK_HURRY` (20 by default). So they come back sooner than a browser does, and nothing else differs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

#[path = "../support/cloud.rs"]
mod cloud;
#[path = "../support/http.rs"]
mod http_support;

mod chaos;
mod client;
mod shop;
mod tally;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaos::{Proxy, RepeatedDelivery};
use cloud::Cloud;
use lambda_stand_in::Function;
use local::event_source::{EventSource, Settings};
use tally::Tally;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// How many lanes of orders run side by side.
const LANES: usize = 8;

/// After the last fault, clients have this time to get every change. The longest `retry` is 36 s.
const SETTLE_TIME: Duration = Duration::from_secs(240);

/// The state that all tasks share.
struct World {
    cloud: Cloud,
    /// The stream function, deployed in three ways.
    streams: Vec<Function>,
    projector: Arc<Function>,
    proxy: Proxy,
    /// The statuses that were written, by order.
    written: Mutex<HashMap<String, Vec<String>>>,
    tally: Tally,
    hurry: u32,
    end: Instant,
}

impl World {
    async fn new(duration: Duration, hurry: u32) -> Self {
        let cloud = Cloud::new().await;
        let proxy = Proxy::in_front_of(cloud.dynamo.endpoint()).await;
        let stream = || {
            cloud
                .stream()
                .env("AWS_ENDPOINT_URL_DYNAMODB", &proxy.url)
                .env("POLL_INTERVAL", "200ms")
        };
        let streams = vec![
            // As on Lambda: one process for each stream, which holds and rests.
            stream()
                .env("HOLD", "auto")
                .env("WINDOW", "4s")
                .timeout(Duration::from_secs(6))
                .start()
                .await
                .unwrap(),
            // A deadline long before the end of the window.
            stream()
                .timeout(Duration::from_secs(3))
                .start()
                .await
                .unwrap(),
            // As on Managed Instances: many streams in one process.
            stream()
                .env("WINDOW", "8s")
                .timeout(Duration::from_secs(12))
                .max_concurrency(16)
                .propagate_disconnect(true)
                .start()
                .await
                .unwrap(),
        ];
        let projector = Arc::new(cloud.projector(&proxy.url).start().await.unwrap());
        Self {
            cloud,
            streams,
            projector,
            proxy,
            written: Mutex::default(),
            tally: Tally::default(),
            hurry,
            end: Instant::now() + duration,
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }
}

fn variable(name: &str) -> Option<f64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_out_of_order() {
    let duration = variable("SOAK_MINUTES").map_or(Duration::from_secs(20), |minutes| {
        Duration::from_secs_f64(minutes * 60.0)
    });
    let hurry = variable("SOAK_HURRY")
        .map_or(20, |hurry| hurry as u32)
        .max(1);
    let start = Instant::now();
    let world = Arc::new(World::new(duration, hurry).await);

    // None of these tasks may end before the clients are done: without them, the soak would test less and still pass.
    let mut background = JoinSet::new();
    let event_source = EventSource {
        streams: world.cloud.dynamo.streams(),
        stream_arn: world.cloud.stream_arn.clone(),
        function: RepeatedDelivery::new(Arc::clone(&world)),
        settings: Settings {
            batch_size: 10,
            min_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_millis(500),
            ..Settings::default()
        },
        metrics: Default::default(),
        clock: Default::default(),
    };
    background.spawn(async move {
        event_source.run(std::future::pending()).await.unwrap();
        "event source"
    });
    background.spawn(inject_faults(Arc::clone(&world)));
    background.spawn(report(Arc::clone(&world), start));

    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(shop::lane(Arc::clone(&world), lane));
    }
    let finished = tokio::select! {
        biased;
        Some(ended) = background.join_next() => panic!("a background task ended early: {ended:?}"),
        finished = timeout(duration + SETTLE_TIME, lanes.join_all()) => finished,
    };
    background.shutdown().await;

    println!("{}", line(&world, start));
    let violations = world.tally.violations.lock().unwrap();
    assert!(violations.is_empty(), "{}", violations.join("\n\n"));
    assert!(
        finished.is_ok(),
        "some clients did not get everything: {:?}",
        world.tally.watching.lock().unwrap()
    );
    let events = world.tally.events.load(Ordering::Relaxed);
    assert!(events > 0, "nobody saw anything");
}

/// Injects faults until the time is over, and then waits for ever.
async fn inject_faults(world: Arc<World>) -> &'static str {
    chaos::inject_faults(Arc::clone(&world)).await;
    if world.is_over() {
        std::future::pending::<()>().await;
    }
    "fault injection"
}

async fn report(world: Arc<World>, start: Instant) -> &'static str {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        println!("{}", line(&world, start));
    }
}

fn line(world: &World, start: Instant) -> String {
    let stats = world.streams.iter().map(Function::stats);
    let (cold, timed_out) = stats.fold((0, 0), |(cold, out), stats| {
        (cold + stats.cold_starts, out + stats.timed_out)
    });
    format!(
        "{:4} s  {}  stream processes {cold}, killed by their deadline {timed_out}",
        start.elapsed().as_secs(),
        world.tally
    )
}

//! `make soak`: many orders and clients, the real binaries, and everything that can go wrong, for as long as one likes.
//!
//! `SOAK_MINUTES` says for how long; without it, 20 seconds, as a part of `make test`. Clients obey `retry:`, divided by
//! `SOAK_HURRY` (20 without it): they come back sooner than they are told, and nothing else changes.
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

use chaos::{Chaos, Door};
use cloud::Cloud;
use lambda_stand_in::Function;
use local::event_source::{EventSource, Settings};
use tally::Tally;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Orders that are on their way at a time.
const LANES: usize = 8;

/// What comes after the chaos, until everybody has everything: the longest `retry:` is 72 s.
const AFTERMATH: Duration = Duration::from_secs(240);

/// What all tasks share.
struct World {
    cloud: Cloud,
    /// The stream function, deployed in three ways.
    streams: Vec<Function>,
    projector: Arc<Function>,
    door: Door,
    /// The statuses that were written, for each order.
    truth: Mutex<HashMap<String, Vec<String>>>,
    tally: Tally,
    hurry: u32,
    end: Instant,
}

impl World {
    async fn new(duration: Duration, hurry: u32) -> Self {
        let cloud = Cloud::new().await;
        let door = Door::in_front_of(cloud.dynamo.endpoint()).await;
        let stream = || {
            cloud
                .stream()
                .env("AWS_ENDPOINT_URL_DYNAMODB", &door.url)
                .env("POLL_INTERVAL", "200ms")
        };
        let streams = vec![
            // As on Lambda: a process a stream, which holds and rests…
            stream()
                .env("HOLD", "auto")
                .env("WINDOW", "4s")
                .timeout(Duration::from_secs(6))
                .start()
                .await
                .unwrap(),
            // … with a deadline long before the window ends…
            stream()
                .timeout(Duration::from_secs(3))
                .start()
                .await
                .unwrap(),
            // … and as on Managed Instances.
            stream()
                .env("WINDOW", "8s")
                .timeout(Duration::from_secs(12))
                .max_concurrency(16)
                .propagate_disconnect(true)
                .start()
                .await
                .unwrap(),
        ];
        let projector = Arc::new(cloud.projector(&door.url).start().await.unwrap());
        Self {
            cloud,
            streams,
            projector,
            door,
            truth: Mutex::default(),
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

    let mut stage = JoinSet::new();
    let event_source = EventSource {
        streams: world.cloud.dynamo.streams(),
        stream_arn: world.cloud.stream_arn.clone(),
        function: Chaos::new(Arc::clone(&world)),
        settings: Settings {
            batch_size: 10,
            min_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_millis(500),
            ..Settings::default()
        },
    };
    stage.spawn(async move { event_source.run(std::future::pending()).await.unwrap() });
    stage.spawn(chaos::rage(Arc::clone(&world)));
    stage.spawn(report(Arc::clone(&world), start));

    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        lanes.spawn(shop::lane(Arc::clone(&world), lane));
    }
    let finished = timeout(duration + AFTERMATH, lanes.join_all()).await;
    stage.shutdown().await;

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

async fn report(world: Arc<World>, start: Instant) {
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

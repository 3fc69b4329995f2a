//! A record of Kafka becomes a change, or poison. If it is delivered again, the log stays as it is. The input is the key, a line
//! break, and the value.
#![no_main]

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use order_status_stream::clock::Clock;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::projector::{KafkaEvent, Projector};
use order_status_stream::settings::ProjectorSettings;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (key, value) = data.split_at(end);
    let value = value.get(1..).map(|value| BASE64_STANDARD.encode(value));
    let record = json!({
        "topic": "orders",
        "partition": 0,
        "offset": 7,
        "timestamp": 1_795_369_200_000_u64,
        "key": BASE64_STANDARD.encode(key),
        "value": value,
    });
    let event: KafkaEvent = serde_json::from_value(json!({ "records": { "orders-0": [record] } })).unwrap();
    let variable = |name: &str| match name {
        "FEED_TABLE" => Some("in memory".to_owned()),
        "PUBLIC_ATTRIBUTES" => Some("eta,updatedAt".to_owned()),
        _ => None,
    };
    let settings = ProjectorSettings::read(variable).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let clock = Clock::starting_at(Duration::from_secs(1_795_369_200));
    let feed = MemoryFeed::default();
    let projector = Projector::new(feed.clone(), settings.rules, settings.retention);
    let end = clock.now() + Duration::from_secs(20);
    let project = || projector.project_kafka(&event, &clock, end).now_or_never().unwrap();
    let first = project();
    let entries = feed.entries();
    assert!(entries.len() <= 1);
    assert_eq!(project(), first);
    assert_eq!(feed.entries(), entries);
});

//! A record of Kafka becomes a change, or poison. If it is delivered again, at the same offset or at a new one, the log stays as it
//! is. The input is the key, a line break, and the value. Without a line break, there is no value.
#![no_main]

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use order_status_stream::clock::Clock;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::projector::{Input, Projector};
use order_status_stream::settings::ProjectorSettings;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (key, value) = data.split_at(end);
    let value = value.get(1..).map(|value| BASE64_STANDARD.encode(value));
    let event = |offset: u64| {
        let record = json!({
            "topic": "orders",
            "partition": 0,
            "offset": offset,
            "timestamp": 1_795_369_200_000_u64,
            "key": BASE64_STANDARD.encode(key),
            "value": value,
        });
        let event = json!({ "eventSource": "aws:kafka", "bootstrapServers": "a:9092", "records": { "orders-0": [record] } });
        match serde_json::from_str(&event.to_string()) {
            Ok(Input::Kafka(event)) => event,
            other => panic!("{other:?}"),
        }
    };
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
    let project = |offset| projector.project_kafka(&event(offset), &clock, end).now_or_never().unwrap();
    let first = project(7);
    let entries = feed.entries();
    assert!(entries.len() <= 1);
    for offset in [7, 8] {
        assert_eq!(project(offset), first);
        assert_eq!(feed.entries(), entries);
    }
});

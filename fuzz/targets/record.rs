//! A stream record becomes a change, or poison with an error text. A repeated change is appended once.
#![no_main]

use std::time::Duration;

use aws_lambda_events::event::dynamodb::EventRecord;
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use order_status_stream::clock::Clock;
use order_status_stream::feed::append;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::settings::ProjectorSettings;

fuzz_target!(|data: &[u8]| {
    let Ok(record) = serde_json::from_slice::<EventRecord>(data) else { return };
    let variable = |name: &str| match name {
        "FEED_TABLE" => Some("in memory".to_owned()),
        "PUBLIC_ATTRIBUTES" => Some("eta,updatedAt".to_owned()),
        _ => None,
    };
    let settings = ProjectorSettings::read(variable).unwrap();
    let change = match settings.rules.read(&record) {
        Ok(Some(change)) => change,
        Ok(None) => return,
        Err(poison) => {
            assert!(!poison.to_string().is_empty());
            return;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let clock = Clock::starting_at(Duration::from_secs(1_795_369_200));
    let feed = MemoryFeed::default();
    let append = || append(&feed, &change, &clock, settings.retention).now_or_never().unwrap();
    if append().is_ok_and(|appended| appended.is_some()) {
        assert!(append().unwrap().is_none());
        assert_eq!(feed.entries().len(), 1);
    }
});

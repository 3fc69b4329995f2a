//! Clients from crates.io. Each follows a URL until `take(event, data)` returns true, at the order's end. docs/clients.md has
//! the same lines as recipes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

use eventsource_client::{Client, ClientBuilder, ReconnectOptions, SSE};
use futures_util::StreamExt;
use launchdarkly_sdk_transport::HyperTransport;
use reqwest_eventsource::{Error, Event, EventSource};

pub async fn eventsource_client(url: String, take: &mut dyn FnMut(&str, &str) -> bool) {
    let reconnect = ReconnectOptions::reconnect(true)
        .retry_initial(true)
        .build();
    let client = ClientBuilder::for_url(&url)
        .unwrap()
        .reconnect(reconnect)
        .build_with_transport(HyperTransport::new().unwrap());
    let mut events = client.stream();
    // After an error the client reconnects; after the end of the stream it does not.
    while let Some(event) = events.next().await {
        if let Ok(SSE::Event(event)) = event
            && take(&event.event_type, &event.data)
        {
            return;
        }
    }
    panic!("the client gave up");
}

pub async fn reqwest_eventsource(url: String, take: &mut dyn FnMut(&str, &str) -> bool) {
    let mut events = EventSource::get(url);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Message(event)) if take(&event.event, &event.data) => return,
            Err(Error::InvalidStatusCode(..) | Error::InvalidContentType(..)) => break,
            _ => {}
        }
    }
    panic!("the client gave up");
}

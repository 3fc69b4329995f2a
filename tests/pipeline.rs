//! The real binaries, with a strict Runtime API and a real DynamoDB API: from a write to an order to a client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/cloud.rs"]
mod cloud;
#[path = "support/http.rs"]
mod http_support;
#[path = "support/records.rs"]
mod records;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloud::{Cloud, environment};
use eventsource_stream::{Event, Eventsource};
use futures_util::{Stream, StreamExt};
use http_support::{Proxy, Shut};
use lambda_stand_in::{Function, InvokeError};
use local::as_kafka::AsKafka;
use local::event_source::EventSource;
use serde_json::{Value, json};

/// Opens a stream. Returns its events until the connection ends.
async fn watch(function: &Function, path: &str) -> impl Stream<Item = Event> + Unpin + use<> {
    let response = reqwest::get(format!("{}{path}", function.url()))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    response
        .bytes_stream()
        .eventsource()
        .map(Result::unwrap)
        .boxed()
}

/// Reads until an event of this type. Returns its data.
async fn until(events: &mut (impl Stream<Item = Event> + Unpin), event: &str) -> Value {
    loop {
        let next = events
            .next()
            .await
            .unwrap_or_else(|| panic!("ended before {event}"));
        if next.event == event {
            return serde_json::from_str(&next.data).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_an_order_reaches_its_watcher() {
    let cloud = Cloud::new().await;
    let projector = Arc::new(
        cloud
            .projector(&cloud.dynamo.endpoint())
            .start()
            .await
            .unwrap(),
    );
    let stream = cloud.stream().start().await.unwrap();
    let event_source = cloud.event_source(&projector);
    let event_source = tokio::spawn(event_source.run(std::future::pending()));

    let mut events = watch(&stream, "/orders/A/events").await;
    until(&mut events, "ready").await;
    cloud.write("A", "PLACED").await;
    let placed = until(&mut events, "message").await;
    assert_eq!(placed["status"], "PLACED");
    assert_eq!(
        placed["attributes"],
        json!({ "eta": "18:20" }),
        "private attributes are not sent"
    );
    cloud.write("A", "DELIVERED").await;
    assert_eq!(until(&mut events, "message").await["previous"], "PLACED");
    assert_eq!(
        until(&mut events, "end").await,
        json!({ "orders": { "A": "DELIVERED" } })
    );
    assert!(events.next().await.is_none());
    stream
        .wait_for(|stats| stats.completed == 1 && stats.in_flight() == 0)
        .await;
    event_source.abort();
}

/// The same writes as above, in the shape in which Lambda delivers what Debezium writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_debezium_writes_to_kafka_reaches_its_watcher() {
    let cloud = Cloud::new().await;
    let projector = cloud.projector(&cloud.dynamo.endpoint());
    let stream = cloud.stream().start().await.unwrap();
    let event_source = EventSource {
        streams: cloud.dynamo.streams(),
        stream_arn: cloud.stream_arn.clone(),
        function: AsKafka(Arc::new(projector.start().await.unwrap())),
        settings: Default::default(),
        metrics: Arc::default(),
        clock: Arc::default(),
    };
    let event_source = tokio::spawn(event_source.run(std::future::pending()));
    let mut events = watch(&stream, "/orders/A/events").await;
    until(&mut events, "ready").await;
    cloud.write("A", "PLACED").await;
    let placed = until(&mut events, "message").await;
    assert_eq!(placed["status"], "PLACED");
    assert_eq!(placed["attributes"], json!({ "eta": "18:20" }));
    cloud.write("A", "DELIVERED").await;
    assert_eq!(until(&mut events, "message").await["previous"], "PLACED");
    let end = json!({ "orders": { "A": "DELIVERED" } });
    assert_eq!(until(&mut events, "end").await, end);
    event_source.abort();
}

/// The events have the shapes of AWS's documentation. No broker is involved.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_kafka_reaches_a_watcher() {
    let cloud = Cloud::new().await;
    let projector = cloud.projector(&cloud.dynamo.endpoint());
    let projector = projector.start().await.unwrap();
    let stream = cloud.stream().start().await.unwrap();
    let mut events = watch(&stream, "/orders/A-1001/events").await;
    until(&mut events, "ready").await;
    let path = format!("{}/events/kafka-msk.json", env!("CARGO_MANIFEST_DIR"));
    let event = Bytes::from(std::fs::read(path).unwrap());
    // Lambda delivers at least once.
    for _ in 0..2 {
        let response = projector.invoke(event.clone()).await.unwrap();
        let response: Value = serde_json::from_slice(&response).unwrap();
        assert_eq!(response, json!({ "batchItemFailures": [] }));
    }
    for status in ["PLACED", "PAID", "REMOVED"] {
        assert_eq!(until(&mut events, "message").await["status"], status);
    }
    let end = json!({ "orders": { "A-1001": "REMOVED" } });
    assert_eq!(until(&mut events, "end").await, end);
    // Nothing else retries a batch if the mapping has no provisioned pollers.
    let unreadable = json!({ "records": { "orders-0": [{ "partition": 0, "offset": 9 }] } });
    let failed = projector.invoke(Bytes::from(unreadable.to_string())).await;
    assert!(
        matches!(failed, Err(InvokeError::FunctionError(_))),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_goodbye_comes_before_the_deadline() {
    let cloud = Cloud::new().await;
    let stream = cloud
        .stream()
        .timeout(Duration::from_secs(3))
        .start()
        .await
        .unwrap();
    let mut events = watch(&stream, "/orders/A/events").await;
    let rest = until(&mut events, "rest").await;
    assert!(rest["retry"].as_u64().unwrap() >= 1000);
    assert!(events.next().await.is_none(), "a clean end");
    let stats = stream.wait_for(|stats| stats.in_flight() == 0).await;
    assert_eq!((stats.completed, stats.timed_out), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_ends_the_session_if_the_platform_reports_it() {
    let cloud = Cloud::new().await;
    let stream = cloud
        .stream()
        .env("HEARTBEAT", "1s")
        .propagate_disconnect(true)
        .start()
        .await
        .unwrap();
    let mut events = watch(&stream, "/orders/A/events").await;
    until(&mut events, "ready").await;
    drop(events);
    let stats = stream.wait_for(|stats| stats.in_flight() == 0).await;
    assert_eq!(stats.disconnected, 1);
    let mut events = watch(&stream, "/orders/A/events").await;
    until(&mut events, "ready").await;
    stream.wait_for_log("a response was not sent").await;
    let stats = stream.stats();
    assert_eq!(stats.processes as u64, stats.cold_starts, "no process died");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_environment_is_logged() {
    let function = Function::builder(env!("CARGO_BIN_EXE_stream"))
        .env("WINDOW", "soon")
        .start()
        .await
        .unwrap();
    let response = reqwest::get(format!("{}/orders/A/events", function.url()))
        .await
        .unwrap();
    assert_eq!(response.status(), 502);
    let line = function.wait_for_log("invalid environment").await;
    for name in ["FEED_TABLE is required", "WINDOW is", "JWKS is required"] {
        assert!(line.contains(name), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_feed_ends_the_response_early_without_an_error() {
    let cloud = Cloud::new().await;
    let function = Function::builder(env!("CARGO_BIN_EXE_stream")).env("ACCESS", "open");
    // The port of a server that has stopped.
    let gone = http_support::serve(async |_| unreachable!())
        .await
        .url
        .clone();
    let stream = environment(function, &gone)
        .timeout(Duration::from_secs(60))
        .start()
        .await
        .unwrap();
    let mut events = watch(&stream, "/orders/A/events").await;
    assert!(until(&mut events, "rest").await["retry"].as_u64().unwrap() >= 3000);
    assert!(events.next().await.is_none());
    drop(cloud);
}

/// A batch as Lambda delivers it: several orders, whose changes alternate.
fn batch(orders: &[&str], count: u64) -> Value {
    let record = |n: u64| {
        let id = orders[usize::try_from(n).unwrap() % orders.len()];
        records::record_of(
            "Orders/stream/2026",
            id,
            n,
            records::START,
            &format!("S{n}"),
        )
    };
    json!({ "Records": (0..count).map(record).collect::<Vec<_>>() })
}

/// SIGKILL between any two calls to DynamoDB, before or after the last one took effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_projector_killed_within_a_batch_leaves_the_log_of_one_clean_delivery() {
    const ROUNDS: usize = 40;
    let cloud = Cloud::new().await;
    let proxy = Proxy::in_front_of(cloud.dynamo.endpoint()).await;
    let projector = Arc::new(cloud.projector(proxy.url()).start().await.unwrap());
    let mut killed_within = 0;
    for round in 0..ROUNDS {
        let orders = [
            format!("{round}-A"),
            format!("{round}-B"),
            format!("{round}-C"),
        ];
        let orders = orders.each_ref().map(String::as_str);
        let payload = Bytes::from(batch(&orders, 12).to_string());
        // Each of 12 records is a read and a write, and an expiry unless it is the first of its order.
        proxy.shut(Shut {
            at_call: fastrand::usize(1..=33),
            after_effect: fastrand::bool(),
        });
        let invocation = tokio::spawn({
            let (projector, payload) = (Arc::clone(&projector), payload.clone());
            async move { projector.invoke(payload).await }
        });
        proxy.reached().await;
        assert_eq!(projector.kill().await, 1);
        let killed = invocation.await.unwrap();
        killed_within += usize::from(matches!(killed, Err(InvokeError::Crashed { .. })));
        proxy.open();

        let response = projector.invoke(payload).await.unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&response).unwrap(),
            json!({ "batchItemFailures": [] })
        );
        for (first, order) in orders.iter().enumerate() {
            let statuses = (first..12).step_by(3).map(|n| format!("S{n}"));
            let clean: Vec<_> = (1..)
                .zip(statuses)
                .map(|(seq, status)| (seq, status, seq < 4))
                .collect();
            assert_eq!(
                cloud.log(order).await,
                clean,
                "round {round}, order {order}"
            );
        }
    }
    assert_eq!(killed_within, ROUNDS, "each was killed before it answered");
}

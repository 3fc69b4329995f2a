//! In which batches records are delivered, and when they are delivered again.

use aws_sdk_dynamodb::Client;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use local::event_source::{EventSourceError, HttpFunction, Invoke};
use tokio::net::TcpListener;

use crate::harness::{Harness, put};

async fn abcd(orders: &Client) {
    for id in ["A", "B", "C", "D"] {
        put(orders, id, "PLACED").await;
    }
}

#[tokio::test]
async fn batches_are_bounded_ordered_and_one_at_a_time() {
    let mut harness = Harness::start(3, abcd).await;
    let first = harness.next().await;
    assert_eq!(first.changes(), ["A:INSERT", "B:INSERT", "C:INSERT"]);
    put(&harness.orders, "A", "PAID").await;
    assert!(harness.source.deliveries.try_recv().is_err());
    first.take_all();
    let mut rest = Vec::new();
    while rest.len() < 2 {
        let next = harness.next().await;
        rest.extend(next.changes());
        next.take_all();
    }
    assert_eq!(rest, ["D:INSERT", "A:MODIFY"]);
}

#[tokio::test]
async fn a_batch_that_fails_is_halved_and_delivered_again_before_any_other() {
    let mut harness = Harness::start(100, abcd).await;
    let first = harness.next().await;
    assert_eq!(
        first.changes(),
        ["A:INSERT", "B:INSERT", "C:INSERT", "D:INSERT"]
    );
    put(&harness.orders, "E", "PLACED").await;
    first.responder.send(Err("out of memory".into())).unwrap();

    let second = harness.next().await;
    assert_eq!(second.changes(), ["A:INSERT", "B:INSERT"]);
    // This happens if the process ends.
    drop(second.responder);

    let rest = [
        &["A:INSERT"][..],
        &["B:INSERT"],
        &["C:INSERT", "D:INSERT"],
        &["E:INSERT"],
    ];
    for expected in rest {
        let next = harness.next().await;
        assert_eq!(next.changes(), expected);
        next.take_all();
    }
}

#[tokio::test]
async fn a_lane_that_waits_does_not_hold_the_others_back() {
    let ids: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    let mut harness = Harness::with_lanes(100, 10, async |orders: &Client| {
        for id in &ids {
            put(orders, id, "PLACED").await;
        }
    })
    .await;
    // The first batch of each lane, at the same time.
    let mut lanes = Vec::new();
    let mut records = 0;
    while records < ids.len() {
        let next = harness.next().await;
        records += next.changes().len();
        lanes.push(next);
    }
    assert!((2..=10).contains(&lanes.len()), "{} lanes", lanes.len());
    let stuck = lanes.remove(0);
    let stuck_ids = stuck.changes();
    for lane in lanes {
        lane.take_all();
    }
    for id in &ids {
        put(&harness.orders, id, "PAID").await;
    }
    // The records of the lane that waits come after its first batch was taken.
    let of_stuck = |change: &String| stuck_ids.contains(&change.replace("MODIFY", "INSERT"));
    let mut modified = 0;
    while modified < ids.len() - stuck_ids.len() {
        let next = harness.next().await;
        assert!(!next.changes().iter().any(of_stuck));
        modified += next.changes().len();
        next.take_all();
    }
    stuck.take_all();
    let next = harness.next().await;
    assert!(next.changes().iter().all(of_stuck));
}

#[tokio::test]
async fn delivery_continues_at_the_lowest_failure() {
    let mut harness = Harness::start(100, abcd).await;
    harness.next().await.report(&[3, 1]);
    let second = harness.next().await;
    assert_eq!(second.changes(), ["B:INSERT", "C:INSERT", "D:INSERT"]);
    second.report(&[2]);
    let third = harness.next().await;
    assert_eq!(third.changes(), ["D:INSERT"]);
    put(&harness.orders, "A", "PAID").await;
    third.take_all();
    assert_eq!(harness.next().await.changes(), ["A:MODIFY"]);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_batch() {
    let mut harness = Harness::start(100, abcd).await;
    let delivery = harness.next().await;
    harness.source.stop.take();
    harness.source.running.await.unwrap().unwrap();
    assert!(delivery.responder.is_closed());
}

#[tokio::test]
async fn a_stream_that_is_gone_is_an_error() {
    let harness = Harness::start(100, async |_: &Client| {}).await;
    drop(harness.dynamo);
    let error = harness.source.running.await.unwrap().unwrap_err();
    assert!(matches!(error, EventSourceError::Stream(_)), "{error:?}");
}

#[tokio::test]
async fn an_http_function_fails_by_status_or_by_header() {
    let routes = Router::new()
        .route("/echo", post(async |body: Bytes| body))
        .route(
            "/error",
            post(async || ([("x-amz-function-error", "Unhandled")], "{}")),
        )
        .route(
            "/status",
            post(async || (StatusCode::BAD_GATEWAY, "no such process")),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, routes).into_future());
    let invoke = async |path: &str| {
        let function = HttpFunction::new(format!("http://{address}{path}")).unwrap();
        function.invoke(Bytes::from_static(b"[1]")).await
    };
    assert_eq!(invoke("/echo").await.unwrap(), "[1]");
    assert_eq!(
        invoke("/error").await.unwrap_err().to_string(),
        "the function failed with status 200 OK: {}"
    );
    let refused = invoke("/status").await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "the function failed with status 502 Bad Gateway: no such process"
    );
}

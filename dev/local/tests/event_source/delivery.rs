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
    assert!(harness.deliveries.try_recv().is_err());
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
async fn a_batch_that_fails_is_delivered_again_before_any_other() {
    let mut harness = Harness::start(100, abcd).await;
    let all = ["A:INSERT", "B:INSERT", "C:INSERT", "D:INSERT"];
    let first = harness.next().await;
    assert_eq!(first.changes(), all);
    put(&harness.orders, "E", "PLACED").await;
    first.responder.send(Err("out of memory".into())).unwrap();

    let second = harness.next().await;
    assert_eq!(second.changes(), all);
    // This happens if the process ends.
    drop(second.responder);

    let third = harness.next().await;
    assert_eq!(third.changes(), all);
    third.take_all();
    assert_eq!(harness.next().await.changes(), ["E:INSERT"]);
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
    harness.stop.take();
    harness.running.await.unwrap().unwrap();
    assert!(delivery.responder.is_closed());
}

#[tokio::test]
async fn a_stream_that_is_gone_is_an_error() {
    let harness = Harness::start(100, async |_: &Client| {}).await;
    drop(harness.dynamo);
    let error = harness.running.await.unwrap().unwrap_err();
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

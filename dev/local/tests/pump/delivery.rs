//! In which batches events come, and when they come again.

use aws_sdk_dynamodb::Client;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use local::pump::{HttpFunction, Invoke, PumpError};
use tokio::net::TcpListener;

use crate::stage::{Stage, put};

async fn abcd(orders: &Client) {
    for id in ["A", "B", "C", "D"] {
        put(orders, id, "PLACED").await;
    }
}

#[tokio::test]
async fn batches_are_bounded_ordered_and_one_at_a_time() {
    let mut stage = Stage::start(3, abcd).await;
    let first = stage.next().await;
    assert_eq!(first.changes(), ["A:INSERT", "B:INSERT", "C:INSERT"]);
    put(&stage.orders, "A", "PAID").await;
    assert!(stage.invocations.try_recv().is_err());
    first.take_all();
    let mut rest = Vec::new();
    while rest.len() < 2 {
        let next = stage.next().await;
        rest.extend(next.changes());
        next.take_all();
    }
    assert_eq!(rest, ["D:INSERT", "A:MODIFY"]);
}

#[tokio::test]
async fn a_batch_that_fails_is_delivered_again_before_any_other() {
    let mut stage = Stage::start(100, abcd).await;
    let all = ["A:INSERT", "B:INSERT", "C:INSERT", "D:INSERT"];
    let first = stage.next().await;
    assert_eq!(first.changes(), all);
    put(&stage.orders, "E", "PLACED").await;
    first.answer.send(Err("out of memory".into())).unwrap();

    let second = stage.next().await;
    assert_eq!(second.changes(), all);
    // As a process that dies does.
    drop(second.answer);

    let third = stage.next().await;
    assert_eq!(third.changes(), all);
    third.take_all();
    assert_eq!(stage.next().await.changes(), ["E:INSERT"]);
}

#[tokio::test]
async fn delivery_goes_on_from_the_lowest_failure() {
    let mut stage = Stage::start(100, abcd).await;
    stage.next().await.report(&[3, 1]);
    let second = stage.next().await;
    assert_eq!(second.changes(), ["B:INSERT", "C:INSERT", "D:INSERT"]);
    second.report(&[2]);
    let third = stage.next().await;
    assert_eq!(third.changes(), ["D:INSERT"]);
    put(&stage.orders, "A", "PAID").await;
    third.take_all();
    assert_eq!(stage.next().await.changes(), ["A:MODIFY"]);
}

#[tokio::test]
async fn the_pump_stops_in_the_middle_of_a_batch_when_told_to() {
    let mut stage = Stage::start(100, abcd).await;
    let invocation = stage.next().await;
    stage.stop.take();
    stage.pump.await.unwrap().unwrap();
    assert!(invocation.answer.is_closed());
}

#[tokio::test]
async fn a_stream_that_is_gone_is_an_error() {
    let stage = Stage::start(100, async |_: &Client| {}).await;
    drop(stage.dynamo);
    let error = stage.pump.await.unwrap().unwrap_err();
    assert!(matches!(error, PumpError::Stream(_)), "{error:?}");
}

#[tokio::test]
async fn a_function_behind_http_fails_by_status_by_header_or_not_at_all() {
    let answers = Router::new()
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
    tokio::spawn(axum::serve(listener, answers).into_future());
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

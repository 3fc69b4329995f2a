//! What no log may contain: tokens, cookies, query strings, and the attributes of an order.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use jsonwebtoken::Algorithm;
use lambda_stand_in::{Builder, Function};
use local::dynamo::{Dynamo, create_tables};
use local::event_source::EventSource;
use local::issuer::Issuer;
use reqwest::{Client, RequestBuilder};
use serde_json::json;

/// A part of every value that must stay secret.
const SECRET: &str = "hush5f3c";

const HOUR: Duration = Duration::from_secs(3600);

/// A real binary that logs as much as it can.
fn verbose(bootstrap: &str, dynamo: &Dynamo) -> Builder {
    Function::builder(bootstrap)
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .env("RUST_LOG", "trace")
        .env("FEED_TABLE", "OrderFeed")
        .env("PUBLIC_ATTRIBUTES", "eta")
        .env("AWS_ENDPOINT_URL_DYNAMODB", dynamo.endpoint())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .timeout(Duration::from_secs(60))
}

/// Reads a stream until an event of this type, and disconnects.
async fn until(request: RequestBuilder, event: &str) {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut events = response.bytes_stream().eventsource();
    while events.next().await.unwrap().unwrap().event != event {}
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_contains_a_secret() {
    let dynamo = Dynamo::start("127.0.0.1:0").await.unwrap();
    let stream_arn = create_tables(&dynamo.client()).await.unwrap();
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let projector = verbose(env!("CARGO_BIN_EXE_projector"), &dynamo).start();
    let projector = Arc::new(projector.await.unwrap());
    let stream = verbose(env!("CARGO_BIN_EXE_stream"), &dynamo)
        .env("JWKS", issuer.jwks().unwrap())
        .env("HEARTBEAT", "1s")
        // A client disconnects from a held response, so that it cannot be sent.
        .env("HOLD", "always")
        .propagate_disconnect(true);
    let stream = stream.start().await.unwrap();
    let event_source = EventSource {
        streams: dynamo.streams(),
        stream_arn,
        function: Arc::clone(&projector),
        settings: Default::default(),
        metrics: Default::default(),
        clock: Default::default(),
    };
    let event_source = tokio::spawn(event_source.run(std::future::pending()));

    // A valid order, and an item that is no order because it has no status.
    for (id, status) in [("A", Some("PLACED")), ("B", None)] {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = dynamo.client().put_item().table_name("Orders");
        let mut put = put
            .item("orderId", text(id))
            .item("eta", text(&format!("{SECRET} eta")))
            .item("customerEmail", text(&format!("{SECRET}@example.com")));
        if let Some(status) = status {
            put = put.item("status", text(status));
        }
        put.send().await.unwrap();
    }
    let poison = projector.wait_for_log("poison record").await;
    assert!(
        poison.contains(r#""order":"B""#),
        "the line names the order: {poison}"
    );
    // A record whose key has the wrong name.
    let wrong_key = json!({ "Records": [{
        "eventID": "last", "eventName": "INSERT", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
        "eventVersion": "1.1",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/Orders/stream/2026-11-22T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_369_200,
            "Keys": { "customerEmail": { "S": format!("{SECRET}@example.com") } },
            "NewImage": { "customerEmail": { "S": format!("{SECRET}@example.com") } },
            "SequenceNumber": "700000000000000000001", "SizeBytes": 59, "StreamViewType": "NEW_AND_OLD_IMAGES"
        }
    }] });
    projector
        .invoke(wrong_key.to_string().into())
        .await
        .unwrap();

    // A token in each place: valid, invalid, and for another order. Other secrets are beside it.
    let url = format!("{}/orders/A/events", stream.url());
    let claims = json!({ "orders": ["A"], "exp": 99_999_999_999_u64, "sub": SECRET });
    let good = issuer.sign(&claims).unwrap();
    let (of_b, _) = issuer.token(&["B"], HOUR).unwrap();
    let client = Client::new();
    let get = |query: &str| client.get(format!("{url}?note={SECRET}&{query}"));
    until(get("").bearer_auth(&good), "message").await;
    until(get(&format!("access_token={good}")), "ready").await;
    let cookie = format!("session={SECRET}; access_token={good}");
    until(get("").header("cookie", cookie), "ready").await;
    let bad = format!("{good}{SECRET}");
    for (request, status) in [
        (get(&format!("access_token={bad}")), 401),
        (get("").bearer_auth(&bad), 401),
        (get("").bearer_auth("x".repeat(20_000)), 401),
        (
            get("").bearer_auth("eyJhbGciOiJub25lIn0.eyJvcmRlcnMiOiIqIn0."),
            401,
        ),
        (
            get(&format!("access_token={of_b}")).header("last-event-id", SECRET),
            403,
        ),
        (
            get("").header("cookie", format!("access_token={SECRET}")),
            401,
        ),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    stream.wait_for_log("a response was not sent").await;
    // The settings do not fit the record, so it is retried. The log line names its stream.
    projector
        .wait_for_log("stream/2026-11-22T00:00:00.000")
        .await;
    event_source.abort();

    let lines = [projector.logs(), stream.logs()].concat();
    let is_debug = |line: &&String| line.contains("\"DEBUG\"") && line.contains("projected");
    assert!(
        lines.iter().any(|line| is_debug(&line)),
        "debug lines are logged"
    );
    let signed = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    for secret in [
        SECRET.to_owned(),
        signed(&good),
        signed(&of_b),
        "eyJ".to_owned(),
        "note=".to_owned(),
    ] {
        let leak = lines.iter().find(|line| line.contains(&secret));
        assert_eq!(leak, None, "{secret}");
    }
}

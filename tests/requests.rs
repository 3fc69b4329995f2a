//! Events of Function URLs, API Gateway, load balancers and the console: each gets a response.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use order_status_stream::feed::memory::Fault;
use order_status_stream::request::{Invoker, Request};
use serde_json::{Value, json};
use support::{Connection, Harness, change_of, outline, request};

fn event(name: &str) -> String {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

async fn status(harness: &Harness, event: &str) -> u16 {
    harness.respond_to_event(event).await.status().as_u16()
}

/// The orders whose changes are in a response.
async fn shown(harness: &Harness, event: &str) -> Vec<String> {
    let response = harness.respond_to_event(event).await;
    assert_eq!(response.status(), 200, "{event}");
    let events = Connection::new(response).until("ready").await;
    let changes = events.iter().filter(|event| event.event == "message");
    let ids = changes.map(|change| change_of(change)["orderId"].as_str().unwrap().to_owned());
    ids.collect()
}

/// A Function URL turns `?q=a+b` into `q=a b`.
#[tokio::test(start_paused = true)]
async fn a_space_in_another_parameter_is_served() {
    let harness = Harness::new();
    assert_eq!(status(&harness, &event("url-space-in-query")).await, 200);
    for query in [
        "a b", "q=a+b", "q=%", "q=%zz", "[", "\u{0}", "q=\r\n", "ü=ü", "#",
    ] {
        let mut event: Value = serde_json::from_str(&event("url-first-visit")).unwrap();
        event["rawQueryString"] = json!(query);
        assert_eq!(status(&harness, &event.to_string()).await, 200, "{query:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plus_in_a_query_is_a_space_in_the_order_id() {
    let harness = Harness::new();
    for id in ["a b", "a+b"] {
        harness.change(id, "PLACED").await;
    }
    let check = async |path_and_query: &str, id: &str| {
        let shown = harness.get(path_and_query, "").await.until("ready").await;
        assert_eq!(change_of(&shown[1])["orderId"], id, "{path_and_query}");
    };
    check("/orders/events?order=a+b", "a b").await;
    check("/orders/events?order=a b", "a b").await;
    check("/orders/events?order=a%20b", "a b").await;
    check("/orders/events?order=a%2Bb", "a+b").await;
    check("/orders/events?%6Frder=a%2Bb", "a+b").await;
    // In a path, a plus stays a plus.
    check("/orders/a+b/events", "a+b").await;
    check("/orders/a%2Bb/events", "a+b").await;
    check("/orders/a%20b/events", "a b").await;
    let not_utf8 = request("GET", "/orders/events?order=%FF", &[]);
    assert_eq!(harness.respond(&not_utf8).await.status(), 400);
}

#[tokio::test(start_paused = true)]
async fn events_of_api_gateway_and_load_balancers_are_served() {
    let harness = Harness::new();
    for id in ["A-1001", "B 2+"] {
        harness.change(id, "PLACED").await;
    }
    assert_eq!(
        shown(&harness, &event("apigw-rest")).await,
        ["A-1001", "B 2+"]
    );
    assert_eq!(shown(&harness, &event("alb")).await, ["B 2+"]);
    // An HTTP API puts its stage into the path, unless the stage is `$default`.
    assert_eq!(status(&harness, &event("apigw-http")).await, 404);
    let below = Harness::with(&[
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("BASE_PATH", "/live"),
    ]);
    below.change("A-1001", "PLACED").await;
    assert_eq!(shown(&below, &event("apigw-http")).await, ["A-1001"]);
}

#[test]
fn the_event_tells_which_service_invoked_the_function() {
    let check = |event: &str, expected: Invoker| {
        let invoker = Request::read(event).unwrap().invoker();
        assert_eq!(invoker, expected, "{event}");
    };
    let lists = |multi_value_headers| Invoker::LoadBalancer {
        multi_value_headers,
    };
    for (name, expected) in [
        ("url-first-visit", Invoker::FunctionUrl),
        ("url-resume", Invoker::FunctionUrl),
        ("apigw-rest", Invoker::RestApi),
        ("apigw-rest-preflight", Invoker::RestApi),
        ("apigw-http", Invoker::HttpApi),
        ("apigw-http-1.0", Invoker::HttpApi),
        ("alb", lists(false)),
        ("alb-multi-value", lists(true)),
    ] {
        check(&event(name), expected);
    }
    // Payload format 2.0: the domain decides.
    for (context, expected) in [
        (json!({}), Invoker::FunctionUrl),
        // An emulator's.
        (json!({ "domainName": "localhost" }), Invoker::FunctionUrl),
        (
            json!({ "apiId": null, "domainName": "a" }),
            Invoker::FunctionUrl,
        ),
        (
            json!({ "apiId": "", "domainName": "a" }),
            Invoker::FunctionUrl,
        ),
        (json!({ "apiId": "a" }), Invoker::FunctionUrl),
        (
            json!({ "apiId": "a1", "domainName": "a1.lambda-url.eu-west-1.on.aws" }),
            Invoker::FunctionUrl,
        ),
        (
            json!({ "apiId": "a1", "domainName": "a1.execute-api.eu-west-1.amazonaws.com" }),
            Invoker::HttpApi,
        ),
        (
            json!({ "apiId": "a1", "domainName": "orders.shop.example" }),
            Invoker::HttpApi,
        ),
    ] {
        let mut event = json!({ "rawPath": "/", "requestContext": context });
        event["requestContext"]["http"] = json!({ "method": "GET" });
        check(&event.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_stream_gets_json_unless_events_are_asked_for() {
    for (name, accept, expected) in [
        ("alb", "*/*", "application/json"),
        ("alb", "application/json", "application/json"),
        ("alb", "text/event-stream", "text/event-stream"),
        ("url-first-visit", "*/*", "text/event-stream"),
        ("url-first-visit", "application/json", "application/json"),
    ] {
        let mut event: Value = serde_json::from_str(&event(name)).unwrap();
        event["headers"]["accept"] = json!(accept);
        let response = Harness::new().respond_to_event(&event.to_string()).await;
        let found = response.headers()["content-type"].to_str().unwrap();
        assert!(found.starts_with(expected), "{name} {accept}: {found}");
    }
}

/// Nothing is held, because the client would get a change only at the end. A slow feed is waited for.
#[tokio::test(start_paused = true)]
async fn a_response_that_is_not_streamed_ends_when_everything_is_sent() {
    for hold in ["always", "auto"] {
        let settings = [
            ("FEED_TABLE", "in memory"),
            ("ACCESS", "open"),
            ("HOLD", hold),
        ];
        let harness = Harness::with(&settings);
        harness.change("B 2+", "PLACED").await;
        let slow = Fault::Slow(Duration::from_secs(4));
        harness.feed.inject([Some(slow)]);
        let response = harness.respond_to_event(&event("alb")).await;
        let events = Connection::new(response).finish().await;
        assert_eq!(outline(&events), ["hello", "PLACED", "ready", "rest"]);
        assert_eq!(harness.age(), Duration::from_secs(4), "{hold}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_not_a_request_gets_400() {
    let harness = Harness::new();
    for no_request in [
        &event("console-test"),
        &event("stream-insert"),
        "{}",
        "[]",
        "null",
        "",
        "no JSON",
        "\u{feff}{}",
        r#"{"rawPath":"/","requestContext":{"http":{"method":""}}}"#,
        r#"{"rawPath":["/"],"requestContext":{"http":{"method":"GET"}}}"#,
        r#"{"version":"2.0","requestContext":[]}"#,
    ] {
        let response = harness.respond_to_event(no_request).await;
        assert_eq!(response.status(), 400, "{no_request}");
        let content_type = &response.headers()["content-type"];
        assert_eq!(content_type, "application/problem+json", "{no_request}");
    }
}

#[tokio::test(start_paused = true)]
async fn unexpected_members_of_an_event_are_ignored() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    for odd in [
        r#""headers":{"x-odd":"\ud800","\udfff":"a\u0000b"}"#,
        r#""headers":null,"cookies":null,"rawQueryString":null"#,
        r#""headers":[],"cookies":{},"rawQueryString":7"#,
        r#""headers":{"accept":7,"last-event-id":null,"cookie":["a",{}]}"#,
        r#""multiValueHeaders":{"accept":"text/event-stream"}"#,
        r#""cookies":["\ud83d","a\u0000=b",7]"#,
        r#""body":"\ud800","isBase64Encoded":"yes","stage":1e999"#,
    ] {
        let event = format!(
            r#"{{"rawPath":"/orders/A/events","requestContext":{{"http":{{"method":"GET"}}}},{odd}}}"#
        );
        assert_eq!(shown(&harness, &event).await, ["A"], "{odd}");
    }
}

#[test]
fn headers_and_parameters_are_read_in_each_format() {
    let read = |members: Value| {
        let mut event = json!({ "path": "/p", "httpMethod": "GET" });
        event
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        Request::read(&event.to_string()).unwrap()
    };
    let both = read(json!({
        "headers": { "A": "2", "b": "3" },
        "multiValueHeaders": { "A": ["1", "2"] },
        "queryStringParameters": { "q": "y", "r": "%41" },
        "multiValueQueryStringParameters": { "q": ["x", "y"] },
    }));
    assert_eq!(both.headers("a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(both.headers("B").collect::<Vec<_>>(), ["3"]);
    assert_eq!(both.parameters("q").collect::<Vec<_>>(), [b"x", b"y"]);
    assert_eq!(both.parameters("r").collect::<Vec<_>>(), [b"%41"]);
    let raw = read(json!({ "rawQueryString": "q=%41&q", "queryStringParameters": { "q": "x" } }));
    assert_eq!(raw.parameters("q").collect::<Vec<_>>(), [&b"A"[..], b""]);
    let cookies = read(json!({ "headers": { "Cookie": "a=b" }, "cookies": ["c=d", "e=f"] }));
    assert_eq!(
        cookies.headers("cookie").collect::<Vec<_>>(),
        ["a=b", "c=d", "e=f"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_base_path_precedes_every_path() {
    let check = async |base: &str, path: &str, status: u16| {
        let settings = [
            ("FEED_TABLE", "in memory"),
            ("ACCESS", "open"),
            ("BASE_PATH", base),
        ];
        let response = Harness::with(&settings)
            .respond(&request("GET", path, &[]))
            .await;
        assert_eq!(response.status(), status, "{base} {path}");
    };
    for base in ["/api", "/api/"] {
        check(base, "/api/orders/A/events", 200).await;
        check(base, "/api/orders/events?order=A", 200).await;
        check(base, "/orders/A/events", 404).await;
        check(base, "/api/api/orders/A/events", 404).await;
        check(base, "/apiorders/A/events", 404).await;
        check(base, "/API/orders/A/events", 404).await;
        check(base, "/api", 404).await;
    }
    check("/shop/v1.2", "/shop/v1.2/orders/A/events", 200).await;
    check("/orders", "/orders/orders/events/events", 200).await;
    check("/", "/orders/A/events", 200).await;
    check("", "/orders/A/events", 200).await;
    check("", "/api/orders/A/events", 404).await;
}

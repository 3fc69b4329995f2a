//! The function behind a REST API, an HTTP API and a load balancer, each of which invokes it as on Lambda: what their clients get.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/cloud.rs"]
mod cloud;

use std::collections::BTreeMap;

use cloud::Cloud;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use jsonwebtoken::Algorithm;
use lambda_stand_in::Function;
use local::issuer::Issuer;
use order_status_stream::clock::Clock;
use order_status_stream::customer::CustomerId;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a load balancer and an HTTP API accept: a 502 is sent if it cannot be read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProxyResponse {
    status_code: u16,
    status_description: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    body: String,
    is_base64_encoded: bool,
}

fn event(name: &str) -> Value {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// With the header `accept`, as the event has it or in its place.
fn accepting(name: &str, accept: &str) -> Value {
    let mut event = event(name);
    for (members, value) in [
        ("headers", json!(accept)),
        ("multiValueHeaders", json!([accept])),
    ] {
        let Some(headers) = event.get_mut(members).and_then(Value::as_object_mut) else {
            continue;
        };
        headers.retain(|name, _| !name.eq_ignore_ascii_case("accept"));
        headers.insert("accept".to_owned(), value);
    }
    if name == "apigw-http" {
        // As with the stage `$default`, which is no part of the path.
        event["rawPath"] = json!("/orders/A-1001/events");
    }
    event
}

async fn whole(function: &Function, event: &Value) -> ProxyResponse {
    let response = function.invoke(event.to_string().into()).await.unwrap();
    let text = String::from_utf8_lossy(&response).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

/// A function with the orders of the events.
async fn function(cloud: &Cloud) -> Function {
    for order in ["A-1001", "B 2+"] {
        cloud.append(order, "PLACED").await;
    }
    let stream = cloud
        .stream()
        .env("ALLOWED_ORIGINS", "https://shop.example");
    stream.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_stream_gets_the_snapshot_whole() {
    let cloud = Cloud::new().await;
    let function = function(&cloud).await;
    for (name, description, lists) in [
        ("alb", Some("200 OK"), false),
        ("alb-multi-value", Some("200 OK"), true),
        ("apigw-http-1.0", None, false),
        ("apigw-http", None, false),
    ] {
        for accept in ["*/*", "application/json", "text/html"] {
            let whole = whole(&function, &accepting(name, accept)).await;
            assert_eq!(whole.status_code, 200, "{name} {accept}");
            assert_eq!(whole.status_description.as_deref(), description, "{name}");
            assert!(!whole.is_base64_encoded);
            let (headers, lists_of) = (whole.headers, whole.multi_value_headers);
            assert_eq!((headers.is_some(), lists_of.is_some()), (!lists, lists));
            let header = |name: &str| match (&headers, &lists_of) {
                (Some(headers), _) => headers[name].clone(),
                (_, Some(lists)) => lists[name].join(","),
                _ => panic!("no headers"),
            };
            assert_eq!(
                header("content-type"),
                "application/json",
                "{name} {accept}"
            );
            assert_eq!(header("cache-control"), "no-store");
            let snapshot: Value = serde_json::from_str(&whole.body).unwrap();
            assert_eq!(snapshot["orders"][0]["status"], "PLACED", "{name}");
            assert!(snapshot["cursor"].is_string());
        }
    }
}

/// After JSON, an `EventSource` never reconnects.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_behind_such_a_service_gets_a_complete_response_each_time() {
    let cloud = Cloud::new().await;
    let function = function(&cloud).await;
    let mut event = accepting("alb", "text/event-stream");
    let first = whole(&function, &event).await;
    let headers = first.headers.unwrap();
    assert_eq!(headers["content-type"], "text/event-stream; charset=utf-8");
    let events = events(&first.body).await;
    let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(types, ["hello", "message", "ready", "rest"]);

    cloud.append("B 2+", "PAID").await;
    event["headers"]["last-event-id"] = json!(events.last().unwrap().id);
    let second = whole(&function, &event).await;
    let events = self::events(&second.body).await;
    let change: Value = serde_json::from_str(&events[1].data).unwrap();
    assert_eq!(
        (&change["seq"], &change["status"]),
        (&json!(2), &json!("PAID"))
    );

    cloud.append("B 2+", "DELIVERED").await;
    event["headers"]["last-event-id"] = json!("2");
    let third = whole(&function, &event).await;
    assert_eq!(third.status_code, 200);
    let last = self::events(&third.body).await.pop().unwrap();
    assert_eq!(last.event, "end");
    event["headers"]["last-event-id"] = json!(last.id);
    let ended = whole(&function, &event).await;
    assert_eq!((ended.status_code, ended.body.as_str()), (204, ""));
}

async fn events(body: &str) -> Vec<eventsource_stream::Event> {
    let chunks = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body.to_owned())]);
    let events = chunks.eventsource().map(Result::unwrap);
    events.collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_other_methods_come_whole_too() {
    let cloud = Cloud::new().await;
    let function = function(&cloud).await;
    let check = async |changes: &[(&str, &str)], status: u16, body: &str| {
        let mut event = event("alb");
        for (member, value) in changes {
            event[member] = json!(value);
        }
        let whole = whole(&function, &event).await;
        assert_eq!(whole.status_code, status, "{changes:?}");
        assert!(whole.body.contains(body), "{changes:?} {}", whole.body);
    };
    check(&[("path", "/")], 404, "there is nothing at this path").await;
    check(&[("httpMethod", "POST")], 405, "only GET").await;
    check(&[("path", "/orders/a%00/events")], 400, "an order id").await;
    check(&[("httpMethod", "OPTIONS")], 200, "GET, HEAD, OPTIONS").await;
    let mut head = event("alb");
    head["httpMethod"] = json!("HEAD");
    assert_eq!(whole(&function, &head).await.body, "");
}

/// A load balancer takes 1 MB. A client gets the other changes when it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_comes_in_parts() {
    let cloud = Cloud::new().await;
    let attribute = "\"".repeat(150_000);
    for n in 0..12 {
        cloud
            .append_with("B 2+", &format!("S{n}"), &attribute)
            .await;
    }
    let function = cloud.stream().start().await.unwrap();
    // It has seen the first change, and a client that resumes gets every change.
    let mut event = accepting("alb", "text/event-stream");
    event["headers"]["last-event-id"] = json!("1");
    let (mut seen, mut responses) = (Vec::new(), 0);
    while seen.last().map(String::as_str) != Some("S11") {
        let response = function.invoke(event.to_string().into()).await.unwrap();
        assert!(response.len() < 1_000_000, "{}", response.len());
        let whole: ProxyResponse = serde_json::from_slice(&response).unwrap();
        responses += 1;
        for frame in events(&whole.body).await {
            event["headers"]["last-event-id"] = json!(frame.id);
            if frame.event == "message" {
                let change: Value = serde_json::from_str(&frame.data).unwrap();
                seen.push(change["status"].as_str().unwrap().to_owned());
            }
        }
        assert!(responses < 12, "no progress: {seen:?}");
    }
    let expected: Vec<_> = (1..12).map(|n| format!("S{n}")).collect();
    assert_eq!(seen, expected);
    assert!(responses > 1);
}

/// Its frame has 520 KB, more than a body should have.
#[tokio::test(flavor = "multi_thread")]
async fn one_very_long_change_comes_all_the_same() {
    let cloud = Cloud::new().await;
    let attribute = "\"".repeat(260_000);
    cloud.append_with("B 2+", "S0", &attribute).await;
    let function = cloud.stream().start().await.unwrap();
    let whole = whole(&function, &accepting("alb", "text/event-stream")).await;
    let events = events(&whole.body).await;
    let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(types[..2], ["hello", "message"]);
}

/// A load balancer takes 1 MB. The snapshot of a customer has a part of the orders, and check-ins send the others. The first order
/// alone has 520 KB, more than a body should have.
#[tokio::test(flavor = "multi_thread")]
async fn a_customers_orders_come_in_parts() {
    let (cloud, issuer) = (
        Cloud::new().await,
        Issuer::new(Algorithm::ES256, "k").unwrap(),
    );
    let orders: Vec<_> = (0..8).map(|n| format!("O-{n}")).collect();
    for order in &orders {
        let quotes = if order == "O-0" { 260_000 } else { 100_000 };
        let customer = CustomerId::new("C");
        let eta = "\"".repeat(quotes);
        cloud.append_of(customer, order, "PLACED", &eta).await;
    }
    let stream = cloud.guarded_stream(&issuer);
    let stream = stream.env("JWT_CUSTOMER_CLAIM", "customer");
    let function = stream.start().await.unwrap();
    let exp = Clock::system().epoch_seconds() + 3600;
    let token = issuer.sign(&json!({ "customer": "C", "exp": exp }));
    let asking = |accept: &str| {
        let mut event = accepting("alb", accept);
        event["path"] = json!("/customers/me/events");
        event["headers"]["authorization"] = json!(format!("Bearer {}", token.as_ref().unwrap()));
        event
    };
    let snapshot = whole(&function, &asking("application/json")).await;
    let snapshot: Value = serde_json::from_str(&snapshot.body).unwrap();
    assert_eq!(snapshot["orders"].as_array().unwrap().len(), 1);
    assert_eq!(snapshot["orders"][0]["orderId"], "O-0");

    let (mut event, mut seen) = (asking("text/event-stream"), Vec::new());
    event["headers"]["last-event-id"] = snapshot["cursor"].clone();
    while seen.len() + 1 < orders.len() {
        let response = function.invoke(event.to_string().into()).await.unwrap();
        assert!(response.len() < 1_000_000, "{}", response.len());
        let whole: ProxyResponse = serde_json::from_slice(&response).unwrap();
        let before = seen.len();
        for frame in events(&whole.body).await {
            event["headers"]["last-event-id"] = json!(frame.id);
            if frame.event == "message" {
                let change: Value = serde_json::from_str(&frame.data).unwrap();
                seen.push(change["orderId"].as_str().unwrap().to_owned());
            }
        }
        assert!(seen.len() > before, "no progress: {seen:?}");
    }
    assert_eq!(seen, orders[1..]);
}

/// The response of a REST API's integration: status and headers as JSON, eight NULs, and the body.
#[tokio::test(flavor = "multi_thread")]
async fn a_rest_api_gets_a_streamed_response_with_cors() {
    let cloud = Cloud::new().await;
    let function = function(&cloud).await;
    let mut event = event("apigw-rest-preflight");
    let check = async |event: &Value, expected: &[(&str, &str)]| {
        let response = function.invoke(event.to_string().into()).await.unwrap();
        let nuls = response.windows(8).position(|window| window == [0; 8]);
        let prelude: Value = serde_json::from_slice(&response[..nuls.unwrap()]).unwrap();
        assert_eq!(prelude["statusCode"], 200);
        let headers = prelude["headers"].as_object().unwrap();
        let allow = headers
            .iter()
            .filter(|(name, _)| name.starts_with("access-control-"));
        let allow: Vec<_> = allow
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        assert_eq!(allow, expected);
        headers["content-type"].as_str().unwrap().to_owned()
    };
    let origin = ("access-control-allow-origin", "https://shop.example");
    let preflight = [
        (
            "access-control-allow-headers",
            "authorization,last-event-id",
        ),
        ("access-control-allow-methods", "GET"),
        origin,
        ("access-control-max-age", "86400"),
    ];
    check(&event, &preflight).await;
    // Without a body, for which Invoke would wait.
    event["httpMethod"] = json!("HEAD");
    assert_eq!(
        check(&event, &[origin]).await,
        "text/event-stream; charset=utf-8"
    );
    let mut of_url = accepting("url-resume", "text/event-stream");
    of_url["requestContext"]["http"]["method"] = json!("HEAD");
    check(&of_url, &[]).await;
}

/// A held response is sent while it is written, below the stage's path.
#[tokio::test(flavor = "multi_thread")]
async fn a_rest_api_streams_below_its_stage() {
    let cloud = Cloud::new().await;
    cloud.append("A 1/x", "PLACED").await;
    let function = cloud.stream().rest_api("live").start().await.unwrap();
    for path in [
        "/live/orders/A%201%2Fx/events",
        "/live/orders/events?order=A+1%2Fx&order=B",
    ] {
        let response = reqwest::get(format!("{}{path}", function.url())).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let mut events = response.bytes_stream().eventsource();
        let mut next = async || events.next().await.unwrap().unwrap();
        assert_eq!(next().await.event, "hello");
        let change: Value = serde_json::from_str(&next().await.data).unwrap();
        assert_eq!(change["orderId"], "A 1/x", "{path}");
        assert_eq!(next().await.event, "ready");
    }
    let outside = reqwest::get(format!("{}/orders/A/events", function.url())).await;
    assert_eq!(outside.unwrap().status(), 403);
}

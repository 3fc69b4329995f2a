//! CORS headers of the function: for requests that come through a REST API, an HTTP API or a load balancer, and no others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use order_status_stream::request::Request;
use order_status_stream::settings::StreamSettings;
use serde_json::{Value, json};
use support::Harness;

const SHOP: &str = "https://shop.example";
const SHOPS: &str = "https://shop.example,http://localhost:5173";

fn harness(settings: &[(&str, &str)]) -> Harness {
    let base = [("FEED_TABLE", "in memory"), ("ACCESS", "open")];
    Harness::with(&[&base, settings].concat())
}

/// A request as an event has it.
fn read(event: &str, changes: &[(&str, Value)]) -> Request {
    let path = format!("{}/events/{event}.json", env!("CARGO_MANIFEST_DIR"));
    let mut event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (member, value) in changes {
        *event.pointer_mut(member).unwrap() = value.clone();
    }
    Request::read(&event.to_string()).unwrap()
}

/// The headers of CORS, in the order of their names.
async fn cors(settings: &[(&str, &str)], request: &Request) -> Vec<(String, String)> {
    let response = harness(settings).respond(request).await;
    let headers = response.headers().iter();
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| name.starts_with("access-control-") || name == "vary")
        .collect();
    headers.sort();
    headers
}

async fn check(settings: &[(&str, &str)], request: &Request, expected: &[(&str, &str)]) {
    let found = cors(settings, request).await;
    let found: Vec<_> = found
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    assert_eq!(found, expected, "{settings:?}");
}

const ORIGIN: &str = "access-control-allow-origin";
const HEADERS: &str = "access-control-allow-headers";
const METHODS: (&str, &str) = ("access-control-allow-methods", "GET");
const CREDENTIALS: (&str, &str) = ("access-control-allow-credentials", "true");
const MAX_AGE: (&str, &str) = ("access-control-max-age", "86400");
const NEEDED: &str = "authorization,last-event-id";

#[tokio::test(start_paused = true)]
async fn a_preflight_names_what_a_page_may_send() {
    let preflight = read("apigw-rest-preflight", &[]);
    let any = [(HEADERS, NEEDED), METHODS, (ORIGIN, "*"), MAX_AGE];
    check(&[], &preflight, &[]).await;
    let every = [("ALLOWED_ORIGINS", "*")];
    check(&every, &preflight, &any).await;
    let headers = "authorization,last-event-id,x-api-key";
    let settings = [
        ("ALLOWED_ORIGINS", SHOPS),
        ("ALLOWED_HEADERS", headers),
        ("ALLOW_CREDENTIALS", "true"),
    ];
    let expected = [
        CREDENTIALS,
        (HEADERS, headers),
        METHODS,
        (ORIGIN, SHOP),
        MAX_AGE,
        ("vary", "Origin"),
    ];
    check(&settings, &preflight, &expected).await;
    // The request itself may be refused, but a page only sees that if its preflight succeeds.
    for path in ["/", "/orders//events", "/orders/A%00/events"] {
        let elsewhere = read("apigw-rest-preflight", &[("/path", json!(path))]);
        assert_eq!(harness(&every).respond(&elsewhere).await.status(), 200);
        check(&every, &elsewhere, &any).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_another_origin_may_read_nothing() {
    let settings = [("ALLOWED_ORIGINS", SHOPS)];
    for other in [
        "https://other.example",
        "https://shop.example.evil.example",
        "https://shop.exampl",
        "null",
        "*",
        "",
    ] {
        let other = json!([other]);
        let request = read(
            "apigw-rest-preflight",
            &[("/multiValueHeaders/Origin", other)],
        );
        check(&settings, &request, &[("vary", "Origin")]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_response_to_a_page_has_them() {
    let settings = [("ALLOWED_ORIGINS", SHOP)];
    let expected = [(ORIGIN, SHOP), ("vary", "Origin")];
    for (method, path, status) in [
        ("GET", "/orders/A-1001/events", 200),
        ("HEAD", "/orders/A-1001/events", 200),
        ("GET", "/orders//events", 400),
        ("GET", "/", 404),
        ("POST", "/orders/A-1001/events", 405),
    ] {
        let changes = [("/httpMethod", json!(method)), ("/path", json!(path))];
        let request = read("apigw-rest-preflight", &changes);
        let response = harness(&settings).respond(&request).await;
        assert_eq!(response.status(), status);
        check(&settings, &request, &expected).await;
    }
    check(&settings, &read("alb-multi-value", &[]), &expected).await;
    let http_api = [("/headers", json!({ "origin": SHOP }))];
    check(&settings, &read("apigw-http", &http_api), &expected).await;
    // Not from a page. But a cache may show it to one.
    check(&settings, &read("alb", &[]), &[("vary", "Origin")]).await;
}

/// It sends them itself, and browsers refuse them twice.
#[tokio::test(start_paused = true)]
async fn a_function_url_gets_none() {
    for event in ["url-resume", "url-first-visit"] {
        let origin = json!({ "origin": SHOP, "access-control-request-method": "GET" });
        for method in ["GET", "OPTIONS"] {
            let changes = [
                ("/headers", origin.clone()),
                ("/requestContext/http/method", json!(method)),
            ];
            check(&[("ALLOWED_ORIGINS", SHOP)], &read(event, &changes), &[]).await;
        }
    }
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let check = |settings: &[(&str, &str)], expected: &str| {
        let read = StreamSettings::read(|name| {
            let base = [("FEED_TABLE", "Feed"), ("ACCESS", "open")];
            let mut all = base.iter().chain(settings);
            let found = all.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let message = read
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(message.contains(expected), "{settings:?}: {message:?}");
        assert_eq!(message.is_empty(), expected.is_empty(), "{message}");
    };
    let named = ("ALLOWED_ORIGINS", SHOPS);
    check(&[named, ("ALLOW_CREDENTIALS", "true")], "");
    check(
        &[("ALLOWED_ORIGINS", "https://shop.example/")],
        r#"ALLOWED_ORIGINS contains "https://shop.example/", it must be * alone, or origins in lower case such as"#,
    );
    check(
        &[("ALLOWED_ORIGINS", "https://a.example,*")],
        r#"contains "*""#,
    );
    check(
        &[("ALLOWED_HEADERS", "authorization")],
        "authorization and last-event-id among them",
    );
    check(&[("ALLOW_CREDENTIALS", "yes")], "it must be false or true");
    check(
        &[("ALLOWED_ORIGINS", "https://Shop.example")],
        r#"contains "https://Shop.example""#,
    );
    check(
        &[("ALLOWED_ORIGINS", "*"), ("ALLOW_CREDENTIALS", "true")],
        "ALLOWED_ORIGINS must name the origins of your pages instead of *",
    );
}

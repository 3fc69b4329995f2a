//! Requests and responses: routes, order ids, headers, problems, snapshots.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use http_body_util::BodyExt;
use order_status_stream::feed::memory::Fault;
use order_status_stream::request::Request;
use serde_json::{Value, json};
use support::{Harness, change_of, outline, request};

/// The status of a response, and the detail of a problem.
async fn respond(method: &str, path_and_query: &str) -> (u16, Option<String>) {
    let response = Harness::new()
        .respond(&request(method, path_and_query, &[]))
        .await;
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].clone();
    if status == 200 {
        assert_eq!(content_type, "text/event-stream; charset=utf-8");
        return (status, None);
    }
    assert_eq!(content_type, "application/problem+json");
    assert_eq!(response.headers().get("allow").is_some(), status == 405);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["status"], status);
    (status, Some(problem["detail"].as_str().unwrap().to_owned()))
}

#[tokio::test(start_paused = true)]
async fn routes() {
    let check = async |method, path: &str, status, detail: Option<&str>| {
        assert_eq!(
            respond(method, path).await,
            (status, detail.map(str::to_owned)),
            "{method} {path}"
        );
    };
    let not_found = Some(
        "there is nothing at this path: ask for /orders/{orderId}/events or /orders/events?order=A&order=B",
    );
    check("GET", "/orders/A/events", 200, None).await;
    check("GET", "/orders/a%20b%2Fc/events", 200, None).await;
    check("GET", "/orders/events?order=A", 200, None).await;
    check("GET", "/orders/events?order=A&order=B%2F1", 200, None).await;
    check("GET", "/orders/events/events", 200, None).await;
    check("GET", "/", 404, not_found).await;
    check("GET", "/orders/A", 404, not_found).await;
    check("GET", "/orders/A/events/", 404, not_found).await;
    check("GET", "/x/orders/A/events", 404, not_found).await;
    check("POST", "/orders/A", 404, not_found).await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        check(
            method,
            "/orders/A/events",
            405,
            Some("only GET, HEAD and OPTIONS are answered here"),
        )
        .await;
    }
    let length = "an order id must have 1 to 128 characters, but has";
    check("GET", "/orders//events", 400, Some(&format!("{length} 0"))).await;
    check(
        "GET",
        &format!("/orders/{}/events", "a".repeat(129)),
        400,
        Some(&format!("{length} 129")),
    )
    .await;
    let character = "an order id must not contain control characters or `%`, but character 2 is";
    check(
        "GET",
        "/orders/a%00/events",
        400,
        Some(&format!("{character} '\\0'")),
    )
    .await;
    check(
        "GET",
        "/orders/a%0Ab/events",
        400,
        Some(&format!("{character} '\\n'")),
    )
    .await;
    check(
        "GET",
        "/orders/a%2525/events",
        400,
        Some(&format!("{character} '%'")),
    )
    .await;
    check(
        "GET",
        "/orders/%FF/events",
        400,
        Some("an order id is percent-encoded UTF-8"),
    )
    .await;
    let count = "a stream shows 1 to 10 orders,";
    check(
        "GET",
        "/orders/events",
        400,
        Some(&format!("{count} 0 were asked for")),
    )
    .await;
    let eleven: String = (0..11).map(|n| format!("order={n}&")).collect();
    check(
        "GET",
        &format!("/orders/events?{eleven}"),
        400,
        Some(&format!("{count} 11 were asked for")),
    )
    .await;
    check(
        "GET",
        "/orders/events?order=A&order=A",
        400,
        Some("each order is named once, A was named again"),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_was_decoded_on_the_way_names_the_same_order() {
    let harness = Harness::new();
    harness.change("a b/ü", "PLACED").await;
    for path in [
        "/orders/a%20b%2F%C3%BC/events",
        "/orders/a b/ü/events",
        "/orders/events?order=a+b%2F%C3%BC",
    ] {
        let shown = harness.get(path, "").await.until("ready").await;
        assert_eq!(change_of(&shown[1])["orderId"], "a b/ü", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_of_a_stream() {
    let response = Harness::new()
        .respond(&request(
            "GET",
            "/orders/A/events",
            &[("origin", "https://shop.example")],
        ))
        .await;
    let headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    // No `connection`, because the platform sends it. No CORS headers, because the Function URL sends them, and browsers refuse
    // them twice.
    assert_eq!(
        headers,
        [
            ("content-type", &b"text/event-stream; charset=utf-8"[..]),
            ("cache-control", b"no-cache, no-store, no-transform"),
            ("x-accel-buffering", b"no"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn real_events_get_the_expected_status() {
    let check = async |name: &str, status: u16| {
        let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let request = Request::read(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(
            Harness::new().respond(&request).await.status(),
            status,
            "{name}"
        );
    };
    check("url-first-visit", 200).await;
    check("url-resume", 200).await;
    check("url-two-orders", 200).await;
    check("url-bad-id", 400).await;
}

async fn get_snapshot(harness: &Harness, path: &str, accept: &str) -> (u16, Value) {
    let response = harness
        .respond(&request("GET", path, &[("accept", accept)]))
        .await;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").is_some();
    assert_eq!(retry_after, status == 503);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_the_same_state_as_json() {
    let harness = Harness::new();
    harness.change("A", "PLACED").await;
    harness.change("A", "PAID").await;
    harness.change("C", "PLACED").await;
    let path = "/orders/events?order=A&order=B&order=C";
    let (status, snapshot) =
        get_snapshot(&harness, path, "application/json, text/plain, */*").await;
    assert_eq!(status, 200);
    assert_eq!(
        snapshot["orders"],
        json!([
            {
                "orderId": "A", "seq": 2, "status": "PAID", "previous": "PLACED",
                "at": "2026-11-22T17:40:00.123Z", "attributes": {}
            },
            {
                "orderId": "C", "seq": 1, "status": "PLACED", "previous": null,
                "at": "2026-11-22T17:40:00.123Z", "attributes": {}
            },
        ])
    );
    // A stream continues from the snapshot's cursor.
    let cursor = snapshot["cursor"].as_str().unwrap();
    harness.change("A", "SHIPPED").await;
    let resumed = harness.get(path, cursor).await.until("ready").await;
    assert_eq!(outline(&resumed), ["hello", "SHIPPED", "ready"]);
}

/// An attribute can be made private again, for example after a leak.
#[tokio::test(start_paused = true)]
async fn an_attribute_that_is_no_longer_public_is_not_shown() {
    for (public, shown) in [
        (
            "eta,carrier",
            json!({ "eta": "18:20", "carrier": { "name": "C" } }),
        ),
        ("eta", json!({ "eta": "18:20" })),
        ("", json!({})),
    ] {
        let harness = Harness::with(&[
            ("FEED_TABLE", "in memory"),
            ("ACCESS", "open"),
            ("PUBLIC_ATTRIBUTES", public),
        ]);
        let view = [("eta", json!("18:20")), ("carrier", json!({ "name": "C" }))];
        let view = view.map(|(name, value)| (name.to_owned(), value));
        harness.change_with("A", "PLACED", view.into()).await;
        let events = harness
            .get("/orders/A/events", "")
            .await
            .until("ready")
            .await;
        assert_eq!(change_of(&events[1])["attributes"], shown, "{public}");
        let (_, snapshot) = get_snapshot(&harness, "/orders/A/events", "application/json").await;
        assert_eq!(snapshot["orders"][0]["attributes"], shown, "{public}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_nothing_of_an_entry_that_has_expired() {
    let harness = Harness::with(&[
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("PUBLIC_ATTRIBUTES", "eta"),
    ]);
    let view = [("eta".to_owned(), json!("18:20"))].into();
    harness.change_with("A", "DELIVERED", view).await;
    let path = "/orders/A/events";
    let (_, snapshot) = get_snapshot(&harness, path, "application/json").await;
    assert!(snapshot.to_string().contains("18:20"));
    tokio::time::advance(support::RETENTION).await;
    let (status, snapshot) = get_snapshot(&harness, path, "application/json").await;
    assert_eq!(status, 200);
    assert!(!snapshot.to_string().contains("18:20"), "{snapshot}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_reads_its_orders_side_by_side() {
    let harness = Harness::new();
    for id in ["A", "B", "C"] {
        harness.change(id, "PLACED").await;
    }
    let slow = Fault::Slow(std::time::Duration::from_secs(2));
    harness.feed.inject([Some(slow); 3]);
    let path = "/orders/events?order=A&order=B&order=C";
    let (status, snapshot) = get_snapshot(&harness, path, "application/json").await;
    assert_eq!(status, 200);
    let ids: Vec<_> = snapshot["orders"].as_array().unwrap().iter().collect();
    let ids: Vec<_> = ids.iter().map(|order| &order["orderId"]).collect();
    assert_eq!(ids, ["A", "B", "C"]);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_gets_503_if_the_feed_fails() {
    let harness = Harness::new();
    harness.feed.inject([Some(Fault::Throttled)]);
    let (status, problem) = get_snapshot(&harness, "/orders/A/events", "application/json").await;
    assert_eq!((status, &problem["status"]), (503, &json!(503)));
    for fault in [Fault::Hangs, Fault::Panics] {
        harness.feed.inject([Some(fault)]);
        let (status, _) = get_snapshot(&harness, "/orders/A/events", "application/json").await;
        assert_eq!(status, 503, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_request_for_json_alone_gets_a_snapshot() {
    for accept in [
        "text/event-stream",
        "*/*",
        "",
        "text/html",
        "application/json, text/event-stream",
    ] {
        let response = Harness::new()
            .respond(&request("GET", "/orders/A/events", &[("accept", accept)]))
            .await;
        assert_eq!(
            response.headers()["content-type"],
            "text/event-stream; charset=utf-8",
            "{accept}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn head_is_get_without_a_body() {
    let harness = Harness::new();
    for (path, status) in [
        ("/orders/A/events", 200),
        ("/orders//events", 400),
        ("/", 404),
    ] {
        let get = harness.respond(&request("GET", path, &[])).await;
        let head = harness.respond(&request("HEAD", path, &[])).await;
        assert_eq!(head.status(), status);
        assert_eq!(head.headers(), get.headers());
        assert_eq!(head.into_body().collect().await.unwrap().to_bytes(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn options_names_the_methods() {
    let response = Harness::new()
        .respond(&request("OPTIONS", "/orders/A/events", &[]))
        .await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS");
}

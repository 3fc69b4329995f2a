//! Requests to the Function URL.

use std::time::Duration;

use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;
use http::{Method, StatusCode};
use lambda_stand_in::Fault;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::harness::{Ending, RawClient, Received, assert_responds, closed, function, start};

#[tokio::test]
async fn a_request_becomes_an_event_of_format_2() {
    let function = function().env("INVOKE", "1").start().await.unwrap();
    let request = "POST /a%2Fb?x=1&x=2 HTTP/1.1\r\nHost: example\r\nX-Two: a\r\nx-two: b\r\nCookie: k=v; l=w\r\n\
                   User-Agent: me\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let Received { head, body, ending } = RawClient::send(&function, request).await.end().await;

    assert_eq!(ending, Ending::Whole);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream"),
        "{head}"
    );
    let mut event = serde_json::from_str::<Value>(&body).unwrap()["event"].take();
    let read: ApiGatewayV2httpRequest = serde_json::from_value(event.clone()).unwrap();
    assert_eq!(read.raw_path.as_deref(), Some("/a%2Fb"));
    assert_eq!(read.request_context.http.method, Method::POST);
    let context = event["requestContext"].take();
    assert_eq!(
        event,
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/a%2Fb",
            "rawQueryString": "x=1&x=2",
            "cookies": ["k=v", "l=w"],
            "headers": {
                "host": "example",
                "x-two": "a,b",
                "user-agent": "me",
                "content-length": "2",
                "connection": "close",
                "x-forwarded-for": "127.0.0.1",
                "x-forwarded-proto": "http",
            },
            "requestContext": null,
            "body": "hi",
            "isBase64Encoded": false,
        })
    );
    let http = json!({
        "method": "POST",
        "path": "/a%2Fb",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "me",
    });
    assert_eq!(context["http"], http);
    assert_eq!(
        (&context["stage"], &context["domainName"]),
        (&json!("$default"), &json!("example"))
    );
}

#[tokio::test]
async fn the_prelude_becomes_status_headers_and_cookies() {
    let function = function().start().await.unwrap();
    let Received { head, body, ending } = RawClient::get(&function, "/").await.end().await;

    assert_eq!((body.as_str(), ending), ("nothing here", Ending::Whole));
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    for line in ["vary: a", "vary: b", "set-cookie: k=v"] {
        assert!(head.lines().any(|other| other == line), "{line} in {head}");
    }
}

#[tokio::test]
async fn the_function_url_answers_cors() {
    let function = function().cors("http://a.example").start().await.unwrap();
    let ask = async |request: &str, origin: &str| {
        let request =
            format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {origin}");
        let request = format!("{request}\r\naccess-control-request-method: GET\r\n\r\n");
        let Received { head, .. } = RawClient::send(&function, &request).await.end().await;
        let lines = head
            .lines()
            .filter(|line| line.starts_with("access-control-"));
        (
            head[..12].to_owned(),
            lines.map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    let allow_origin = "access-control-allow-origin: http://a.example";
    let preflight = [
        allow_origin,
        "access-control-allow-methods: GET",
        "access-control-allow-headers: authorization,last-event-id",
        "access-control-max-age: 86400",
    ];

    function.inject([Fault::Refuse(StatusCode::TOO_MANY_REQUESTS)]);
    let (status, headers) = ask("OPTIONS /", "http://a.example").await;
    assert_eq!(
        (status.as_str(), headers),
        ("HTTP/1.1 200", preflight.map(str::to_owned).to_vec())
    );
    for status in ["HTTP/1.1 429", "HTTP/1.1 404"] {
        let answer = ask("GET /", "http://a.example").await;
        assert_eq!(answer, (status.to_owned(), vec![allow_origin.to_owned()]));
    }
    assert_eq!(
        ask("OPTIONS /", "http://b.example").await.1,
        Vec::<String>::new()
    );
    assert_eq!(
        ask("GET /", "http://b.example").await.1,
        Vec::<String>::new()
    );
    // The two that were neither preflights nor refused.
    assert_eq!(function.stats().started, 2);
}

#[tokio::test]
async fn every_response_allows_credentials_if_configured() {
    let function = function().cors_with_credentials("http://a.example");
    let function = function.start().await.unwrap();
    for method in ["OPTIONS", "GET"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: http://a.example\r\n\
             access-control-request-method: GET\r\n\r\n"
        );
        let Received { head, .. } = RawClient::send(&function, &request).await.end().await;
        for line in [
            "access-control-allow-origin: http://a.example",
            "access-control-allow-credentials: true",
        ] {
            assert!(head.lines().any(|other| other == line), "{line} in {head}");
        }
    }
}

#[tokio::test]
async fn each_chunk_leaves_before_the_next_is_written() {
    let (function, harness) = start(function()).await;
    let (mut client, mut pipe) = harness.open(&function).await;
    for chunk in ["one", "two", "three"] {
        pipe.write_all(chunk.as_bytes()).await.unwrap();
        client.until(chunk).await;
    }
    pipe.shutdown().await.unwrap();
    let Received { body, ending, .. } = client.end().await;
    assert_eq!((body.as_str(), ending), ("!onetwothree", Ending::Whole));
    assert_eq!(function.stats().completed, 1);
}

#[tokio::test]
async fn at_the_deadline_the_process_dies_and_the_client_is_cut() {
    let (function, harness) = start(function().timeout(Duration::from_secs(1))).await;
    let (client, pipe) = harness.open(&function).await;

    let Received { body, ending, .. } = client.end().await;
    assert_eq!((body.as_str(), ending), ("!", Ending::Cut));
    assert!(closed(pipe).await);
    let stats = function.stats();
    assert_eq!((stats.timed_out, stats.processes), (1, 0));
    assert!(stats.billed_ms >= 1000, "{stats:?}");
}

#[tokio::test]
async fn an_error_before_the_response_is_a_502() {
    for path in ["/fail", "/exit", "/hang"] {
        let function = function()
            .timeout(Duration::from_secs(1))
            .start()
            .await
            .unwrap();
        let Received { head, body, ending } = RawClient::get(&function, path).await.end().await;
        assert!(
            head.starts_with("HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json"),
            "{path}: {head}"
        );
        assert_eq!(
            (body.as_str(), ending),
            (r#"{"Message":"Internal Server Error"}"#, Ending::Whole)
        );
    }
}

#[tokio::test]
async fn a_process_that_exits_during_a_response_cuts_its_client_and_is_replaced() {
    let (function, harness) = start(function()).await;
    let (client, mut pipe) = harness.open(&function).await;
    pipe.write_all(b"exit").await.unwrap();
    let Received { body, ending, .. } = client.end().await;
    assert_eq!((body.as_str(), ending), ("!", Ending::Cut));

    assert_responds(&function).await;
    let stats = function.stats();
    assert_eq!(
        (stats.crashed, stats.completed, stats.cold_starts),
        (1, 1, 2)
    );
}

#[tokio::test]
async fn the_function_does_not_learn_that_its_client_left() {
    let (function, harness) = start(function()).await;
    let (client, mut pipe) = harness.open(&function).await;
    drop(client);
    // If the function knew, one of these writes would fail.
    for _ in 0..100 {
        pipe.write_all(b"more").await.unwrap();
    }
    pipe.shutdown().await.unwrap();
    let stats = function.wait_for(|stats| stats.in_flight() == 0).await;
    assert_eq!(
        (stats.completed, stats.disconnected, stats.processes),
        (1, 0, 1)
    );
    assert!(stats.billed_ms > 0);
}

#[tokio::test]
async fn the_function_learns_it_with_propagate_disconnect() {
    let (function, harness) = start(function().propagate_disconnect(true)).await;
    let (client, pipe) = harness.open(&function).await;
    drop(client);
    assert!(closed(pipe).await);
    let stats = function.wait_for(|stats| stats.in_flight() == 0).await;
    assert_eq!((stats.completed, stats.disconnected), (0, 1));
}

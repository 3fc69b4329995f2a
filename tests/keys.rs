//! The real binary fetches the keys for tokens from an issuer's https URL.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/cloud.rs"]
mod cloud_support;
#[path = "support/key_server.rs"]
mod key_server;

use std::sync::atomic::Ordering;
use std::time::Duration;

use cloud_support::Cloud;
use eventsource_stream::{Event, Eventsource};
use futures_util::TryStreamExt;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use jsonwebtoken::Algorithm;
use key_server::{Authority, KeyServer};
use lambda_stand_in::Function;
use local::issuer::Issuer;
use tempfile::NamedTempFile;

const HOUR: Duration = Duration::from_secs(3600);

/// A stream function that fetches its keys. Its machine trusts one authority.
async fn stream(cloud: &Cloud, url: &str, trusted: &NamedTempFile) -> Function {
    cloud
        .stream()
        .env("ACCESS", "jwt")
        .env("JWKS", url)
        .env("JWT_ISSUER", "*")
        .env("HOLD", "auto")
        .env("SSL_CERT_FILE", trusted.path().to_str().unwrap())
        .start()
        .await
        .unwrap()
}

async fn ask(stream: &Function, token: &str, accept: &str) -> reqwest::Response {
    let url = format!("{}/orders/A/events", stream.url());
    let request = reqwest::Client::new().get(url).bearer_auth(token);
    request.header("accept", accept).send().await.unwrap()
}

async fn events(response: reqwest::Response) -> Vec<Event> {
    let events = response.bytes_stream().eventsource();
    events.map_err(drop).try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_once_from_a_trusted_server() {
    let cloud = Cloud::new().await;
    cloud.append("A", "DELIVERED").await;
    let (issuer, authority) = (Issuer::new(Algorithm::ES256, "k"), Authority::new("ours"));
    let issuer = issuer.unwrap();
    let tls = authority.server_config("127.0.0.1", 4096);
    let server = KeyServer::start(tls, issuer.jwks().unwrap()).await;
    let trusted = authority.file();
    let stream = stream(&cloud, &server.url, &trusted).await;
    let (token, _) = issuer.token(&["A"], HOUR).unwrap();
    for _ in 0..2 {
        let response = ask(&stream, &token, "text/event-stream").await;
        assert_eq!(response.status(), StatusCode::OK);
        let events = events(response).await;
        let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
        assert_eq!(types, ["hello", "message", "end"]);
    }
    let (others, _) = issuer.token(&["B"], HOUR).unwrap();
    let response = ask(&stream, &others, "text/event-stream").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let stranger = Issuer::new(Algorithm::ES256, "k").unwrap();
    let (forged, _) = stranger.token(&["A"], HOUR).unwrap();
    let response = ask(&stream, &forged, "text/event-stream").await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.requests.load(Ordering::Relaxed), 1);
}

/// It is not the client's fault if the keys cannot be fetched. A 401 would end its `EventSource`.
#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_key_server_is_a_temporary_failure() {
    let cloud = Cloud::new().await;
    cloud.append("A", "DELIVERED").await;
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let (token, _) = issuer.token(&["A"], HOUR).unwrap();
    let (ours, stranger) = (Authority::new("ours"), Authority::new("a stranger"));
    let trusted = ours.file();
    for (tls, why) in [
        (stranger.server_config("127.0.0.1", 4096), "UnknownIssuer"),
        (
            ours.server_config("issuer.example", 4096),
            "not valid for name",
        ),
        (ours.server_config("127.0.0.1", 2000), "certificate expired"),
    ] {
        let server = KeyServer::start(tls, issuer.jwks().unwrap()).await;
        let stream = stream(&cloud, &server.url, &trusted).await;
        let response = ask(&stream, &token, "text/event-stream").await;
        assert_eq!(response.status(), StatusCode::OK, "{why}");
        let events = events(response).await;
        let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
        assert_eq!(types, ["hello", "rest"], "{why}");
        assert!(events[1].retry.unwrap() >= Duration::from_secs(3));
        let response = ask(&stream, &token, "application/json").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{why}");
        let log = stream
            .wait_for_log("the key set could not be fetched")
            .await;
        assert!(log.contains(why), "{log}");
        assert_eq!(server.requests.load(Ordering::Relaxed), 0, "{why}");
    }
}

/// Anyone on the network could replace keys that come over HTTP. So the function does not start.
#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_is_not_https_is_refused_at_startup() {
    let cloud = Cloud::new().await;
    for url in ["http://issuer.example/jwks.json", "file:///jwks.json"] {
        let stream = cloud.stream().env("ACCESS", "jwt").env("JWKS", url);
        let stream = stream.start().await.unwrap();
        let response = reqwest::get(format!("{}/orders/A/events", stream.url())).await;
        assert_eq!(response.unwrap().status(), StatusCode::BAD_GATEWAY);
        let why = "JWKS is invalid: it is neither a JSON Web Key Set nor an https URL";
        stream.wait_for_log(why).await;
    }
}

/// Asks a function whose key server responds with `respond`.
async fn ask_with_key_server(
    issuer: &Issuer,
    respond: impl Fn(&Request<Incoming>) -> Response<String> + Send + Sync + 'static,
) -> (reqwest::Response, Function, KeyServer, Cloud) {
    let (cloud, authority) = (Cloud::new().await, Authority::new("ours"));
    cloud.append("A", "DELIVERED").await;
    let tls = authority.server_config("127.0.0.1", 4096);
    let server = KeyServer::responding(tls, respond).await;
    let trusted = authority.file();
    let stream = stream(&cloud, &server.url, &trusted).await;
    let (token, _) = issuer.token(&["A"], HOUR).unwrap();
    let response = ask(&stream, &token, "application/json").await;
    (response, stream, server, cloud)
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response<String> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.to_owned()).unwrap()
}

/// A common firewall refuses requests without these headers. The content type of the response does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn the_request_has_a_user_agent_and_an_accept_header() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let firewall = move |request: &Request<Incoming>| {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let has_headers = ["user-agent", "accept"].map(|name| request.headers().contains_key(name));
        if has_headers != [true, true] {
            return response(403, &[("content-type", "text/html")], "<h1>Forbidden</h1>");
        }
        assert!(header("user-agent").starts_with("order-status-stream/"));
        assert!(header("accept").contains("application/json"));
        response(200, &[("content-type", "text/plain")], &jwks)
    };
    let (response, ..) = ask_with_key_server(&issuer, firewall).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_only_to_https() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k").unwrap();
    let redirect = |to: &'static str, status| {
        let jwks = issuer.jwks().unwrap();
        move |request: &Request<Incoming>| match request.uri().path() {
            "/moved.json" => response(200, &[], &jwks),
            _ => {
                let host = request.headers()["host"].to_str().unwrap();
                let to = to.replace("HOST", host);
                response(status, &[("location", &to)], "moved")
            }
        }
    };
    for (to, status) in [
        ("/moved.json", 301),
        ("https://HOST/moved.json", 308),
        ("/moved.json?v=2", 302),
    ] {
        let (response, ..) = ask_with_key_server(&issuer, redirect(to, status)).await;
        assert_eq!(response.status(), StatusCode::OK, "{to}");
    }
    for to in [
        "http://HOST/moved.json",
        "//HOST/moved.json",
        "file:///moved.json",
        "/jwks.json",
        "",
    ] {
        let (response, stream, server, _cloud) =
            ask_with_key_server(&issuer, redirect(to, 302)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{to}");
        stream.wait_for_log("too many redirects").await;
        // A fetch at the start and one by the token, each with at most three redirects.
        assert!(server.requests.load(Ordering::Relaxed) <= 8, "{to}");
    }
}

/// A set that is too long is not read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_key_set_is_a_temporary_failure_with_a_logged_reason() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let long = format!("{jwks}{}", " ".repeat(256 * 1024));
    let html = "<!doctype html><title>Sign in</title>".to_owned();
    let unreadable = jwks.replace("\"x\":\"", "\"x\":\"!");
    for (body, why) in [
        (long, "has more than 262144 bytes"),
        (html, "it is neither a JSON Web Key Set nor an https URL"),
        (
            unreadable,
            "it contains no key for ES256, EdDSA (Ed25519) or RS256 (key 1",
        ),
    ] {
        let (response, stream, ..) =
            ask_with_key_server(&issuer, move |_| response(200, &[], &body)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{why}");
        let log = stream
            .wait_for_log("the key set could not be fetched")
            .await;
        assert!(log.contains(why), "{log}");
    }
}

/// There is one warning for each set, however many tokens are checked with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_key_is_logged_once() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k").unwrap();
    let good = issuer.jwk().unwrap();
    let broken = serde_json::json!({ "kty": "RSA", "kid": "bent", "n": "AQAB", "e": "AQAB" });
    let other = serde_json::json!({ "kty": "EC", "crv": "P-384", "kid": "fine" });
    let jwks = serde_json::json!({ "keys": [broken, other, good] }).to_string();
    let by_url = jwks.clone();
    let (response, fetched, _server, _cloud) =
        ask_with_key_server(&issuer, move |_| response(200, &[], &by_url)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let cloud = Cloud::new().await;
    let inline = cloud.stream().env("ACCESS", "jwt").env("JWKS", jwks);
    let inline = inline.start().await.unwrap();
    let (token, _) = issuer.token(&["A"], HOUR).unwrap();
    for stream in [fetched, inline] {
        for _ in 0..3 {
            let response = ask(&stream, &token, "application/json").await;
            assert_eq!(response.status(), StatusCode::OK);
        }
        let logs = stream.logs();
        let warnings: Vec<_> = logs
            .iter()
            .filter(|line| line.contains("\"WARN\""))
            .collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].contains("its RSA modulus has 17 bits"),
            "{warnings:?}"
        );
        assert!(warnings[0].contains("bent") && !warnings[0].contains("fine"));
    }
}

/// Entra, Firebase and others sign the tokens of many tenants with the same keys, so only the issuer names the tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_url_without_an_issuer_is_refused_at_startup() {
    let cloud = Cloud::new().await;
    let url = "https://issuer.example/jwks.json";
    let stream = cloud.stream().env("ACCESS", "jwt").env("JWKS", url);
    let stream = stream.start().await.unwrap();
    let response = reqwest::get(format!("{}/orders/A/events", stream.url())).await;
    assert_eq!(response.unwrap().status(), StatusCode::BAD_GATEWAY);
    stream
        .wait_for_log("JWT_ISSUER is required if JWKS is a URL")
        .await;
}

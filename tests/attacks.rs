//! What an attacker can send, and the expected response: one line each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http_body_util::BodyExt;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lambda_stand_in::Function;
use local::issuer::Issuer;
use order_status_stream::request::Request;
use serde_json::{Value, json};
use support::{Harness, NOW, change_of, outline, parse, request};

const A: &str = "/orders/A/events";

fn seconds(from_now: i64) -> i64 {
    i64::try_from(NOW.as_secs()).unwrap() + from_now
}

/// Valid for an hour, for order A, with the issuer and the audience of the settings.
fn claims() -> Value {
    json!({ "orders": ["A"], "exp": seconds(3600), "iss": "https://shop.example", "aud": "orders" })
}

/// The same, with one claim changed. Null removes it.
fn claims_but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}

fn encoded(part: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part)
}

fn bearer(token: &str) -> Request {
    request("GET", A, &[("authorization", &format!("Bearer {token}"))])
}

/// An endpoint with the keys of three issuers.
struct GuardedEndpoint {
    harness: Harness,
    es256: Issuer,
    eddsa: Issuer,
    rs256: Issuer,
}

impl GuardedEndpoint {
    async fn new() -> Self {
        let new = |algorithm, key_id| Issuer::new(algorithm, key_id).unwrap();
        let es256 = new(Algorithm::ES256, "es");
        let eddsa = new(Algorithm::EdDSA, "ed");
        let rs256 = new(Algorithm::RS256, "rs");
        let keys = [&es256, &eddsa, &rs256].map(|issuer| issuer.jwk().unwrap());
        let harness = Harness::with(&[
            ("FEED_TABLE", "in memory"),
            ("JWKS", &json!({ "keys": keys }).to_string()),
            ("JWT_ISSUER", "https://shop.example"),
            ("JWT_AUDIENCE", "orders"),
        ]);
        harness.change("A", "PLACED").await;
        Self {
            harness,
            es256,
            eddsa,
            rs256,
        }
    }

    /// The status, and the detail of a problem.
    async fn respond(&self, request: &Request) -> (u16, String) {
        let response = self.harness.respond(request).await;
        let status = response.status().as_u16();
        if status == 200 {
            return (status, String::new());
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap();
        (status, problem["detail"].as_str().unwrap().to_owned())
    }

    async fn check(&self, what: &str, token: &str, status: u16, why: &str) {
        let (found, detail) = self.respond(&bearer(token)).await;
        assert_eq!(found, status, "{what}: {detail}");
        assert!(detail.contains(why), "{what}: {detail}");
    }
}

const NO_JWT: &str = "not a JWT signed with ES256, EdDSA or RS256";
const NO_KEY: &str = "no known key has its kid and alg";
const SIGNATURE: &str = "its signature is invalid";

#[tokio::test(start_paused = true)]
async fn unsigned_tokens_are_refused() {
    let guarded = GuardedEndpoint::new().await;
    let good = guarded.es256.sign(&claims()).unwrap();
    guarded.check("a good token", &good, 200, "").await;
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("a token has three parts")
    };
    let payload_of = |claims: &Value| encoded(claims.to_string());
    let all = payload_of(&claims_but("orders", json!("*")));

    for none in ["none", "None", "NONE", ""] {
        let none = encoded(json!({ "alg": none, "kid": "es" }).to_string());
        guarded
            .check("alg none", &format!("{none}.{all}."), 401, NO_JWT)
            .await;
        let signed = format!("{none}.{all}.{signature}");
        guarded.check("alg none", &signed, 401, NO_JWT).await;
    }
    let other_claims = format!("{header}.{all}.{signature}");
    guarded
        .check("other claims", &other_claims, 401, SIGNATURE)
        .await;
    let unsigned = format!("{header}.{payload}.");
    guarded
        .check("no signature", &unsigned, 401, SIGNATURE)
        .await;
    let zeros = format!("{header}.{payload}.{}", encoded([0; 64]));
    guarded
        .check("a signature of zeros", &zeros, 401, SIGNATURE)
        .await;
    let no_base64 = format!("{header}.{payload}.{signature}!");
    guarded.check("no base64", &no_base64, 401, SIGNATURE).await;
    for odd in [
        "x",
        ".",
        "..",
        "...",
        "a.b.c",
        "a.b.c.d.e",
        "null",
        "{}",
        "\u{fffd}",
    ] {
        guarded.check(odd, odd, 401, "").await;
    }
    let two = format!("{good}, Bearer {good}");
    guarded
        .check("two tokens in one header", &two, 401, "")
        .await;
    guarded
        .check("a million bytes", &"x".repeat(1_000_000), 401, "more than")
        .await;
    let many: Vec<_> = (0..10_000).map(|n| format!("order-{n}")).collect();
    let many = guarded
        .es256
        .sign(&claims_but("orders", json!(many)))
        .unwrap();
    guarded
        .check("ten thousand orders", &many, 401, "more than 16384 bytes")
        .await;
}

/// The public key is not a secret. A verifier that uses it as an HMAC secret accepts everybody's tokens.
#[tokio::test(start_paused = true)]
async fn hs256_with_the_public_key_is_refused() {
    let guarded = GuardedEndpoint::new().await;
    for (issuer, key_id) in [
        (&guarded.es256, "es"),
        (&guarded.eddsa, "ed"),
        (&guarded.rs256, "rs"),
    ] {
        let jwk = issuer.jwk().unwrap();
        let member = |name: &str| {
            let text = jwk[name].as_str().unwrap_or_default();
            BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
        };
        let point = [&[4], &member("x")[..], &member("y")[..]].concat();
        // The head of an Ed25519 key's SubjectPublicKeyInfo (RFC 8410).
        let head = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        let der = [&head[..], &member("x")[..]].concat();
        let pem = BASE64_STANDARD.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
        let secrets = [
            jwk.to_string().into_bytes(),
            issuer.jwks().unwrap().into_bytes(),
            member("x"),
            member("n"),
            point,
            der,
            pem.into_bytes(),
            Vec::new(),
        ];
        for (secret, algorithm) in secrets
            .iter()
            .flat_map(|secret| [Algorithm::HS256, Algorithm::HS512].map(|hs| (secret, hs)))
        {
            let mut header = Header::new(algorithm);
            header.kid = Some(key_id.to_owned());
            let token = encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
            guarded.check(key_id, &token, 401, NO_JWT).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_signed_with_other_keys_are_refused() {
    let guarded = GuardedEndpoint::new().await;
    let attacker = Issuer::new(Algorithm::ES256, "es").unwrap();
    let forged = attacker.sign(&claims()).unwrap();
    guarded
        .check("an unknown issuer, with our kid", &forged, 401, SIGNATURE)
        .await;
    let under = |kid: Option<&str>| {
        let mut header = guarded.es256.header();
        header.kid = kid.map(str::to_owned);
        guarded.es256.sign_as(&header, &claims()).unwrap()
    };
    guarded
        .check("another kid", &under(Some("other")), 401, NO_KEY)
        .await;
    guarded
        .check(
            "the kid of another algorithm",
            &under(Some("ed")),
            401,
            NO_KEY,
        )
        .await;
    guarded
        .check(
            "a kid that is a path",
            &under(Some("../../dev/null")),
            401,
            NO_KEY,
        )
        .await;
    guarded
        .check("an empty kid", &under(Some("")), 401, NO_KEY)
        .await;
    guarded
        .check(
            "no kid, and one key of the algorithm",
            &under(None),
            200,
            "",
        )
        .await;

    // The token contains its own key, or the URL of one.
    let mut header = attacker.header();
    header.jwk = serde_json::from_value(attacker.jwk().unwrap()).unwrap();
    header.jku = Some("https://attacker.example/jwks.json".to_owned());
    header.x5u = Some("https://attacker.example/cert.pem".to_owned());
    header.x5c = Some(vec![BASE64_STANDARD.encode("certificate")]);
    let token = attacker.sign_as(&header, &claims()).unwrap();
    guarded.check("its own key", &token, 401, SIGNATURE).await;
    header.kid = Some("attacker".to_owned());
    let token = attacker.sign_as(&header, &claims()).unwrap();
    guarded
        .check("its own key, with its own kid", &token, 401, NO_KEY)
        .await;

    let mut header = guarded.es256.header();
    header.crit = Some(vec!["exp".to_owned()]);
    let token = guarded.es256.sign_as(&header, &claims()).unwrap();
    guarded
        .check(
            "crit",
            &token,
            401,
            "requires extensions that are not supported",
        )
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_token_without_kid_is_refused_if_two_keys_match() {
    let issuers = ["a", "b"].map(|key_id| Issuer::new(Algorithm::EdDSA, key_id).unwrap());
    let keys = issuers.each_ref().map(|issuer| issuer.jwk().unwrap());
    let jwks = json!({ "keys": keys }).to_string();
    let harness = Harness::with(&[("FEED_TABLE", "in memory"), ("JWKS", &jwks)]);
    let token = issuers[0].sign_as(&Header::new(Algorithm::EdDSA), &claims());
    let response = harness.respond(&bearer(&token.unwrap())).await;
    assert_eq!(response.status(), 401);
}

#[tokio::test(start_paused = true)]
async fn invalid_claims_are_refused() {
    let guarded = GuardedEndpoint::new().await;
    let check = async |name: &str, value: Value, status, why: &str| {
        let what = format!("{name} {value}");
        let token = guarded.eddsa.sign(&claims_but(name, value)).unwrap();
        guarded.check(&what, &token, status, why).await;
    };
    let exp = "claim exp is missing or has the wrong type";
    check("exp", json!(null), 401, exp).await;
    check("exp", json!(seconds(60).to_string()), 401, exp).await;
    check("exp", json!([seconds(60)]), 401, "cannot be read").await;
    check("exp", json!(true), 401, exp).await;
    check("exp", json!(-1), 401, exp).await;
    check("exp", json!(0), 401, "expired").await;
    check("exp", json!(seconds(-10)), 401, "expired").await;
    check("exp", json!(seconds(-9)), 200, "").await;
    check("exp", json!(seconds(60) as f64 + 0.5), 200, "").await;
    check("exp", json!(u64::MAX), 200, "").await;
    check("exp", json!(1e308), 200, "").await;
    check("nbf", json!(seconds(11)), 401, "not valid yet").await;
    check("nbf", json!(seconds(10)), 200, "").await;
    check("nbf", json!("now"), 401, "claim nbf").await;
    check("nbf", json!(1e308), 401, "not valid yet").await;
    for other in [
        json!(null),
        json!("https://shop.example/"),
        json!(["https://shop.example"]),
        json!(7),
    ] {
        check("iss", other, 401, "another issuer").await;
    }
    check("aud", json!(["bills", "orders"]), 200, "").await;
    for other in [
        json!(null),
        json!("bills"),
        json!([]),
        json!([["orders"]]),
        json!({ "orders": true }),
    ] {
        check("aud", other, 401, "another audience").await;
    }
    for odd in [
        json!(""),
        json!("A,B"),
        json!({ "A": true }),
        json!(["A", 7.5]),
        json!([["A"]]),
        json!(true),
    ] {
        check("orders", odd, 401, "claim orders").await;
    }
    check("orders", json!(null), 403, "not for all requested orders").await;
}

#[tokio::test(start_paused = true)]
async fn malformed_or_duplicate_claims_are_refused() {
    let guarded = GuardedEndpoint::new().await;
    let header = json!({ "alg": "EdDSA", "kid": "ed" }).to_string();
    for payload in [
        "",
        "null",
        "[]",
        "7",
        "\"*\"",
        "{",
        r#"{"exp":1,"exp":99999999999,"orders":"*"}"#,
        r#"{"exp":1e999,"orders":"*"}"#,
    ] {
        let message = format!("{}.{}", encoded(&header), encoded(payload));
        let signature = guarded.eddsa.signature(message.as_bytes()).unwrap();
        guarded
            .check(payload, &format!("{message}.{signature}"), 401, "")
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn duplicate_or_unusual_parts_of_a_request_open_no_other_order() {
    let guarded = GuardedEndpoint::new().await;
    let good = guarded.es256.sign(&claims()).unwrap();
    let all = guarded
        .es256
        .sign(&claims_but("orders", json!("*")))
        .unwrap();
    let check = async |path: &str, headers: &[(&str, &str)], status| {
        let (found, detail) = guarded.respond(&request("GET", path, headers)).await;
        assert_eq!(found, status, "{path} {headers:?} {detail}");
    };
    let header = format!("Bearer {good}");
    let all_header = format!("Bearer {all}");
    let (header, all_header) = (
        [("authorization", header.as_str())],
        [("authorization", all_header.as_str())],
    );
    // Of two tokens, the first counts. Their permissions are never combined.
    check(&format!("{A}?access_token={good}&access_token=x"), &[], 200).await;
    check(&format!("{A}?access_token=x&access_token={good}"), &[], 401).await;
    let of_b = guarded
        .es256
        .sign(&claims_but("orders", json!(["B"])))
        .unwrap();
    check(
        &format!("{A}?access_token={of_b}&access_token={good}"),
        &[],
        403,
    )
    .await;
    let two = format!("/orders/events?order=A&order=B&access_token={of_b}");
    check(&two, &header, 403).await;
    check("/orders/events?order=A&order=A", &header, 400).await;
    // The path names the order, not the query.
    check("/orders/B/events?order=A", &header, 403).await;
    check("/orders/A/events?order=B", &header, 200).await;
    check("/orders/events?order=A&order=B", &header, 403).await;

    for scheme in ["bearer", "BEARER", "bEaReR"] {
        let header = format!("{scheme} {good}");
        check(A, &[("authorization", &header)], 200).await;
    }
    for none in ["Bearer", "Bearer ", "bearer\t", "", "Basic eDp5", &good] {
        check(A, &[("authorization", none)], 401).await;
    }
    // A proxy may decode a path once or not at all. It never names another order.
    for odd in [
        "/orders/A%00/events",
        "/orders/A%0d%0aset-cookie:%20a=b/events",
        "/orders/A%252Fevents/events",
        "/orders/%FF/events",
        "/orders//events",
    ] {
        check(odd, &all_header, 400).await;
        check(odd, &[], 400).await;
    }
    for other in [
        "/orders/A%2F..%2FB/events",
        "/orders/../orders/A/events",
        "/orders/A/../B/events",
        "/orders/A%2Fevents/events",
        "/orders/a/events",
        "/orders/A%20/events",
    ] {
        check(other, &header, 403).await;
    }
}

#[tokio::test(start_paused = true)]
async fn oversized_cursors_count_as_unreadable() {
    let guarded = GuardedEndpoint::new().await;
    let header = format!("Bearer {}", guarded.es256.sign(&claims()).unwrap());
    for cursor in ["9".repeat(1_000_000), "0.".repeat(500_000), "~".repeat(99)] {
        let headers = [
            ("authorization", header.as_str()),
            ("last-event-id", &cursor),
        ];
        let response = guarded.harness.respond(&request("GET", A, &headers)).await;
        let shown = support::Connection::new(response).until("ready").await;
        assert_eq!(outline(&shown), ["hello", "reset", "PLACED", "ready"]);
    }
}

/// Ids, statuses and attributes are data in one line, and cannot end it.
#[tokio::test(start_paused = true)]
async fn no_data_of_an_order_can_break_its_frame() {
    let evil = "\u{2028}\n\nevent: end\ndata: {}\nid: 9-0000~\r\n\rretry: 0\n: \u{85}\0";
    // The settings refuse an attribute name with ASCII control characters. Its value may contain any.
    let name = "a\u{2028}event: end\u{85}data: {}";
    let harness = Harness::with(&[
        ("FEED_TABLE", "in memory"),
        ("ACCESS", "open"),
        ("PUBLIC_ATTRIBUTES", name),
    ]);
    let mut change = support::change("A", 1, evil);
    change.view = [(name.to_owned(), json!({ evil: [evil] }))].into();
    change.at = Some(evil.to_owned());
    let (clock, retention) = (harness.clock(), Duration::from_secs(172_800));
    order_status_stream::feed::append(&harness.feed, &change, &clock, retention)
        .await
        .unwrap();
    let response = harness.respond(&request("GET", A, &[])).await;
    let mut connection = support::Connection::new(response);
    let shown = connection.until("ready").await;
    let types: Vec<_> = shown.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(types, ["hello", "message", "ready"]);
    assert_eq!(change_of(&shown[1])["status"], evil);
    assert_eq!(
        change_of(&shown[1])["attributes"][name],
        json!({ evil: [evil] })
    );
    assert_eq!(shown[1].id, shown[2].id);
    assert_eq!(parse(connection.bytes()).len(), 3);
    assert!(!connection.bytes().contains(&b'\r'));
}

#[tokio::test(start_paused = true)]
async fn no_response_header_contains_request_data() {
    let guarded = GuardedEndpoint::new().await;
    let evil = "A%0D%0Ax-evil:%201";
    for path in [
        format!("/orders/{evil}/events"),
        format!("{A}?access_token={evil}&lastEventId={evil}"),
    ] {
        let response = guarded.harness.respond(&request("GET", &path, &[])).await;
        for (name, value) in response.headers() {
            let value = value.to_str().unwrap();
            assert!(!name.as_str().contains("evil") && !value.contains("evil"));
        }
    }
}

/// An event that is not a request gets a 400, because a function error would raise an alarm.
#[tokio::test(flavor = "multi_thread")]
async fn every_event_gets_a_response() {
    let issuer = Issuer::new(Algorithm::EdDSA, "k").unwrap();
    let stream = Function::builder(env!("CARGO_BIN_EXE_stream"))
        .env("FEED_TABLE", "OrderFeed")
        .env("AWS_REGION", "us-east-1")
        .env("JWKS", issuer.jwks().unwrap())
        .start()
        .await
        .unwrap();
    let check = async |event: &[u8], status: u16| {
        let response = stream.invoke(event.to_vec().into()).await;
        let shown = String::from_utf8_lossy(&event[..event.len().min(200)]);
        let response = response.unwrap_or_else(|error| panic!("{shown}: {error}"));
        // The prelude of a streamed response, eight NULs, and the body.
        let nuls = response.windows(8).position(|window| window == [0; 8]);
        let body = &response[nuls.unwrap() + 8..];
        let problem: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(problem["status"], status, "{shown}");
    };
    let event = |path: &str, query: &str, headers: Value| {
        let event = json!({
            "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers, "isBase64Encoded": false,
            "requestContext": { "http": { "method": "GET", "path": path }, "timeEpoch": 1 },
        });
        event.to_string().into_bytes()
    };
    for path in ["", ":x", "[", "orders A", "orders/A/events", "//", "\u{0}"] {
        check(&event(path, "", json!({})), 404).await;
    }
    let long = "x".repeat(1_000_000);
    for query in [
        "a b",
        "q=a b",
        "\u{0}",
        "a\r\nb: c",
        "%",
        "&&=&",
        "ü",
        &long,
    ] {
        check(&event(A, query, json!({})), 401).await;
    }
    let many: Value = (0..50_000)
        .map(|n| (format!("x-{n}"), json!("v")))
        .collect();
    for headers in [
        json!({ "host": "a b" }),
        json!({ "host": "a", "x-forwarded-proto": ":" }),
        json!({ "x y": "\u{0}\r\n", "": "", "cookie": 7, "accept": null, "authorization": {} }),
        json!([]),
        many,
    ] {
        check(&event(A, "", headers), 401).await;
    }
    for odd in [
        "",
        "x",
        "\u{feff}{}",
        "null",
        "7",
        "[]",
        "\"GET /\"",
        "{}",
        r#"{"key1":"value1","key2":"value2","key3":"value3"}"#,
        r#"{"Records":[{"eventSource":"aws:dynamodb"}]}"#,
        r#"{"rawPath":"/orders/A/events","requestContext":{"http":{"method":"GE T"}}}"#,
        r#"{"rawPath":7,"requestContext":{"http":{"method":"GET"}}}"#,
        r#"{"rawPath":"/","requestContext":{"http":{}}}"#,
        r#"{"path":"/","method":"GET","requestContext":null}"#,
        &format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
    ] {
        check(odd.as_bytes(), 400).await;
    }
    check(b"{\"rawPath\":\"\xff", 400).await;
    let denied = reqwest::get(format!("{}{A}?q=a+b", stream.url()));
    let denied = denied.await.unwrap();
    assert_eq!(denied.status(), 401);
    assert_eq!(denied.headers()["www-authenticate"], "Bearer");
    let stats = stream.stats();
    assert_eq!((stats.cold_starts, stats.crashed), (1, 0), "{stats:?}");
}

/// Events that look like those of services which do not stream, with members of other types.
#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_a_service_that_does_not_stream_gets_a_whole_response() {
    let stream = Function::builder(env!("CARGO_BIN_EXE_stream"))
        .env("FEED_TABLE", "OrderFeed")
        .env("AWS_REGION", "us-east-1")
        .env("ACCESS", "open")
        .start()
        .await
        .unwrap();
    for (context, other) in [
        (json!({ "elb": 7 }), json!({})),
        (json!({ "elb": {} }), json!({ "multiValueHeaders": 7 })),
        (json!(null), json!({ "version": "1.0" })),
        (
            json!({ "http": { "method": "GET" }, "apiId": "a", "domainName": "orders.example" }),
            json!({ "version": "2.0", "rawPath": "/" }),
        ),
    ] {
        let mut event = json!({ "httpMethod": "GET", "path": "/", "requestContext": context });
        let members = other.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(members);
        let response = stream.invoke(event.to_string().into()).await.unwrap();
        let whole: Value = serde_json::from_slice(&response).unwrap();
        assert_eq!(whole["statusCode"], 404, "{event}");
        assert!(whole["body"].as_str().unwrap().contains("404"), "{event}");
    }
}

//! A stream opens only for the orders that its token names, and only until the token expires.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use http_body_util::BodyExt;
use jsonwebtoken::Algorithm;
use local::issuer::Issuer;
use order_status_stream::feed::memory::Fault;
use order_status_stream::request::Request;
use serde_json::{Value, json};
use support::{Connection, Harness, NOW, outline, request};

const A: &str = "/orders/A/events";

/// A harness that accepts the tokens of one issuer.
struct GuardedHarness {
    harness: Harness,
    issuer: Issuer,
}

impl GuardedHarness {
    fn new() -> Self {
        let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
        let jwks = issuer.jwks().unwrap();
        let settings = [("FEED_TABLE", "in memory"), ("JWKS", &jwks)];
        Self {
            harness: Harness::with(&settings),
            issuer,
        }
    }

    /// A token that expires at a time since the harness started.
    fn token(&self, orders: Value, lasts: Duration) -> String {
        let exp = (NOW + lasts).as_secs();
        let claims = json!({ "orders": orders, "exp": exp });
        self.issuer.sign(&claims).unwrap()
    }

    async fn respond(&self, request: &Request) -> Outcome {
        let response = self.harness.respond(request).await;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let (status, challenge) = (response.status().as_u16(), header("www-authenticate"));
        let body = match status {
            200 => String::new(),
            _ => {
                let content_type = header("content-type");
                assert_eq!(content_type.as_deref(), Some("application/problem+json"));
                let body = response.into_body().collect().await.unwrap().to_bytes();
                String::from_utf8(body.into()).unwrap()
            }
        };
        Outcome {
            status,
            challenge,
            body,
        }
    }
}

/// What a client sees of a response: for a stream, not its body.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u16,
    challenge: Option<String>,
    body: String,
}

fn bearer(path: &str, token: &str) -> Request {
    request(
        "GET",
        path,
        &[("authorization", &format!("Bearer {token}"))],
    )
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_token_opens_only_the_orders_that_it_names() {
    let guarded = GuardedHarness::new();
    let check = async |path: &str, orders: Value, status| {
        let request = bearer(path, &guarded.token(orders.clone(), HOUR));
        let outcome = guarded.respond(&request).await;
        assert_eq!(outcome.status, status, "{path} {orders}");
    };
    check(A, json!(["A"]), 200).await;
    check(A, json!(["B", "A"]), 200).await;
    check(A, json!("*"), 200).await;
    check(A, json!(["B"]), 403).await;
    check(A, json!([]), 403).await;
    check(A, json!(["*"]), 403).await;
    check(A, json!(["a"]), 403).await;
    let two = "/orders/events?order=A&order=B%2F1";
    check(two, json!(["A", "B/1"]), 200).await;
    check(two, json!(["A"]), 403).await;
    check(two, json!(["A", "B%2F1"]), 403).await;
}

#[tokio::test(start_paused = true)]
async fn each_supported_algorithm_is_accepted() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let issuer = Issuer::new(algorithm, "k").unwrap();
        let jwks = issuer.jwks().unwrap();
        let harness = Harness::with(&[("FEED_TABLE", "in memory"), ("JWKS", &jwks)]);
        let claims = json!({ "orders": ["A"], "exp": (NOW + HOUR).as_secs() });
        let request = bearer(A, &issuer.sign(&claims).unwrap());
        assert_eq!(
            harness.respond(&request).await.status(),
            200,
            "{algorithm:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_read_from_header_cookie_or_query() {
    let guarded = GuardedHarness::new();
    let token = guarded.token(json!(["A"]), HOUR);
    let check = async |query: &str, headers: &[(&str, String)], status| {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let request = request("GET", &format!("{A}{query}"), &headers);
        let found = guarded.respond(&request).await.status;
        assert_eq!(found, status, "{query} {headers:?}");
    };
    let query = format!("?access_token={token}");
    let cookie = ("cookie", format!("a=b; access_token={token}; c=d"));
    let header = ("authorization", format!("Bearer {token}"));
    check(&query, &[], 200).await;
    check("", std::slice::from_ref(&cookie), 200).await;
    check("", std::slice::from_ref(&header), 200).await;
    // The first token that is present counts, whether or not it is good.
    let bad = |name, text: &str| (name, text.to_owned());
    check(&query, &[bad("authorization", "Bearer x")], 401).await;
    check(&query, &[bad("cookie", "access_token=x")], 401).await;
    check("", &[bad("authorization", "Bearer x"), cookie.clone()], 401).await;
    check("?access_token=x", std::slice::from_ref(&cookie), 200).await;
    check("?access_token=x", &[header], 200).await;
    // An empty token counts as absent. Other schemes are ignored.
    check("", &[bad("authorization", "Bearer "), cookie.clone()], 200).await;
    check("", &[bad("authorization", "Basic eDp5"), cookie], 200).await;
    check(&query, &[bad("cookie", "access_token=")], 200).await;
    check("?access_token=", &[], 401).await;
}

/// The other cookies, headers and schemes may belong to the shop, a proxy or another library.
#[tokio::test(start_paused = true)]
async fn other_cookies_and_headers_do_not_invalidate_a_good_token() {
    let guarded = GuardedHarness::new();
    let token = guarded.token(json!(["A"]), HOUR);
    let mine = format!("access_token={token}");
    let check = async |headers: Value, cookies: Value| {
        let event = json!({
            "rawPath": A, "rawQueryString": "", "headers": headers, "cookies": cookies,
            "requestContext": { "http": { "method": "GET" } },
        });
        let response = guarded.harness.respond_to_event(&event.to_string()).await;
        assert_eq!(response.status(), 200, "{headers} {cookies}");
    };
    for other in [
        "name=Zoë",
        "name=\u{fffd}\u{ff}",
        "name=\u{0}\r\n\u{7f}",
        "name=\"a, b\"",
        "name",
        "=",
        "",
        "access_token",
        "access_token=",
        "access_token=\"\"",
        "access_token=Zoë",
        "access_token=a b",
        "access_token={\"id\":\"x\"}",
        "access_token=x, y",
        "xaccess_token=x",
        "ACCESS_TOKEN=x",
    ] {
        check(json!({}), json!([other, mine])).await;
        check(json!({}), json!([mine, other])).await;
        check(json!({}), json!([format!("{other}; {mine}")])).await;
        check(
            json!({ "cookie": format!("{other};{mine};{other}") }),
            json!(null),
        )
        .await;
        check(json!({ "cookie": other }), json!([mine])).await;
    }
    let cookie = json!([mine]);
    for scheme in [
        "Basic eDp5",
        "Basic Zoë",
        "Digest a=\"b\", c",
        "Bearer",
        "Bearer Zoë",
        "Bearer a b",
        "Bearer realm=\"x\"",
        "ë",
        "",
    ] {
        check(json!({ "authorization": scheme }), cookie.clone()).await;
    }
    check(
        json!({ "x-name": "Zoë\u{0}", "accept": "ë", "x y": "z" }),
        cookie,
    )
    .await;
    for good in [
        format!("access_token=\"{token}\""),
        format!(" access_token = {token} "),
        format!("{mine}; {mine}"),
        format!("{mine}; access_token=x"),
    ] {
        check(json!({}), json!([good])).await;
    }
    let both = json!({ "authorization": ["Basic eDp5", format!("Bearer {token}")] });
    check(both, json!(null)).await;
}

#[tokio::test(start_paused = true)]
async fn the_orders_claim_is_accepted_in_each_unambiguous_form() {
    let guarded = GuardedHarness::new();
    let check = async |orders: Value, id: &str, status: u16| {
        let request = bearer(
            &format!("/orders/{id}/events"),
            &guarded.token(orders.clone(), HOUR),
        );
        let outcome = guarded.respond(&request).await;
        assert_eq!(outcome.status, status, "{orders} {id}: {}", outcome.body);
        let claim = outcome.body.contains("its claim orders lists no orders");
        assert_eq!(claim, status == 401, "{orders}: {}", outcome.body);
    };
    check(json!([1001, "A"]), "1001", 200).await;
    check(json!([1001, "A"]), "A", 200).await;
    check(json!(1001), "1001", 200).await;
    check(json!(u64::MAX), &u64::MAX.to_string(), 200).await;
    check(json!("A"), "A", 200).await;
    check(json!("A"), "B", 403).await;
    check(json!("1001"), "1001", 200).await;
    check(json!("007"), "007", 200).await;
    check(json!("007"), "7", 403).await;
    check(
        json!("12345678901234567890123"),
        "12345678901234567890123",
        200,
    )
    .await;
    for text in ["[\"A\",\"B 2\",3]", " [ \"A\", \"B 2\", 3 ]\n"] {
        check(json!(text), "A", 200).await;
        check(json!(text), "B%202", 200).await;
        check(json!(text), "3", 200).await;
        check(json!(text), "C", 403).await;
    }
    check(json!("[]"), "A", 403).await;
    // `*` means all orders only if it is the whole claim.
    check(json!("*"), "A", 200).await;
    check(json!("[\"*\"]"), "A", 403).await;
    check(json!("[\"*\"]"), "*", 200).await;
    for refused in [
        json!("\"*\""),
        json!(" *"),
        json!("*,A"),
        json!("A,B"),
        json!("A B"),
        json!("A\tB"),
        json!("A;B"),
        json!("A|B"),
        json!(""),
        json!(" "),
        json!("["),
        json!("[A,B]"),
        json!("\"A\""),
        json!("{\"A\":true}"),
        json!("null"),
        json!("true"),
        json!("[[\"A\"]]"),
        json!("[1.5]"),
        json!("[null]"),
        json!("A%2FB"),
        json!(1.5),
        json!([1.0]),
        json!([1e30]),
        json!([true]),
        json!({ "A": 1 }),
        json!(true),
        json!(null),
    ] {
        check(refused, "A", 401).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_claims_name_and_the_leeway_are_settings() {
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let status = async |name: &str, leeway: &str, claims: Value| {
        let settings = [
            ("FEED_TABLE", "in memory"),
            ("JWKS", &jwks),
            ("JWT_ORDERS_CLAIM", name),
            ("JWT_LEEWAY", leeway),
        ];
        let request = bearer(A, &issuer.sign(&claims).unwrap());
        let response = Harness::with(&settings).respond(&request).await;
        response.status().as_u16()
    };
    let exp = (NOW + HOUR).as_secs();
    let (name, cognito) = ("https://shop.example/orders", "custom:orders");
    let claims = json!({ "exp": exp, name: ["A"], "orders": ["B"] });
    assert_eq!(status(name, "", claims.clone()).await, 200);
    assert_eq!(status("", "", claims.clone()).await, 403);
    assert_eq!(status(cognito, "", claims).await, 403);
    let claims = json!({ "exp": exp, cognito: "[\"A\"]", "orders": "*" });
    assert_eq!(status(cognito, "", claims.clone()).await, 200);
    let claims = json!({ "exp": exp, name: true, "orders": "*" });
    assert_eq!(status(name, "", claims).await, 401);

    let expired = |ago| json!({ "exp": NOW.as_secs() - ago, "orders": ["A"] });
    assert_eq!(status("", "", expired(9)).await, 200);
    assert_eq!(status("", "", expired(10)).await, 401);
    assert_eq!(status("", "0s", expired(0)).await, 401);
    assert_eq!(status("", "1m", expired(59)).await, 200);
    assert_eq!(status("", "1m", expired(60)).await, 401);
    let early = |by| json!({ "exp": exp, "nbf": NOW.as_secs() + by, "orders": ["A"] });
    assert_eq!(status("", "0s", early(1)).await, 401);
    assert_eq!(status("", "1m", early(60)).await, 200);
}

#[tokio::test(start_paused = true)]
async fn the_cookies_of_a_real_event_are_read() {
    let guarded = GuardedHarness::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/events/url-first-visit.json");
    let mut event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let respond = async |event: &Value| {
        let request = Request::read(&event.to_string()).unwrap();
        guarded.harness.respond(&request).await.status()
    };
    assert_eq!(respond(&event).await, 401);
    let token = guarded.token(json!("*"), HOUR);
    event["cookies"] = json!(["theme=dark", format!("access_token={token}")]);
    assert_eq!(respond(&event).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_denied_request_gets_the_challenge_of_rfc_6750() {
    let guarded = GuardedHarness::new();
    let outcome = guarded.respond(&request("GET", A, &[])).await;
    assert_eq!(outcome.status, 401);
    assert_eq!(outcome.challenge.as_deref(), Some("Bearer"));
    assert!(
        outcome.body.contains("a token is required"),
        "{}",
        outcome.body
    );

    let outcome = guarded.respond(&bearer(A, "x")).await;
    assert_eq!(outcome.status, 401);
    let challenge = "Bearer error=\"invalid_token\"";
    assert_eq!(outcome.challenge.as_deref(), Some(challenge));

    let token = guarded.token(json!(["B"]), HOUR);
    let outcome = guarded.respond(&bearer(A, &token)).await;
    assert_eq!(outcome.status, 403);
    let challenge = "Bearer error=\"insufficient_scope\"";
    assert_eq!(outcome.challenge.as_deref(), Some(challenge));
}

#[tokio::test(start_paused = true)]
async fn a_denial_does_not_show_whether_an_order_exists() {
    let guarded = GuardedHarness::new();
    guarded.harness.change("A", "PLACED").await;
    let token = guarded.token(json!(["B"]), HOUR);
    // If the endpoint read the feed, time would pass.
    guarded.harness.feed.inject([Some(Fault::Hangs)]);
    let existing = guarded.respond(&bearer(A, &token)).await;
    let missing = guarded
        .respond(&bearer("/orders/none/events", &token))
        .await;
    assert_eq!(existing, missing);
    let json = [
        ("accept", "application/json"),
        ("authorization", &format!("Bearer {token}")),
    ];
    let json = guarded.respond(&request("GET", A, &json)).await;
    assert_eq!(json, existing);
    let ended = format!("{A}?lastEventId=4-77aa~");
    assert_eq!(guarded.respond(&bearer(&ended, &token)).await, existing);
    assert_eq!(
        guarded.harness.age(),
        Duration::ZERO,
        "the feed was not read"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_token_expires() {
    let guarded = GuardedHarness::new();
    guarded.harness.change("A", "PLACED").await;
    let token = guarded.token(json!(["A"]), Duration::from_secs(20));
    let response = guarded.harness.respond(&bearer(A, &token)).await;
    let shown = Connection::new(response).finish().await;
    let expected = ["hello", "PLACED", "ready", "expired"];
    assert_eq!(outline(&shown), expected);
    assert_eq!(
        guarded.harness.clock().epoch(),
        NOW + Duration::from_secs(20)
    );
    assert_eq!(shown[3].id, shown[1].id, "the cursor of the last change");
    assert_eq!(shown[3].data, "{}");
    // Clocks differ. So for ten more seconds, a client that comes back gets `expired`; after that, a 401.
    let response = guarded.harness.respond(&bearer(A, &token)).await;
    let last = Connection::new(response).finish().await;
    assert_eq!(outline(&last).last().unwrap(), "expired");
    tokio::time::advance(Duration::from_secs(10)).await;
    let outcome = guarded.respond(&bearer(A, &token)).await;
    assert_eq!(outcome.status, 401);
    assert!(outcome.body.contains("it has expired"), "{}", outcome.body);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_expired_after_its_token_expired() {
    let guarded = GuardedHarness::new();
    for status in ["PLACED", "PAID", "SHIPPED"] {
        guarded.harness.change("A", status).await;
    }
    let token = guarded.token(json!(["A"]), Duration::from_secs(20));
    let response = guarded.harness.respond(&bearer(A, &token)).await;
    let mut connection = Connection::new(response);
    connection.until("message").await;
    tokio::time::advance(Duration::from_secs(25)).await;
    let shown = connection.finish().await;
    assert_eq!(outline(&shown), ["hello", "PLACED", "expired"]);
    assert_eq!(shown[2].id, shown[1].id);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_ends_before_the_token_ends_with_rest() {
    let guarded = GuardedHarness::new();
    for exp in [json!((NOW + HOUR).as_secs()), json!(1e300)] {
        let claims = json!({ "orders": ["A"], "exp": exp });
        let token = guarded.issuer.sign(&claims).unwrap();
        let response = guarded.harness.respond(&bearer(A, &token)).await;
        let shown = Connection::new(response).finish().await;
        assert_eq!(outline(&shown), ["hello", "ready", "rest"]);
    }
}

/// No server listens at port 1.
#[tokio::test]
async fn if_keys_cannot_be_fetched_the_stream_is_unavailable() {
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("JWKS", "https://[::1]:1/jwks.json"),
        ("JWT_ISSUER", "*"),
    ];
    let harness = Harness::with(&settings);
    harness.change("A", "PLACED").await;
    let issuer = Issuer::new(Algorithm::EdDSA, "k").unwrap();
    let (token, _) = issuer.token(&["A"], HOUR).unwrap();
    let response = harness.respond(&bearer(A, &token)).await;
    assert_eq!(response.status(), 200);
    let shown = Connection::new(response).finish().await;
    assert_eq!(outline(&shown), ["hello", "rest"], "no frame of the order");
    assert!(shown[1].retry.unwrap() >= Duration::from_secs(3));

    let resumed = bearer(&format!("{A}?lastEventId=3-9f2c"), &token);
    let shown = Connection::new(harness.respond(&resumed).await)
        .finish()
        .await;
    assert!(shown.iter().all(|event| event.id == "3-9f2c"), "{shown:?}");

    // A client that asks for JSON gets a 503.
    let header = format!("Bearer {token}");
    let json = [("accept", "application/json"), ("authorization", &header)];
    let response = harness.respond(&request("GET", A, &json)).await;
    assert_eq!(response.status(), 503);
    // What is not a token is refused, even without keys.
    assert_eq!(harness.respond(&bearer(A, "x")).await.status(), 401);
}

/// A client that rested until its token expired would get a 401 and give up.
#[tokio::test(start_paused = true)]
async fn a_resting_client_gets_expired_before_its_token_expires() {
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("JWKS", &jwks),
        ("HOLD", "auto"),
        ("FRESHNESS", "10m"),
    ];
    let guarded = GuardedHarness {
        harness: Harness::with(&settings),
        issuer,
    };
    guarded.harness.change("A", "SHIPPED").await;
    let token = guarded.token(json!(["A"]), Duration::from_secs(90));
    let mut last = String::new();
    for _ in 0..10 {
        let events = Connection::new(guarded.harness.respond(&bearer(A, &token)).await)
            .finish()
            .await;
        let end = events.last().unwrap();
        last.clone_from(&end.event);
        if last == "expired" {
            break;
        }
        tokio::time::sleep(end.retry.unwrap()).await;
    }
    assert_eq!(last, "expired");
}

/// CloudFront signs its requests to a Function URL in `Authorization`.
#[tokio::test(start_paused = true)]
async fn behind_cloudfront_the_token_is_in_another_header() {
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let signature = (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0",
    );
    for (header, other) in [
        ("authorization", "x-authorization"),
        ("x-authorization", "authorization"),
    ] {
        let settings = [
            ("FEED_TABLE", "in memory"),
            ("JWKS", &jwks),
            ("TOKEN_HEADER", header),
        ];
        let harness = Harness::with(&settings);
        let (token, _) = issuer.token(&["A"], HOUR).unwrap();
        let token = format!("Bearer {token}");
        let check = async |headers: &[(&str, &str)], status| {
            let response = harness.respond(&request("GET", A, headers)).await;
            assert_eq!(response.status(), status, "{header} {headers:?}");
        };
        check(&[(header, &token)], 200).await;
        check(&[signature, (header, &token)], 200).await;
        check(&[(other, &token)], 401).await;
    }
}

/// A harness that accepts tokens, and lets each open few streams.
fn limited(streams: &str, openings: &str) -> GuardedHarness {
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("JWKS", &jwks),
        ("TOKEN_STREAMS", streams),
        ("TOKEN_OPENINGS", openings),
    ];
    GuardedHarness {
        harness: Harness::with(&settings),
        issuer,
    }
}

/// An `EventSource` gives up on a 429, so the client is told when to come back. Nothing is read for it.
#[tokio::test(start_paused = true)]
async fn a_token_that_opens_too_much_is_told_to_rest() {
    let guarded = limited("2", "60");
    guarded.harness.change("A", "PLACED").await;
    let token = guarded.token(json!(["A"]), HOUR);
    let open = async || Connection::new(guarded.harness.respond(&bearer(A, &token)).await);
    let (mut first, second) = (open().await, open().await);
    first.until("ready").await;
    let refused = open().await.finish().await;
    assert_eq!(outline(&refused), ["hello", "rest"]);
    let rest = refused[1].retry.unwrap();
    assert!((30.0..=45.0).contains(&rest.as_secs_f64()), "{rest:?}");
    assert!(refused[1].data.contains(r#""unavailable":true"#));

    let another = guarded.token(json!(["A", "B"]), HOUR);
    let mut other = Connection::new(guarded.harness.respond(&bearer(A, &another)).await);
    other.until("message").await;
    drop(second);
    let mut third = open().await;
    third.until("message").await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_opens_too_often_is_told_to_rest_until_the_minute_is_over() {
    let guarded = limited("9999", "60");
    guarded.harness.change("A", "PLACED").await;
    let token = guarded.token(json!(["A"]), HOUR);
    for _ in 0..60 {
        let response = guarded.harness.respond(&bearer(A, &token)).await;
        let mut opened = Connection::new(response);
        opened.until("message").await;
    }
    let refused = guarded.harness.respond(&bearer(A, &token)).await;
    let refused = Connection::new(refused).finish().await;
    assert_eq!(outline(&refused), ["hello", "rest"]);
    // A client that asks for JSON reads the status.
    let header = format!("Bearer {token}");
    let json = [("accept", "application/json"), ("authorization", &header)];
    let response = guarded.harness.respond(&request("GET", A, &json)).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));

    tokio::time::sleep(refused[1].retry.unwrap()).await;
    let response = guarded.harness.respond(&bearer(A, &token)).await;
    let mut opened = Connection::new(response);
    opened.until("message").await;
}

/// Lambda does not say that a client has left, so its response stays open for the window: 15 minutes on a Managed Instance.
#[tokio::test(start_paused = true)]
async fn a_page_whose_connection_breaks_every_ten_seconds_is_not_refused() {
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("JWKS", &jwks),
        ("WINDOW", "15m"),
    ];
    let harness = Harness::with(&settings);
    harness.change("A", "PLACED").await;
    let (token, _) = issuer.token(&["A"], HOUR).unwrap();
    let mut open = std::collections::VecDeque::new();
    for _ in 0..180 {
        let mut page = Connection::new(harness.respond(&bearer(A, &token)).await);
        page.until("message").await;
        open.push_back(page);
        tokio::time::sleep(Duration::from_secs(10)).await;
        if open.len() == 90 {
            open.pop_front();
        }
    }
}

/// Ten tabs, each of which checks in as often as the server allows.
#[tokio::test(start_paused = true)]
async fn the_default_limits_refuse_no_honest_page() {
    let guarded = GuardedHarness::new();
    guarded.harness.change("A", "PLACED").await;
    let token = guarded.token(json!(["A"]), HOUR);
    for _ in 0..120 {
        let mut tabs = Vec::new();
        for _ in 0..10 {
            let response = guarded.harness.respond(&bearer(A, &token)).await;
            let mut tab = Connection::new(response);
            tab.until("message").await;
            tabs.push(tab);
        }
        drop(tabs);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

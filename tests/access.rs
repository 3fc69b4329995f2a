//! A stream opens only for the orders that its token names, and no longer than the token lasts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use http_body_util::BodyExt;
use jsonwebtoken::Algorithm;
use local::issuer::Issuer;
use order_status_stream::feed::memory::Fault;
use order_status_stream::request::Request;
use serde_json::{Value, json};
use support::{Connection, NOW, Stage, outline, request};

const A: &str = "/orders/A/events";

/// A stage that takes one issuer's tokens.
struct Guarded {
    stage: Stage,
    issuer: Issuer,
}

impl Guarded {
    fn new() -> Self {
        let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
        let jwks = issuer.jwks().unwrap();
        let settings = [("FEED_TABLE", "in memory"), ("JWKS", &jwks)];
        Self {
            stage: Stage::with(&settings),
            issuer,
        }
    }

    /// A token that lasts from the stage's first second on.
    fn token(&self, orders: Value, lasts: Duration) -> String {
        let exp = (NOW + lasts).as_secs();
        let claims = json!({ "orders": orders, "exp": exp });
        self.issuer.sign(&claims).unwrap()
    }

    async fn answer(&self, request: &Request) -> Answer {
        let response = self.stage.respond(request).await;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let (status, challenge) = (response.status().as_u16(), header("www-authenticate"));
        let body = match status {
            200 => String::new(),
            _ => {
                let is = header("content-type");
                assert_eq!(is.as_deref(), Some("application/problem+json"));
                let body = response.into_body().collect().await.unwrap().to_bytes();
                String::from_utf8(body.into()).unwrap()
            }
        };
        Answer {
            status,
            challenge,
            body,
        }
    }
}

#[derive(Debug, PartialEq)]
struct Answer {
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
async fn a_token_opens_what_it_names() {
    let guarded = Guarded::new();
    let check = async |path: &str, orders: Value, status| {
        let request = bearer(path, &guarded.token(orders.clone(), HOUR));
        let answer = guarded.answer(&request).await;
        assert_eq!(answer.status, status, "{path} {orders}");
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
async fn each_algorithm_that_is_taken() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let issuer = Issuer::new(algorithm, "k").unwrap();
        let jwks = issuer.jwks().unwrap();
        let stage = Stage::with(&[("FEED_TABLE", "in memory"), ("JWKS", &jwks)]);
        let claims = json!({ "orders": ["A"], "exp": (NOW + HOUR).as_secs() });
        let request = bearer(A, &issuer.sign(&claims).unwrap());
        assert_eq!(stage.respond(&request).await.status(), 200, "{algorithm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_stands_in_one_of_three_places() {
    let guarded = Guarded::new();
    let token = guarded.token(json!(["A"]), HOUR);
    let check = async |query: &str, headers: &[(&str, String)], status| {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let request = request("GET", &format!("{A}{query}"), &headers);
        let found = guarded.answer(&request).await.status;
        assert_eq!(found, status, "{query} {headers:?}");
    };
    let query = format!("?access_token={token}");
    let cookie = ("cookie", format!("a=b; access_token={token}; c=d"));
    let header = ("authorization", format!("Bearer {token}"));
    check(&query, &[], 200).await;
    check("", std::slice::from_ref(&cookie), 200).await;
    check("", std::slice::from_ref(&header), 200).await;
    // The first that is there counts, good or not.
    let bad = |name, text: &str| (name, text.to_owned());
    check(&query, &[bad("authorization", "Bearer x")], 401).await;
    check(&query, &[bad("cookie", "access_token=x")], 401).await;
    check("", &[bad("authorization", "Bearer x"), cookie.clone()], 401).await;
    check("?access_token=x", std::slice::from_ref(&cookie), 200).await;
    check("?access_token=x", &[header], 200).await;
    // An empty one is not there, and another scheme is none of ours.
    check("", &[bad("authorization", "Bearer "), cookie.clone()], 200).await;
    check("", &[bad("authorization", "Basic eDp5"), cookie], 200).await;
    check(&query, &[bad("cookie", "access_token=")], 200).await;
    check("?access_token=", &[], 401).await;
}

/// Other cookies, headers and schemes belong to someone else: a shop's, a proxy's, another library's.
#[tokio::test(start_paused = true)]
async fn what_others_send_beside_a_good_token_does_no_harm() {
    let guarded = Guarded::new();
    let token = guarded.token(json!(["A"]), HOUR);
    let mine = format!("access_token={token}");
    let check = async |headers: Value, cookies: Value| {
        let event = json!({
            "rawPath": A, "rawQueryString": "", "headers": headers, "cookies": cookies,
            "requestContext": { "http": { "method": "GET" } },
        });
        let response = guarded.stage.respond_to_event(&event.to_string()).await;
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
async fn orders_in_a_claim_in_each_form_that_is_unambiguous() {
    let guarded = Guarded::new();
    let check = async |orders: Value, id: &str, status: u16| {
        let request = bearer(
            &format!("/orders/{id}/events"),
            &guarded.token(orders.clone(), HOUR),
        );
        let answer = guarded.answer(&request).await;
        assert_eq!(answer.status, status, "{orders} {id}: {}", answer.body);
        let claim = answer.body.contains("its claim orders lists no orders");
        assert_eq!(claim, status == 401, "{orders}: {}", answer.body);
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
    // All orders are the whole claim, never a part of it.
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
        let response = Stage::with(&settings).respond(&request).await;
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
    let guarded = Guarded::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/events/url-first-visit.json");
    let mut event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let respond = async |event: &Value| {
        let request = Request::read(&event.to_string()).unwrap();
        guarded.stage.respond(&request).await.status()
    };
    assert_eq!(respond(&event).await, 401);
    let token = guarded.token(json!("*"), HOUR);
    event["cookies"] = json!(["theme=dark", format!("access_token={token}")]);
    assert_eq!(respond(&event).await, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_says_so_as_rfc_6750_wants_it() {
    let guarded = Guarded::new();
    let answer = guarded.answer(&request("GET", A, &[])).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.challenge.as_deref(), Some("Bearer"));
    assert!(
        answer.body.contains("a token is required"),
        "{}",
        answer.body
    );

    let answer = guarded.answer(&bearer(A, "x")).await;
    assert_eq!(answer.status, 401);
    let challenge = "Bearer error=\"invalid_token\"";
    assert_eq!(answer.challenge.as_deref(), Some(challenge));

    let token = guarded.token(json!(["B"]), HOUR);
    let answer = guarded.answer(&bearer(A, &token)).await;
    assert_eq!(answer.status, 403);
    let challenge = "Bearer error=\"insufficient_scope\"";
    assert_eq!(answer.challenge.as_deref(), Some(challenge));
}

#[tokio::test(start_paused = true)]
async fn an_order_of_another_and_one_that_is_none_answer_alike() {
    let guarded = Guarded::new();
    guarded.stage.change("A", "PLACED").await;
    let token = guarded.token(json!(["B"]), HOUR);
    // Were the feed asked, the answer would never come.
    guarded.stage.feed.inject([Some(Fault::Hangs)]);
    let others = guarded.answer(&bearer(A, &token)).await;
    let nobodys = guarded.answer(&bearer("/orders/none/events", &token)).await;
    assert_eq!(others, nobodys);
    let json = [
        ("accept", "application/json"),
        ("authorization", &format!("Bearer {token}")),
    ];
    let json = guarded.answer(&request("GET", A, &json)).await;
    assert_eq!(json, others);
    let ended = format!("{A}?lastEventId=4-77aa~");
    assert_eq!(guarded.answer(&bearer(&ended, &token)).await, others);
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_with_its_token() {
    let guarded = Guarded::new();
    guarded.stage.change("A", "PLACED").await;
    let token = guarded.token(json!(["A"]), Duration::from_secs(20));
    let response = guarded.stage.respond(&bearer(A, &token)).await;
    let shown = Connection::new(response).finish().await;
    let expected = ["hello", "PLACED", "ready", "expired"];
    assert_eq!(outline(&shown), expected);
    assert_eq!(guarded.stage.clock().epoch(), NOW + Duration::from_secs(20));
    assert_eq!(shown[3].id, shown[1].id, "the cursor goes on from there");
    assert_eq!(shown[3].data, "{}");
    // For ten seconds more, for clocks differ, a client that comes back is told by a frame; then by
    // the status.
    let response = guarded.stage.respond(&bearer(A, &token)).await;
    let last = Connection::new(response).finish().await;
    assert_eq!(outline(&last).last().unwrap(), "expired");
    tokio::time::advance(Duration::from_secs(10)).await;
    let answer = guarded.answer(&bearer(A, &token)).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("it has expired"), "{}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slower_than_its_token_is_told_that_it_expired() {
    let guarded = Guarded::new();
    for status in ["PLACED", "PAID", "SHIPPED"] {
        guarded.stage.change("A", status).await;
    }
    let token = guarded.token(json!(["A"]), Duration::from_secs(20));
    let response = guarded.stage.respond(&bearer(A, &token)).await;
    let mut page = Connection::new(response);
    page.until("message").await;
    tokio::time::advance(Duration::from_secs(25)).await;
    let shown = page.finish().await;
    assert_eq!(outline(&shown), ["hello", "PLACED", "expired"]);
    assert_eq!(shown[2].id, shown[1].id);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_shorter_than_its_token_ends_as_ever() {
    let guarded = Guarded::new();
    for exp in [json!((NOW + HOUR).as_secs()), json!(1e300)] {
        let claims = json!({ "orders": ["A"], "exp": exp });
        let token = guarded.issuer.sign(&claims).unwrap();
        let response = guarded.stage.respond(&bearer(A, &token)).await;
        let shown = Connection::new(response).finish().await;
        assert_eq!(outline(&shown), ["hello", "ready", "rest"]);
    }
}

/// Nobody listens at port 1.
#[tokio::test]
async fn keys_that_cannot_be_fetched_are_bad_weather() {
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("JWKS", "https://[::1]:1/jwks.json"),
        ("JWT_ISSUER", "*"),
    ];
    let stage = Stage::with(&settings);
    stage.change("A", "PLACED").await;
    let issuer = Issuer::new(Algorithm::EdDSA, "k").unwrap();
    let (token, _) = issuer.token(&["A"], HOUR).unwrap();
    let response = stage.respond(&bearer(A, &token)).await;
    assert_eq!(response.status(), 200);
    let shown = Connection::new(response).finish().await;
    assert_eq!(
        outline(&shown),
        ["hello", "rest"],
        "and nothing of the order"
    );
    assert!(shown[1].retry.unwrap() >= Duration::from_secs(3));

    let resumed = bearer(&format!("{A}?lastEventId=3-9f2c"), &token);
    let shown = Connection::new(stage.respond(&resumed).await)
        .finish()
        .await;
    assert!(shown.iter().all(|event| event.id == "3-9f2c"), "{shown:?}");

    // Whoever reads the status is told by it.
    let header = format!("Bearer {token}");
    let json = [("accept", "application/json"), ("authorization", &header)];
    let response = stage.respond(&request("GET", A, &json)).await;
    assert_eq!(response.status(), 503);
    // What is no token is none in any weather.
    assert_eq!(stage.respond(&bearer(A, "x")).await.status(), 401);
}

/// Rests are for a client that may come back: one that came with an expired token would be refused,
/// and give up.
#[tokio::test(start_paused = true)]
async fn a_resting_client_is_told_that_its_token_expires() {
    let issuer = Issuer::new(Algorithm::ES256, "k").unwrap();
    let jwks = issuer.jwks().unwrap();
    let settings = [
        ("FEED_TABLE", "in memory"),
        ("JWKS", &jwks),
        ("HOLD", "auto"),
        ("FRESHNESS", "10m"),
    ];
    let guarded = Guarded {
        stage: Stage::with(&settings),
        issuer,
    };
    guarded.stage.change("A", "SHIPPED").await;
    let token = guarded.token(json!(["A"]), Duration::from_secs(90));
    let mut last = String::new();
    for _ in 0..10 {
        let events = Connection::new(guarded.stage.respond(&bearer(A, &token)).await)
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

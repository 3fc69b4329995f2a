//! The access settings that `stream` accepts, and the errors for those that it refuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use jsonwebtoken::Algorithm;
use local::issuer::Issuer;
use order_status_stream::access::{AccessSettings, ClaimSettings};
use order_status_stream::settings::StreamSettings;

const URL: &str = "https://issuer.example/.well-known/jwks.json";

fn read(pairs: &[(&str, &str)]) -> Result<StreamSettings, String> {
    let variable = |name: &str| {
        let mut pairs = [("FEED_TABLE", "Feed")].iter().chain(pairs);
        let found = pairs.find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    StreamSettings::read(variable).map_err(|error| error.to_string())
}

fn claims(pairs: &[(&str, &str)]) -> ClaimSettings {
    match read(pairs).unwrap().access {
        AccessSettings::Jwt { claims, .. } => claims,
        AccessSettings::Open => panic!("ACCESS is open"),
    }
}

#[track_caller]
fn refused(pairs: &[(&str, &str)], why: &str) {
    let error = read(pairs).unwrap_err();
    assert!(error.contains(why), "{pairs:?}: {error}");
}

/// RFC 8725, section 3.8: any tenant of a shared issuer can make tokens that its keys verify.
#[test]
fn jwks_by_url_needs_an_issuer_or_a_star() {
    let why = "JWT_ISSUER is required if JWKS is a URL: set it to the iss of your issuer's tokens, \
               or to * to take tokens of any issuer with these keys";
    refused(&[("JWKS", URL)], why);
    refused(&[("JWKS", URL), ("JWT_ISSUER", "")], why);
    refused(&[("JWKS", URL), ("JWT_AUDIENCE", "orders")], why);
    let issuer = claims(&[("JWKS", URL), ("JWT_ISSUER", "https://issuer.example")]).issuer;
    assert_eq!(issuer.as_deref(), Some("https://issuer.example"));
    assert_eq!(claims(&[("JWKS", URL), ("JWT_ISSUER", "*")]).issuer, None);
    // Keys in the setting itself belong to the shop.
    let jwks = Issuer::new(Algorithm::EdDSA, "k").unwrap().jwks().unwrap();
    assert_eq!(claims(&[("JWKS", &jwks)]).issuer, None);
}

#[test]
fn the_claim_and_the_leeway() {
    let with = |name, value| claims(&[("JWKS", URL), ("JWT_ISSUER", "i"), (name, value)]);
    let default = with("JWT_LEEWAY", "");
    assert_eq!(
        (default.orders_claim.as_str(), default.leeway),
        ("orders", Duration::from_secs(10))
    );
    assert_eq!(
        with("JWT_ORDERS_CLAIM", "https://shop.example/orders").orders_claim,
        "https://shop.example/orders"
    );
    assert_eq!(with("JWT_LEEWAY", "0s").leeway, Duration::ZERO);
    assert_eq!(with("JWT_LEEWAY", "5m").leeway, Duration::from_secs(300));
    let leeway = |value| [("JWKS", URL), ("JWT_ISSUER", "i"), ("JWT_LEEWAY", value)];
    refused(&leeway("6m"), "JWT_LEEWAY is 6m, it must be from 0ms to 5m");
    refused(
        &leeway("-1s"),
        "JWT_LEEWAY is \"-1s\", it must be a duration",
    );
}

#[test]
fn base_paths() {
    let base = |path| {
        read(&[("ACCESS", "open"), ("BASE_PATH", path)])
            .unwrap()
            .base_path
    };
    assert_eq!(base(""), "");
    assert_eq!(base("/"), "");
    assert_eq!(base("/api"), "/api");
    assert_eq!(base("/api/"), "/api");
    assert_eq!(base("/shop/v1.2"), "/shop/v1.2");
    for path in [
        "api",
        "//",
        "/api//",
        "/a//b",
        "/a b",
        "/a?b",
        "/%41",
        "/ü",
        "https://shop.example/api",
    ] {
        refused(
            &[("ACCESS", "open"), ("BASE_PATH", path)],
            "it must be a path such as /api",
        );
    }
}

//! If the first byte is even, the rest is a token. Else the rest is a header and claims, separated by the first NUL, which
//! are signed without a check, as a careless issuer would. Only a signed token opens an order, and not beyond its `exp`.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use http::Method;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use libfuzzer_sys::fuzz_target;
use order_status_stream::access::{Access, AccessSettings, ClaimSettings, Grant, KeySource, TokenHeader, Wanted};
use order_status_stream::clock::Clock;
use order_status_stream::order::OrderId;
use order_status_stream::request::Request;
use serde_json::{Value, json};

const NOW: Duration = Duration::from_secs(1_795_369_200);

/// PKCS #8 of an Ed25519 key that is all 7s.
static KEY: LazyLock<EncodingKey> = LazyLock::new(|| {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    EncodingKey::from_ed_der(&[head.as_slice(), &[7; 32]].concat())
});

static ACCESS: LazyLock<Access> = LazyLock::new(|| {
    let mut jwk = Jwk::from_encoding_key(&KEY, Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some("k".to_owned());
    let keys = KeySource::parse(&json!({ "keys": [jwk] }).to_string()).unwrap();
    let claims = ClaimSettings {
        issuer: Some("i".to_owned()),
        audience: Some("a".to_owned()),
        orders_claim: "orders".to_owned(),
        customer_claim: Some("sub".to_owned()),
        leeway: Duration::from_secs(10),
    };
    Access::new(AccessSettings::Jwt { keys, claims, header: TokenHeader::Authorization })
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    if kind % 2 == 0 {
        let Ok(token) = std::str::from_utf8(rest) else { return };
        assert!(lasts(token).is_none() && !names_customer(token), "nobody signed {token}");
        return;
    }
    let at = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let (header, claims) = (&rest[..at], rest.get(at + 1..).unwrap_or_default());
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &KEY, Algorithm::EdDSA).unwrap();
    let token = format!("{message}.{signature}");
    if names_customer(&token) {
        let claims: Value = serde_json::from_slice(claims).unwrap();
        assert!(claims["sub"].is_string() || claims["sub"].is_number());
        assert!(claims["iss"] == "i");
    }
    if let Some(lasts) = lasts(&token) {
        let claims: Value = serde_json::from_slice(claims).unwrap();
        assert!((NOW + lasts).as_secs_f64() <= claims["exp"].as_f64().unwrap().max(NOW.as_secs_f64()) + 1.0);
        assert!(claims["iss"] == "i");
        assert!(["*", "A"].iter().any(|all| claims["orders"] == *all) || lists_a(&claims["orders"]));
    }
});

/// The claim is a list, or a text that holds a list as JSON.
fn lists_a(orders: &Value) -> bool {
    let list = match orders {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        list => list.clone(),
    };
    list.as_array().unwrap().contains(&json!("A"))
}

/// How long the token opens order A.
fn lasts(token: &str) -> Option<Duration> {
    let wanted = Wanted::Orders(vec![OrderId::try_from("A").unwrap()]);
    grant(token, &wanted).map(|grant| grant.expires_in.unwrap())
}

/// Whether the token opens a customer's stream.
fn names_customer(token: &str) -> bool {
    grant(token, &Wanted::Customer).is_some()
}

fn grant(token: &str, wanted: &Wanted) -> Option<Grant> {
    let request = Request::new(Method::GET, "/").with_header("authorization", &format!("Bearer {token}"));
    let clock = Clock::starting_at(NOW);
    ACCESS.check(&request, wanted, &clock).now_or_never().unwrap().ok()
}

//! Which key sets are accepted, as issuers and libraries publish them, and which are refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm::{self, ES256, EdDSA, RS256};
use local::issuer::Issuer;
use order_status_stream::access::{KeySet, KeySource};
use serde_json::{Value, json};
use support::{Harness, NOW, request};

/// An issuer, and its key as it is published.
struct Published {
    issuer: Issuer,
    jwk: Value,
}

impl Published {
    fn new(algorithm: Algorithm) -> Self {
        let issuer = Issuer::new(algorithm, "k").unwrap();
        let jwk = issuer.jwk().unwrap();
        Self { issuer, jwk }
    }

    /// The key with other members. A null removes the member.
    fn with(&self, members: Value) -> Value {
        let mut jwk = self.jwk.clone();
        let known = jwk.as_object_mut().unwrap();
        for (name, value) in members.as_object().unwrap() {
            known.insert(name.clone(), value.clone());
            known.retain(|_, value| !value.is_null());
        }
        jwk
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let text = self.jwk[name].as_str().unwrap();
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// The status of the response to a valid token of the issuer, with this key id in its header.
    async fn status(&self, jwks: &str, kid: Option<&str>) -> u16 {
        let harness = Harness::with(&[("FEED_TABLE", "in memory"), ("JWKS", jwks)]);
        let mut header = self.issuer.header();
        header.kid = kid.map(str::to_owned);
        let exp = (NOW + Duration::from_secs(60)).as_secs();
        let claims = json!({ "orders": ["A"], "exp": exp });
        let token = self.issuer.sign_as(&header, &claims).unwrap();
        let bearer = format!("Bearer {token}");
        let request = request("GET", "/orders/A/events", &[("authorization", &bearer)]);
        harness.respond(&request).await.status().as_u16()
    }

    async fn is_accepted(&self, members: Value) {
        let jwks = json!({ "keys": [self.with(members.clone())] }).to_string();
        assert_eq!(self.status(&jwks, Some("k")).await, 200, "{members}");
    }

    fn is_refused(&self, members: Value, why: &str) {
        let keys = json!({ "keys": [self.with(members.clone())] });
        let error = KeySet::parse(keys.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{members}: {error}");
    }
}

fn keys(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

#[tokio::test(start_paused = true)]
async fn missing_and_unknown_members_of_a_key_are_accepted() {
    for published in [ES256, EdDSA, RS256].map(Published::new) {
        for members in [
            json!({ "alg": null, "use": null, "key_ops": null }),
            json!({ "key_ops": [] }),
            json!({ "key_ops": ["verify"], "use": "sig" }),
            json!({ "key_ops": ["wrapKey", "verify"] }),
            json!({ "key_ops": "verify" }),
            json!({ "use": "", "alg": "", "key_ops": "" }),
            json!({ "ext": true, "x5t": "x", "x5t#S256": 7, "x5u": [], "iat": 1, "nbf": "soon", "issuer": {} }),
            json!({ "x5c": ["MIIC…", "no certificate"] }),
            json!({ "x5c": [] }),
        ] {
            published.is_accepted(members).await;
        }
    }
    // RFC 9864 calls EdDSA over Ed25519 `Ed25519`.
    Published::new(EdDSA)
        .is_accepted(json!({ "alg": "Ed25519" }))
        .await;
}

/// RFC 9864 calls EdDSA over Ed25519 `Ed25519`. The library `jose` also writes this name into headers of tokens.
#[tokio::test(start_paused = true)]
async fn tokens_with_the_algorithm_ed25519_are_accepted() {
    let (ours, other) = (Published::new(EdDSA), Published::new(EdDSA));
    let exp = (NOW + Duration::from_secs(60)).as_secs();
    let good = json!({ "orders": ["A"], "exp": exp }).to_string();
    let named = json!({ "alg": "Ed25519", "kid": "k" });
    let check = async |key: &Published, header: &Value, claims: &str, status: u16| {
        let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
        let message = format!("{}.{}", encode(&header.to_string()), encode(claims));
        let signature = key.issuer.signature(message.as_bytes()).unwrap();
        let jwks = keys(&[
            ours.with(json!({ "alg": "Ed25519" })),
            Published::new(ES256).jwk,
        ]);
        let harness = Harness::with(&[("FEED_TABLE", "in memory"), ("JWKS", &jwks)]);
        let bearer = format!("Bearer {message}.{signature}");
        let request = request("GET", "/orders/A/events", &[("authorization", &bearer)]);
        let found = harness.respond(&request).await.status();
        assert_eq!(found, status, "{header} {claims}");
    };
    check(&ours, &named, &good, 200).await;
    check(&ours, &json!({ "alg": "Ed25519" }), &good, 200).await;
    check(&other, &named, &good, 401).await;
    check(&Published::new(ES256), &named, &good, 401).await;
    for alg in ["ed25519", "Ed448", "none"] {
        check(&ours, &json!({ "alg": alg, "kid": "k" }), &good, 401).await;
    }
    let critical = json!({ "alg": "Ed25519", "kid": "k", "crit": ["b64"], "b64": false });
    check(&ours, &critical, &good, 401).await;
    for claims in [
        "[]",
        "{}",
        r#"{"exp":1,"orders":"*"}"#,
        &good.replace("\"exp\"", "\"exp\":1,\"exp\""),
    ] {
        check(&ours, &named, claims, 401).await;
    }
}

#[tokio::test(start_paused = true)]
async fn numbers_are_accepted_in_each_encoding() {
    let rsa = Published::new(RS256);
    let (n, e) = (rsa.bytes("n"), rsa.bytes("e"));
    let zero = |bytes: &[u8]| [&[0], bytes].concat();
    for encode in [
        |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes),
        |bytes: Vec<u8>| BASE64_URL_SAFE.encode(bytes),
        |bytes: Vec<u8>| BASE64_STANDARD.encode(bytes),
        // In lines of 64 characters, as in a PEM file.
        |bytes: Vec<u8>| {
            let text = BASE64_STANDARD.encode(bytes);
            let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
            lines.map(|line| format!("{line}\r\n")).collect()
        },
    ] {
        let number = |bytes: &[u8]| encode(bytes.to_vec());
        rsa.is_accepted(json!({ "n": number(&n), "e": number(&e) }))
            .await;
        rsa.is_accepted(json!({ "n": number(&zero(&n)), "e": number(&zero(&e)) }))
            .await;
        for curve in [ES256, EdDSA].map(Published::new) {
            curve
                .is_accepted(json!({ "x": number(&curve.bytes("x")) }))
                .await;
        }
        let p256 = Published::new(ES256);
        let (x, y) = (p256.bytes("x"), p256.bytes("y"));
        p256.is_accepted(json!({ "x": number(&zero(&x)), "y": number(&zero(&y)) }))
            .await;
    }
}

/// A coordinate has 32 bytes. One of 256 begins with a zero byte, and some libraries omit it.
#[tokio::test(start_paused = true)]
async fn a_coordinate_without_its_leading_zero_is_accepted() {
    let mut keys = std::iter::repeat_with(|| Published::new(ES256));
    let key = keys.find(|key| key.bytes("x")[0] == 0).unwrap();
    let short = BASE64_URL_SAFE_NO_PAD.encode(&key.bytes("x")[1..]);
    key.is_accepted(json!({ "x": short })).await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_key_does_not_affect_the_others() {
    let published = Published::new(ES256);
    let rsa = Published::new(RS256);
    for other in [
        json!(null),
        json!("key"),
        json!([]),
        json!({}),
        json!({ "kty": 7 }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "x" }),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "secp256k1", "alg": "ES256K", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
        rsa.with(json!({ "alg": "RSA-OAEP", "use": "enc" })),
        rsa.with(json!({ "n": null })),
        rsa.with(json!({ "n": "!" })),
        rsa.with(json!({ "e": 65537 })),
        published.with(json!({ "y": published.jwk["x"], "kid": "k" })),
    ] {
        let set = keys(&[other.clone(), published.jwk.clone(), other.clone()]);
        assert_eq!(published.status(&set, Some("k")).await, 200, "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn byte_order_marks_and_spaces_are_accepted() {
    let published = Published::new(EdDSA);
    let set = json!({ "keys": [published.jwk], "issuer": "x", "_links": {} });
    for document in [
        format!("\u{feff}{set}"),
        format!("\u{feff}\r\n{set:#}\r\n"),
        format!(" {set:#}"),
    ] {
        assert_eq!(
            published.status(&document, Some("k")).await,
            200,
            "{document}"
        );
    }
    KeySet::parse(format!("\u{feff}{set}").as_bytes()).unwrap();
    KeySource::parse("\u{feff}https://issuer.example/jwks.json\n").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_is_checked_with_the_key_of_its_kid() {
    let (ours, other) = (Published::new(EdDSA), Published::new(EdDSA));
    let (named, unnamed) = (
        |kid: Value| ours.with(json!({ "kid": kid })),
        ours.with(json!({ "kid": null })),
    );
    let check = async |set: &[Value], kid: Option<&str>, status| {
        assert_eq!(
            ours.status(&keys(set), kid).await,
            status,
            "{set:?} {kid:?}"
        );
    };
    // A `kid` is optional (RFC 7517, section 4.5). If the key has one, it must match.
    check(std::slice::from_ref(&unnamed), Some("k"), 200).await;
    check(std::slice::from_ref(&unnamed), None, 200).await;
    check(&[named(json!("k"))], None, 200).await;
    check(&[named(json!("l"))], Some("k"), 401).await;
    check(&[named(json!(7))], Some("7"), 200).await;
    // If two keys have the same `kid`, either may have signed the token.
    check(&[named(json!("k")), other.jwk.clone()], Some("k"), 200).await;
    check(&[other.jwk.clone(), named(json!("k"))], Some("k"), 200).await;
    check(std::slice::from_ref(&other.jwk), Some("k"), 401).await;
    let others_unnamed = other.with(json!({ "kid": null }));
    check(&[others_unnamed.clone(), unnamed.clone()], Some("k"), 200).await;
    check(&[others_unnamed.clone(), unnamed], None, 401).await;
    // A key of another algorithm with the same `kid` is ignored.
    check(
        &[Published::new(ES256).jwk, named(json!("k"))],
        Some("k"),
        200,
    )
    .await;
    // A key with the `kid` is preferred to keys without one.
    check(&[others_unnamed, named(json!("k"))], Some("k"), 200).await;
}

#[test]
fn keys_for_another_purpose_are_refused() {
    for published in [ES256, EdDSA, RS256].map(Published::new) {
        let purpose = "use or key_ops exclude the verification of signatures";
        for members in [
            json!({ "use": "enc" }),
            json!({ "use": "SIG" }),
            json!({ "use": ["sig"] }),
            json!({ "use": "enc", "key_ops": ["verify"] }),
            json!({ "key_ops": ["sign"] }),
            json!({ "key_ops": ["encrypt", "wrapKey"] }),
            json!({ "key_ops": "sign" }),
            json!({ "key_ops": { "verify": true } }),
            json!({ "key_ops": ["sign"], "use": "sig" }),
        ] {
            published.is_refused(members, purpose);
        }
        let algorithm = "kty, crv or alg belong to another algorithm";
        for alg in [
            "none", "HS256", "RS512", "PS256", "ES384", "RSA-OAEP", "es256",
        ] {
            published.is_refused(json!({ "alg": alg }), algorithm);
        }
        for alg in [json!(7), json!(["ES256"])] {
            published.is_refused(json!({ "alg": alg }), algorithm);
        }
        published.is_refused(json!({ "kty": "oct", "k": "c2VjcmV0" }), algorithm);
        published.is_refused(json!({ "d": "AAAA" }), "it contains a private key");
    }
}

/// An RSA modulus below 2048 bits can be factored. Leading zero bytes do not make it longer.
#[test]
fn invalid_and_weak_numbers_are_refused() {
    let rsa = Published::new(RS256);
    let encode = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let n = rsa.bytes("n");
    let bits = |n: Vec<u8>, bits: usize| {
        let why = format!("its RSA modulus has {bits} bits, but must have 2048 to 8192");
        rsa.is_refused(json!({ "n": encode(n) }), &why);
    };
    bits(n[..128].to_vec(), 1024);
    bits([vec![0; 128], n[..128].to_vec()].concat(), 1024);
    bits([vec![0x7f], n[1..].to_vec()].concat(), 2047);
    bits(Vec::new(), 0);
    bits(vec![0xff; 1025], 8200);
    for (e, why) in [
        (json!(""), "e is missing"),
        (json!("AQ"), "e is missing"),
        (json!("AgAA"), "e is missing"),
        (json!("AgAAAAE"), "e is missing"),
        (json!(null), "e is missing"),
    ] {
        rsa.is_refused(json!({ "e": e }), why);
    }
    let p256 = Published::new(ES256);
    p256.is_refused(json!({ "x": encode(vec![1; 33]) }), "x is missing");
    p256.is_refused(
        json!({ "y": encode(vec![1; 32]) }),
        "its point is not on the curve",
    );
    p256.is_refused(json!({ "x": null }), "x is missing");
    let ed25519 = Published::new(EdDSA);
    ed25519.is_refused(json!({ "x": encode(vec![1; 31]) }), "x is missing");
    ed25519.is_refused(json!({ "x": encode(vec![1; 33]) }), "x is missing");
}

#[test]
fn a_key_url_must_be_https_and_have_a_host() {
    for url in [
        "http://issuer.example/jwks.json",
        "ftp://issuer.example/jwks.json",
        "issuer.example",
        "/jwks.json",
        "https:///jwks.json",
        "",
    ] {
        let error = KeySource::parse(url).unwrap_err().to_string();
        assert_eq!(
            error, "it is neither a JSON Web Key Set nor an https URL",
            "{url}"
        );
    }
}

#[test]
fn a_set_without_a_usable_key_gives_a_reason_for_each_key() {
    let rsa = Published::new(RS256);
    let set = keys(&[
        rsa.with(json!({ "use": "enc" })),
        rsa.with(json!({ "n": "!", "kid": null })),
        json!("key"),
    ]);
    let error = KeySet::parse(set.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error,
        "it contains no key for ES256, EdDSA (Ed25519) or RS256 (\
         key 1 (\"k\"): use or key_ops exclude the verification of signatures; \
         key 2: n is missing, or is not a base64url number of the right length; \
         key 3: it is not a JSON object)"
    );
    let error = KeySet::parse(br#"{"keys":[]}"#).unwrap_err().to_string();
    assert_eq!(
        error,
        "it contains no key for ES256, EdDSA (Ed25519) or RS256"
    );
    for malformed in ["", "{}", r#"{"keys":{}}"#, "<html>", "[]", "\u{feff}"] {
        let error = KeySet::parse(malformed.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error, "it is neither a JSON Web Key Set nor an https URL",
            "{malformed}"
        );
    }
}

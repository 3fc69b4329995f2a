//! `make operate ARGS='token …'`: the stream function accepts what it prints.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use order_status_stream::clock::Clock;
use order_status_stream::endpoint::Endpoint;
use order_status_stream::feed::memory::MemoryFeed;
use order_status_stream::invocation::Invocation;
use order_status_stream::settings::StreamSettings;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// A private key in a file, and the function's key set.
struct Key {
    file: PathBuf,
    jwks: String,
    _folder: TempDir,
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

impl Key {
    fn new(algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let read: fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;
        let der = match algorithm {
            Algorithm::ES256 => {
                read = EncodingKey::from_ec_pem;
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .unwrap()
                    .as_ref()
                    .to_vec()
            }
            Algorithm::EdDSA => {
                read = EncodingKey::from_ed_pem;
                let key = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
                key.as_ref().to_vec()
            }
            _ => {
                read = EncodingKey::from_rsa_pem;
                let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
                der.as_ref().to_vec()
            }
        };
        let key = read(pem(&der).as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some("k".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        fs::write(&file, pem(&der)).unwrap();
        Self {
            file,
            jwks: json!({ "keys": [jwk] }).to_string(),
            _folder: folder,
        }
    }

    async fn token(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_operate"));
        command.env_clear().args(["--json", "token", "--key"]);
        let output = command
            .arg(&self.file)
            .args(arguments)
            .env("JWT_ISSUER", "https://shop.example")
            .env("JWT_AUDIENCE", "orders")
            .output();
        output.await.unwrap()
    }

    /// The status with which the function answers.
    async fn status(&self, token: &str, order: &str) -> u16 {
        let settings = StreamSettings::read(|name| {
            let value = match name {
                "FEED_TABLE" => "in memory",
                "JWKS" => &self.jwks,
                "JWT_ISSUER" => "https://shop.example",
                "JWT_AUDIENCE" => "orders",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let endpoint = Endpoint::new(MemoryFeed::default(), settings.unwrap());
        let path = format!("/orders/{order}/events");
        let event = json!({
            "rawPath": path, "headers": { "authorization": format!("Bearer {token}") },
            "requestContext": { "http": { "method": "GET", "path": path } },
        });
        let invocation = Invocation::new(Clock::system(), 0, fastrand::Rng::new());
        let event = event.to_string();
        let response = endpoint.respond_to_event(&event, invocation).await;
        response.status().as_u16()
    }
}

#[tokio::test]
async fn the_function_accepts_the_token_for_its_orders() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let key = Key::new(algorithm);
        let output = key.token(&["A", "B", "--key-id", "k"]).await;
        assert!(output.status.success(), "{output:?}");
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let token = printed["token"].as_str().unwrap();
        for (order, status) in [("A", 200), ("B", 200), ("C", 403)] {
            assert_eq!(key.status(token, order).await, status, "{algorithm:?}");
        }
        let now = Clock::system().epoch_seconds();
        let expires = printed["expires"].as_u64().unwrap();
        assert!((now + 500..=now + 600).contains(&expires), "ten minutes");
    }
}

#[tokio::test]
async fn a_file_that_is_no_key_is_named_and_not_shown() {
    let key = Key::new(Algorithm::ES256);
    fs::write(
        &key.file,
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let output = key.token(&["A"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("key.pem is not a private key") && error.contains("openssl pkcs8"),
        "{error}"
    );
    assert!(!error.contains("c2VjcmV0"), "{error}");
    let key = Key::new(Algorithm::ES256);
    for (orders, part) in [(&["a%b"][..], "order"), (&[], "ORDERS")] {
        let output = key.token(orders).await;
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(part), "{error}");
    }
}

//! The shop's backend, which issues tokens.

use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

/// The first bytes of an Ed25519 key in PKCS #8.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Signs tokens with a constant key, so that a seed always makes the same tokens.
#[derive(Clone)]
pub struct Issuer(EncodingKey);

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl Issuer {
    /// The issuer of every simulation.
    pub fn with_constant_key() -> Self {
        let key = [&PKCS8_HEAD[..], &[7; 32]].concat();
        Self(EncodingKey::from_ed_der(&key))
    }

    /// The public key, in the format of the setting `JWKS`.
    ///
    /// # Errors
    ///
    /// If the key cannot be read.
    pub fn key_set(&self) -> Result<String, String> {
        let key =
            Jwk::from_encoding_key(&self.0, Algorithm::EdDSA).map_err(|error| error.to_string())?;
        Ok(json!({ "keys": [key] }).to_string())
    }

    /// A token for all orders, and for a customer's stream. It expires at this time since the Unix epoch, in whole seconds.
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    pub fn token(&self, expires: Duration, customer: Option<&str>) -> Result<String, String> {
        let mut claims = json!({ "orders": "*", "exp": expires.as_secs() });
        if let Some(customer) = customer {
            claims["customer"] = json!(customer);
        }
        encode(&Header::new(Algorithm::EdDSA), &claims, &self.0).map_err(|error| error.to_string())
    }
}

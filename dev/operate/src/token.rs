//! A token for support: opens orders for somebody who helps a customer.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use order_status_stream::order::OrderId;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::OperateError;

/// How a key is read that was made for an algorithm.
type Read = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;

/// The algorithms that the stream function accepts.
const ALGORITHMS: [(Algorithm, Read); 3] = [
    (Algorithm::ES256, EncodingKey::from_ec_pem),
    (Algorithm::EdDSA, EncodingKey::from_ed_pem),
    (Algorithm::RS256, EncodingKey::from_rsa_pem),
];

/// What the token is for, and who makes it.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// A file with the private key, in the PEM form of PKCS #8.
    pub key: PathBuf,
    /// The `kid` of its public key in the function's key set.
    pub key_id: Option<String>,
    pub orders: Vec<OrderId>,
    /// The setting `JWT_ORDERS_CLAIM`.
    pub orders_claim: String,
    /// The settings `JWT_ISSUER` and `JWT_AUDIENCE`.
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub lifetime: Duration,
}

/// A token, and when it expires in seconds since the Unix epoch.
///
/// It is printed because the user asked for it, so `Debug` must not print it in passing.
#[derive(Serialize)]
pub struct Token {
    token: String,
    expires: u64,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl TokenRequest {
    /// Signs the token.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not a key of one of the three algorithms. No error contains a part of the key.
    pub fn sign(&self, now: SystemTime) -> Result<Token, OperateError> {
        let (algorithm, key) = self.read_key()?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let expires = (now + self.lifetime).as_secs();
        let mut claims = Map::new();
        let ids: Vec<_> = self.orders.iter().map(OrderId::as_str).collect();
        claims.insert(self.orders_claim.clone(), json!(ids));
        claims.insert("exp".to_owned(), json!(expires));
        for (name, value) in [("iss", &self.issuer), ("aud", &self.audience)] {
            claims.extend(value.iter().map(|value| (name.to_owned(), json!(value))));
        }
        let mut header = Header::new(algorithm);
        header.kid.clone_from(&self.key_id);
        let token = encode(&header, &Value::Object(claims), &key);
        let token = token.map_err(|_| self.not_a_key())?;
        Ok(Token { token, expires })
    }

    fn read_key(&self) -> Result<(Algorithm, EncodingKey), OperateError> {
        let pem = fs::read(&self.key).map_err(|source| OperateError::File {
            path: self.key.clone(),
            source,
        })?;
        let read = |(algorithm, read): (_, Read)| Some((algorithm, read(&pem).ok()?));
        let key = ALGORITHMS.into_iter().find_map(read);
        key.ok_or_else(|| self.not_a_key())
    }

    fn not_a_key(&self) -> OperateError {
        OperateError::PrivateKey(self.key.clone())
    }
}

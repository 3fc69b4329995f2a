//! Makes tokens, as the backend of a shop does for its customers. For `make run` and for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// Makes tokens with its own key.
#[derive(Clone)]
pub struct Issuer {
    key: EncodingKey,
    header: Header,
}

#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The machine has no random numbers.
    #[error("no key could be made")]
    Key(#[from] Unspecified),
    #[error("the new key is invalid")]
    Rejected(#[from] KeyRejected),
    /// The key or the claims are invalid.
    #[error("no token could be made")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// Only ES256, EdDSA and RS256 are supported.
    #[error("unsupported algorithm: {0:?}")]
    Algorithm(Algorithm),
}

/// The length of the PKCS #8 header of an RSA key of 2048 bits.
const RSA_PKCS8_HEADER: usize = 26;

impl Issuer {
    pub fn new(algorithm: Algorithm, key_id: &str) -> Result<Self, IssuerError> {
        let random = SystemRandom::new();
        let key = match algorithm {
            Algorithm::ES256 => {
                let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?;
                EncodingKey::from_ec_der(key.as_ref())
            }
            Algorithm::EdDSA => {
                let key = Ed25519KeyPair::generate_pkcs8v1(&random)?;
                EncodingKey::from_ed_der(key.as_ref())
            }
            Algorithm::RS256 => {
                let key =
                    AsDer::<Pkcs8V1Der<'_>>::as_der(&RsaKeyPair::generate(KeySize::Rsa2048)?)?;
                EncodingKey::from_rsa_der(&key.as_ref()[RSA_PKCS8_HEADER..])
            }
            other => return Err(IssuerError::Algorithm(other)),
        };
        let mut header = Header::new(algorithm);
        header.kid = Some(key_id.to_owned());
        Ok(Self { key, header })
    }

    /// The public key, in the form of a JWKS.
    pub fn jwk(&self) -> Result<Value, IssuerError> {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.header.alg)?;
        jwk.common.key_id.clone_from(&self.header.kid);
        Ok(json!(jwk))
    }

    /// The key set: the value of the setting `JWKS`.
    pub fn jwks(&self) -> Result<String, IssuerError> {
        Ok(json!({ "keys": [self.jwk()?] }).to_string())
    }

    /// A token that gives access to orders (a single `*` means every order) from now on, and its expiry since the Unix epoch.
    pub fn token(
        &self,
        orders: &[&str],
        lifetime: Duration,
    ) -> Result<(String, Duration), IssuerError> {
        let expires = expiry(lifetime);
        let claims = json!({ "orders": claim(orders), "exp": expires.as_secs() });
        Ok((self.sign(&claims)?, expires))
    }

    /// A token that gives access to a customer's stream, and to orders as well if there are any, and its expiry. The customer's claim is
    /// `sub`.
    pub fn token_of(
        &self,
        customer: &str,
        orders: Option<&[&str]>,
        lifetime: Duration,
    ) -> Result<(String, Duration), IssuerError> {
        let expires = expiry(lifetime);
        let mut claims = json!({ "sub": customer, "exp": expires.as_secs() });
        if let Some(orders) = orders {
            claims["orders"] = claim(orders);
        }
        Ok((self.sign(&claims)?, expires))
    }

    /// A token with any claims.
    pub fn sign(&self, claims: &Value) -> Result<String, IssuerError> {
        self.sign_as(&self.header, claims)
    }

    /// A token with any claims and another header, which must name the issuer's algorithm.
    pub fn sign_as(&self, header: &Header, claims: &Value) -> Result<String, IssuerError> {
        Ok(encode(header, claims, &self.key)?)
    }

    /// The signature of a message, in the form of a token's. Tests make invalid tokens with it.
    pub fn signature(&self, message: &[u8]) -> Result<String, IssuerError> {
        let algorithm = self.header.alg;
        Ok(jsonwebtoken::crypto::sign(message, &self.key, algorithm)?)
    }

    pub fn header(&self) -> Header {
        self.header.clone()
    }
}

fn claim(orders: &[&str]) -> Value {
    match orders {
        ["*"] => json!("*"),
        orders => json!(orders),
    }
}

/// In whole seconds since the Unix epoch.
fn expiry(lifetime: Duration) -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_secs((now + lifetime).as_secs())
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

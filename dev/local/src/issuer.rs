//! Makes tokens: what a shop's backend does for its customers, for this machine and for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// Someone who makes tokens, with a key of their own.
#[derive(Clone)]
pub struct Issuer {
    key: EncodingKey,
    header: Header,
}

/// Why there is no issuer, or no token.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The machine's random numbers.
    #[error("no key could be made")]
    Key(#[from] Unspecified),
    /// A key that was just made.
    #[error("the key that was made is none")]
    Rejected(#[from] KeyRejected),
    /// The key, or the claims.
    #[error("no token could be made")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// It is asked for another algorithm than ES256, EdDSA and RS256.
    #[error("no keys are made for {0:?}")]
    Algorithm(Algorithm),
}

/// What stands before the key in the PKCS #8 form of an RSA key of 2048 bits.
const RSA_PKCS8_HEAD: usize = 26;

impl Issuer {
    /// An issuer with a new key of that name.
    ///
    /// # Errors
    ///
    /// Where no key can be made.
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
                EncodingKey::from_rsa_der(&key.as_ref()[RSA_PKCS8_HEAD..])
            }
            other => return Err(IssuerError::Algorithm(other)),
        };
        let mut header = Header::new(algorithm);
        header.kid = Some(key_id.to_owned());
        Ok(Self { key, header })
    }

    /// The public key, as a JWKS has it.
    ///
    /// # Errors
    ///
    /// Where the key is none.
    pub fn jwk(&self) -> Result<Value, IssuerError> {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.header.alg)?;
        jwk.common.key_id.clone_from(&self.header.kid);
        Ok(json!(jwk))
    }

    /// The key set: what `JWKS` is to be.
    ///
    /// # Errors
    ///
    /// Where the key is none.
    pub fn jwks(&self) -> Result<String, IssuerError> {
        Ok(json!({ "keys": [self.jwk()?] }).to_string())
    }

    /// A token that opens orders (`*` alone: every one) for a while from now on; and when it ends, since the Unix epoch.
    ///
    /// # Errors
    ///
    /// Where the key is none.
    pub fn token(
        &self,
        orders: &[&str],
        lasts: Duration,
    ) -> Result<(String, Duration), IssuerError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let expires = Duration::from_secs((now + lasts).as_secs());
        let orders = match orders {
            ["*"] => json!("*"),
            orders => json!(orders),
        };
        let claims = json!({ "orders": orders, "exp": expires.as_secs() });
        Ok((self.sign(&claims)?, expires))
    }

    /// A token that says whatever one likes.
    ///
    /// # Errors
    ///
    /// Where the key is none.
    pub fn sign(&self, claims: &Value) -> Result<String, IssuerError> {
        self.sign_as(&self.header, claims)
    }

    /// The same, under another header: of the issuer's own algorithm.
    ///
    /// # Errors
    ///
    /// Where the key is none, or of another algorithm.
    pub fn sign_as(&self, header: &Header, claims: &Value) -> Result<String, IssuerError> {
        Ok(encode(header, claims, &self.key)?)
    }

    /// The signature of a message, as a token has it: for tokens that are none.
    ///
    /// # Errors
    ///
    /// Where the key is none.
    pub fn signature(&self, message: &[u8]) -> Result<String, IssuerError> {
        let algorithm = self.header.alg;
        Ok(jsonwebtoken::crypto::sign(message, &self.key, algorithm)?)
    }

    /// The header of its tokens.
    pub fn header(&self) -> Header {
        self.header.clone()
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

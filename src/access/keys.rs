//! The public keys that tokens are checked with: a JSON Web Key Set (RFC 7517). Pure.

use http::Uri;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// What a token may be signed with: asymmetric, so that nothing here is a secret, and of each
/// family the one that all issuers have.
pub(super) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

/// `JWKS`: where the keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The set itself.
    Inline(KeySet),
    /// Its https URL.
    Url(Uri),
}

/// The keys of a set that can check a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// A key, good for one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    algorithm: Algorithm,
    jwk: Jwk,
}

/// Why a text is neither a [`KeySet`] nor a URL of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// No JSON, or without `keys`.
    #[error("it is neither a JSON Web Key Set nor an https URL")]
    Malformed,
    /// Whoever reads the environment could make tokens.
    #[error("it holds a private key: give the public ones only")]
    Private,
    /// None of them is for signatures by ES256, EdDSA or RS256.
    #[error("it holds no key for ES256, EdDSA (Ed25519) or RS256")]
    NoKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySource {
    /// Reads a document, or the https URL of one.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] where it is neither.
    pub fn parse(text: &str) -> Result<Self, KeySetError> {
        if text.trim_start().starts_with('{') {
            return KeySet::parse(text.as_bytes()).map(Self::Inline);
        }
        let url: Uri = text.trim().parse().map_err(|_| KeySetError::Malformed)?;
        let is_https = url.scheme_str() == Some("https") && url.host().is_some();
        is_https
            .then_some(Self::Url(url))
            .ok_or(KeySetError::Malformed)
    }
}

impl KeySet {
    /// Reads a document. Keys that cannot check a token are passed over (RFC 7517, section 5).
    ///
    /// # Errors
    ///
    /// [`KeySetError`] where no key is left, or one is not public.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let Document { keys } = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        if keys.iter().any(|key| key.get("d").is_some()) {
            return Err(KeySetError::Private);
        }
        let keys: Vec<_> = keys.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(KeySetError::NoKey);
        }
        Ok(Self(keys))
    }

    /// The key that a token's header names. A token without `kid` is checked where no choice is
    /// left.
    pub(super) fn find(&self, header: &Header) -> Option<&Key> {
        let mut keys = self.0.iter().filter(|key| key.algorithm == header.alg);
        match &header.kid {
            Some(_) => keys.find(|key| key.jwk.common.key_id == header.kid),
            None => keys.next().filter(|_| keys.next().is_none()),
        }
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            _ => return None,
        };
        let common = &jwk.common;
        let may = common
            .key_algorithm
            .is_none_or(|may| may == algorithm.into())
            && common
                .public_key_use
                .as_ref()
                .is_none_or(|is| *is == PublicKeyUse::Signature)
            && common
                .key_operations
                .as_ref()
                .is_none_or(|may| may.contains(&KeyOperations::Verify));
        let key = Self { algorithm, jwk };
        (may && key.decoding().is_ok()).then_some(key)
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn decoding(&self) -> jsonwebtoken::errors::Result<DecodingKey> {
        DecodingKey::from_jwk(&self.jwk)
    }
}

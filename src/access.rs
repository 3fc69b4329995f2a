//! Who may watch an order: a token becomes the orders it opens.
//!
//! ```text
//! request ──▶ bearer ──▶ token ──▶ claims ──▶ pass
//!             where it    is it     which
//!             stands      genuine?  orders
//! ```
//!
//! The feed is not asked before the answer is known: an order of someone else and one that does not
//! exist are the same.

mod bearer;
mod cache;
mod claims;
mod ed25519;
mod https;
mod keys;

use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::clock::Clock;
use crate::order::OrderId;
use crate::request::Request;

use cache::{Cache, KeyError};
pub use claims::ClaimSettings;
use claims::Claims;
pub use claims::TokenError;
use https::Https;
use keys::Key;
pub use keys::{KeySet, KeySetError, KeySource};

/// `ACCESS`: who may watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessSettings {
    /// Whoever knows an order's id.
    Open,
    /// Whoever brings a token that names the order.
    Jwt {
        /// `JWKS`
        keys: KeySource,
        /// What a token must say beside the orders.
        claims: ClaimSettings,
    },
}

/// Decides who may watch.
#[derive(Debug)]
pub struct Access(Option<Verifier>);

/// Leave to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// How long it lasts; `None` where it has no end.
    pub lasts: Option<Duration>,
}

/// Why there is no leave.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccessError {
    /// No token came with the request.
    #[error("a token is needed: as Authorization: Bearer, cookie or query parameter access_token")]
    NoToken,
    /// One came, and it is not good.
    #[error("the token is not accepted: {0}")]
    Token(#[from] TokenError),
    /// It is good, and for other orders. It is not told which of those that were asked for.
    #[error("the token does not open every order that was asked for")]
    NotTheirs,
    /// It cannot be told at the moment.
    #[error("the keys that tokens are checked with cannot be fetched at the moment")]
    KeysUnavailable,
}

/// A longer token is not worth reading. HTTP servers take headers of 8 to 16 KiB; two hundred order
/// ids fit in 4.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

impl Access {
    /// Access as it is set.
    pub fn new(settings: AccessSettings) -> Self {
        Self(match settings {
            AccessSettings::Open => None,
            AccessSettings::Jwt { keys, claims } => Some(Verifier {
                keys: match keys {
                    KeySource::Inline(keys) => {
                        keys.warn(None);
                        Keys::Fixed(keys)
                    }
                    KeySource::Url(url) => Keys::Fetched(Box::new(Cache::new(Https::new(url)))),
                },
                claims,
            }),
        })
    }

    /// Whether the request may watch these orders.
    ///
    /// # Errors
    ///
    /// [`AccessError::KeysUnavailable`] will pass by itself, the others will not.
    pub async fn check(
        &self,
        request: &Request,
        orders: &[OrderId],
        clock: &Clock,
    ) -> Result<Pass, AccessError> {
        let Some(verifier) = &self.0 else {
            return Ok(Pass { lasts: None });
        };
        let token = bearer::token(request).ok_or(AccessError::NoToken)?;
        let claims = verifier.verify(token, clock).await?;
        if !orders.iter().all(|order| claims.orders.opens(order)) {
            return Err(AccessError::NotTheirs);
        }
        let lasts = Some(claims.expires.saturating_sub(clock.epoch()));
        Ok(Pass { lasts })
    }

    /// The time until the request's token expires, as the token says. Nobody has verified that, so it opens nothing: it only
    /// limits for how long the client stays away. `None` if it cannot be read.
    pub fn unverified_expiry(&self, request: &Request, clock: &Clock) -> Option<Duration> {
        let token = bearer::token(request)?;
        let claims: Map<String, Value> = insecure_decode_claims(token).ok()?;
        let expires = claims::expiry(&claims).ok()?;
        Some(expires.saturating_sub(clock.epoch()))
    }
}

#[derive(Debug)]
struct Verifier {
    keys: Keys,
    claims: ClaimSettings,
}

#[derive(Debug)]
enum Keys {
    Fixed(KeySet),
    Fetched(Box<Cache<Https>>),
}

impl Verifier {
    async fn verify(&self, token: &str, clock: &Clock) -> Result<Claims, AccessError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong(MAX_TOKEN_BYTES).into());
        }
        let renamed = ed25519::header(token);
        let genuine_claims = match renamed {
            Some(_) => ed25519::genuine_claims,
            None => genuine_claims,
        };
        let header = renamed.or_else(|| decode_header(token).ok());
        let header = header.ok_or(TokenError::Malformed)?;
        if !keys::ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::Malformed.into());
        }
        // RFC 7515, section 4.1.11: what must be understood and is not makes a token invalid.
        if header.crit.is_some() {
            return Err(TokenError::Critical.into());
        }
        let keys = self.keys(&header, clock).await?;
        let claims = genuine_claims(token, &keys)?;
        Ok(claims::read(&claims, &self.claims, clock.epoch())?)
    }

    /// The keys that the header may mean. It names a key of ours and its algorithm; that it may bring or
    /// point to a key of its own (`jwk`, `jku`, `x5c`, `x5u`) is nothing to us.
    async fn keys(&self, header: &Header, clock: &Clock) -> Result<Vec<Key>, AccessError> {
        let keys = match &self.keys {
            Keys::Fixed(keys) => Some(keys.find(header)).filter(|keys| !keys.is_empty()),
            Keys::Fetched(cache) => match cache.find(header, clock).await {
                Err(KeyError::Unavailable) => return Err(AccessError::KeysUnavailable),
                found => found.ok(),
            },
        };
        Ok(keys.ok_or(TokenError::UnknownKey)?)
    }
}

/// The claims of a token that one of the keys signed. Some issuers publish several under one `kid`.
fn genuine_claims(token: &str, keys: &[Key]) -> Result<Map<String, Value>, TokenError> {
    for key in keys {
        let mut signature_alone = Validation::new(key.algorithm());
        // Times are read against this crate's own clock, and the other claims beside them.
        signature_alone.validate_exp = false;
        signature_alone.validate_aud = false;
        signature_alone.required_spec_claims.clear();
        match decode(token, &key.decoding(), &signature_alone) {
            Ok(genuine) => return Ok(genuine.claims),
            // Claims are read after the signature was found to be right.
            Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => {
                return Err(TokenError::Claims);
            }
            Err(_) => {}
        }
    }
    Err(TokenError::Signature)
}

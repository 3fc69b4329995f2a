//! Decides from a request's token whether the client may watch orders.
//!
//! ```text
//! request ──▶ bearer ───▶ keys, cache ─────▶ claims ───────▶ Grant
//!             finds the    verify the         list the
//!             token        signature          orders, or
//!                                             name the customer
//! ```
//!
//! The decision is made before the feed is read. So the response does not show whether an order of somebody else exists.

mod bearer;
mod cache;
mod claims;
mod ed25519;
mod https;
mod key;
mod keys;
mod limits;

use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::clock::Clock;
use crate::customer::CustomerId;
use crate::feed::LogId;
use crate::order::OrderId;
use crate::request::Request;

pub use bearer::TokenHeader;
use cache::{Cache, KeyError};
pub use claims::ClaimSettings;
use claims::Claims;
pub use claims::TokenError;
use https::Https;
use key::{ALGORITHMS, Key};
pub use keys::{KeySet, KeySetError, KeySource};
pub use limits::TokenLimits;
pub(crate) use limits::{Place, Refusal, TokenKey, Usage};

/// `ACCESS`: who may watch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a process has one")]
pub enum AccessSettings {
    /// Everybody who knows an order's id.
    Open,
    /// Everybody who has a token for the order.
    Jwt {
        /// `JWKS`: the keys that verify tokens.
        keys: KeySource,
        /// The claims that a token must have.
        claims: ClaimSettings,
        /// `TOKEN_HEADER`: the header that carries a token.
        header: TokenHeader,
    },
}

/// Decides who may watch orders.
#[derive(Debug)]
pub struct Access(Option<Verifier>);

/// What a request wants to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These orders.
    Orders(Vec<OrderId>),
    /// All orders of the customer that the token names.
    Customer,
}

/// Permission to watch what a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The time until the permission ends. `None` if it does not end.
    pub expires_in: Option<Duration>,
    /// The logs to watch.
    pub logs: Vec<LogId>,
    /// The token, to count what it opens. `None` if access is open.
    pub(crate) token: Option<TokenKey>,
}

/// Why a client may not watch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccessError {
    /// The request has no token.
    #[error(
        "a token is required: as Authorization: Bearer, cookie or query parameter access_token"
    )]
    NoToken,
    /// The token is invalid.
    #[error("the token is not accepted: {0}")]
    Token(#[from] TokenError),
    /// The token is valid, but not for all requested orders. The client does not learn which order is missing.
    #[error("the token is not for all requested orders")]
    NotGranted,
    /// The token is valid, but names no customer.
    #[error(
        "the token names no customer: the claim of JWT_CUSTOMER_CLAIM must be a text of 1 to 128 characters, or a whole number"
    )]
    NoCustomer,
    /// The token cannot be verified now.
    #[error("the keys that verify tokens cannot be fetched at the moment")]
    KeysUnavailable,
}

/// Longer tokens are refused without parsing them. HTTP servers accept headers of 8 to 16 KiB, and a token for two hundred
/// orders has 4 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

impl Access {
    /// Access with these settings. Logs one warning that lists the invalid keys of `JWKS`.
    pub fn new(settings: AccessSettings) -> Self {
        Self(match settings {
            AccessSettings::Open => None,
            AccessSettings::Jwt {
                keys,
                claims,
                header,
            } => Some(Verifier {
                keys: match keys {
                    KeySource::Inline(keys) => {
                        keys.warn(None);
                        Keys::Fixed(keys)
                    }
                    KeySource::Url(url) => Keys::Fetched(Box::new(Cache::new(Https::new(url)))),
                },
                claims,
                header,
            }),
        })
    }

    /// Fetches the key set, if it has a URL, before a token needs it.
    pub async fn prepare(&self, clock: &Clock) {
        if let Some(Verifier {
            keys: Keys::Fetched(cache),
            ..
        }) = &self.0
        {
            cache.prepare(clock).await;
        }
    }

    /// Whether tokens can open a customer's stream.
    pub fn knows_customers(&self) -> bool {
        let verifier = self.0.as_ref();
        verifier.is_some_and(|verifier| verifier.claims.customer_claim.is_some())
    }

    /// Checks whether the request may watch what it wants.
    ///
    /// # Errors
    ///
    /// [`AccessError::KeysUnavailable`] if a later attempt may succeed. All other errors are final for this token.
    pub async fn check(
        &self,
        request: &Request,
        wanted: &Wanted,
        clock: &Clock,
    ) -> Result<Grant, AccessError> {
        let Some(verifier) = &self.0 else {
            return Ok(Grant {
                expires_in: None,
                logs: wanted.logs(None).ok_or(AccessError::NoCustomer)?,
                token: None,
            });
        };
        let token = bearer::token(request, verifier.header).ok_or(AccessError::NoToken)?;
        let claims = verifier.verify(token, clock).await?;
        if let Wanted::Orders(orders) = wanted
            && !orders.iter().all(|order| claims.orders.include(order))
        {
            return Err(AccessError::NotGranted);
        }
        let logs = wanted.logs(claims.customer.as_ref());
        let expires_in = Some(claims.expires.saturating_sub(clock.epoch()));
        Ok(Grant {
            expires_in,
            logs: logs.ok_or(AccessError::NoCustomer)?,
            token: Some(TokenKey::of(token)),
        })
    }

    /// The time until the request's token expires, without verifying the token. So it must not grant anything. It only limits
    /// how long the client rests. `None` if the token cannot be read.
    pub fn unverified_expiry(&self, request: &Request, clock: &Clock) -> Option<Duration> {
        let token = bearer::token(request, self.0.as_ref()?.header)?;
        let claims: Map<String, Value> = insecure_decode_claims(token).ok()?;
        let expires = claims::expiry(&claims).ok()?;
        Some(expires.saturating_sub(clock.epoch()))
    }
}

impl Wanted {
    /// The number of marks of a cursor.
    pub(crate) fn marks(&self) -> usize {
        match self {
            Self::Orders(orders) => orders.len(),
            Self::Customer => 1,
        }
    }

    /// The logs to watch, as far as they are known before the token is verified.
    pub(crate) fn logs_before_access(&self) -> Vec<LogId> {
        self.logs(None).unwrap_or_default()
    }

    /// The logs to watch. `None` if there is no customer.
    fn logs(&self, customer: Option<&CustomerId>) -> Option<Vec<LogId>> {
        match self {
            Self::Orders(orders) => Some(orders.iter().map(LogId::from).collect()),
            Self::Customer => customer.map(|customer| vec![LogId::from(customer)]),
        }
    }
}

#[derive(Debug)]
struct Verifier {
    keys: Keys,
    claims: ClaimSettings,
    header: TokenHeader,
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
        let verified_claims = match renamed {
            Some(_) => ed25519::verified_claims,
            None => verified_claims,
        };
        let header = renamed.or_else(|| decode_header(token).ok());
        let header = header.ok_or(TokenError::Malformed)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::Malformed.into());
        }
        // RFC 7515, section 4.1.11: a critical extension that is not supported makes a token invalid.
        if header.crit.is_some() {
            return Err(TokenError::Critical.into());
        }
        let keys = self.keys(&header, clock).await?;
        let claims = verified_claims(token, &keys)?;
        Ok(claims::read(&claims, &self.claims, clock.epoch())?)
    }

    /// The keys that may have signed a token with this header. Only `kid` and `alg` are used. A key that the header contains or
    /// refers to (`jwk`, `jku`, `x5c`, `x5u`) is ignored, because anybody can write it.
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

/// The claims of a token that one of the keys signed. Some issuers publish several keys with one `kid`.
fn verified_claims(token: &str, keys: &[Key]) -> Result<Map<String, Value>, TokenError> {
    for key in keys {
        let mut only_signature = Validation::new(key.algorithm());
        // `claims.rs` checks the claims, because this crate uses its own clock.
        only_signature.validate_exp = false;
        only_signature.validate_aud = false;
        only_signature.required_spec_claims.clear();
        match decode(token, &key.decoding(), &only_signature) {
            Ok(token) => return Ok(token.claims),
            // The library parses the claims after it has verified the signature.
            Err(error) if matches!(error.kind(), ErrorKind::Json(_)) => {
                return Err(TokenError::Claims);
            }
            Err(_) => {}
        }
    }
    Err(TokenError::Signature)
}

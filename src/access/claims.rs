//! What a genuine token says: RFC 7519, and one claim of our own. Pure.

use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::order::OrderId;

/// `JWT_ISSUER`, `JWT_AUDIENCE`, `JWT_ORDERS_CLAIM`, `JWT_LEEWAY`: how claims are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSettings {
    /// What `iss` must be; `None` is any.
    pub issuer: Option<String>,
    /// What `aud` must be or hold; `None` is any.
    pub audience: Option<String>,
    /// The claim that lists the orders.
    pub orders_claim: String,
    /// By how much an issuer's clock may differ from ours.
    pub leeway: Duration,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) orders: Orders,
    /// Since the Unix epoch.
    pub(super) expires: Duration,
}

/// Which orders the token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Orders {
    /// `"*"`
    All,
    /// A list of ids, in which `"*"` is an id like any other.
    These(Vec<String>),
}

impl Orders {
    pub(super) fn opens(&self, order: &OrderId) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.iter().any(|id| id == order.as_str()),
        }
    }
}

/// Why a token is not good. It stays so, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// More than that many bytes.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    /// Not a JWT in compact form, or with an algorithm that is not taken.
    #[error("it is no JWT signed by ES256, EdDSA or RS256")]
    Malformed,
    /// It has a `crit` header.
    #[error("its header names extensions that must be understood and are not")]
    Critical,
    /// No key of the set has its `kid` and `alg`.
    #[error("no known key has its kid and alg")]
    UnknownKey,
    /// It was not signed with that key.
    #[error("its signature is not right")]
    Signature,
    /// Its claims are no JSON object, or say something twice.
    #[error("its claims cannot be read")]
    Claims,
    /// A claim is missing, or of another type than it should be.
    #[error("its claim {0} is missing or not of the right type")]
    Claim(&'static str),
    /// The claim of that name does not say without doubt which orders are meant.
    #[error(
        "its claim {0} names no orders: it must be a list of order ids, a single id without commas and spaces, or \"*\""
    )]
    Orders(String),
    /// `exp` is past.
    #[error("it has expired")]
    Expired,
    /// `nbf` is to come.
    #[error("it is not valid yet")]
    NotYet,
    /// `iss` is another.
    #[error("it is of another issuer")]
    Issuer,
    /// `aud` is another.
    #[error("it is for another audience")]
    Audience,
}

/// Reads claims as they stand at a time since the Unix epoch.
pub(super) fn read(
    claims: &Map<String, Value>,
    settings: &ClaimSettings,
    now: Duration,
) -> Result<Claims, TokenError> {
    let expires = expiry(claims)?;
    if now >= expires.saturating_add(settings.leeway) {
        return Err(TokenError::Expired);
    }
    if date(claims, "nbf")?.is_some_and(|from| now.saturating_add(settings.leeway) < from) {
        return Err(TokenError::NotYet);
    }
    if let Some(issuer) = &settings.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(TokenError::Issuer);
    }
    if let Some(audience) = &settings.audience
        && !claims.get("aud").is_some_and(|aud| is_for(aud, audience))
    {
        return Err(TokenError::Audience);
    }
    let name = &settings.orders_claim;
    let orders = orders(claims.get(name)).ok_or_else(|| TokenError::Orders(name.clone()))?;
    Ok(Claims { orders, expires })
}

/// The claim `exp`.
pub(super) fn expiry(claims: &Map<String, Value>) -> Result<Duration, TokenError> {
    date(claims, "exp")?.ok_or(TokenError::Claim("exp"))
}

/// A `NumericDate` (RFC 7519, section 2): seconds, with or without a fraction.
fn date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Duration>, TokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0);
    let seconds = seconds.ok_or(TokenError::Claim(name))?;
    // What does not fit is further away than any clock will come.
    Ok(Some(
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
    ))
}

/// `aud` is one audience, or a list of them.
fn is_for(aud: &Value, audience: &str) -> bool {
    match aud {
        Value::String(one) => one == audience,
        Value::Array(several) => several.iter().any(|one| one == audience),
        _ => false,
    }
}

/// A token without the claim is a good one that opens nothing: one for another purpose.
fn orders(claim: Option<&Value>) -> Option<Orders> {
    match claim {
        None => Some(Orders::These(Vec::new())),
        Some(Value::String(text)) if text == "*" => Some(Orders::All),
        Some(Value::String(text)) => these_in_text(text).map(Orders::These),
        Some(Value::Array(list)) => these(list).map(Orders::These),
        Some(one) => id(one).map(|id| Orders::These(vec![id])),
    }
}

fn these(list: &[Value]) -> Option<Vec<String>> {
    list.iter().map(id).collect()
}

/// Numbers with a fraction or an exponent have more than one way to be written as an id.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// An issuer whose attributes are text alone (Cognito's custom attributes) puts the list into the text, as JSON. Other
/// text is one id, unless it may as well be several of them, or JSON of another kind. `*` in the list is an id like any
/// other: only the whole claim can mean all orders.
fn these_in_text(text: &str) -> Option<Vec<String>> {
    let is_list = |c: char| c.is_whitespace() || ",;|".contains(c);
    match serde_json::from_str(text) {
        Ok(Value::Array(list)) => these(&list),
        Ok(Value::Number(_)) => Some(vec![text.trim().to_owned()]),
        Ok(_) => None,
        Err(_) if text.contains(is_list) || text.starts_with(['[', '{', '"']) => None,
        Err(_) => OrderId::try_from(text).ok().map(|_| vec![text.to_owned()]),
    }
}

//! The claims of a token with a valid signature: RFC 7519, and one claim that lists orders. Pure.

use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::customer::CustomerId;
use crate::order::OrderId;

/// `JWT_ISSUER`, `JWT_AUDIENCE`, `JWT_ORDERS_CLAIM`, `JWT_CUSTOMER_CLAIM`, `JWT_LEEWAY`: how claims are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSettings {
    /// The required `iss`. `None` accepts any.
    pub issuer: Option<String>,
    /// The audience that `aud` must be, or contain. `None` accepts any.
    pub audience: Option<String>,
    /// The claim that lists the orders.
    pub orders_claim: String,
    /// The claim that names the customer. `None` if no token opens a customer's stream.
    pub customer_claim: Option<String>,
    /// The accepted difference between the issuer's clock and this machine's.
    pub leeway: Duration,
}

/// The claims of a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) orders: Orders,
    /// `None` if the token names no customer.
    pub(super) customer: Option<CustomerId>,
    /// The time since the Unix epoch.
    pub(super) expires: Duration,
}

/// The orders that a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Orders {
    /// `"*"`
    All,
    /// A list of ids. In a list, `"*"` is an ordinary id.
    These(Vec<String>),
}

impl Orders {
    pub(super) fn include(&self, order: &OrderId) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.iter().any(|id| id == order.as_str()),
        }
    }
}

/// Why a token is invalid. It stays invalid if it is sent again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The token has more than this many bytes.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    /// The token is not a JWT in compact form, or its algorithm is not accepted.
    #[error("it is not a JWT signed with ES256, EdDSA or RS256")]
    Malformed,
    /// The header has a `crit` member.
    #[error("its header requires extensions that are not supported")]
    Critical,
    /// No key of the set has the token's `kid` and `alg`.
    #[error("no known key has its kid and alg")]
    UnknownKey,
    /// The key did not sign the token.
    #[error("its signature is invalid")]
    Signature,
    /// The claims are not a JSON object, or a claim appears twice.
    #[error("its claims cannot be read")]
    Claims,
    /// A claim is missing, or has the wrong type.
    #[error("its claim {0} is missing or has the wrong type")]
    Claim(&'static str),
    /// The claim with this name does not clearly list orders.
    #[error(
        "its claim {0} lists no orders: it must be a list of order ids, a single id without commas and spaces, or \"*\""
    )]
    Orders(String),
    /// `exp` is in the past.
    #[error("it has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("it is not valid yet")]
    NotYet,
    /// `iss` is a different issuer.
    #[error("it is from another issuer")]
    Issuer,
    /// `aud` is a different audience.
    #[error("it is for another audience")]
    Audience,
}

/// Reads and checks the claims. `now` is the time since the Unix epoch.
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
    let customer = settings.customer_claim.as_ref();
    let customer = customer.and_then(|name| customer_of(claims.get(name)?));
    Ok(Claims {
        orders,
        customer,
        expires,
    })
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
    // A time that does not fit in a `Duration` is never reached, so the largest one can replace it.
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

/// A token without the claim is valid, but for no order: it serves another purpose. `None` if the claim is ambiguous.
fn orders(claim: Option<&Value>) -> Option<Orders> {
    match claim {
        None => Some(Orders::These(Vec::new())),
        Some(Value::String(text)) if text == "*" => Some(Orders::All),
        Some(Value::String(text)) => ids_in_text(text).map(Orders::These),
        Some(Value::Array(list)) => ids(list).map(Orders::These),
        Some(one) => id(one).map(|id| Orders::These(vec![id])),
    }
}

/// A claim in another form names nobody: the token may still be for orders.
fn customer_of(claim: &Value) -> Option<CustomerId> {
    id(claim).and_then(CustomerId::new)
}

fn ids(list: &[Value]) -> Option<Vec<String>> {
    list.iter().map(id).collect()
}

/// A number with a fraction or an exponent can be written as an id in several ways, so it is refused.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// If an issuer's attributes can only be text (Cognito's custom attributes), the text contains the list as JSON. Any other text
/// is a single id. It is refused if it could also be several ids, or other JSON. `*` in the list is an ordinary id: only the
/// complete claim can mean all orders.
fn ids_in_text(text: &str) -> Option<Vec<String>> {
    let is_list = |c: char| c.is_whitespace() || ",;|".contains(c);
    match serde_json::from_str(text) {
        Ok(Value::Array(list)) => ids(&list),
        Ok(Value::Number(_)) => Some(vec![text.trim().to_owned()]),
        Ok(_) => None,
        Err(_) if text.contains(is_list) || text.starts_with(['[', '{', '"']) => None,
        Err(_) => OrderId::try_from(text).ok().map(|_| vec![text.to_owned()]),
    }
}

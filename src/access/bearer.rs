//! Finds the token in a request. Pure.

use crate::request::Request;

/// The name of the cookie and of the query parameter (RFC 6750, section 2.3). They exist because an `EventSource` cannot send
/// headers.
const NAME: &str = "access_token";

/// `TOKEN_HEADER`: the header that carries `Bearer` and a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenHeader {
    /// `Authorization`
    Authorization,
    /// `X-Authorization`. If CloudFront signs the requests to a Function URL, `Authorization` contains its signature. So a
    /// CloudFront function moves the client's `Authorization` into this header.
    XAuthorization,
}

impl TokenHeader {
    fn name(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::XAuthorization => "x-authorization",
        }
    }
}

/// The request's token, from `Bearer` in the header, or else from the cookie, or else from the query.
///
/// Only the first token is used, even if it is invalid and a second one would be valid. A token that is empty, or contains
/// characters that a token cannot have, is ignored. Other cookies and other authorization schemes are ignored too, because they
/// belong to other applications.
pub(super) fn token(request: &Request, header: TokenHeader) -> Option<&str> {
    let bearers = request.headers(header.name()).filter_map(bearer);
    let cookies = request
        .headers("cookie")
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(cookie);
    let parameters = request.parameters(NAME);
    let parameters = parameters.filter_map(|text| str::from_utf8(text).ok());
    bearers.chain(cookies).chain(parameters).find(is_token)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once([' ', '\t'])?;
    // RFC 9110, section 11.1: a scheme's name is case-insensitive.
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim())
}

/// RFC 6265, section 4.1.1: a cookie's value may be in double quotes.
fn cookie(pair: &str) -> Option<&str> {
    let (name, value) = pair.split_once('=')?;
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    (name.trim() == NAME).then_some(quoted.unwrap_or(value))
}

fn is_token(text: &&str) -> bool {
    // RFC 6265, section 4.1.1: neither a cookie nor a token can contain these.
    let is_forbidden = |byte| !(b'!'..=b'~').contains(&byte) || b"\",;\\".contains(&byte);
    !text.is_empty() && !text.bytes().any(is_forbidden)
}

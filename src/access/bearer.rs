//! Where a request carries its token.

use crate::request::Request;

/// The cookie and the query parameter (RFC 6750, section 2.3), for an `EventSource` sends no
/// header.
const NAME: &str = "access_token";

/// The request's token: of `Authorization: Bearer`, else of the cookie, else of the query.
///
/// Only the first that is there counts, good or not: of two that disagree the second is never read.
/// One that is empty, or has other characters than a token can have, is not there. Other cookies and other schemes of
/// authorization belong to someone else, and are passed over whatever they hold.
pub(super) fn token(request: &Request) -> Option<&str> {
    let bearers = request.headers("authorization").filter_map(bearer);
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

/// RFC 6265, section 4.1.1: a cookie's value may stand in double quotes.
fn cookie(pair: &str) -> Option<&str> {
    let (name, value) = pair.split_once('=')?;
    let value = value.trim();
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    (name.trim() == NAME).then_some(quoted.unwrap_or(value))
}

fn is_token(text: &&str) -> bool {
    // RFC 6265, section 4.1.1: what neither a cookie nor a token can have.
    let has_no_place = |byte| !(b'!'..=b'~').contains(&byte) || b"\",;\\".contains(&byte);
    !text.is_empty() && !text.bytes().any(has_no_place)
}

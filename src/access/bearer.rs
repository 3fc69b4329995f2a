//! Where a request carries its token.

use http::header::{AUTHORIZATION, COOKIE};
use lambda_http::{Request, RequestExt};

/// The cookie and the query parameter (RFC 6750, section 2.3), for an `EventSource` sends no
/// header.
const NAME: &str = "access_token";

/// The request's token: of `Authorization: Bearer`, else of the cookie, else of the query.
///
/// Only the first that is there counts, good or not: of two that disagree the second is never read.
/// An empty one is not there.
pub(super) fn token(request: &Request) -> Option<&str> {
    authorization(request)
        .or_else(|| cookie(request))
        .or_else(|| query(request))
}

fn authorization(request: &Request) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.trim().split_once(' ')?;
    // RFC 9110, section 11.1: a scheme's name is case-insensitive.
    let token = scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    token.filter(|token| !token.is_empty())
}

fn cookie(request: &Request) -> Option<&str> {
    let headers = request.headers().get_all(COOKIE).iter();
    headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == NAME && !value.is_empty())
        .map(|(_, value)| value)
}

fn query(request: &Request) -> Option<&str> {
    let token = request.query_string_parameters_ref()?.first(NAME);
    token.filter(|token| !token.is_empty())
}

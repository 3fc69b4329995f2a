//! CORS as the platform does it for a Function URL:
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors>.

use http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

/// The Function URL's `Cors`. Methods, headers and age are the defaults of `template.yaml`.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    /// `*`, or one origin.
    pub(crate) allow_origin: String,
    pub(crate) allow_credentials: bool,
}

impl Cors {
    /// The headers for the response to this request: none if the request has no origin, or another one.
    ///
    /// AWS does not document whether the platform's own errors carry them. Here they do, so that a page can read the status.
    pub(crate) fn headers<B>(&self, request: &Request<B>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let is_allowed =
            |origin: &&HeaderValue| self.allow_origin == "*" || **origin == self.allow_origin;
        if request.headers().get(ORIGIN).filter(is_allowed).is_none() {
            return headers;
        }
        if let Ok(origin) = HeaderValue::from_str(&self.allow_origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        if self.allow_credentials {
            let allowed = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
        }
        if is_preflight(request) {
            headers.insert(
                ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static("GET"),
            );
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("authorization,last-event-id"),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        }
        headers
    }
}

/// Whether a page asks for permission to send a request, <https://fetch.spec.whatwg.org/#cors-preflight-request>.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

//! CORS headers, for services that do not add them: <https://fetch.spec.whatwg.org/#http-cors-protocol>. Pure.
//!
//! They are those that a Function URL adds with the template's settings.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::request::Request;

/// A day, as the template sets it for the Function URL. Without it, each reconnect by `fetch` costs a preflight too.
const MAX_AGE: &str = "86400";

/// Which pages may read a response, and what they may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsSettings {
    /// `ALLOWED_ORIGINS`; empty means every origin.
    pub origins: Vec<String>,
    /// `ALLOWED_HEADERS`: names, separated by commas.
    pub headers: String,
    /// `ALLOW_CREDENTIALS`: pages of other origins may send cookies.
    pub credentials: bool,
}

impl CorsSettings {
    /// Adds the headers to the response to a request. Without an allowed origin there are none, and a browser does not show the
    /// response to the page.
    pub fn add(&self, request: &Request, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: &str| {
            // Settings and origins that do not fit into a header match nothing.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        let Some(origin) = request.headers("origin").next() else {
            return;
        };
        let any = self.origins.is_empty();
        if !any {
            set(VARY, "Origin");
            if !self.origins.iter().any(|allowed| allowed == origin) {
                return;
            }
        }
        set(ACCESS_CONTROL_ALLOW_ORIGIN, if any { "*" } else { origin });
        if self.credentials {
            set(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if is_preflight(request) {
            set(ACCESS_CONTROL_ALLOW_METHODS, Method::GET.as_str());
            set(ACCESS_CONTROL_ALLOW_HEADERS, &self.headers);
            set(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
}

fn is_preflight(request: &Request) -> bool {
    let asked = request.headers("access-control-request-method").next();
    request.method() == Method::OPTIONS && asked.is_some()
}

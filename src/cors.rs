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
    /// `ALLOWED_ORIGINS`
    pub origins: Origins,
    /// `ALLOWED_HEADERS`: names, separated by commas.
    pub headers: String,
    /// `ALLOW_CREDENTIALS`: pages of other origins may send cookies.
    pub credentials: bool,
}

/// The origins whose pages may read a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every origin: `*`.
    Any,
    /// These. None if the setting is empty.
    These(Vec<String>),
}

impl CorsSettings {
    /// Adds the headers to the response to a request. A browser does not show the response to a page whose origin is not allowed.
    pub fn add(&self, request: &Request, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: &str| {
            // The settings were checked, and an origin is only sent back if it is one of them.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        let origin = request.headers("origin").next();
        let allowed = match &self.origins {
            Origins::Any => origin.map(|_| "*"),
            Origins::These(origins) if origins.is_empty() => None,
            Origins::These(origins) => {
                // Also without an origin, because a cache may show the response to a page later.
                set(VARY, "Origin");
                origin.filter(|origin| origins.iter().any(|allowed| allowed == origin))
            }
        };
        let Some(allowed) = allowed else {
            return;
        };
        set(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
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

/// Whether a browser asks what a page may send.
pub(crate) fn is_preflight(request: &Request) -> bool {
    let asked = request.headers("access-control-request-method").next();
    request.method() == Method::OPTIONS && asked.is_some()
}

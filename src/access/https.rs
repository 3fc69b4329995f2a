//! Fetches a key set from its URL.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use http::Uri;
use http_body_util::{BodyExt, Limited};
use thiserror::Error;
use tokio::time::timeout;

use super::keys::{KeySet, KeySetError};

/// Issuers serve key sets from caches near the function, within tens of milliseconds. A browser waits during this time.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A set of ten RSA keys with certificates has 30 KB.
const MAX_BYTES: usize = 256 * 1024;

/// `jwks_uri` is the document's own address, so there is usually no redirect. Some issuers have moved the document.
const MAX_REDIRECTS: usize = 3;

const USER_AGENT: &str = concat!("order-status-stream/", env!("CARGO_PKG_VERSION"));

/// A source of key sets. Tests have their own.
pub(super) trait Fetch: Send + Sync {
    fn fetch(&self) -> impl Future<Output = Result<KeySet, FetchError>> + Send;
}

/// Why no key set could be fetched. Another attempt may succeed.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("no connection")]
    Connection(#[source] ConnectorError),
    #[error("the response has status {0}")]
    Status(u16),
    #[error("too many redirects, or a redirect to something other than an https URL")]
    Redirect,
    #[error("the response is incomplete, or has more than {MAX_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no response within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the response is not a key set")]
    KeySet(#[from] KeySetError),
}

/// Fetches over https with the SDK's HTTP client, because it is linked already.
#[derive(Debug)]
pub(super) struct Https {
    url: Uri,
    /// Created at the first request, because creating it reads the machine's certificates.
    connector: OnceLock<Connector>,
}

impl Https {
    pub(super) fn new(url: Uri) -> Self {
        Self {
            url,
            connector: OnceLock::new(),
        }
    }

    async fn get(&self) -> Result<KeySet, FetchError> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.request(&url).await?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return read(response).await;
            }
            let location = response.headers().get("location");
            let next = location.and_then(|location| redirected(&url, location));
            url = next.ok_or(FetchError::Redirect)?;
        }
        Err(FetchError::Redirect)
    }

    /// Some firewalls refuse requests without `user-agent` or `accept`.
    async fn request(&self, url: &Uri) -> Result<HttpResponse, FetchError> {
        let connector = self.connector.get_or_init(|| {
            let tls = Provider::Rustls(CryptoMode::AwsLc);
            Connector::builder().tls_provider(tls).build()
        });
        let mut request = HttpRequest::empty();
        // This cannot fail, because `url` is a valid URI.
        let _ = request.set_uri(url.clone());
        let headers = request.headers_mut();
        headers.insert("accept", "application/json, application/jwk-set+json");
        headers.insert("user-agent", USER_AGENT);
        let response = connector.call(request).await;
        response.map_err(FetchError::Connection)
    }
}

/// The response's media type is ignored, because some key sets are served as `text/plain`.
async fn read(response: HttpResponse) -> Result<KeySet, FetchError> {
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect();
    let body = body.await.map_err(FetchError::Body)?;
    Ok(KeySet::parse(&body.to_bytes())?)
}

/// The target of a redirect: another https URL, or another path of the same server. Over any other connection, an attacker
/// could replace the keys.
fn redirected(from: &Uri, location: &str) -> Option<Uri> {
    let to = match location.strip_prefix('/') {
        Some(path) if !path.starts_with('/') => {
            format!("https://{}{location}", from.authority()?)
        }
        _ => location.to_owned(),
    };
    let to: Uri = to.parse().ok()?;
    (to.scheme_str() == Some("https") && to.host().is_some()).then_some(to)
}

impl Fetch for Https {
    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let fetched = timeout(TIMEOUT, self.get()).await;
        fetched.unwrap_or(Err(FetchError::Timeout))
    }
}

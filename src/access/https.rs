//! A key set from its URL.

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

/// A key set is served from a cache next to the function in some tens of milliseconds. A browser
/// waits as long as this.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A set of ten RSA keys with their certificates has 30 KB.
const MAX_BYTES: usize = 256 * 1024;

/// `jwks_uri` is the document's own address: some issuers moved it, none far.
const MAX_REDIRECTS: usize = 3;

const USER_AGENT: &str = concat!("order-status-stream/", env!("CARGO_PKG_VERSION"));

/// Where a key set is fetched from.
pub(super) trait Fetch: Send + Sync {
    fn fetch(&self) -> impl Future<Output = Result<KeySet, FetchError>> + Send;
}

/// Why no key set came. It may pass.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("no connection")]
    Connection(#[source] ConnectorError),
    #[error("the answer's status is {0}")]
    Status(u16),
    #[error("it redirects too often, or to what is no https URL")]
    Redirect,
    #[error("the answer broke off, or has more than {MAX_BYTES} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("what came is no key set")]
    KeySet(#[from] KeySetError),
}

/// Fetches by https, with the SDK's own client, which is linked already.
#[derive(Debug)]
pub(super) struct Https {
    url: Uri,
    /// Made when it is first used, for it reads the machine's certificates.
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

    /// Some firewalls refuse a request that names neither its sender nor what it accepts.
    async fn request(&self, url: &Uri) -> Result<HttpResponse, FetchError> {
        let connector = self.connector.get_or_init(|| {
            let tls = Provider::Rustls(CryptoMode::AwsLc);
            Connector::builder().tls_provider(tls).build()
        });
        let mut request = HttpRequest::empty();
        // The URL was parsed before: it is one.
        let _ = request.set_uri(url.clone());
        let headers = request.headers_mut();
        headers.insert("accept", "application/json, application/jwk-set+json");
        headers.insert("user-agent", USER_AGENT);
        let response = connector.call(request).await;
        response.map_err(FetchError::Connection)
    }
}

/// Whatever type the response says it has: key sets are served as `text/plain` too.
async fn read(response: HttpResponse) -> Result<KeySet, FetchError> {
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect();
    let body = body.await.map_err(FetchError::Body)?;
    Ok(KeySet::parse(&body.to_bytes())?)
}

/// Where a redirect leads: another https URL, or another path of the same server. To anything else keys could be
/// exchanged on the way.
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

//! A key set from its URL.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
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
        let connector = self.connector.get_or_init(|| {
            let tls = Provider::Rustls(CryptoMode::AwsLc);
            Connector::builder().tls_provider(tls).build()
        });
        let mut request = HttpRequest::empty();
        // The URL was parsed before: it is one.
        let _ = request.set_uri(self.url.clone());
        let response = connector.call(request).await;
        let response = response.map_err(FetchError::Connection)?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES).collect();
        let body = body.await.map_err(FetchError::Body)?;
        Ok(KeySet::parse(&body.to_bytes())?)
    }
}

impl Fetch for Https {
    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let fetched = timeout(TIMEOUT, self.get()).await;
        fetched.unwrap_or(Err(FetchError::Timeout))
    }
}

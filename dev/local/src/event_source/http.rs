//! A function behind Lambda's Invoke API, as `cargo lambda watch` serves it.

use bytes::Bytes;

use super::{BoxError, Invoke};

/// If this header is set, the response is an error of the function, though its status is 200,
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>.
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// A function that is invoked over HTTP.
#[derive(Clone, Debug)]
pub struct HttpFunction {
    client: reqwest::Client,
    url: String,
}

#[derive(Debug, thiserror::Error)]
#[error("the function failed with status {status}: {body}")]
struct HttpError {
    status: http::StatusCode,
    body: String,
}

impl HttpFunction {
    /// `url` is such as `http://localhost:9000/2015-03-31/functions/projector/invocations`.
    pub fn new(url: impl Into<String>) -> Result<Self, reqwest::Error> {
        // Calls on loopback must not go through a proxy.
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            client,
            url: url.into(),
        })
    }
}

impl Invoke for HttpFunction {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, BoxError> {
        let response = self.client.post(&self.url).body(payload).send().await?;
        let status = response.status();
        let failed = !status.is_success() || response.headers().contains_key(FUNCTION_ERROR);
        let body = response.bytes().await?;
        if failed {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Err(HttpError { status, body }.into());
        }
        Ok(body)
    }
}

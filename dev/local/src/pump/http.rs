//! A function behind an HTTP endpoint that speaks Lambda's Invoke API, such as `cargo lambda watch`.

use bytes::Bytes;

use super::{BoxError, Invoke};

/// Says that the answer is the function's error, at status 200.
/// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// A function's invocation endpoint.
#[derive(Clone, Debug)]
pub struct HttpFunction {
    client: reqwest::Client,
    url: String,
}

/// The function or its host answered, and it was an error.
#[derive(Debug, thiserror::Error)]
#[error("the function failed with status {status}: {body}")]
struct Refused {
    status: http::StatusCode,
    body: String,
}

impl HttpFunction {
    /// `url` is such as `http://localhost:9000/2015-03-31/functions/projector/invocations`.
    ///
    /// # Errors
    ///
    /// Where the HTTP client cannot be set up.
    pub fn new(url: impl Into<String>) -> Result<Self, reqwest::Error> {
        // A proxy of the environment has no business on loopback.
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
            return Err(Refused { status, body }.into());
        }
        Ok(body)
    }
}

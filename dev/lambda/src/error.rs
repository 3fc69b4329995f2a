//! How an invocation or a start fails.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why [`start`](crate::Builder::start) failed.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("no bootstrap at {path}: build it first", path = path.display())]
    Bootstrap { path: PathBuf, source: io::Error },
    #[error("the Function URL cannot listen")]
    Listen(#[source] io::Error),
    /// `sh` leads the group of the function's processes.
    #[error("`sh` cannot be started")]
    ProcessGroup(#[source] io::Error),
}

/// Why an invocation has no complete response.
#[derive(Debug, Error)]
pub enum InvokeError {
    #[error("function error: {0}")]
    FunctionError(FunctionError),
    #[error("Task timed out after {:.2} seconds", after.as_secs_f64())]
    TimedOut { after: Duration },
    /// The process ended, or its connection to the Runtime API did.
    #[error("Runtime exited with error: {status}")]
    Crashed {
        /// Such as `exit status: 1` or `signal: 9 (SIGKILL)`.
        status: String,
    },
    /// The client left, and [`propagate_disconnect`](crate::Builder::propagate_disconnect) was set.
    #[error("the client left")]
    Disconnected,
    /// The response's prelude is invalid.
    #[error("malformed response: {0}")]
    Malformed(String),
    #[error("the bootstrap cannot be started")]
    Start(#[source] io::Error),
}

/// An error as a function reports it:
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-invokeerror>.
#[derive(Clone, Debug, Error, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[error("{error_type}: {error_message}")]
pub struct FunctionError {
    /// Such as `Runtime.UnknownReason`.
    pub error_type: String,
    pub error_message: String,
}

impl Default for FunctionError {
    fn default() -> Self {
        Self {
            error_type: "Runtime.Unknown".into(),
            error_message: "Unknown application error occurred".into(),
        }
    }
}

impl FunctionError {
    /// The error in the trailers of a streamed response, if there is one:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>.
    pub(crate) fn from_trailers(trailers: &HeaderMap) -> Option<Self> {
        let error_type = trailers.get("lambda-runtime-function-error-type")?;
        let body = trailers.get("lambda-runtime-function-error-body");
        let message = BASE64_STANDARD.decode(body.map_or(&b""[..], HeaderValue::as_bytes));
        Some(Self {
            error_type: String::from_utf8_lossy(error_type.as_bytes()).into_owned(),
            error_message: String::from_utf8_lossy(&message.unwrap_or_default()).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_may_contain_an_error() {
        let mut trailers = HeaderMap::new();
        assert_eq!(FunctionError::from_trailers(&trailers), None);

        trailers.insert(
            "lambda-runtime-function-error-type",
            HeaderValue::from_static("Stream.Failed"),
        );
        trailers.insert(
            "lambda-runtime-function-error-body",
            HeaderValue::from_static("YXMgdG9sZA=="),
        );
        let error = FunctionError::from_trailers(&trailers).map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("Stream.Failed: as told"));
    }
}

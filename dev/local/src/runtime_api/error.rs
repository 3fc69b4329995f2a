//! How an invocation fails, and a start.

use std::{io, path::PathBuf, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why [`start`](super::Builder::start) failed.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no file to run.
    #[error("no bootstrap at {path}: build it first", path = path.display())]
    Bootstrap {
        /// Where it was looked for.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The Function URL could not be bound on 127.0.0.1.
    #[error("the Function URL cannot listen")]
    Listen(#[source] io::Error),
    /// The process that keeps the others from outliving this one could not be started.
    #[error("`sh` cannot be started")]
    Group(#[source] io::Error),
}

/// Why an invocation has no response, or none that ended well.
#[derive(Debug, Error)]
pub enum InvokeError {
    /// The function reported an error.
    #[error("function error: {0}")]
    FunctionError(FunctionError),
    /// The deadline passed.
    #[error("Task timed out after {:.2} seconds", after.as_secs_f64())]
    TimedOut {
        /// The function's timeout.
        after: Duration,
    },
    /// The process ended, or its connection to the Runtime API did.
    #[error("Runtime exited with error: {status}")]
    Crashed {
        /// How, such as `exit status: 1` or `signal: 9 (SIGKILL)`.
        status: String,
    },
    /// The client left, and the function was told.
    #[error("the client left")]
    Disconnected,
    /// The response's prelude is not one.
    #[error("malformed response: {0}")]
    Malformed(String),
    /// The process could not be started.
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
    /// For people.
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
    /// The error that the trailers of a streamed response report, if they do:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>.
    pub(super) fn from_trailers(trailers: &HeaderMap) -> Option<Self> {
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
    fn trailers_report_an_error_or_nothing() {
        let mut trailers = HeaderMap::new();
        assert_eq!(FunctionError::from_trailers(&trailers), None);

        trailers.insert(
            "lambda-runtime-function-error-type",
            HeaderValue::from_static("Stream.Told"),
        );
        trailers.insert(
            "lambda-runtime-function-error-body",
            HeaderValue::from_static("YXMgdG9sZA=="),
        );
        let error = FunctionError::from_trailers(&trailers).map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("Stream.Told: as told"));
    }
}

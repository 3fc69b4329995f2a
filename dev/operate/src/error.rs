//! Why a command failed, and what to do.

use std::io;
use std::path::PathBuf;

use aws_sdk_dynamodb::error::DisplayErrorContext;
use order_status_stream::feed::FeedError;
use order_status_stream::order::OrderIdError;
use order_status_stream::settings::SettingsError;
use thiserror::Error;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum OperateError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    OrderId(#[from] OrderIdError),
    #[error(
        "{0}; check the credentials, the region and FEED_TABLE. If an item cannot be read, `check` names it"
    )]
    Feed(#[from] FeedError),
    /// A call to DynamoDB failed.
    #[error("{call} failed: {reason}; check the credentials, the region and the table's name")]
    DynamoDb { call: &'static str, reason: String },
    #[error("GetMetricData failed: {0}; check the credentials and the region")]
    CloudWatch(String),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{0} is not a private key for ES256, EdDSA or RS256 in the PEM form of PKCS #8; `openssl pkcs8 -topk8 -nocrypt -in {0}` converts other forms"
    )]
    PrivateKey(PathBuf),
    #[error("{path}, line {line}: {reason}")]
    Line {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error(
        "{0} is not a checkpoint of this backfill; remove the file to begin again, or repeat the arguments of the run that wrote it"
    )]
    Checkpoint(PathBuf),
    #[error(
        "the key of the table {0} must be {1}, of type S or N; check ORDER_ID_ATTRIBUTE or ORDER_KEY"
    )]
    Key(String, String),
    #[error(
        "the attribute {0} has a meaning for the projector: choose another one for --attribute"
    )]
    Attribute(String),
}

impl OperateError {
    /// A failed call, with its causes.
    pub fn call(call: &'static str, error: impl std::error::Error) -> Self {
        let reason = DisplayErrorContext(error).to_string();
        Self::DynamoDb { call, reason }
    }

    /// A failed call to CloudWatch, with its causes.
    pub fn cloud_watch(error: impl std::error::Error) -> Self {
        Self::CloudWatch(DisplayErrorContext(error).to_string())
    }
}

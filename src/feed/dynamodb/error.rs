//! Errors of the AWS SDK, as errors of the feed.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::feed::FeedError;
use crate::telemetry::with_causes;

/// Whether a conditional write did not take place because its condition was false.
pub(super) fn is_condition<E>(error: &SdkError<E>) -> bool
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    error.code() == Some("ConditionalCheckFailedException")
}

/// For writes of an entry.
///
/// This module makes the request, so an invalid request means an invalid entry: it is too large, or nested too deeply. An
/// update can fail for this reason too, because the expiry may make a stored entry too large.
pub(super) fn refused_or_unavailable<E>(error: SdkError<E>) -> FeedError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match error.code() {
        Some("ValidationException") => FeedError::Refused {
            message: error.message().unwrap_or("ValidationException").to_owned(),
            source: error.into(),
        },
        _ => unavailable(error),
    }
}

/// For all other calls.
pub(super) fn unavailable<E>(error: SdkError<E>) -> FeedError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    // The SDK's own way to display an error with its causes includes the response's body, which contains an order's data.
    FeedError::Unavailable {
        message: with_causes(&error),
        source: error.into(),
    }
}

/// For an item that is not an entry, because somebody else wrote to the table. The record is not the cause, and an operator may
/// correct the item, so this can pass.
pub(super) fn unreadable(error: serde_dynamo::Error) -> FeedError {
    FeedError::Unavailable {
        message: error.to_string(),
        source: error.into(),
    }
}

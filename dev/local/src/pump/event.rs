//! A stream record as Lambda's DynamoDB event source delivers it.

use aws_sdk_dynamodbstreams::types::{Identity, Record, StreamRecord};
use serde::Serialize;
use serde_dynamo::Item;

/// One of an event's `Records`. What a record lacks is left out, as Lambda does.
///
/// Shape: <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    #[serde(rename = "eventID")]
    event_id: Option<String>,
    event_name: Option<String>,
    event_version: Option<String>,
    event_source: Option<String>,
    aws_region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_identity: Option<UserIdentity>,
    dynamodb: Change,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: String,
}

/// Who deleted the item, where it was DynamoDB itself: its time to live had ended.
///
/// The embedded DynamoDB spells `type` and `principalId` in lower case, where the SDK reads `Type` and `PrincipalId`. It
/// knows this one identity, so one without a name is that.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct UserIdentity {
    r#type: String,
    principal_id: String,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    /// Epoch seconds. The API has a fraction, Lambda's events do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_creation_date_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_image: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_image: Option<Item>,
    sequence_number: String,
    size_bytes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_view_type: Option<String>,
}

impl Event {
    pub(super) fn new(record: Record, stream_arn: &str) -> Self {
        Self {
            event_id: record.event_id,
            event_name: record.event_name.map(|name| name.as_str().to_owned()),
            event_version: record.event_version,
            event_source: record.event_source,
            aws_region: record.aws_region,
            user_identity: record.user_identity.map(UserIdentity::from),
            dynamodb: record.dynamodb.map(Change::from).unwrap_or_default(),
            event_source_arn: stream_arn.to_owned(),
        }
    }

    /// What `batchItemFailures` names a record by.
    pub(super) fn sequence_number(&self) -> &str {
        &self.dynamodb.sequence_number
    }
}

#[cfg(test)]
impl Event {
    /// An event of which only the number matters.
    pub(super) fn numbered(sequence_number: &str) -> Self {
        let dynamodb = Change {
            sequence_number: sequence_number.to_owned(),
            ..Change::default()
        };
        Self {
            dynamodb,
            ..Self::default()
        }
    }
}

impl From<Identity> for UserIdentity {
    fn from(identity: Identity) -> Self {
        Self {
            r#type: identity.r#type.unwrap_or_else(|| "Service".to_owned()),
            principal_id: identity
                .principal_id
                .unwrap_or_else(|| "dynamodb.amazonaws.com".to_owned()),
        }
    }
}

impl From<StreamRecord> for Change {
    fn from(record: StreamRecord) -> Self {
        Self {
            approximate_creation_date_time: record
                .approximate_creation_date_time
                .map(|at| at.secs()),
            keys: record.keys.map(Item::from),
            new_image: record.new_image.map(Item::from),
            old_image: record.old_image.map(Item::from),
            sequence_number: record.sequence_number.unwrap_or_default(),
            size_bytes: record.size_bytes.unwrap_or_default(),
            stream_view_type: record.stream_view_type.map(|view| view.as_str().to_owned()),
        }
    }
}

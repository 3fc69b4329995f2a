//! A stream record as Lambda's DynamoDB event source delivers it:
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>.

use aws_lambda_events::event::dynamodb::{EventRecord, StreamRecord, UserIdentity};
use aws_sdk_dynamodbstreams::types;
use chrono::DateTime;
use serde_dynamo::Item;
use serde_json::{Value, json};

pub(super) fn from_stream(record: types::Record, stream_arn: &str) -> EventRecord {
    let text = |name: types::OperationType| name.as_str().to_owned();
    let mut event = EventRecord::default();
    event.event_id = record.event_id.unwrap_or_default();
    event.event_name = record.event_name.map(text).unwrap_or_default();
    event.event_version = record.event_version;
    event.event_source = record.event_source;
    event.aws_region = record.aws_region.unwrap_or_default();
    event.user_identity = record.user_identity.map(identity);
    event.change = record.dynamodb.map(change).unwrap_or_default();
    event.event_source_arn = Some(stream_arn.to_owned());
    event
}

/// Who deleted the item. It is set only if DynamoDB deleted it because its time to live had ended.
///
/// The embedded DynamoDB writes `type` and `principalId`, but the SDK reads `Type` and `PrincipalId`. This is the only identity
/// that it writes, so one without a name must be this one.
fn identity(identity: types::Identity) -> UserIdentity {
    let principal = identity.principal_id;
    let mut user = UserIdentity::default();
    user.type_ = identity.r#type.unwrap_or_else(|| "Service".to_owned());
    user.principal_id = principal.unwrap_or_else(|| "dynamodb.amazonaws.com".to_owned());
    user
}

fn change(record: types::StreamRecord) -> StreamRecord {
    let view = record.stream_view_type;
    let time = record.approximate_creation_date_time;
    let mut change = StreamRecord::default();
    change.approximate_creation_date_time = time
        .and_then(|time| DateTime::from_timestamp(time.secs(), 0))
        .unwrap_or_default();
    change.keys = record.keys.map(Item::from).unwrap_or_default();
    change.new_image = record.new_image.map(Item::from).unwrap_or_default();
    change.old_image = record.old_image.map(Item::from).unwrap_or_default();
    change.sequence_number = record.sequence_number;
    change.size_bytes = record.size_bytes.unwrap_or_default();
    change.stream_view_type =
        view.and_then(|view| serde_json::from_value(json!(view.as_str())).ok());
    change
}

/// The record as JSON. Lambda leaves out what a record does not have. The type writes it as `null` or as an empty image.
pub(super) fn to_json(record: &EventRecord) -> serde_json::Result<Value> {
    let mut json = serde_json::to_value(record)?;
    remove_absent(&mut json["dynamodb"]);
    remove_absent(&mut json);
    Ok(json)
}

fn remove_absent(json: &mut Value) {
    if let Some(members) = json.as_object_mut() {
        members.retain(|_, value| !value.is_null() && *value != json!({}));
    }
}

/// A record of which only the sequence number matters.
#[cfg(test)]
pub(super) fn numbered(sequence_number: &str) -> EventRecord {
    of_order("A", sequence_number)
}

/// A record of an item with the key `orderId`.
#[cfg(test)]
pub(super) fn of_order(id: &str, sequence_number: &str) -> EventRecord {
    let mut record = EventRecord::default();
    let key = serde_dynamo::AttributeValue::S(id.to_owned());
    record.change.keys = Item::from(std::collections::HashMap::from([(
        "orderId".to_owned(),
        key,
    )]));
    record.change.sequence_number = Some(sequence_number.to_owned());
    record
}

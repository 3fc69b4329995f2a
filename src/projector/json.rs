//! An attribute's value, as the JSON that the public sees. Pure.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_dynamo::AttributeValue;
use serde_json::Value;

use crate::number::Decimal;

/// Values that DynamoDB treats as equal become equal JSON. So two views are equal if and only if they show the same.
///
/// - A set becomes a sorted list, because DynamoDB keeps no order in sets.
/// - Bytes become base64, as in DynamoDB's own JSON.
/// - A number that JavaScript cannot represent becomes a string, see [`Decimal::to_json`].
pub(super) fn json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(number) => json_number(number),
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::B(bytes) => json_bytes(bytes),
        AttributeValue::L(list) => list.iter().map(json).collect(),
        AttributeValue::M(map) => json_map(map),
        AttributeValue::Ss(set) => json_set(set, |text| Value::String(text.clone())),
        AttributeValue::Ns(set) => json_numbers(set),
        AttributeValue::Bs(set) => json_set(set, |bytes| json_bytes(bytes)),
    }
}

fn json_map(map: &HashMap<String, AttributeValue>) -> Value {
    map.iter()
        .map(|(name, value)| (name.clone(), json(value)))
        .collect()
}

fn json_set<T: Ord>(set: &[T], value: impl Fn(&T) -> Value) -> Value {
    let sorted: BTreeSet<_> = set.iter().collect();
    sorted.into_iter().map(value).collect()
}

fn json_bytes(bytes: &[u8]) -> Value {
    Value::String(BASE64_STANDARD.encode(bytes))
}

fn json_number(number: &str) -> Value {
    Decimal::parse(number).map_or_else(|| number.into(), |number| number.to_json())
}

/// Sorted as numbers. Equal numbers appear once.
fn json_numbers(set: &[String]) -> Value {
    let numbers: BTreeSet<_> = set
        .iter()
        .filter_map(|number| Decimal::parse(number))
        .collect();
    numbers.iter().map(Decimal::to_json).collect()
}

//! What DynamoDB does to items: its limits, and the form in which it returns values. Pure.

use std::collections::HashMap;

use serde_dynamo::{AttributeValue, Item};

use super::super::{Entry, FeedError, PAGE_ENTRIES, Page};
use crate::number::Decimal;

/// DynamoDB stores at most 38 digits of a number.
const MAX_DIGITS: usize = 38;

/// DynamoDB's limit for an item. DynamoDB does not count the bytes of JSON, but the result is similar.
const MAX_ITEM_BYTES: usize = 400 * 1024;

/// DynamoDB's limit for a page. The entry that reaches it still belongs to the page.
const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// The entry as DynamoDB would return it.
///
/// # Errors
///
/// [`FeedError::Refused`] if DynamoDB would refuse one of its numbers.
pub(super) fn stored(entry: &Entry) -> Result<Entry, FeedError> {
    let item: Item = serde_dynamo::to_item(entry).map_err(|error| refused(&error.to_string()))?;
    let item = stored_map(item.into_inner());
    let item = item.ok_or_else(|| refused("a number has more than 38 digits"))?;
    let item = Item::from(item);
    serde_dynamo::from_item(item).map_err(|error| refused(&error.to_string()))
}

/// DynamoDB removes zeros that do not change a number. `None` if a number has too many digits.
fn stored_value(value: AttributeValue) -> Option<AttributeValue> {
    Some(match value {
        AttributeValue::N(number) => {
            let number = Decimal::parse(&number).filter(|number| number.digits() <= MAX_DIGITS)?;
            AttributeValue::N(number.to_string())
        }
        AttributeValue::L(list) => {
            AttributeValue::L(list.into_iter().map(stored_value).collect::<Option<_>>()?)
        }
        AttributeValue::M(map) => AttributeValue::M(stored_map(map)?),
        other => other,
    })
}

fn stored_map(map: HashMap<String, AttributeValue>) -> Option<HashMap<String, AttributeValue>> {
    let map = map.into_iter();
    map.map(|(name, value)| Some((name, stored_value(value)?)))
        .collect()
}

/// # Errors
///
/// [`FeedError::Refused`] if the entry exceeds DynamoDB's limit for an item.
pub(super) fn check_size(entry: &Entry) -> Result<(), FeedError> {
    match size(entry) > MAX_ITEM_BYTES {
        true => Err(refused("the entry is larger than 400 KB")),
        false => Ok(()),
    }
}

fn size(entry: &Entry) -> usize {
    serde_json::to_string(entry).map_or(0, |json| json.len())
}

/// The first page of these entries.
pub(super) fn page(mut entries: impl Iterator<Item = Entry>) -> Page {
    let mut page = Page::default();
    let mut bytes = 0;
    while page.entries.len() < PAGE_ENTRIES && bytes < MAX_PAGE_BYTES {
        let Some(entry) = entries.next() else {
            return page;
        };
        bytes += size(&entry);
        page.entries.push(entry);
    }
    page.more = entries.next().is_some();
    page
}

pub(super) fn unavailable(message: &str) -> FeedError {
    FeedError::Unavailable {
        message: message.to_owned(),
        source: message.into(),
    }
}

pub(super) fn refused(message: &str) -> FeedError {
    FeedError::Refused {
        message: message.to_owned(),
        source: message.into(),
    }
}

//! The update that writes some of an entry's attributes again, if nobody else has changed them.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use super::error::unreadable;
use super::number;
use crate::customer::Place;
use crate::feed::{Entry, FeedError};

/// The parts of an `UpdateItem` request.
#[derive(Debug, Default)]
pub(super) struct Amendment {
    set: Vec<String>,
    remove: Vec<&'static str>,
    conditions: Vec<String>,
    values: HashMap<String, AttributeValue>,
}

impl Amendment {
    /// Changes the entry from `was` to `is`, in the attributes that [`Feed::amend`](crate::feed::Feed::amend) names.
    pub(super) fn new(was: &Entry, is: &Entry) -> Result<Self, FeedError> {
        let terminal = |entry: &Entry| Some(AttributeValue::Bool(entry.terminal));
        let expires_at = |entry: &Entry| entry.expires_at.map(number);
        let mut amendment = Self {
            conditions: vec!["attribute_exists(seq)".to_owned()],
            ..Self::default()
        };
        amendment.change("terminal", terminal(was), terminal(is));
        amendment.change("expiresAt", expires_at(was), expires_at(is));
        amendment.change("sources", sources(was)?, sources(is)?);
        // Most entries have none of these, and need no condition.
        let rest = [
            ("customer", place(&was.customer)?, place(&is.customer)?),
            ("former", place(&was.former)?, place(&is.former)?),
            (
                "shownUntil",
                was.shown_until.map(number),
                is.shown_until.map(number),
            ),
        ];
        for (name, was, is) in rest {
            if was.is_some() || is.is_some() {
                amendment.change(name, was, is);
            }
        }
        Ok(amendment)
    }

    /// `None` is an attribute that does not exist.
    fn change(
        &mut self,
        name: &'static str,
        was: Option<AttributeValue>,
        is: Option<AttributeValue>,
    ) {
        match is {
            Some(value) => {
                self.set.push(format!("{name} = :{name}"));
                self.values.insert(format!(":{name}"), value);
            }
            None => self.remove.push(name),
        }
        match was {
            Some(value) => {
                self.conditions.push(format!("{name} = :was{name}"));
                self.values.insert(format!(":was{name}"), value);
            }
            None => self
                .conditions
                .push(format!("attribute_not_exists({name})")),
        }
    }

    /// Completes an update of the entry.
    pub(super) fn apply(self, update: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let mut expression = format!("SET {}", self.set.join(", "));
        if !self.remove.is_empty() {
            expression.push_str(&format!(" REMOVE {}", self.remove.join(", ")));
        }
        update
            .update_expression(expression)
            .condition_expression(self.conditions.join(" AND "))
            .set_expression_attribute_values(Some(self.values))
    }
}

fn place(place: &Option<Place>) -> Result<Option<AttributeValue>, FeedError> {
    let place = place.as_ref().map(serde_dynamo::to_attribute_value);
    place.transpose().map_err(unreadable)
}

/// An entry without sources has no such attribute.
fn sources(entry: &Entry) -> Result<Option<AttributeValue>, FeedError> {
    match entry.sources.is_empty() {
        true => Ok(None),
        false => serde_dynamo::to_attribute_value(&entry.sources)
            .map(Some)
            .map_err(unreadable),
    }
}

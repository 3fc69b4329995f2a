//! Where the id of an order's customer is: in an attribute, or in the key. Pure.

use serde_dynamo::{AttributeValue, Item};

use super::key::{self, OrderKey};
use super::path::Path;
use super::pattern;
use crate::customer::CustomerId;
use crate::number::Decimal;
use crate::order::OrderId;

/// `CUSTOMER_ATTRIBUTE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomerSource {
    /// Anywhere in the item.
    Attribute(Path),
    /// What this placeholder of the key stands for, as in `{customerId}`.
    Key(String),
}

impl CustomerSource {
    /// Reads the setting.
    ///
    /// # Errors
    ///
    /// A text that says what is wrong.
    pub fn parse(text: &str, key: &OrderKey) -> Result<Self, String> {
        let Some(name) = text.strip_prefix('{').and_then(|it| it.strip_suffix('}')) else {
            return Ok(Self::Attribute(Path::new(text)));
        };
        if !pattern::is_name(name) || name == key::ORDER_ID {
            return Err(
                "it must be an attribute, or a placeholder of ORDER_KEY other than {orderId}"
                    .to_owned(),
            );
        }
        match key.has(name) {
            true => Ok(Self::Key(name.to_owned())),
            false => Err(format!("ORDER_KEY has no placeholder {text}")),
        }
    }

    /// The path, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Attribute(path) => Some(path),
            Self::Key(_) => None,
        }
    }

    /// Whose order it is. An order without the attribute is nobody's. One with an invalid customer must not be lost for those who
    /// watch the order itself.
    pub(super) fn customer(
        &self,
        order: &OrderId,
        key: &OrderKey,
        keys: &Item,
        image: &Item,
    ) -> Option<CustomerId> {
        let id = match self {
            Self::Key(name) => key.capture(keys, name).ok().flatten(),
            Self::Attribute(path) => match path.find(image)? {
                AttributeValue::Null(_) => return None,
                AttributeValue::S(id) => Some(id.clone()),
                AttributeValue::N(id) => Decimal::parse(id).map(|id| id.to_string()),
                _ => None,
            },
        };
        let customer = id.and_then(CustomerId::new);
        if customer.is_none() {
            tracing::warn!(
                %order,
                "the order is in no customer's stream: its customer must be a string of 1 to 128 characters without control \
                 characters, or a number"
            );
        }
        customer
    }
}

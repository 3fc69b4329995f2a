//! An image of an order's item, read as what the public may see: status, attributes and time. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_dynamo::{AttributeValue, Item};

use super::json::json;
use super::path::Path;
use super::poison::Poison;
use crate::customer::CustomerId;
use crate::number::Decimal;
use crate::order::{OrderId, PublicView, Status};
use crate::timestamp;

/// Which attributes of an order mean what, and which of them the public may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRules {
    /// Contains the status: a string, a number or a boolean.
    pub status: Path,
    /// The status that is shown for each value. If it is empty, the value itself is shown.
    pub status_names: BTreeMap<String, Status>,
    /// Contains the time of the change, in any form that [`timestamp`] reads.
    pub updated_at: Path,
    /// Contains the customer's id. `None` if customers have no logs.
    pub customer: Option<Path>,
    /// What the public may see in addition to the status, by public name.
    pub public_attributes: PublicAttributes,
    /// Statuses after which no further change is expected. Upper and lower case are the same.
    pub terminal_statuses: BTreeSet<Status>,
}

/// The paths of the public attributes, by the name that the public sees.
pub type PublicAttributes = BTreeMap<String, Path>;

impl ImageRules {
    pub(super) fn status(&self, image: &Item) -> Result<Status, Poison> {
        if image.is_empty() {
            return Err(Poison::NoImage);
        }
        let path = || self.status.as_str().to_owned();
        let number;
        let text = match self.status.find(image) {
            Some(AttributeValue::S(text)) => text.as_str(),
            // `1` and `1.0` are the same number.
            Some(AttributeValue::N(text)) => {
                number = Decimal::parse(text).map(|number| number.to_string());
                number.as_ref().unwrap_or(text)
            }
            Some(AttributeValue::Bool(true)) => "true",
            Some(AttributeValue::Bool(false)) => "false",
            Some(AttributeValue::Null(_)) | None => return Err(Poison::NoStatus(path())),
            Some(_) => return Err(Poison::StatusType(path())),
        };
        let status = Status::new(text).ok_or_else(|| Poison::NoStatus(path()))?;
        match self.status_names.is_empty() {
            true => Ok(status),
            false => {
                let name = self.status_names.get(text).cloned();
                name.ok_or_else(|| Poison::StatusName(path()))
            }
        }
    }

    pub(super) fn view(&self, image: &Item) -> PublicView {
        let public = |(name, path): (&String, &Path)| {
            let value = path.find(image)?;
            Some((name.clone(), json(value)))
        };
        self.public_attributes.iter().filter_map(public).collect()
    }

    /// Whose order it is. An order without the attribute is nobody's. One with an invalid customer must not be lost for those who
    /// watch the order itself.
    pub(super) fn customer(&self, image: &Item, order: &OrderId) -> Option<CustomerId> {
        let path = self.customer.as_ref()?;
        let id = match path.find(image)? {
            AttributeValue::Null(_) => return None,
            AttributeValue::S(id) => Some(id.clone()),
            AttributeValue::N(id) => Decimal::parse(id).map(|id| id.to_string()),
            _ => None,
        };
        let customer = id.and_then(CustomerId::new);
        if customer.is_none() {
            tracing::warn!(
                %order,
                attribute = path.as_str(),
                "the order is in no customer's stream: its customer must be a string of 1 to 128 characters without control \
                 characters, or a number"
            );
        }
        customer
    }

    /// The time of the change. `written_at` is when AWS wrote the record.
    pub(super) fn updated_at(
        &self,
        image: &Item,
        written_at: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        let value = self.updated_at.find(image)?;
        timestamp::read(value, written_at)
    }

    pub(super) fn is_terminal(&self, status: &Status) -> bool {
        let mut terminal = self.terminal_statuses.iter();
        terminal.any(|terminal| terminal.is_alike(status))
    }
}

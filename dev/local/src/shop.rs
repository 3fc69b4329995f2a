//! A demo shop. It places, advances and cancels orders in the orders table. It does not use the feed, except that
//! [`remember_dwells`] writes there what a shop would have learned before.
//!
//! It also writes attributes that customers must never see ([`EMAIL`], [`NOTE`], [`CUSTOMER`], [`PLACED_AT`]), so that one can check
//! that no stream contains them.

mod dwells;
mod status;
mod traffic;

use std::collections::HashMap;
use std::time::SystemTime;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use crate::dynamo::ORDERS;
pub use dwells::remember_dwells;
pub use status::Status;
use status::{Attribute, rfc3339};
pub use traffic::Traffic;

/// Private: the customer.
pub const EMAIL: &str = "customerEmail";

/// Private: a note of the staff.
pub const NOTE: &str = "internalNote";

/// Private: whose order it is. The projector reads it, and the customer's stream shows the order.
pub const CUSTOMER: &str = "customerId";

/// Private: when the order was placed, RFC 3339. Orders of other writers do not have it.
pub const PLACED_AT: &str = "placedAt";

/// Letters and digits that look different from each other.
const ID_ALPHABET: &[u8] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

/// An order in a list. Its status can be any string, because other programs write the table too.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub order_id: String,
    pub status: String,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShopError {
    #[error("there is no order {0}")]
    Unknown(String),
    /// No status follows this one.
    #[error("order {order_id} is {status}, nothing comes after that")]
    Finished { order_id: String, status: String },
    /// The SDK's own retries have failed too.
    #[error("the orders table failed")]
    Table(#[source] Box<aws_sdk_dynamodb::Error>),
}

impl<E: Into<aws_sdk_dynamodb::Error>> From<E> for ShopError {
    fn from(error: E) -> Self {
        Self::Table(Box::new(error.into()))
    }
}

/// The shop. Clones share their state, which is in the table.
#[derive(Clone, Debug)]
pub struct Shop {
    table: Client,
}

impl Shop {
    /// `table` is a client of the database with the orders table.
    #[must_use]
    pub fn new(table: Client) -> Self {
        Self { table }
    }

    /// Places an order that is nobody's.
    pub async fn place(&self) -> Result<Order, ShopError> {
        self.place_for(None).await
    }

    /// Places an order of a customer.
    pub async fn place_for(&self, customer: Option<&str>) -> Result<Order, ShopError> {
        let order_id: String = (0..6)
            .filter_map(|_| fastrand::choice(ID_ALPHABET))
            .copied()
            .map(char::from)
            .collect();
        let now = SystemTime::now();
        let mut attributes = Status::Placed.attributes(&order_id, now);
        attributes.extend([
            (PLACED_AT, rfc3339(now)),
            (
                EMAIL,
                format!("{}@customer.example", order_id.to_lowercase()),
            ),
            (NOTE, "leave at the back door".to_owned()),
        ]);
        attributes.extend(customer.map(|customer| (CUSTOMER, customer.to_owned())));
        let mut item: HashMap<_, _> = attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))
            .collect();
        item.insert("orderId".to_owned(), AttributeValue::S(order_id.clone()));
        self.table
            .put_item()
            .table_name(ORDERS)
            .set_item(Some(item))
            .send()
            .await?;
        Ok(Order {
            order_id,
            status: Status::Placed.as_str().to_owned(),
        })
    }

    pub async fn advance(&self, order_id: &str) -> Result<Order, ShopError> {
        self.change(order_id, Status::next).await
    }

    /// Cancels an order that is not finished.
    pub async fn cancel(&self, order_id: &str) -> Result<Order, ShopError> {
        self.change(order_id, |status| status.next().map(|_| Status::Cancelled))
            .await
    }

    /// Writes a private attribute and nothing else. Customers must not see a change.
    pub async fn remark(&self, order_id: &str, note: &str) -> Result<(), ShopError> {
        self.table
            .update_item()
            .table_name(ORDERS)
            .key("orderId", AttributeValue::S(order_id.to_owned()))
            .update_expression("SET #note = :note")
            .expression_attribute_names("#note", NOTE)
            .expression_attribute_values(":note", AttributeValue::S(note.to_owned()))
            .send()
            .await?;
        Ok(())
    }

    /// The newest orders, at most `limit`, newest first.
    pub async fn newest(&self, limit: usize) -> Result<Vec<Order>, ShopError> {
        let mut pages = self
            .table
            .scan()
            .table_name(ORDERS)
            .into_paginator()
            .items()
            .send();
        let mut orders = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item?;
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
            if let (Some(order_id), Some(status)) = (text("orderId"), text("status")) {
                let placed = text(PLACED_AT).or_else(|| text("updatedAt"));
                orders.push((placed, Order { order_id, status }));
            }
        }
        orders.sort_by(|(left, _), (right, _)| right.cmp(left));
        Ok(orders
            .into_iter()
            .take(limit)
            .map(|(_, order)| order)
            .collect())
    }

    /// Moves an order from its status to the one that `next` returns. If another writer was faster, it calls `next` again.
    async fn change(
        &self,
        order_id: &str,
        next: impl Fn(Status) -> Option<Status>,
    ) -> Result<Order, ShopError> {
        loop {
            let status = self.status(order_id).await?;
            let Some(to) = Status::parse(&status).and_then(&next) else {
                return Err(ShopError::Finished {
                    order_id: order_id.to_owned(),
                    status,
                });
            };
            if self
                .write(
                    order_id,
                    &status,
                    to.attributes(order_id, SystemTime::now()),
                )
                .await?
            {
                return Ok(Order {
                    order_id: order_id.to_owned(),
                    status: to.as_str().to_owned(),
                });
            }
        }
    }

    async fn status(&self, order_id: &str) -> Result<String, ShopError> {
        let found = self
            .table
            .get_item()
            .table_name(ORDERS)
            .key("orderId", AttributeValue::S(order_id.to_owned()))
            .consistent_read(true)
            .send()
            .await?;
        let item = found
            .item
            .ok_or_else(|| ShopError::Unknown(order_id.to_owned()))?;
        Ok(item
            .get("status")
            .and_then(|status| status.as_s().ok())
            .cloned()
            .unwrap_or_default())
    }

    /// Writes the order if its status is still `from`, and returns whether it was.
    async fn write(
        &self,
        order_id: &str,
        from: &str,
        attributes: Vec<Attribute>,
    ) -> Result<bool, ShopError> {
        let assignments: Vec<_> = attributes
            .iter()
            .map(|(name, _)| format!("#{name} = :{name}"))
            .collect();
        let mut update = self
            .table
            .update_item()
            .table_name(ORDERS)
            .key("orderId", AttributeValue::S(order_id.to_owned()))
            .update_expression(format!("SET {}", assignments.join(", ")))
            .condition_expression("#status = :from")
            .expression_attribute_values(":from", AttributeValue::S(from.to_owned()));
        for (name, value) in attributes {
            update = update
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), AttributeValue::S(value));
        }
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

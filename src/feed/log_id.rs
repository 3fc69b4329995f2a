//! Which log of the feed. Pure.

use std::fmt;

use crate::customer::CustomerId;
use crate::order::OrderId;

/// What precedes a customer's id in the key of their log: no order id contains `%`.
const CUSTOMER: &str = "%customer/";

/// A log of the feed. Its text is the partition key of the log's items, and its channel of the wake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogId {
    /// The changes of an order.
    Order(OrderId),
    /// The changes of all orders of a customer.
    Customer(CustomerId),
}

impl LogId {
    /// Reads the text of a log. `None` if no log has it.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(CUSTOMER) {
            Some(customer) => CustomerId::new(customer).map(Self::Customer),
            None => OrderId::try_from(text).ok().map(Self::Order),
        }
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => order.fmt(f),
            Self::Customer(customer) => write!(f, "{CUSTOMER}{customer}"),
        }
    }
}

impl From<OrderId> for LogId {
    fn from(order: OrderId) -> Self {
        Self::Order(order)
    }
}

impl From<&OrderId> for LogId {
    fn from(order: &OrderId) -> Self {
        Self::Order(order.clone())
    }
}

impl From<&CustomerId> for LogId {
    fn from(customer: &CustomerId) -> Self {
        Self::Customer(customer.clone())
    }
}

impl From<&Self> for LogId {
    fn from(log: &Self) -> Self {
        log.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_as_it_was_written() {
        for text in ["A-1", "%customer/C-1", "%customer/100%", "customer/C-1"] {
            assert_eq!(
                LogId::parse(text).map(|log| log.to_string()).as_deref(),
                Some(text)
            );
        }
        for text in ["", "%dwells", "%settings", "%customer/", "a%b"] {
            assert_eq!(LogId::parse(text), None, "{text}");
        }
    }
}

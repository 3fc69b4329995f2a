//! The statuses of an order.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};

/// The status of an order. [`Status::Cancelled`] can follow every status but the last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    Placed,
    Paid,
    Preparing,
    Shipped,
    OutForDelivery,
    Delivered,
    Cancelled,
}

/// Name and value.
pub(super) type Attribute = (&'static str, String);

const HOUR: Duration = Duration::from_secs(60 * 60);

impl Status {
    pub const ALL: [Self; 7] = [
        Self::Placed,
        Self::Paid,
        Self::Preparing,
        Self::Shipped,
        Self::OutForDelivery,
        Self::Delivered,
        Self::Cancelled,
    ];

    /// The status as the table has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::Paid => "PAID",
            Self::Preparing => "PREPARING",
            Self::Shipped => "SHIPPED",
            Self::OutForDelivery => "OUT_FOR_DELIVERY",
            Self::Delivered => "DELIVERED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The inverse of [`Status::as_str`]. Other writers of the table may use other statuses.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The next status, unless this is the last one.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Placed => Some(Self::Paid),
            Self::Paid => Some(Self::Preparing),
            Self::Preparing => Some(Self::Shipped),
            Self::Shipped => Some(Self::OutForDelivery),
            Self::OutForDelivery => Some(Self::Delivered),
            Self::Delivered | Self::Cancelled => None,
        }
    }

    /// The attributes that change when the order gets this status at `now`.
    pub(super) fn attributes(self, order_id: &str, now: SystemTime) -> Vec<Attribute> {
        let mut attributes = vec![
            ("status", self.as_str().to_owned()),
            ("updatedAt", rfc3339(now)),
        ];
        match self {
            Self::Placed => attributes.push(("eta", rfc3339(now + 72 * HOUR))),
            Self::Shipped => attributes.extend([
                ("eta", rfc3339(now + 24 * HOUR)),
                ("carrier", "Swift Parcel".to_owned()),
                (
                    "trackingUrl",
                    format!("https://carrier.example/track/{order_id}"),
                ),
            ]),
            Self::OutForDelivery => attributes.push(("eta", rfc3339(now + 2 * HOUR))),
            Self::Delivered => attributes.push(("eta", rfc3339(now))),
            Self::Paid | Self::Preparing | Self::Cancelled => {}
        }
        attributes
    }
}

/// With milliseconds, as most shops write it.
pub(super) fn rfc3339(at: SystemTime) -> String {
    let since_epoch = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    // It fails only for years that `DateTime` does not know.
    DateTime::from_millis(millis)
        .fmt(DateTimeFormat::DateTimeWithOffset)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_goes_from_placed_to_delivered() {
        let statuses: Vec<_> =
            std::iter::successors(Some(Status::Placed), |status| status.next()).collect();
        assert_eq!(statuses, Status::ALL[..6]);
    }

    #[test]
    fn a_status_is_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("RETURNED"), None);
    }

    #[test]
    fn timestamps_are_rfc_3339_in_utc() {
        assert_eq!(
            rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_369_200_123)),
            "2026-11-22T17:40:00.123Z"
        );
    }
}

//! The way of an order through the shop.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};

/// Where an order stands. [`Status::Cancelled`] can follow any but the last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Status {
    Placed,
    Paid,
    Preparing,
    Shipped,
    OutForDelivery,
    Delivered,
    Cancelled,
}

/// What an attribute is set to.
pub(super) type Setting = (&'static str, String);

const HOUR: Duration = Duration::from_secs(60 * 60);

impl Status {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Placed,
        Self::Paid,
        Self::Preparing,
        Self::Shipped,
        Self::OutForDelivery,
        Self::Delivered,
        Self::Cancelled,
    ];

    /// As it stands in the table.
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

    /// The inverse of [`Status::as_str`]; other writers of the table may have statuses of their own.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The one that comes next, unless this is an end.
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

    /// The attributes that change when `order_id` comes to stand here at `now`.
    pub(super) fn settings(self, order_id: &str, now: SystemTime) -> Vec<Setting> {
        let mut settings = vec![
            ("status", self.as_str().to_owned()),
            ("updatedAt", rfc3339(now)),
        ];
        match self {
            Self::Placed => settings.push(("eta", rfc3339(now + 72 * HOUR))),
            Self::Shipped => settings.extend([
                ("eta", rfc3339(now + 24 * HOUR)),
                ("carrier", "Swift Parcel".to_owned()),
                (
                    "trackingUrl",
                    format!("https://carrier.example/track/{order_id}"),
                ),
            ]),
            Self::OutForDelivery => settings.push(("eta", rfc3339(now + 2 * HOUR))),
            Self::Delivered => settings.push(("eta", rfc3339(now))),
            Self::Paid | Self::Preparing | Self::Cancelled => {}
        }
        settings
    }
}

/// To the millisecond, as the shops of this world write it.
pub(super) fn rfc3339(at: SystemTime) -> String {
    let since_epoch = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    // Refused are only years that DateTime's calendar does not have.
    DateTime::from_millis(millis)
        .fmt(DateTimeFormat::DateTimeWithOffset)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_leads_from_placed_to_delivered() {
        let way: Vec<_> =
            std::iter::successors(Some(Status::Placed), |status| status.next()).collect();
        assert_eq!(way, Status::ALL[..6]);
    }

    #[test]
    fn a_status_is_read_as_it_is_written() {
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

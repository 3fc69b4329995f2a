//! Reads the times that shops write, and writes them as RFC 3339. Pure.

mod iso8601;

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, Utc};
use serde_dynamo::AttributeValue;

use crate::number::Decimal;

/// 2000-01-01T00:00:00Z. An earlier time is not the time of an order: software writes 0 or 1970 if it has no time, and 20261125
/// is a date.
const EARLIEST: i64 = 946_684_800;

/// 2100-01-01T00:00:00Z. Used if the record has no time.
const LATEST: i64 = 4_102_444_800;

/// How much later than its record a shop's time may be. An order may have a date in the future, and a clock may be wrong.
const AHEAD: TimeDelta = TimeDelta::days(366);

/// The units of a number since 1970, as powers of ten per second: s, ms, µs, ns. The plausible numbers of two units do not
/// overlap, so the number determines its unit.
const UNITS: [u32; 4] = [0, 3, 6, 9];

/// RFC 3339 in UTC, with milliseconds.
pub fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// RFC 3339 in UTC, from milliseconds since the Unix epoch.
pub fn of_millis(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    text(DateTime::from_timestamp_millis(millis).unwrap_or_default())
}

/// The time in an attribute, if it is plausible for a record that was written at `written_at`.
///
/// `None` if the attribute contains no plausible time. Then the caller uses the record's time, because a status must not be
/// withheld only because of its time.
pub fn read(value: &AttributeValue, written_at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let plausible = |at: &DateTime<Utc>| {
        let latest = written_at.and_then(|written_at| written_at.checked_add_signed(AHEAD));
        let latest = latest.map_or(LATEST, |latest| latest.timestamp());
        (EARLIEST..=latest).contains(&at.timestamp())
    };
    match value {
        AttributeValue::N(number) => of_number(number).find(plausible),
        AttributeValue::S(text) => {
            let text = text.trim();
            match Decimal::parse(text) {
                Some(_) => of_number(text).find(plausible),
                None => of_text(text).filter(plausible),
            }
        }
        _ => None,
    }
}

/// The time at which AWS, or the producer of a Kafka record, wrote it. `None` if the record has no plausible time.
pub fn of_record(written_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is_date = written_at.timestamp() >= EARLIEST && written_at.year() <= 9999;
    is_date.then_some(written_at)
}

/// The number's time in each unit.
fn of_number(text: &str) -> impl Iterator<Item = DateTime<Utc>> {
    let number = Decimal::parse(text).and_then(|number| number.to_string().parse::<f64>().ok());
    // A double has 53 bits, which is enough for milliseconds until the year 287,000.
    let in_unit = move |power: &u32| {
        let millis = number? * 1000.0 / 10_f64.powi(i32::try_from(*power).ok()?);
        (millis.abs() < 1e15).then(|| DateTime::from_timestamp_millis(millis.round() as i64))?
    };
    UNITS.iter().filter_map(in_unit)
}

/// RFC 3339 and similar texts, and the dates of mail and HTTP (RFC 2822).
fn of_text(text: &str) -> Option<DateTime<Utc>> {
    let millis = match DateTime::parse_from_rfc2822(text) {
        Ok(at) => at.timestamp_millis(),
        Err(_) => iso8601::parse(text)?,
    };
    // A leap second becomes the second after it, because browsers cannot parse `:60`.
    DateTime::from_timestamp_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-25T09:30:00Z
    const WRITTEN: i64 = 1_795_599_000;

    fn read_at(value: &AttributeValue, written_at: i64) -> Option<String> {
        read(value, DateTime::from_timestamp(written_at, 0)).map(text)
    }

    #[track_caller]
    fn check(value: &AttributeValue, expected: &str) {
        assert_eq!(
            read_at(value, WRITTEN).as_deref(),
            Some(expected),
            "{value:?}"
        );
    }

    #[test]
    fn numbers_of_any_unit() {
        for (number, expected) in [
            ("1795598382", "2026-11-25T09:19:42.000Z"),
            ("1795598382.123", "2026-11-25T09:19:42.123Z"),
            ("1.795598382123E+9", "2026-11-25T09:19:42.123Z"),
            ("1795598382123", "2026-11-25T09:19:42.123Z"),
            ("1795598382123.456", "2026-11-25T09:19:42.123Z"),
            ("1795598382123456", "2026-11-25T09:19:42.123Z"),
            ("1795598382123456789", "2026-11-25T09:19:42.123Z"),
            ("946684800", "2000-01-01T00:00:00.000Z"),
        ] {
            check(&AttributeValue::N(number.to_owned()), expected);
            check(&AttributeValue::S(number.to_owned()), expected);
        }
    }

    #[test]
    fn texts_of_many_shapes() {
        for text in [
            "2026-11-25T09:19:42.123Z",
            "2026-11-25T09:19:42.123456789012Z",
            "2026-11-25T09:19:42,123Z",
            "2026-11-25t09:19:42.123z",
            "2026-11-25 09:19:42.123",
            "2026-11-25T09:19:42.123",
            "2026-11-25 09:19:42.123 UTC",
            "2026-11-25T10:19:42.123+01:00",
            "2026-11-25T10:19:42.123+0100",
            "2026-11-25 10:19:42.123 +01",
            "2026-11-25T10:19:42.123+01:00[Europe/Berlin]",
            "2026-11-25T04:49:42.123-04:30",
            "2026-11-25T04:49:42.123\u{2212}04:30",
            "20261125T091942.123Z",
            " 2026-11-25T09:19:42.123Z\n",
        ] {
            check(
                &AttributeValue::S(text.to_owned()),
                "2026-11-25T09:19:42.123Z",
            );
        }
        for (text, expected) in [
            ("2026-11-25", "2026-11-25T00:00:00.000Z"),
            ("2026-11-25T09:19Z", "2026-11-25T09:19:00.000Z"),
            ("20261125T091942Z", "2026-11-25T09:19:42.000Z"),
            ("20261125T0919", "2026-11-25T09:19:00.000Z"),
            ("2026-11-25T09:19:42.1+00:00", "2026-11-25T09:19:42.100Z"),
            ("Wed, 25 Nov 2026 09:19:42 GMT", "2026-11-25T09:19:42.000Z"),
            (
                "Wed, 25 Nov 2026 10:19:42 +0100",
                "2026-11-25T09:19:42.000Z",
            ),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"),
        ] {
            check(&AttributeValue::S(text.to_owned()), expected);
        }
    }

    #[test]
    fn implausible_times() {
        let numbers = [
            "0",
            "-1",
            "1",
            "20261125",
            "20261125143000",
            "-1795598382",
            "1e300",
            "1e-9",
            "253402300800",
            "946684799",
            // More than a year after the record.
            "1827222000",
            "99999999999999999999999999999999999999",
        ];
        let texts = [
            "",
            "yesterday",
            "0001-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "+58862-12-26T00:00:00Z",
            "2028-01-01",
            "2026-13-01",
            "2026-02-30",
            "2026-11-25T25:00:00Z",
            "2026-11-25T09:19:42X",
            "2026-11-25T09:19:42+99:00",
            "2026-11-25T09:19:42+24:00",
            "2026-11-25T09:19:42+01:60",
            "2026-11-25T09:19.5",
            "2026-11-25T+9:19:42Z",
            "25.11.2026",
            "2026--1125",
            "2026-112-5",
            "202-611-25",
            "2026-W48-3",
            "2026-11-2é",
            "2026-11-25T09:1é:42",
            "NaN",
            "2026-11-25T09:19:42+é",
            "2026-11-25T09:19:42.12x",
        ];
        for number in numbers {
            assert_eq!(
                read_at(&AttributeValue::N(number.to_owned()), WRITTEN),
                None,
                "{number}"
            );
        }
        for text in texts {
            assert_eq!(
                read_at(&AttributeValue::S(text.to_owned()), WRITTEN),
                None,
                "{text}"
            );
        }
        assert_eq!(read_at(&AttributeValue::Bool(true), WRITTEN), None);
        // Also without a record's time.
        let compact = AttributeValue::N("20261125143000".to_owned());
        assert_eq!(read(&compact, None), None);
    }

    #[test]
    fn implausible_times_of_records() {
        let of = |seconds| of_record(DateTime::from_timestamp(seconds, 0).expect("in range"));
        assert_eq!(of(0), None);
        assert_eq!(of(1_795_599_000_000), None);
        assert_eq!(
            of(WRITTEN).map(text).as_deref(),
            Some("2026-11-25T09:30:00.000Z")
        );
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_plausible(text in "[-+0-9TZ:., e]{0,32}|.{0,32}", number in "-?[0-9]{1,38}([.][0-9]{1,6})?(E[0-9]{1,2})?") {
            for value in [AttributeValue::S(text), AttributeValue::N(number.clone()), AttributeValue::S(number)] {
                if let Some(at) = read_at(&value, WRITTEN) {
                    prop_assert_eq!(at.len(), 24);
                    prop_assert!(at.as_str() >= "2000" && at.as_str() < "2027-11-27", "{}", at);
                }
            }
        }
    }
}

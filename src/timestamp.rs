//! Whatever shops write as a time, as RFC 3339. Pure.

use chrono::{
    DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc,
};
use serde_dynamo::AttributeValue;

use crate::number::Decimal;

/// 2000-01-01T00:00:00Z. What is earlier is no time of an order: 0 and 1970 are how software says that it has none, and
/// 20261125 is a date.
const EARLIEST: i64 = 946_684_800;

/// 2100-01-01T00:00:00Z, if the record does not say when it was written.
const LATEST: i64 = 4_102_444_800;

/// How far beyond its record a shop's time may be. An order may be dated ahead, and a clock may be wrong.
const AHEAD: TimeDelta = TimeDelta::days(366);

/// The units of a number since 1970, as the powers of ten that a second has of them: s, ms, µs, ns. The times that are
/// plausible do not overlap between two units, so the number itself says its unit.
const UNITS: [u32; 4] = [0, 3, 6, 9];

/// RFC 3339 in UTC, with milliseconds.
pub fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// As [`text`], of milliseconds since the Unix epoch.
pub fn of_millis(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    text(DateTime::from_timestamp_millis(millis).unwrap_or_default())
}

/// The time that an attribute holds, if it is plausible for a record that was written then. `None` if it is no time: the
/// record's then stands in, because a time alone is no reason to hold back a status.
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

/// When AWS wrote a record. `None` if the record does not say so.
pub fn of_record(written_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let is_date = written_at.timestamp() >= EARLIEST && written_at.year() <= 9999;
    is_date.then_some(written_at)
}

/// What the number is in each unit.
fn of_number(text: &str) -> impl Iterator<Item = DateTime<Utc>> {
    let number = Decimal::parse(text).and_then(|number| number.to_string().parse::<f64>().ok());
    // A double has 53 bits: milliseconds until the year 287,000.
    let in_unit = move |power: &u32| {
        let millis = number? * 1000.0 / 10_f64.powi(i32::try_from(*power).ok()?);
        (millis.abs() < 1e15).then(|| DateTime::from_timestamp_millis(millis.round() as i64))?
    };
    UNITS.iter().filter_map(in_unit)
}

/// RFC 3339 and its looser relatives, and the dates of mail and HTTP.
fn of_text(text: &str) -> Option<DateTime<Utc>> {
    let millis = match DateTime::parse_from_rfc2822(text) {
        Ok(at) => at.timestamp_millis(),
        Err(_) => iso_8601(text)?,
    };
    // A leap second becomes the second after it: browsers do not read `:60`.
    DateTime::from_timestamp_millis(millis)
}

/// A date, and perhaps a time after `T` or a space, and perhaps a zone: UTC if there is none.
fn iso_8601(text: &str) -> Option<i64> {
    // Java writes 2026-11-25T10:19:42+01:00[Europe/Berlin].
    let text = text
        .split_once('[')
        .map_or(text, |(text, _)| text)
        .trim_end();
    let (day, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.trim_start()),
        None => (text, ""),
    };
    let day = date(day)?;
    if rest.is_empty() {
        return Some(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    }
    let zone = rest.find(|c: char| !(c.is_ascii_digit() || ":.,".contains(c)));
    let (clock, zone) = rest.split_at(zone.unwrap_or(rest.len()));
    let local = NaiveDateTime::new(day, time(clock)?).and_utc();
    let offset = offset_minutes(zone.trim())?;
    Some(local.timestamp_millis() - offset * 60_000)
}

/// `2026-11-25` or `20261125`.
fn date(text: &str) -> Option<NaiveDate> {
    let dashes = text.len() == 10 && text.get(4..5)? == "-" && text.get(7..8)? == "-";
    let digits = match dashes {
        true => text.replace('-', ""),
        false => text.to_owned(),
    };
    let number = |from: usize, to: usize| digits_of(digits.get(from..to)?);
    match digits.len() {
        8 => NaiveDate::from_ymd_opt(
            i32::try_from(number(0, 4)?).ok()?,
            number(4, 6)?,
            number(6, 8)?,
        ),
        _ => None,
    }
}

/// `09:19`, `09:19:42`, `091942`, `0919`, with a fraction of any length after the seconds.
fn time(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = match text.find(['.', ',']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, ""),
    };
    let digits = match clock.len() {
        5 | 8 => clock.split(':').filter(|part| part.len() == 2).collect(),
        _ => clock.to_owned(),
    };
    let number = |from: usize| digits_of(digits.get(from..from + 2)?);
    let seconds = match digits.len() {
        4 if fraction.is_empty() => 0,
        6 => number(4)?,
        _ => return None,
    };
    let millis = format!("{fraction:0<3}");
    digits_of(&format!("0{}", fraction.get(3..).unwrap_or_default()))?;
    let millis = digits_of(millis.get(..3)?)?;
    let (seconds, millis) = match seconds {
        60 => (59, 1000 + millis),
        seconds => (seconds, millis),
    };
    NaiveTime::from_hms_milli_opt(number(0)?, number(2)?, seconds, millis)
}

/// `Z`, `UTC`, `GMT`, `+01:00`, `+0100`, `+01`, or none, which is UTC. `None` if it is something else.
fn offset_minutes(zone: &str) -> Option<i64> {
    if ["", "Z", "z", "UTC", "GMT"].contains(&zone) {
        return Some(0);
    }
    let (sign, digits) = match zone.chars().next()? {
        '+' => (1, zone.get(1..)?),
        '-' => (-1, zone.get(1..)?),
        // The minus of typographers.
        '\u{2212}' => (-1, zone.get(3..)?),
        _ => return None,
    };
    let digits = match digits.len() {
        5 => digits.replacen(':', "", 1),
        2 => format!("{digits}00"),
        _ => digits.to_owned(),
    };
    let (hours, minutes) = (digits_of(digits.get(..2)?)?, digits_of(digits.get(2..)?)?);
    let fits = digits.len() == 4 && hours < 24 && minutes < 60;
    fits.then(|| sign * i64::from(hours * 60 + minutes))
}

/// Digits alone: `parse` would take a sign.
fn digits_of(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    // Digits beyond a number's range are digits of a fraction, of which nobody asks the value.
    digits.then(|| text.parse().unwrap_or(u32::MAX))
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
    fn what_is_not_plausible_is_no_time() {
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
        // Without a record's time, too.
        let compact = AttributeValue::N("20261125143000".to_owned());
        assert_eq!(read(&compact, None), None);
    }

    #[test]
    fn a_records_own_time_is_a_date_or_nothing() {
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

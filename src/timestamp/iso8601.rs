//! ISO 8601, RFC 3339 and similar texts. Pure.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

/// The milliseconds since the Unix epoch of a date, an optional time after `T` or a space, and an optional zone. Without a
/// zone, the time is in UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
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

/// `09:19`, `09:19:42`, `091942` or `0919`. The seconds may have a fraction of any length.
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

/// `Z`, `UTC`, `GMT`, `+01:00`, `+0100` or `+01`. An empty zone is UTC. `None` if the text is something else.
fn offset_minutes(zone: &str) -> Option<i64> {
    if ["", "Z", "z", "UTC", "GMT"].contains(&zone) {
        return Some(0);
    }
    let (sign, digits) = match zone.chars().next()? {
        '+' => (1, zone.get(1..)?),
        '-' => (-1, zone.get(1..)?),
        // The Unicode minus sign.
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

/// `None` if the text contains anything but digits: `parse` alone would accept a sign.
fn digits_of(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    // Only a fraction can have too many digits for a number, and its value is not used.
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

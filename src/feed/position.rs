//! Where a record stands in its source, and which of two sources speaks for an order. Pure.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Where a record stands: its source (the stream's ARN), `/`, its sequence number padded to 40 digits.
///
/// The sequence number is compared as text, because one of 21 to 40 digits exceeds a `u128`. Positions of two sources have
/// no order: each stream counts for itself, and a stream's label says when it was created, not when its records were written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(String);

impl Position {
    /// `None` if the sequence number is not 1 to 40 digits, or the source is empty.
    pub fn new(source: &str, sequence_number: &str) -> Option<Self> {
        let digits = sequence_number.bytes().all(|b| b.is_ascii_digit());
        let fits = (1..=40).contains(&sequence_number.len());
        (digits && fits && !source.is_empty())
            .then(|| Self(format!("{source}/{sequence_number:0>40}")))
    }

    /// The position as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ARN of the stream.
    pub fn source(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(source, _)| source)
    }

    /// The sequence number, without the zeros that pad it.
    pub fn sequence_number(&self) -> &str {
        self.padded_number().trim_start_matches('0')
    }

    /// An entry that was written before positions named the whole stream has its label alone, the last part of the ARN.
    pub(super) fn is_of_source(&self, other: &Self) -> bool {
        let (one, other) = (self.source(), other.source());
        let ends_with = |source: &str, label: &str| source.rsplit('/').next() == Some(label);
        one == other || ends_with(one, other) || ends_with(other, one)
    }

    fn padded_number(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, number)| number)
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.is_of_source(other)
            .then(|| self.padded_number().cmp(other.padded_number()))
    }
}

/// A record that was seen of an order, the last one of its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Where it stands.
    pub position: Position,
    /// When AWS wrote it, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<u64>,
}

/// The most sources that an order remembers. A table has one; each fail-over or migration adds one. The one that spoke
/// longest ago is forgotten first.
const MAX_SOURCES: usize = 8;

/// What a record is to an order of which other records were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was seen before.
    Duplicate,
    /// It is of a source that does not speak for the order any more.
    Older,
    /// It is news. These are the records that are seen now, one of each source. The last is the record itself.
    News(Vec<Seen>),
}

/// Judges a record by those that were seen: one of each source, and the last is of the source that speaks now.
///
/// - Within a source, the sequence number decides. Deliveries repeat and overlap.
/// - Another source takes over if its record is later than all that were seen, by the time at which AWS wrote them. If the
///   times are equal or unknown, a source that was never seen takes over, because a new stream is opened on purpose. One
///   that was seen before does not, because then its record may be one that comes late.
pub(super) fn judge(seen: &[Seen], record: &Seen) -> Verdict {
    let Some(current) = seen.last() else {
        return Verdict::News(vec![record.clone()]);
    };
    let same_source = |other: &Seen| other.position.is_of_source(&record.position);
    let known = seen.iter().find(|other| same_source(other));
    if known.is_some_and(|known| record.position <= known.position) {
        return Verdict::Duplicate;
    }
    let latest = current
        .recorded_at
        .and(seen.iter().filter_map(|seen| seen.recorded_at).max());
    let takes_over = match (record.recorded_at, latest) {
        (Some(record), Some(latest)) if record != latest => record > latest,
        _ => known.is_none(),
    };
    if !same_source(current) && !takes_over {
        return Verdict::Older;
    }
    let others = seen.iter().filter(|other| !same_source(other));
    let mut now: Vec<_> = others.chain([record]).cloned().collect();
    now.drain(..now.len().saturating_sub(MAX_SOURCES));
    Verdict::News(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(source: &str, sequence_number: u64, recorded_at: impl Into<Option<u64>>) -> Seen {
        let source = format!("arn:aws:dynamodb:eu-west-1:1:table/Orders/stream/{source}");
        Seen {
            position: Position::new(&source, &sequence_number.to_string()).expect("digits"),
            recorded_at: recorded_at.into(),
        }
    }

    #[test]
    fn positions_are_compared_within_a_source_only() {
        let position = |source, number| record(source, number, None).position;
        assert!(position("b", 9) < position("b", 10));
        assert!(position("b", 10) <= position("b", 10));
        assert_eq!(position("a", 9).partial_cmp(&position("b", 10)), None);
        assert_eq!(
            position("a", 9).source(),
            "arn:aws:dynamodb:eu-west-1:1:table/Orders/stream/a"
        );
        assert_eq!(Position::new("", "1"), None);
        assert_eq!(Position::new("a", ""), None);
        assert_eq!(Position::new("a", "-1"), None);
        assert_eq!(Position::new("a", &"9".repeat(41)), None);
    }

    #[track_caller]
    fn check(seen: &[Seen], record: Seen, expected: &Verdict) {
        assert_eq!(&judge(seen, &record), expected, "{record:?}");
    }

    #[test]
    fn one_source_goes_by_its_sequence_numbers() {
        let seen = [record("a", 5, 100)];
        check(&seen, record("a", 5, 100), &Verdict::Duplicate);
        check(&seen, record("a", 4, 900), &Verdict::Duplicate);
        // Whatever the times say.
        let news = Verdict::News(vec![record("a", 6, 50)]);
        check(&seen, record("a", 6, 50), &news);
    }

    #[test]
    fn another_source_takes_over_if_it_is_later() {
        let seen = [record("b", 5, 100)];
        for (source, recorded_at) in [("a", Some(101)), ("a", Some(100)), ("c", None)] {
            let late = record(source, 1, recorded_at);
            let news = Verdict::News(vec![record("b", 5, 100), late.clone()]);
            check(&seen, late, &news);
        }
        check(&seen, record("c", 900, 99), &Verdict::Older);
    }

    #[test]
    fn a_source_that_was_seen_before_must_be_later_by_its_time() {
        let seen = [record("a", 5, 100), record("b", 1, 200)];
        check(&seen, record("a", 5, 100), &Verdict::Duplicate);
        check(&seen, record("a", 6, 150), &Verdict::Older);
        check(&seen, record("a", 6, 200), &Verdict::Older);
        check(&seen, record("a", 6, None), &Verdict::Older);
        let back = record("a", 6, 201);
        let news = Verdict::News(vec![record("b", 1, 200), back.clone()]);
        check(&seen, back, &news);
    }

    #[test]
    fn if_the_time_of_the_current_record_is_unknown_no_time_is_later() {
        let seen = [record("a", 5, 100), record("b", 1, None)];
        check(&seen, record("a", 6, 900), &Verdict::Older);
        let third = record("c", 1, 50);
        let news = Verdict::News([&seen[..], std::slice::from_ref(&third)].concat());
        check(&seen, third, &news);
    }

    #[test]
    fn the_sources_that_are_remembered_are_bounded() {
        let mut seen = Vec::new();
        for n in 1..=20 {
            match judge(&seen, &record(&format!("s{n}"), 1, n)) {
                Verdict::News(now) => seen = now,
                other => panic!("{other:?}"),
            }
        }
        let expected: Vec<_> = (13..=20).map(|n| record(&format!("s{n}"), 1, n)).collect();
        assert_eq!(seen, expected);
    }
}

//! Which of several streams decides what an order's state is. Pure.

use crate::change::SourceRecord;

/// The most sources that an order remembers. A table has one source, and each fail-over or migration adds one. If there are
/// more, the source whose turn was longest ago is forgotten.
const MAX_SOURCES: usize = 8;

/// What a record means for an order whose other records are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The record was seen before.
    Duplicate,
    /// The record is of a source that another one has replaced, or of one whose numbers have begun again.
    Older,
    /// The record is new. Contains the last record of each source after this one. The last element is the record itself.
    New(Vec<SourceRecord>),
}

/// Compares a record with the last record of each source. The last element of `seen` is of the current source.
///
/// - Within a source, the sequence number decides, because deliveries repeat and overlap.
/// - A number that is not higher is a repetition. But if its record is more than an hour later, the source's numbers have begun
///   again. Such a record is dropped too, because nobody can compare it. It is told, like a record of an older source.
/// - A record of another source takes over if it was written later than all records in `seen`. If the times are equal or
///   unknown, a source that was never seen takes over, because somebody opened a new stream on purpose. A source that was
///   seen before does not take over then, because its record may be a late one.
pub(super) fn judge(seen: &[SourceRecord], record: &SourceRecord) -> Verdict {
    let Some(current) = seen.last() else {
        return Verdict::New(vec![record.clone()]);
    };
    let same_source = |other: &SourceRecord| other.position.is_of_source(&record.position);
    let known = seen.iter().find(|other| same_source(other));
    if let Some(known) = known.filter(|known| record.position <= known.position) {
        return match restarts(known, record) {
            true => Verdict::Older,
            false => Verdict::Duplicate,
        };
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
    Verdict::New(now)
}

/// How much later than a later record of its source a record may be. The clocks of producers differ.
const MAX_SKEW_MILLIS: u64 = 60 * 60 * 1000;

/// Whether a source has the same or lower numbers later: a topic of Kafka was deleted and created again.
fn restarts(known: &SourceRecord, record: &SourceRecord) -> bool {
    let later = record.recorded_at.zip(known.recorded_at);
    let is_later = |(record, known): (u64, u64)| record.saturating_sub(known) > MAX_SKEW_MILLIS;
    later.is_some_and(is_later)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Position;

    fn record(
        source: &str,
        sequence_number: u64,
        recorded_at: impl Into<Option<u64>>,
    ) -> SourceRecord {
        let source = format!("arn:aws:dynamodb:eu-west-1:1:table/Orders/stream/{source}");
        SourceRecord {
            position: Position::new(&source, &sequence_number.to_string()).expect("digits"),
            recorded_at: recorded_at.into(),
        }
    }

    #[track_caller]
    fn check(seen: &[SourceRecord], record: SourceRecord, expected: &Verdict) {
        assert_eq!(&judge(seen, &record), expected, "{record:?}");
    }

    #[test]
    fn within_a_source_the_sequence_number_decides() {
        let seen = [record("a", 5, 100)];
        check(&seen, record("a", 5, 100), &Verdict::Duplicate);
        check(&seen, record("a", 4, 900), &Verdict::Duplicate);
        // The times do not matter.
        let new = Verdict::New(vec![record("a", 6, 50)]);
        check(&seen, record("a", 6, 50), &new);
    }

    #[test]
    fn numbers_that_begin_again_are_not_taken_for_a_repetition() {
        let seen = [record("a", 5, 100)];
        check(
            &seen,
            record("a", 4, 100 + MAX_SKEW_MILLIS),
            &Verdict::Duplicate,
        );
        check(
            &seen,
            record("a", 4, 101 + MAX_SKEW_MILLIS),
            &Verdict::Older,
        );
        check(
            &seen,
            record("a", 5, 100 + MAX_SKEW_MILLIS),
            &Verdict::Duplicate,
        );
        check(
            &seen,
            record("a", 5, 101 + MAX_SKEW_MILLIS),
            &Verdict::Older,
        );
        check(&seen, record("a", 4, None), &Verdict::Duplicate);
    }

    #[test]
    fn another_source_takes_over_if_it_is_later() {
        let seen = [record("b", 5, 100)];
        for (source, recorded_at) in [("a", Some(101)), ("a", Some(100)), ("c", None)] {
            let late = record(source, 1, recorded_at);
            let new = Verdict::New(vec![record("b", 5, 100), late.clone()]);
            check(&seen, late, &new);
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
        let new = Verdict::New(vec![record("b", 1, 200), back.clone()]);
        check(&seen, back, &new);
    }

    #[test]
    fn without_the_current_records_time_no_source_returns() {
        let seen = [record("a", 5, 100), record("b", 1, None)];
        check(&seen, record("a", 6, 900), &Verdict::Older);
        let third = record("c", 1, 50);
        let new = Verdict::New([&seen[..], std::slice::from_ref(&third)].concat());
        check(&seen, third, &new);
    }

    #[test]
    fn the_sources_that_are_remembered_are_bounded() {
        let mut seen = Vec::new();
        for n in 1..=20 {
            match judge(&seen, &record(&format!("s{n}"), 1, n)) {
                Verdict::New(now) => seen = now,
                other => panic!("{other:?}"),
            }
        }
        let expected: Vec<_> = (13..=20).map(|n| record(&format!("s{n}"), 1, n)).collect();
        assert_eq!(seen, expected);
    }
}

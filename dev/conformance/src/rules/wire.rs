//! The frames and cursors of this contract.

use super::{Verdict, events, expect};
use crate::exchange::Exchange;
use crate::transcript::{Frame, Transcript};

pub(super) const NAME_AN_ORDER: &str = "no order with changes: set ORDER to one";

/// The types of frames. Clients ignore all others, and so do the rules.
const TYPES: [&str; 7] = [
    "hello", "message", "reset", "ready", "end", "expired", "rest",
];

/// The frames of the contract, in their order.
pub(super) fn known(read: &Transcript) -> Vec<&Frame> {
    let frames = read.frames.iter();
    frames
        .filter(|frame| TYPES.contains(&frame.event()))
        .collect()
}

/// Judges the types of a stream's events, in their order.
pub(super) fn outline_is(seen: &Exchange, expected: impl Fn(&[&str]) -> bool) -> Verdict {
    let read = events(seen)?;
    let outline: Vec<_> = known(&read).into_iter().map(Frame::event).collect();
    expect(expected(&outline), || format!("the events are {outline:?}"))
}

/// `"0" [ "-" 4HEXDIG ] / seq [ "-" 4HEXDIG ] [ "~" ]`
pub(super) fn is_mark(mark: &str) -> bool {
    let (number, tie) = match mark.split_once('-') {
        Some((number, tie)) => (number, Some(tie)),
        None => (mark, None),
    };
    let last = tie.unwrap_or(number);
    let ended = last.ends_with('~');
    let (number, tie) = match tie {
        Some(tie) => (number, tie.strip_suffix('~').unwrap_or(tie)),
        None => (number.strip_suffix('~').unwrap_or(number), "0000"),
    };
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let canonical = number == "0" && !ended || !number.starts_with('0');
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    digits && canonical && number.parse::<u64>().is_ok() && tie.len() == 4 && tie.bytes().all(hex)
}

/// Whether a mark says that no change was seen.
pub(super) fn is_zero(mark: &str) -> bool {
    is_mark(mark) && seq(mark) == 0
}

/// The number of a mark.
pub(super) fn seq(mark: &str) -> u64 {
    let number = mark.split(['-', '~']).next().unwrap_or_default();
    number.parse().unwrap_or_default()
}

/// The cursor without the count of check-ins in its zero marks.
pub(super) fn settled(cursor: &str) -> String {
    let marks = cursor.split('.');
    let marks = marks.map(|mark| if is_zero(mark) { "0" } else { mark });
    marks.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        for mark in [
            "0", "0-0001", "0-ffff", "1", "1-0000", "12-9f2c", "12-9f2c~", "12~",
        ] {
            assert!(is_mark(mark), "{mark}");
        }
        for mark in [
            "",
            "?",
            "~",
            "0~",
            "0-0001~",
            "01",
            "01-0000",
            "-0000",
            "1-",
            "1-00",
            "1-00000",
            "1-9F2C",
            "+1",
            "1-+000",
            "18446744073709551616",
            "1-0000~~",
            "0-",
        ] {
            assert!(!is_mark(mark), "{mark}");
        }
        assert!(is_zero("0") && is_zero("0-0003") && !is_zero("3-0000") && !is_zero("?"));
        assert_eq!(settled("0-0003.4-0001~.0"), "0.4-0001~.0");
    }
}

//! How far a client has seen: the event id that it sends back. Pure.
//!
//! ```text
//! cursor = mark *( "." mark )                      one mark for each order, in the URL's order
//! mark   = "0" [ "-" 4HEXDIG ]                     nothing seen; the number of check-ins without a change, 0001 to ffff
//!        / seq [ "-" 4HEXDIG ] [ "~" ]             "~": the client was told that the order is finished
//! ```
//!
//! The cursor of a customer's stream is one mark, and its numbers are those of the customer's log. It has no `~`, but `_` at its end
//! if the client has not seen every order of the customer yet.
//!
//! A client has seen the third entry of its first order, and nothing of its second order:
//!
//! ```
//! use order_status_stream::cursor::Cursor;
//! use order_status_stream::order::Seq;
//!
//! let cursor = Cursor::parse("3-9f2c.0", 2).ok_or("not a cursor")?;
//! assert_eq!(cursor.0[0].seq, Seq(3));
//! assert_eq!(cursor.0[1].seq, Seq::ZERO);
//! assert_eq!(cursor.to_string(), "3-9f2c.0");
//!
//! // It is not the cursor of a URL with one order.
//! assert_eq!(Cursor::parse("3-9f2c.0", 1), None);
//! # Ok::<_, &str>(())
//! ```

use std::fmt;

use sha2::{Digest, Sha256};

use crate::order::Seq;

/// The first two bytes of the SHA-256 of an entry's position, written as four hex digits.
///
/// It shows that an entry of the same number is another one: in a restored feed, a recreated order or a reordered URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u16);

impl Fingerprint {
    /// The fingerprint of the entry at a position.
    pub fn of(position: &str) -> Self {
        let hash = Sha256::digest(position.as_bytes());
        Self(u16::from_be_bytes([hash[0], hash[1]]))
    }
}

/// How far a client has seen one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last entry that it has seen.
    pub seq: Seq,
    /// The fingerprint of that entry. `None` if the client sent a number only; then nothing is compared.
    pub fingerprint: Option<Fingerprint>,
    /// The client was told that the order is finished.
    pub ended: bool,
    /// Only of a customer's log: the client has not seen every order yet.
    pub partial: bool,
    /// The number of check-ins that found no entry of the order, if `seq` is zero. The client carries this number, so that it
    /// comes back less and less often for an order that does not exist. The number stops at its largest value.
    pub check_ins: u16,
}

impl Mark {
    /// Nothing seen yet.
    pub const START: Self = Self {
        seq: Seq::ZERO,
        fingerprint: None,
        ended: false,
        partial: false,
        check_ins: 0,
    };

    /// Nothing seen, after one more check-in.
    #[must_use]
    pub fn after_check_in(self) -> Self {
        Self {
            check_ins: self.check_ins.saturating_add(1),
            ..Self::START
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::START);
        }
        if let Some(check_ins) = text.strip_prefix("0-") {
            let check_ins = parse_hex(check_ins).filter(|check_ins| *check_ins > 0)?;
            return Some(Self {
                check_ins,
                ..Self::START
            });
        }
        let (text, ended, partial) = match (text.strip_suffix('~'), text.strip_suffix('_')) {
            (Some(text), _) => (text, true, false),
            (_, Some(text)) => (text, false, true),
            (None, None) => (text, false, false),
        };
        let (seq, fingerprint) = match text.split_once('-') {
            Some((seq, fingerprint)) => (seq, Some(Fingerprint(parse_hex(fingerprint)?))),
            None => (text, None),
        };
        Some(Self {
            seq: parse_seq(seq)?,
            fingerprint,
            ended,
            partial,
            check_ins: 0,
        })
    }
}

fn parse_seq(text: &str) -> Option<Seq> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    canonical.then(|| text.parse().ok().map(Seq)).flatten()
}

fn parse_hex(text: &str) -> Option<u16> {
    let canonical = text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    canonical
        .then(|| u16::from_str_radix(text, 16).ok())
        .flatten()
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seq.fmt(f)?;
        if let Some(Fingerprint(fingerprint)) = self.fingerprint {
            write!(f, "-{fingerprint:04x}")?;
        }
        if self.check_ins > 0 {
            write!(f, "-{:04x}", self.check_ins)?;
        }
        f.write_str(if self.ended { "~" } else { "" })?;
        f.write_str(if self.partial { "_" } else { "" })
    }
}

/// How far a client has seen each order it watches, in the URL's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Vec<Mark>);

impl Cursor {
    /// Nothing seen yet, of this number of orders.
    pub fn start(orders: usize) -> Self {
        Self(vec![Mark::START; orders])
    }

    /// Reads the cursor of this number of orders. `None` if the text is not such a cursor: the client is then sent `reset`.
    pub fn parse(text: &str, orders: usize) -> Option<Self> {
        // A mark has at most 26 bytes and a separator. A longer text is not split.
        if text.len() > orders * 32 {
            return None;
        }
        let marks = text
            .split('.')
            .map(Mark::parse)
            .collect::<Option<Vec<_>>>()?;
        let fits = marks.len() == orders && marks.iter().all(|mark| !mark.partial);
        fits.then_some(Self(marks))
    }

    /// Reads the cursor of a customer's stream.
    pub fn parse_customers(text: &str) -> Option<Self> {
        let mark = Mark::parse(text).filter(|mark| !mark.ended)?;
        Some(Self(vec![mark]))
    }

    /// Whether the client was told that every order is finished.
    pub fn ended(&self) -> bool {
        self.0.iter().all(|mark| mark.ended)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mark) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { "." } else { "" })?;
            mark.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(seq: u64, fingerprint: Option<u16>, ended: bool) -> Mark {
        Mark {
            seq: Seq(seq),
            fingerprint: fingerprint.map(Fingerprint),
            ended,
            partial: false,
            check_ins: 0,
        }
    }

    fn waiting(check_ins: u16) -> Mark {
        Mark {
            check_ins,
            ..Mark::START
        }
    }

    #[track_caller]
    fn check(text: &str, orders: usize, expected: Option<Vec<Mark>>) {
        assert_eq!(
            Cursor::parse(text, orders),
            expected.map(Cursor),
            "{text:?}"
        );
    }

    #[test]
    fn cursors() {
        check("0", 1, Some(vec![Mark::START]));
        check("0-0001", 1, Some(vec![waiting(1)]));
        check("0-ffff.0", 2, Some(vec![waiting(u16::MAX), Mark::START]));
        check("3-9f2c", 1, Some(vec![mark(3, Some(0x9f2c), false)]));
        check("3", 1, Some(vec![mark(3, None, false)]));
        check("4-77aa~", 1, Some(vec![mark(4, Some(0x77aa), true)]));
        check(
            "3-9f2c.0.17-04ab",
            3,
            Some(vec![
                mark(3, Some(0x9f2c), false),
                Mark::START,
                mark(17, Some(0x04ab), false),
            ]),
        );
        check(
            "18446744073709551615-0000~",
            1,
            Some(vec![mark(u64::MAX, Some(0), true)]),
        );
    }

    #[test]
    fn what_is_no_cursor() {
        let unreadable = [
            "?",
            "",
            "~",
            "0~",
            "0-",
            "0-0000",
            "0-001",
            "0-00001",
            "0-000A",
            "0-0001~",
            "0-0001-0001",
            "00",
            "03",
            "-1",
            "+3",
            "3-",
            "3-9f2",
            "3-9F2C",
            "3-9f2c0",
            "3-+123",
            "3~~",
            "3 ",
            " 3",
            "x",
            "3-9f2c~x",
            "18446744073709551616",
            "٣",
        ];
        for text in unreadable {
            check(text, 1, None);
        }
        check("3-9f2c.0", 1, None);
        check("3-9f2c", 2, None);
        check("3-9f2c.", 2, None);
        check(&"9".repeat(1_000_000), 1, None);
    }

    #[test]
    fn the_cursor_of_a_customers_stream_is_one_mark() {
        let partial = Mark {
            partial: true,
            ..mark(3, Some(0x9f2c), false)
        };
        for (text, mark) in [
            ("0", Mark::START),
            ("0-0001", waiting(1)),
            ("3-9f2c", mark(3, Some(0x9f2c), false)),
            ("3-9f2c_", partial),
        ] {
            let cursor = Cursor::parse_customers(text);
            assert_eq!(cursor, Some(Cursor(vec![mark])), "{text}");
            assert_eq!(
                cursor.map(|cursor| cursor.to_string()).as_deref(),
                Some(text)
            );
        }
        for text in [
            "?", "", "_", "0_", "3-9f2c~", "3-9f2c~_", "3-9f2c_~", "3-9f2c__", "3-9f2c.0",
        ] {
            assert_eq!(Cursor::parse_customers(text), None, "{text}");
        }
        // An order's stream sends every change.
        check("3-9f2c_", 1, None);
        check("3-9f2c.3-9f2c_", 2, None);
    }

    #[test]
    fn check_ins_are_counted_up_to_a_bound() {
        assert_eq!(Mark::START.after_check_in().to_string(), "0-0001");
        assert_eq!(waiting(0xff).after_check_in().to_string(), "0-0100");
        assert_eq!(waiting(u16::MAX).after_check_in().to_string(), "0-ffff");
    }

    #[test]
    fn a_fingerprint_is_the_first_two_bytes_of_a_sha256() {
        // echo -n abc | sha256sum
        assert_eq!(Fingerprint::of("abc"), Fingerprint(0xba78));
    }

    prop_compose! {
        fn any_mark()(seq in 1..=u64::MAX, fingerprint: Option<u16>, ended: bool, start in prop::bool::weighted(0.2)) -> Mark {
            if start { waiting(fingerprint.unwrap_or(0)) } else { mark(seq, fingerprint, ended) }
        }
    }

    proptest! {
        #[test]
        fn written_and_read_again(marks in prop::collection::vec(any_mark(), 1..=10)) {
            let cursor = Cursor(marks);
            prop_assert_eq!(Cursor::parse(&cursor.to_string(), cursor.0.len()), Some(cursor));
        }

        #[test]
        fn any_text_is_read_as_written_or_not_at_all(text in "[0-9a-f.~-]{0,20}|.*", orders in 1usize..4) {
            if let Some(cursor) = Cursor::parse(&text, orders) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}

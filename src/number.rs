//! DynamoDB's numbers, which are decimal and have up to 38 digits. A JavaScript number has about 16. Pure.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Number, Value};

/// 2^53 − 1. JavaScript represents all integers up to this one exactly (`Number.MAX_SAFE_INTEGER`).
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// DynamoDB's numbers are between 1E-130 and 9.99…E+125: the digits before the decimal point.
const POINTS: RangeInclusive<i32> = -129..=126;

/// A decimal number. Equal numbers have one representation: `1`, `1.0` and `1e0` are equal, and so are `0` and `-0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// The digits, without zeros at the start or the end. Empty means zero.
    digits: String,
    /// The number of digits before the decimal point. May be negative.
    point: i32,
}

impl Decimal {
    /// Reads a number such as `-12`, `1.50` or `1E+3`. `None` if the text is not a number.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || all.len() > 400 || !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let leading_zeros = all.len() - digits.len();
        let point = i32::try_from(whole.len()).ok()? - i32::try_from(leading_zeros).ok()?;
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self::ZERO);
        }
        let point = point.checked_add(exponent)?;
        POINTS.contains(&point).then(|| Self {
            negative,
            digits: digits.to_owned(),
            point,
        })
    }

    const ZERO: Self = Self {
        negative: false,
        digits: String::new(),
        point: 0,
    };

    /// The number of significant digits.
    pub fn digits(&self) -> usize {
        self.digits.len()
    }

    /// As JSON: a number if JavaScript represents it exactly, or else a string of the digits.
    pub fn to_json(&self) -> Value {
        let text = self.to_string();
        let number = match self.is_integer() {
            true => text.parse::<i64>().ok().filter(is_safe).map(Number::from),
            false => self.to_double(&text).and_then(Number::from_f64),
        };
        number.map_or(Value::String(text), Value::Number)
    }

    fn is_integer(&self) -> bool {
        usize::try_from(self.point).is_ok_and(|point| point >= self.digits.len())
    }

    /// The double that JavaScript prints as this number. `None` if there is no such double.
    fn to_double(&self, text: &str) -> Option<f64> {
        let double: f64 = text.parse().ok()?;
        (Self::parse(&format!("{double:e}")).as_ref() == Some(self)).then_some(double)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "`filter` passes a reference"
)]
fn is_safe(integer: &i64) -> bool {
    (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(integer)
}

impl fmt::Display for Decimal {
    /// Without an exponent, and without unnecessary zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let length = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
        if self.digits.is_empty() {
            f.write_str("0")
        } else if self.point <= 0 {
            write!(f, "{sign}0.{}{}", zeros(-self.point), self.digits)
        } else if self.point >= length {
            write!(f, "{sign}{}{}", self.digits, zeros(self.point - length))
        } else {
            let at = usize::try_from(self.point).unwrap_or(0);
            let (whole, fraction) = self.digits.split_at(at);
            write!(f, "{sign}{whole}.{fraction}")
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let magnitude = || {
            let points = self.point.cmp(&other.point);
            points.then_with(|| self.digits.cmp(&other.digits))
        };
        // Two zeros have the same magnitude.
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            1 => magnitude(),
            _ => magnitude().reverse(),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check(text: &str, canonical: &str, shown: &Value) {
        let number = Decimal::parse(text).expect("a number");
        assert_eq!(number.to_string(), canonical, "{text}");
        assert_eq!(&number.to_json(), shown, "{text}");
    }

    #[test]
    fn what_javascript_represents_is_a_number() {
        for one in ["1", "1.0", "1e0", "+1", "0.1E1", "10e-1", "0001.000"] {
            check(one, "1", &json!(1));
        }
        for zero in ["0", "-0", "0.00", "0e99", "-0.0E-5"] {
            check(zero, "0", &json!(0));
        }
        for hundred in ["100", "100.0", "1E+2"] {
            check(hundred, "100", &json!(100));
        }
        check("-12", "-12", &json!(-12));
        check("59.90", "59.9", &json!(59.9));
        check("-0.1", "-0.1", &json!(-0.1));
        check(".5", "0.5", &json!(0.5));
        check(
            "9007199254740991",
            "9007199254740991",
            &json!(9_007_199_254_740_991_i64),
        );
        check("1E-130", &format!("0.{}1", "0".repeat(129)), &json!(1e-130));
        check(&format!("{:0>400}", 1), "1", &json!(1));
        let digits = |text| Decimal::parse(text).map(|number| number.digits());
        assert_eq!(digits("-0012.50e9"), Some(3));
    }

    #[test]
    fn what_javascript_cannot_represent_is_a_string() {
        for text in [
            "9007199254740992",
            "-9007199254740992",
            "12345678901234567890",
            "1234567890123456789012",
            "99999999999999999999999999999999999999",
            "99.99999999999999999999999999",
            "0.1000000000000000055511151231257827",
            "33.333333333333333333",
        ] {
            check(text, text, &json!(text));
        }
        check(
            "1e30",
            &format!("1{}", "0".repeat(30)),
            &json!(format!("1{}", "0".repeat(30))),
        );
    }

    #[test]
    fn invalid_numbers() {
        for text in [
            "",
            "-",
            ".",
            "e1",
            "1e",
            "NaN",
            "inf",
            "1 ",
            "0x1",
            "1.2.3",
            "--1",
            "1e999999999999",
            "1e2147483647",
            "0.1e-2147483648",
            "0.1e2147483647",
            "١",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
        assert_eq!(Decimal::parse(&format!("{:0>401}", 1)), None);
    }

    #[test]
    fn the_range_is_that_of_dynamodb() {
        for text in ["1e-130", "0.1e-129", "-9.99e125", "99e124", "0.0e999"] {
            assert!(Decimal::parse(text).is_some(), "{text}");
        }
        for text in ["9.99e-131", "0.1e-130", "-1e126", "10e125"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        let ascending = [
            "-1e20", "-10", "-9.5", "-0.01", "0", "0.001", "0.01", "2", "10", "10.5", "1e20",
        ];
        let numbers: Vec<_> = ascending
            .iter()
            .filter_map(|text| Decimal::parse(text))
            .collect();
        assert_eq!(numbers.len(), ascending.len());
        assert!(numbers.is_sorted() && numbers.windows(2).all(|pair| pair[0] < pair[1]));
    }

    proptest! {
        #[test]
        fn any_number_is_read_as_itself(number in "-?[0-9]{1,38}(\\.[0-9]{1,20})?([eE](-[0-9]{1,2}|[+]?[0-8]?[0-7]))?") {
            let number = Decimal::parse(&number).expect("a number");
            prop_assert_eq!(Decimal::parse(&number.to_string()), Some(number.clone()));
            let shown = match number.to_json() {
                Value::String(text) => text,
                other => other.to_string(),
            };
            prop_assert_eq!(Decimal::parse(&shown), Some(number));
        }
    }
}

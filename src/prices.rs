//! The list prices of AWS that the policy uses, in USD, us-east-1, arm64, as of November 2026. No free tier, no volume discount.
//! `docs/cost.md` has the sources. The prices that only the cost simulation uses are in `dev/cost/src/prices.rs`.

/// Lambda: an invocation.
pub const REQUEST: f64 = 0.20e-6;

/// Lambda: a second of a function of 128 MB, billed by the millisecond.
pub const SECOND: f64 = 0.128 / 1.024 * 13.3334e-6;

/// DynamoDB on demand: a read request unit. An eventually consistent reading of up to 4 KB costs half of one.
pub const READ_UNIT: f64 = 0.125e-6;

/// One poll of one order.
pub const POLL: f64 = READ_UNIT / 2.0;

/// The price of one thing, as a whole number of 1e-12 USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price(u64);

impl Price {
    /// Reads a price in USD per million: at most three digits, and after a point at most six. `None` if it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str, most| {
            (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let leading_zero = whole.starts_with('0') && whole != "0";
        if leading_zero || !is_number(whole, 3) || !is_number(part, 6) {
            return None;
        }
        format!("{whole}{part:0<6}").parse().ok().map(Self)
    }

    /// In USD.
    pub fn usd(self) -> f64 {
        self.0 as f64 * 1e-12
    }
}

/// What the owner pays for what a check-in and a held response use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// `REQUEST_PRICE`: a request, with everything in front of the function.
    pub request: Price,
    /// `DURATION_PRICE`: a second of the function.
    pub second: Price,
}

impl Default for Prices {
    /// Lambda's list prices: [`REQUEST`] and [`SECOND`].
    fn default() -> Self {
        Self {
            request: Price(200_000),
            second: Price(1_666_675),
        }
    }
}

impl Prices {
    /// A check-in that finds nothing: a request, a reading, and 5 ms. In USD.
    pub fn check_in(&self) -> f64 {
        self.request.usd() + POLL + 0.005 * self.second.usd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_exactly() {
        for (text, picodollars) in [
            ("0", 0),
            ("0.20", 200_000),
            ("1.3", 1_300_000),
            ("1.666675", 1_666_675),
            ("0.000001", 1),
            ("999.999999", 999_999_999),
        ] {
            assert_eq!(Price::parse(text), Some(Price(picodollars)), "{text}");
        }
        for text in [
            "",
            ".5",
            "1.",
            "1000",
            "01",
            "00",
            "1.2.3",
            "1,5",
            "-1",
            "+1",
            "1e3",
            " 1",
            "1.1234567",
        ] {
            assert_eq!(Price::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_default_prices_are_the_list_prices() {
        let Prices { request, second } = Prices::default();
        for (found, list) in [(request, REQUEST), (second, SECOND)] {
            assert!((found.usd() / list - 1.0).abs() < 1e-9, "{found:?}");
        }
    }
}

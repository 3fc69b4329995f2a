//! The list prices of AWS that the policy uses, in USD, us-east-1, arm64, as of November 2026. No free tier, no volume discount.
//! `docs/cost.md` has the sources. The prices that only the cost simulation uses are in `dev/cost/src/prices.rs`.

/// Lambda: an invocation.
pub const REQUEST: f64 = 0.20e-6;

/// Lambda: a second of a function of 128 MB, billed by the millisecond.
pub const SECOND: f64 = 0.128 / 1.024 * 13.3334e-6;

/// DynamoDB on demand: a read request unit. An eventually consistent reading of up to 4 KB costs half of one.
pub const READ_UNIT: f64 = 0.125e-6;

/// A check-in that finds nothing: an invocation, a reading, and 5 ms.
pub const CHECK_IN: f64 = REQUEST + POLL + 0.005 * SECOND;

/// One poll of one order.
pub const POLL: f64 = READ_UNIT / 2.0;

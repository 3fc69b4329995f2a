//! The prices that the policy uses: list prices in USD, us-east-1, arm64, as of November 2026, without the free tier or a volume
//! discount. `dev/cost` has the prices of the alternatives, and `docs/cost.md` the sources.

/// Lambda: an invocation.
pub const REQUEST: f64 = 0.20e-6;

/// Lambda: a second of a function of 128 MB, billed by the millisecond.
pub const SECOND: f64 = 0.128 / 1.024 * 13.3334e-6;

/// DynamoDB on demand: a read request unit. An eventually consistent read of up to 4 KB is half of one.
pub const READ_UNIT: f64 = 0.125e-6;

/// A check-in that finds nothing: an invocation, a read, some milliseconds.
pub const CHECK_IN: f64 = REQUEST + LOOK + 0.005 * SECOND;

/// A poll of one order.
pub const LOOK: f64 = READ_UNIT / 2.0;

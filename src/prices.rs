//! What AWS asks for what a watched order takes: list prices in USD, us-east-1, arm64, as of November 2026. No free tier, no
//! volume discount. The only place with a price; `docs/cost.md` has the sources.

/// Lambda: an invocation.
pub const REQUEST: f64 = 0.20e-6;

/// Lambda: a second of a function of 128 MB, billed by the millisecond.
pub const SECOND: f64 = 0.128 / 1.024 * 13.3334e-6;

/// DynamoDB on demand: a read request unit. An eventually consistent reading of up to 4 KB is half of one.
pub const READ_UNIT: f64 = 0.125e-6;

/// DynamoDB on demand: a write request unit, for each KB.
pub const WRITE_UNIT: f64 = 0.625e-6;

/// What a check-in is billed that finds nothing: an invocation, a reading, some milliseconds.
pub const CHECK_IN: f64 = REQUEST + LOOK + 0.005 * SECOND;

/// One look at one order.
pub const LOOK: f64 = READ_UNIT / 2.0;

/// API Gateway WebSocket: a message of up to 32 KB.
pub const WEBSOCKET_MESSAGE: f64 = 1.00e-6;

/// API Gateway WebSocket: a connection's minute.
pub const WEBSOCKET_MINUTE: f64 = 0.25e-6;

/// AppSync Events: an operation; connecting, subscribing, publishing and each delivery are one each.
pub const APPSYNC_OPERATION: f64 = 1.00e-6;

/// AppSync Events: a connection's minute.
pub const APPSYNC_MINUTE: f64 = 0.08e-6;

/// Lambda Managed Instances: an hour of an m7g.large (2 vCPU).
pub const INSTANCE_HOUR: f64 = 0.0816;

/// Lambda Managed Instances: the management fee, a part of the instance's price.
pub const INSTANCE_FEE: f64 = 0.15;

/// Lambda Managed Instances: the most requests at a time on 2 vCPU, 64 each, and so the most streams.
pub const INSTANCE_STREAMS: f64 = 128.0;

/// Lambda Managed Instances: the fewest there are, one in each of three availability zones.
pub const FEWEST_INSTANCES: f64 = 3.0;

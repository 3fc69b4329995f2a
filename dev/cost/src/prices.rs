//! Prices that only the comparison uses. `order_status_stream::prices` has the others, and says which list they are from.

/// Data transfer to the internet: a byte, in the first 10 TB of a month. The policy does not count it: if it did, it would hold more,
/// and food would cost 10 % more by default for 0.04 s.
pub const EGRESS: f64 = 0.09e-9;

/// The response of a check-in that finds nothing, in bytes: 124 of body, the rest is its head.
pub const CHECK_IN_BYTES: f64 = 600.0;

/// DynamoDB on demand: a write request unit, for each KB.
pub const WRITE_UNIT: f64 = 0.625e-6;

/// API Gateway WebSocket: a message of up to 32 KB.
pub const WEBSOCKET_MESSAGE: f64 = 1.00e-6;

/// API Gateway WebSocket: a minute of a connection.
pub const WEBSOCKET_MINUTE: f64 = 0.25e-6;

/// AppSync Events: an operation. Each connect, subscribe, publish and delivery is one.
pub const APPSYNC_OPERATION: f64 = 1.00e-6;

/// AppSync Events: a minute of a connection.
pub const APPSYNC_MINUTE: f64 = 0.08e-6;

/// Lambda Managed Instances: an hour of a c7g.large, the smallest instance on which an environment of 2 GB fits.
pub const INSTANCE_HOUR: f64 = 0.0725;

/// Lambda Managed Instances: the management fee, as a part of the instance's price.
pub const INSTANCE_FEE: f64 = 0.15;

/// Lambda Managed Instances: the most concurrent requests of an environment, and so the most streams. One environment an
/// instance is assumed.
pub const STREAMS: f64 = 1600.0;

/// Lambda Managed Instances: the fewest instances, one in each of three availability zones.
pub const FEWEST_INSTANCES: f64 = 3.0;

/// ElastiCache for Valkey: an hour of a cache.t4g.micro.
pub const WAKE_HOUR: f64 = 0.0128;

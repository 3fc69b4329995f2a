//! The list prices of AWS that only the cost simulation uses. The policy's prices, in the same terms, come from the library.

pub use order_status_stream::prices::{CHECK_IN, POLL, READ_UNIT, REQUEST, SECOND};

/// DynamoDB on demand: a write request unit, for each KB.
pub const WRITE_UNIT: f64 = 0.625e-6;

/// API Gateway WebSocket: a message of up to 32 KB.
pub const WEBSOCKET_MESSAGE: f64 = 1.00e-6;

/// API Gateway WebSocket: a connection's minute.
pub const WEBSOCKET_MINUTE: f64 = 0.25e-6;

/// AppSync Events: an operation. Connecting, subscribing, publishing and each delivery are one each.
pub const APPSYNC_OPERATION: f64 = 1.00e-6;

/// AppSync Events: a connection's minute.
pub const APPSYNC_MINUTE: f64 = 0.08e-6;

/// Lambda Managed Instances: an hour of an m7g.large (2 vCPU).
pub const INSTANCE_HOUR: f64 = 0.0816;

/// Lambda Managed Instances: the management fee, as a part of the instance's price.
pub const INSTANCE_FEE: f64 = 0.15;

/// Lambda Managed Instances: the most requests at a time on 2 vCPU, 64 each. So it is also the most streams.
pub const INSTANCE_STREAMS: f64 = 128.0;

/// Lambda Managed Instances: the smallest number of instances, one in each of three availability zones.
pub const FEWEST_INSTANCES: f64 = 3.0;

//! Live order status in the browser: Server-Sent Events from AWS Lambda, fed by a DynamoDB Stream.
//!
//! The modules, in the order in which a change passes them:
//!
//! ```text
//!  Orders table ──stream──▶ projector ──append──▶ Feed table ──look──▶ stream ──SSE──▶ browser
//! ```
//!
//! - [`order`]: what the public knows of an order.
//! - [`change`]: a stream record, read as a change of that. Pure.
//! - [`number`], [`timestamp`]: what shops write as numbers and times. Pure.
//! - [`projector`]: a batch of records becomes entries of the feed, and the records that must come again.
//! - [`feed`]: a log for each order, in DynamoDB or in memory.
//! - [`cursor`]: how far a client has seen. Pure.
//! - [`dwell`]: how long orders stay in a status. Pure.
//! - [`hold`]: hold or rest, and for how long. Pure.
//! - [`session`]: one response, from a cursor, through the feed, to a clean ending.
//! - [`frame`]: Server-Sent Events to bytes. Pure.
//! - [`access`]: a token becomes the orders that it opens.
//! - [`request`]: a Lambda event, read as an HTTP request. Pure.
//! - [`endpoint`]: an HTTP request becomes a response.
//! - [`delivery`]: which is brought to Lambda, or given up.
//! - [`runtime`]: between `lambda_runtime` and the endpoint.
//!
//! Beside the path: [`clock`] is the only place that reads one, [`settings`] the environment, [`prices`] what AWS asks,
//! [`telemetry`] the logs, [`nodelay`] a socket option. The binaries `projector` and `stream` put these together and do nothing else.
//!
//! Nothing here knows whether it runs on Lambda, under `cargo lambda watch` or in a test.

#![warn(missing_docs)]

pub mod access;
pub mod change;
pub mod clock;
pub mod cursor;
pub mod delivery;
pub mod dwell;
pub mod endpoint;
pub mod feed;
pub mod frame;
pub mod hold;
pub mod nodelay;
pub mod number;
pub mod order;
pub mod prices;
pub mod projector;
pub mod request;
pub mod runtime;
pub mod session;
pub mod settings;
pub mod telemetry;
pub mod timestamp;

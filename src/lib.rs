//! Live order status in the browser: Server-Sent Events from AWS Lambda, fed by a DynamoDB Stream.
//!
//! ```text
//!  Orders table ──stream──▶ projector ──append──▶ Feed table ◀──poll── stream ──SSE──▶ browser
//! ```
//!
//! The modules, in the order in which a change passes them:
//!
//! - [`order`]: what the public may know of an order.
//! - [`customer`]: whose an order is. Pure.
//! - [`change`]: a change of what the public may know, and the record that it comes from. Pure.
//! - [`number`], [`timestamp`]: what shops write as numbers and times. Pure.
//! - [`projector`]: turns a batch of records into entries of the feed, and says which records must come again.
//! - [`feed`]: a log for each order and each customer, in DynamoDB or in memory.
//! - [`cursor`]: how far a client has seen. Pure.
//! - [`dwell`]: how long orders stay in a status. Pure.
//! - [`hold`]: hold or rest, and for how long. Pure.
//! - [`wake`]: tells held responses at once which order has changed, if a server for that is there.
//! - [`session`]: one response, from a cursor, through the feed, to a clean end.
//! - [`frame`]: from Server-Sent Events to bytes. Pure.
//! - [`access`]: which orders a token opens.
//! - [`request`]: an HTTP request, read from a Lambda event. Pure.
//! - [`cors`]: which pages may read the response. Pure.
//! - [`endpoint`]: from an HTTP request to a response.
//! - [`lambda`]: between `lambda_runtime` and the endpoint.
//!
//! All of them use these: [`clock`] is the only module that reads a clock. [`deadline`] has every time limit of a response.
//! [`invocation`] is what one invocation gets. [`settings`] reads the settings. [`prices`] are those of AWS. [`metrics`] counts, and
//! [`telemetry`] writes the logs and the metrics. The binaries `projector` and `stream` only put these together.
//!
//! Nothing here knows whether it runs on Lambda, under `cargo lambda watch` or in a test.

#![warn(missing_docs)]

pub mod access;
pub mod change;
pub mod clock;
pub mod cors;
pub mod cursor;
pub mod customer;
pub mod deadline;
pub mod dwell;
pub mod endpoint;
pub mod feed;
pub mod frame;
pub mod hold;
pub mod invocation;
pub mod lambda;
pub mod metrics;
pub mod number;
pub mod order;
pub mod prices;
pub mod projector;
pub mod request;
pub mod session;
pub mod settings;
pub mod telemetry;
pub mod timestamp;
pub mod wake;

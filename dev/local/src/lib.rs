//! What the two functions of order-status-stream need on one machine, without AWS. Never deployed.
//!
//! The modules in the order in which a change passes them:
//!
//! - [`shop`] writes orders,
//! - [`dynamo`] stores them and streams their changes,
//! - [`event_source`] delivers the stream to the projector, and [`as_kafka`] does it in the shape of Kafka's events,
//! - [`topic`] stands between the two if there is a broker of Kafka,
//! - [`page`] serves the page, on which a browser shows what the stream function sends.
//!
//! [`issuer`] makes the tokens that give access to orders. [`meter`] learns what the functions' calls consume, [`bill`] says what the
//! page's customers would be billed for, and [`connections`] cuts their connections.

pub mod as_kafka;
pub mod bill;
pub mod connections;
pub mod dynamo;
pub mod event_source;
pub mod issuer;
pub mod meter;
pub mod page;
pub mod shop;
pub mod topic;

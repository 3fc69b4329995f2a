//! The operator's command: shows, checks and repairs the feed. Never deployed.
//!
//! It reads the same environment variables as the functions (`FEED_TABLE`, `PUBLIC_ATTRIBUTES`, `STATUS_ATTRIBUTE` …), and finds
//! DynamoDB and credentials in the same way as the AWS command line. `docs/operations.md` says when to run it.
//!
//! - [`show`]: prints an order's log, or follows it.
//! - [`check`]: reads the whole feed and reports what breaks its [`laws`].
//! - [`backfill`]: touches orders, so that the projector sees them.
//! - [`token`]: a token for support.
//! - [`cost`]: what the deployment cost, from CloudWatch's metrics.
//! - [`output`]: lines for people or for programs, and the progress of long work.
pub mod backfill;
pub mod check;
pub mod checkpoint;
pub mod cost;
mod customers;
pub mod error;
pub mod filter;
pub mod ids;
pub mod laws;
pub mod output;
pub mod show;
pub mod tables;
pub mod token;

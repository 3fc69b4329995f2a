//! Tests of the event source, on the stream of an embedded DynamoDB and on one whose shards split.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../../tests/support/http.rs"]
mod http_support;
#[path = "../../../../tests/support/stream_server.rs"]
mod stream_server;

mod delivery;
mod event;
mod harness;
mod shards;

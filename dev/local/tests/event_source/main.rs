//! Tests of the event source on a real stream.
#![allow(clippy::unwrap_used, reason = "tests")]

mod delivery;
mod event;
mod harness;

//! The pump on a real stream: what arrives, in which batches, and what is delivered again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod delivery;
mod event;
mod stage;

//! Tests of the stand-in with a real function binary, `examples/function.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod faults;
mod harness;
mod invoke;
mod lifetime;
mod url;

//! What `local::runtime_api` promises, shown with a real function binary, `examples/function.rs`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod faults;
mod invoke;
mod lifetime;
mod stage;
mod url;

//! `template.yaml`: it takes what the functions take, and it sets up what they rely on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod document;
mod parameters;
mod resources;

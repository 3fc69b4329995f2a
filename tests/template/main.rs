//! `template.yaml`: it takes what the functions take, and it sets up what they rely on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../support/cloud.rs"]
mod cloud_support;
mod document;
mod parameters;
mod resources;

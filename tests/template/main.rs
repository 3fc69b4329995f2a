//! `template.yaml`: its parameters accept what the functions accept, and it creates what they rely on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../support/cloud.rs"]
mod cloud_support;
mod cloudfront;
mod dashboard;
mod filter;
mod kafka;
mod managed;
mod parameters;
mod resources;
mod rest_api;
mod stand_in;

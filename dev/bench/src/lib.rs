//! Measures order-status-stream beside what a team would use instead, and writes `docs/performance.md`.
//!
//! Each benchmark appends its results to a file of [`rows`]. The [`report`] makes one table of them.

pub mod cold;
pub mod report;
pub mod rows;

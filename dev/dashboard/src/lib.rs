//! `make dashboard`: draws the CloudWatch dashboard of `template.yaml` from the log of a local run. Never deployed.
//!
//! ```text
//! template.yaml ──▶ template ──▶ body ──┐
//!                                       ├──▶ graph ──▶ chart ──▶ page
//! stage ──▶ log lines ──▶ samples ──────┘      │
//!                                              └─ expression, statistic
//! ```
//!
//! - [`stage`]: the real functions, a shop and its customers for some minutes, and the lines that they write,
//! - [`template`]: reads `template.yaml`, and computes what CloudFormation makes of it,
//! - [`body`]: the dashboard's widgets,
//! - [`samples`]: the values of metrics in log lines of the embedded metric format,
//! - [`statistic`] and [`expression`]: what CloudWatch computes of them,
//! - [`graph`]: the lines of a widget,
//! - [`chart`] and [`page`]: the picture.
//!
//! It supports what the dashboard uses, and nothing else. If the dashboard uses something new, the error names it.

pub mod body;
pub mod chart;
pub mod expression;
pub mod graph;
pub mod page;
pub mod samples;
pub mod stage;
pub mod statistic;
pub mod template;

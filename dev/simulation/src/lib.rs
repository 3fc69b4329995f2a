//! The whole system in one process, from one seed, on simulated time.
//!
//! A seed decides everything: what shops write, which calls fail, where connections are cut. The projector, the session
//! and the endpoint are the real ones. Around them, in the order in which a change passes:
//!
//! - [`plan`]: which settings and faults a seed has.
//! - [`script`], [`shop`], [`item`], [`table`]: the Orders table, who writes it, and its stream.
//! - [`model`]: what the public must be told, computed from what the shop wrote.
//! - [`source`]: the event source mapping.
//! - [`platform`], [`tokens`]: deployments, processes and invocations.
//! - [`feed`], [`journal`]: the feed's table, and what was ever appended to it.
//! - [`client`], [`sse`], [`page`], [`rests`], [`reads`]: clients by the book, and what each of them may be told, and when.
//! - [`check`]: what must be true at the end.
//! - [`run`]: puts these together; [`report`]: the results of many seeds.
//!
//! `docs/simulation.md` says what is simulated, what is checked, and what cannot be found.

pub mod chance;
pub mod check;
pub mod client;
pub mod feed;
pub mod item;
pub mod journal;
pub mod model;
pub mod page;
pub mod plan;
pub mod platform;
pub mod reads;
pub mod report;
pub mod rests;
pub mod run;
pub mod script;
pub mod shop;
pub mod source;
pub mod sse;
pub mod table;
pub mod tokens;
pub mod world;

pub use report::{Report, run_many};
pub use run::{Outcome, simulate};

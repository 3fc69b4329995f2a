//! The whole system in one process, from one seed, in simulated time.
//!
//! A seed decides everything: what shops write, which calls fail, where connections are cut. The projector, the session
//! and the endpoint are the real ones. These modules surround them, in the order of a change's path:
//!
//! - [`plan`]: the settings and faults of a seed.
//! - [`script`], [`shop`], [`item`], [`table`]: the shop, its Orders table, and the table's stream.
//! - [`model`]: the states that the public must see, computed from the shop's writes.
//! - [`source`]: the event source mapping.
//! - [`platform`], [`tokens`]: deployments, processes and invocations.
//! - [`feed`], [`journal`]: the feed's table, and every entry that was ever appended to it.
//! - [`wake`]: the server that wakes held responses.
//! - [`client`], [`sse`], [`screen`], [`rests`], [`reads`]: clients that follow the protocol, and checks of what they get.
//! - [`check`]: the checks at the end.
//! - [`run`]: runs one seed; [`report`]: the results of many.
//!
//! `docs/simulation.md` says what is simulated, what is checked, and which faults the simulation cannot find.

pub mod chance;
pub mod check;
pub mod client;
pub mod customer;
pub mod feed;
pub mod item;
pub mod journal;
pub mod model;
pub mod plan;
pub mod platform;
pub mod reads;
pub mod report;
pub mod rests;
pub mod run;
pub mod screen;
pub mod script;
pub mod shop;
pub mod source;
pub mod sse;
pub mod table;
pub mod tokens;
pub mod wake;
pub mod world;

pub use report::{Report, run_many};
pub use run::{Outcome, simulate};

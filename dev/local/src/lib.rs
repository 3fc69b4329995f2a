//! The machine-local stage of order-status-stream: what the two functions need around them when there is no cloud.
//!
//! The modules in the order in which a change meets them:
//!
//! - [`shop`] writes orders,
//! - [`dynamo`] keeps them and streams their changes,
//! - [`pump`] carries the stream to the projector,
//! - [`page`] shows the browser what the stream function sends.
//!
//! [`issuer`] makes the tokens that open orders. For tests, [`runtime_api`] takes the place of Lambda: what an emulator lets pass, it does not.
//!
//! [`offspring`] sees to it that nothing of this outlives the command that started it. Never deployed.

pub mod dynamo;
pub mod issuer;
pub mod offspring;
pub mod page;
pub mod pump;
pub mod runtime_api;
pub mod shop;

//! Customers and staff, acted.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time;

use super::{Order, Shop, ShopError, Status};

/// How many orders are on their way at a time.
const OPEN: usize = 4;

/// One in so many orders' steps is a cancellation, or a note that customers must not see.
const RARE: usize = 12;

/// Orders that come and go by themselves. Those of other writers, the page's buttons among them, it leaves alone.
#[derive(Debug)]
pub struct Simulation {
    shop: Shop,
    /// Its own orders that are not finished, by id.
    open: Vec<String>,
}

impl Simulation {
    /// A shop that is about to open.
    #[must_use]
    pub fn new(shop: Shop) -> Self {
        Self {
            shop,
            open: Vec::new(),
        }
    }

    /// Something happens every `pace` or so, for ever.
    ///
    /// # Errors
    ///
    /// [`ShopError::Table`] alone.
    pub async fn run(mut self, pace: Duration) -> Result<Infallible, ShopError> {
        loop {
            self.step().await?;
            time::sleep(pace.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Places an order where too few are on their way, else lets something happen to one of them.
    ///
    /// # Errors
    ///
    /// [`ShopError::Table`] alone.
    pub async fn step(&mut self) -> Result<(), ShopError> {
        if self.open.len() < OPEN {
            let order = self.shop.place().await?;
            self.open.push(order.order_id);
            return Ok(());
        }
        let index = fastrand::usize(..self.open.len());
        let order_id = &self.open[index];
        let changed = match fastrand::usize(..RARE) {
            0 => self.shop.cancel(order_id).await,
            1 => {
                return self
                    .shop
                    .remark(order_id, "customer called, all is well")
                    .await;
            }
            _ => self.shop.advance(order_id).await,
        };
        let finished = match changed {
            Ok(Order { status, .. }) => {
                Status::parse(&status).is_none_or(|status| status.next().is_none())
            }
            // Someone else has finished or deleted it.
            Err(ShopError::Finished { .. } | ShopError::Unknown(_)) => true,
            Err(error) => return Err(error),
        };
        if finished {
            self.open.swap_remove(index);
        }
        Ok(())
    }
}

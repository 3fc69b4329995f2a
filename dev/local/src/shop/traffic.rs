//! Orders that come and go by themselves.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time;

use super::{Order, Shop, ShopError, Status};

/// Orders that are not finished, at a time.
const OPEN: usize = 4;

/// One step in this number is a cancellation, and another one is a note that customers must not see.
const RARE: usize = 12;

/// Changes its own orders only, not those that others place, for example with the buttons of the page.
#[derive(Debug)]
pub struct Traffic {
    shop: Shop,
    /// Its own orders that are not finished, by id.
    open: Vec<String>,
}

impl Traffic {
    #[must_use]
    pub fn new(shop: Shop) -> Self {
        Self {
            shop,
            open: Vec::new(),
        }
    }

    /// Makes a step every `interval` on average, for ever.
    pub async fn run(mut self, interval: Duration) -> Result<Infallible, ShopError> {
        loop {
            self.step().await?;
            time::sleep(interval.mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Places an order if too few are open. Otherwise it changes one of them.
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

//! Orders of the page's customers, which the shop places and moves on by itself.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{self, Instant};

use super::{Order, Shop, ShopError, Status};
use crate::bill::CUSTOMERS;

/// Orders of a customer that are not finished, at a time. Those that the visitor places come on top.
const OPEN: usize = 2;

/// One step in this number is a cancellation, and another one is a note that customers must not see.
const RARE: usize = 25;

/// The time between two looks at what is due.
const INTERVAL: Duration = Duration::from_millis(250);

/// The mean time until the next order of a customer who has too few. A customer without any places one at once.
const PAUSE: Duration = Duration::from_secs(20);

/// Moves the orders that it has placed, and those that it is told of. It leaves all others alone.
#[derive(Debug)]
pub struct Traffic {
    shop: Shop,
    /// The ids of orders that the customers have placed.
    placed: mpsc::UnboundedReceiver<String>,
    open: Vec<Moving>,
    /// When each customer places the next order.
    next_order: [Instant; CUSTOMERS.len()],
}

/// An order on its way.
#[derive(Debug)]
struct Moving {
    order_id: String,
    /// Whose order it is, if the shop has placed it.
    customer: Option<&'static str>,
    /// When it changes.
    due: Instant,
}

/// The mean time that an order stays in a status. The first ones are quick, so a held response shows them. Later, nothing is due for
/// a while, and pages rest.
fn dwell(status: &str) -> Duration {
    let seconds = match Status::parse(status) {
        Some(Status::Placed | Status::Paid) => 4.0,
        Some(Status::Preparing | Status::Shipped) => 40.0,
        _ => 20.0,
    };
    about(Duration::from_secs_f64(seconds))
}

/// A time around a mean, at most a quarter away.
fn about(mean: Duration) -> Duration {
    mean.mul_f64(0.75 + fastrand::f64() / 2.0)
}

impl Traffic {
    /// `placed` gets the ids of orders that the customers place themselves.
    #[must_use]
    pub fn new(shop: Shop, placed: mpsc::UnboundedReceiver<String>) -> Self {
        Self {
            shop,
            placed,
            open: Vec::new(),
            next_order: [Instant::now(); CUSTOMERS.len()],
        }
    }

    /// Runs for ever. Nothing happens while nobody looks.
    pub async fn run(mut self, is_watched: impl Fn() -> bool) -> Result<Infallible, ShopError> {
        loop {
            if is_watched() {
                self.step(Instant::now()).await?;
            }
            time::sleep(INTERVAL).await;
        }
    }

    /// Does everything that is due: moves orders, and places new ones if a customer has too few.
    pub async fn step(&mut self, now: Instant) -> Result<(), ShopError> {
        while let Ok(order_id) = self.placed.try_recv() {
            let due = now + dwell(Status::Placed.as_str());
            self.open.push(Moving {
                order_id,
                customer: None,
                due,
            });
        }
        for (nth, customer) in CUSTOMERS.into_iter().enumerate() {
            let own = |order: &&Moving| order.customer == Some(customer);
            let open = self.open.iter().filter(own).count();
            if open == 0 || (open < OPEN && now >= self.next_order[nth]) {
                let order = self.shop.place_for(Some(customer)).await?;
                self.next_order[nth] = now + about(PAUSE);
                self.open.push(Moving {
                    due: now + dwell(&order.status),
                    order_id: order.order_id,
                    customer: Some(customer),
                });
            }
        }
        let mut kept = Vec::new();
        for mut order in std::mem::take(&mut self.open) {
            let is_open = now < order.due || self.advance(&mut order, now).await?;
            kept.extend(is_open.then_some(order));
        }
        self.open = kept;
        Ok(())
    }

    /// Changes an order, and returns whether it may change again.
    async fn advance(&self, order: &mut Moving, now: Instant) -> Result<bool, ShopError> {
        let order_id = &order.order_id;
        let changed = match fastrand::usize(..RARE) {
            0 => self.shop.cancel(order_id).await,
            1 => {
                self.shop
                    .remark(order_id, "customer called, all is well")
                    .await?;
                self.shop.advance(order_id).await
            }
            _ => self.shop.advance(order_id).await,
        };
        match changed {
            Ok(Order { status, .. }) => {
                order.due = now + dwell(&status);
                Ok(Status::parse(&status).is_some_and(|status| status.next().is_some()))
            }
            // Someone else has finished or deleted it.
            Err(ShopError::Finished { .. } | ShopError::Unknown(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

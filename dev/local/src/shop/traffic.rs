//! Orders of the page's customers, which the shop places and moves on by itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{self, Instant};

use super::dwells::{about, dwell};
use super::{Order, Shop, ShopError, Status};
use crate::bill::CUSTOMERS;

/// Orders of a customer that are not finished, at a time. Those that the visitor places come on top.
const OPEN: usize = 2;

/// One step in this number is a cancellation, and another one is a note that customers must not see.
const RARE: usize = 25;

/// The time between two polls for due changes.
const INTERVAL: Duration = Duration::from_millis(250);

/// The mean time until the next order of a customer who has too few. A customer without any places one at once.
const PAUSE: Duration = Duration::from_secs(20);

/// How much later than the one before each customer places the first order, so that their pages do not do the same at the same time.
const APART: Duration = Duration::from_secs(6);

/// Moves the orders that it has placed, and those that it is told of. It leaves all others alone.
#[derive(Debug)]
pub struct Traffic {
    shop: Shop,
    /// The ids of orders that the customers have placed.
    placed: mpsc::UnboundedReceiver<String>,
    open: Vec<Moving>,
    /// When each customer places the next order, once a page was open.
    next_order: BTreeMap<&'static str, Next>,
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

/// When a customer places an order.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The first one.
    First(Instant),
    /// Another one. At once if no other is on its way.
    Another(Instant),
}

impl Traffic {
    /// `placed` gets the ids of orders that the customers place themselves.
    #[must_use]
    pub fn new(shop: Shop, placed: mpsc::UnboundedReceiver<String>) -> Self {
        Self {
            shop,
            placed,
            open: Vec::new(),
            next_order: BTreeMap::new(),
        }
    }

    /// Runs for ever. Nothing happens while no page is open.
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
            let due = now + dwell(Status::Placed);
            self.open.push(Moving {
                order_id,
                customer: None,
                due,
            });
        }
        self.advance_due(now).await?;
        let mut first = now;
        for customer in CUSTOMERS {
            let next = *self
                .next_order
                .entry(customer)
                .or_insert(Next::First(first));
            first += APART;
            let own = self.open.iter();
            let own = own.filter(|order| order.customer == Some(customer)).count();
            let is_due = match next {
                Next::First(at) => now >= at,
                Next::Another(at) => own == 0 || (own < OPEN && now >= at),
            };
            if is_due {
                let another = Next::Another(now + about(PAUSE));
                self.next_order.insert(customer, another);
                self.place(customer, now).await?;
            }
        }
        Ok(())
    }

    async fn advance_due(&mut self, now: Instant) -> Result<(), ShopError> {
        let mut kept = Vec::new();
        for mut order in std::mem::take(&mut self.open) {
            let is_open = now < order.due || self.advance(&mut order, now).await?;
            kept.extend(is_open.then_some(order));
        }
        self.open = kept;
        Ok(())
    }

    async fn place(&mut self, customer: &'static str, now: Instant) -> Result<(), ShopError> {
        let order = self.shop.place_for(Some(customer)).await?;
        self.open.push(Moving {
            order_id: order.order_id,
            customer: Some(customer),
            due: now + dwell(Status::Placed),
        });
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
                let status = Status::parse(&status).filter(|status| status.next().is_some());
                order.due = now + status.map_or(Duration::ZERO, dwell);
                Ok(status.is_some())
            }
            // Someone else has finished or deleted it.
            Err(ShopError::Finished { .. } | ShopError::Unknown(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

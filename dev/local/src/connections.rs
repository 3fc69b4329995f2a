//! The customers' connections to the stream function, which the page can cut.
//!
//! Each customer's browser reaches the function through the page's server. There a connection can be cut as a network does it: the
//! browser gets no end of its response, and its next requests get no response at all. The function does not learn of it, and what it has
//! begun is billed to its end, as on Lambda.

pub(crate) mod breakable;
pub(crate) mod relay;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::bill::CUSTOMERS;

/// Which customers are cut off. Clones share it.
#[derive(Clone, Debug)]
pub struct Connections(Arc<BTreeMap<&'static str, watch::Sender<bool>>>);

impl Default for Connections {
    /// Nobody is cut off.
    fn default() -> Self {
        let each = CUSTOMERS.map(|customer| (customer, watch::Sender::new(false)));
        Self(Arc::new(each.into_iter().collect()))
    }
}

impl Connections {
    /// Cuts a customer's connections now, and refuses new ones until it is called with `false`.
    pub fn cut(&self, customer: &str, is_cut: bool) {
        if let Some(cut) = self.0.get(customer) {
            cut.send_replace(is_cut);
        }
    }

    #[must_use]
    pub fn is_cut(&self, customer: &str) -> bool {
        self.0.get(customer).is_some_and(|cut| *cut.borrow())
    }

    /// Waits until the customer is cut off. It may wait for ever.
    pub(crate) async fn until_cut(&self, customer: &str) {
        let waiting = self.0.get(customer).map(watch::Sender::subscribe);
        if let Some(mut cut) = waiting
            && cut.wait_for(|is_cut| *is_cut).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

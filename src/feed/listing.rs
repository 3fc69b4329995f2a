//! An entry of a customer's log: what the order's entry says, and what only this log needs. Pure.

use serde::{Deserialize, Serialize};

use super::entry::{Entry, TOMBSTONE, is_false};
use crate::customer::{Place, Unfinished};
use crate::order::{PublicView, Status};

/// What an entry of a customer's log says beyond its order's entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// The entry's place.
    pub at: Place,
    /// Whether the order is no longer this customer's. Then the entry shows nothing else of it, and counts as terminal.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
    /// The customer's other orders that were unfinished then.
    #[serde(default, skip_serializing_if = "Unfinished::is_empty")]
    pub others: Unfinished,
}

/// Which customer's log an entry of an order goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The log of the customer who has the order.
    Has,
    /// The log of the customer who had it.
    Had,
}

impl Entry {
    /// The place of an order's entry in a customer's log.
    pub(super) fn place(&self, whose: Whose) -> Option<&Place> {
        match whose {
            Whose::Has => self.customer.as_ref(),
            Whose::Had => self.former.as_ref(),
        }
    }

    /// Whether the entry is in a customer's log.
    pub(super) fn names_customers(&self) -> bool {
        self.customer.is_some() || self.former.is_some()
    }

    pub(super) fn place_mut(&mut self, whose: Whose) -> Option<&mut Place> {
        match whose {
            Whose::Has => self.customer.as_mut(),
            Whose::Had => self.former.as_mut(),
        }
    }

    /// The entry of a customer's log for this entry of an order's log.
    ///
    /// `head` is the entry before it in that log, and `superseded` the entry before it in the order's log. If the entry is
    /// terminal, it is shown until `until`, in seconds since the Unix epoch.
    pub(super) fn listed(
        &self,
        at: &Place,
        whose: Whose,
        head: Option<&Self>,
        superseded: Option<&Self>,
        until: u64,
    ) -> Self {
        let gone = whose == Whose::Had;
        let until = match (gone, self.terminal) {
            (false, false) => None,
            (false, true) => self.expires_at.or(Some(until)),
            (true, _) => Some(until),
        };
        let listed = Self {
            position: self.position.hashed(),
            sources: Vec::new(),
            began: false,
            removed: false,
            begins: false,
            terminal: self.terminal || gone,
            shown_until: until,
            expires_at: until.map(kept_until),
            customer: None,
            former: None,
            listing: Some(Listing {
                at: at.clone(),
                gone,
                others: self.others(at, head, superseded),
            }),
            ..self.clone()
        };
        match gone {
            true => listed.without_state(superseded),
            false => listed,
        }
    }

    /// The new state is not for the customer who had the order.
    fn without_state(self, superseded: Option<&Self>) -> Self {
        Self {
            status: superseded.map_or_else(Status::removed, |before| before.status.clone()),
            previous: None,
            view: PublicView::new(),
            ..self
        }
    }

    /// The other unfinished orders of the customer. They are those of the entry before, and its own order, but this order is not
    /// among them.
    fn others(&self, at: &Place, head: Option<&Self>, superseded: Option<&Self>) -> Unfinished {
        let mut others = head
            .and_then(|head| head.listing.as_ref())
            .map_or_else(Unfinished::default, |listing| listing.others.clone());
        // This order is not among the others of its own entry.
        if head.is_some_and(|head| head.order == self.order) {
            return others;
        }
        if let Some(head) = head.filter(|head| !head.terminal) {
            others.add(&head.status, head.since());
        }
        let before = superseded.filter(|before| before.customer_id() == Some(&at.customer));
        if let Some(before) = before.filter(|before| !before.terminal) {
            others.remove(&before.status, before.since());
        }
        others
    }

    /// The same entry of a customer's log, after the order's entry became terminal, or stopped being terminal.
    pub(super) fn relisted(&self, terminal: bool, until: u64) -> Self {
        let until = terminal.then_some(until);
        Self {
            terminal,
            shown_until: until,
            expires_at: until.map(kept_until),
            ..self.clone()
        }
    }

    /// Whether it says that the order is no longer the customer's.
    pub fn is_gone(&self) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.gone)
    }

    /// Whether this entry of a customer's log is that of an order's entry.
    pub(super) fn lists(&self, entry: &Self) -> bool {
        self.listing.is_some() && (&self.order, self.seq) == (&entry.order, entry.seq)
    }
}

/// The newest entry of a log shows how far the log reached. So it remains for as long as a tombstone.
fn kept_until(shown_until: u64) -> u64 {
    shown_until.saturating_add(TOMBSTONE.as_secs())
}

//! The laws of customers' logs. Pure.

use std::collections::HashMap;

use order_status_stream::feed::{Entry, LogId};
use order_status_stream::order::OrderId;

use crate::laws::{Finding, Law, Terms};

/// What was read of customers' logs.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// The entry that was read last.
    before: Option<Entry>,
    /// The last entry of each order in each log.
    newest: HashMap<(LogId, OrderId), Entry>,
}

impl Lists {
    /// Takes the next entry of a customer's log, and returns what breaks a law.
    pub(crate) fn take(&mut self, entry: Entry, terms: &Terms) -> Vec<Finding> {
        let log = entry.log();
        let mut findings = Vec::new();
        let mut found = |seq, law, detail: String| {
            findings.push(Finding::new(&log.to_string(), Some(seq), law, detail));
        };
        if let Some(before) = self.before.as_ref().filter(|before| before.log() == log) {
            let expected = before.number().next();
            // An entry between the two was appended after the first one, and is kept at least for the retention.
            if entry.number() != expected && !terms.may_have_expired(before) {
                let detail = format!("it should be entry {expected}");
                found(entry.number().0, Law::Dense, detail);
            }
        }
        let key = (log.clone(), entry.order.clone());
        if let Some(superseded) = self.newest.get(&key)
            && superseded.expires_at.is_none()
            && terms.is_settled(&entry)
        {
            let detail = format!(
                "the order's entry {} followed, and it has no expiry",
                entry.number()
            );
            found(superseded.number().0, Law::Expires, detail);
        }
        if entry.terminal && entry.expires_at.is_none() {
            let detail = "it is terminal and has no expiry".to_owned();
            found(entry.number().0, Law::Expires, detail);
        }
        self.newest.insert(key, entry.clone());
        self.before = Some(entry);
        findings
    }

    /// Whether the last entry of an order in its customer's log is that of the newest entry of the order's log. True for an order
    /// without a customer.
    pub(crate) fn lists(&self, newest: &Entry) -> bool {
        let Some(customer) = newest.customer_id() else {
            return true;
        };
        let key = (LogId::from(customer), newest.order.clone());
        self.newest.get(&key).is_some_and(|listed| {
            (listed.seq, listed.terminal, listed.is_gone()) == (newest.seq, newest.terminal, false)
        })
    }
}

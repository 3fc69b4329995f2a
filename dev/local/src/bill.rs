//! The bill of the last minute: what the customers of the page used, and what that costs at AWS's list prices.
//!
//! A customer's part has the requests that began within the minute, the time for which responses were open in it, and the read units of
//! the customer's log. A minute counts as watched while a page says that it is open. Dwell times, which each process reads once in ten
//! minutes for all customers, are nobody's.

mod usage;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use order_status_stream::feed::LogId;
use order_status_stream::prices::SECOND;
use serde::Serialize;
use tokio::time::Instant;

use crate::meter::Call;
pub use usage::{Part, Price, Used};

/// The customers of the page.
pub const CUSTOMERS: [&str; 2] = ["ada", "ben"];

/// What the page's bill is about.
pub const MINUTE: Duration = Duration::from_secs(60);

/// A page says each second that it is open. If it has not for this long, it was hidden or closed meanwhile.
const SILENCE: Duration = Duration::from_secs(3);

/// What each customer used. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// How much of the past the bill is about.
    window: Duration,
    accounts: Arc<Mutex<Accounts>>,
}

impl Default for Ledger {
    /// The bill of the last minute.
    fn default() -> Self {
        Self::over(MINUTE)
    }
}

#[derive(Debug, Default)]
struct Accounts {
    customers: BTreeMap<&'static str, Account>,
    /// When each page said last that its customer watches.
    seen: HashMap<(String, &'static str), Instant>,
}

#[derive(Debug, Default)]
struct Account {
    /// The number of the next request.
    next: u64,
    requests: BTreeMap<u64, Span>,
    reads: VecDeque<(Instant, f64)>,
    watched: VecDeque<Span>,
}

/// A time that may not have ended.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Instant,
    to: Option<Instant>,
}

/// A request whose response has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    customer: &'static str,
    number: u64,
}

/// The bill.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    pub customers: BTreeMap<&'static str, Part>,
    pub total: Part,
    /// The price of a million minutes for which a response is held, without requests and reads.
    pub held_always: f64,
}

/// One of [`CUSTOMERS`].
#[must_use]
pub fn customer(name: &str) -> Option<&'static str> {
    CUSTOMERS.into_iter().find(|customer| *customer == name)
}

/// Counts what a call to the database consumed, if it reads a customer's log. For a [`Meter`](crate::meter::Meter).
pub fn count_read(ledger: &Ledger, call: Call<'_>) {
    let Some(values) = call.body["ExpressionAttributeValues"].as_object() else {
        return;
    };
    let keys = values.values().filter_map(|value| value["S"].as_str());
    let mut customers = keys.filter_map(|key| match LogId::parse(key)? {
        LogId::Customer(id) => customer(id.as_str()),
        LogId::Order(_) => None,
    });
    if let Some(customer) = customers.next()
        && call.target.ends_with("Query")
    {
        ledger.read(customer, call.units, Instant::now());
    }
}

impl Ledger {
    /// The bill of the last `window`.
    #[must_use]
    pub fn over(window: Duration) -> Self {
        Self {
            window,
            accounts: Arc::default(),
        }
    }

    /// Counts a request.
    pub fn begin(&self, customer: &'static str, now: Instant) -> Open {
        let mut accounts = self.lock();
        let account = accounts.customers.entry(customer).or_default();
        account.forget(now, self.window);
        let number = account.next;
        account.next += 1;
        account.requests.insert(
            number,
            Span {
                from: now,
                to: None,
            },
        );
        Open { customer, number }
    }

    /// Notes that the response has ended. Until then it is billed.
    pub fn end(&self, open: Open, now: Instant) {
        let mut accounts = self.lock();
        let account = accounts.customers.entry(open.customer).or_default();
        if let Some(span) = account.requests.get_mut(&open.number) {
            span.to = Some(now);
        }
    }

    /// Counts read units of a customer's log.
    pub fn read(&self, customer: &'static str, units: f64, now: Instant) {
        let mut accounts = self.lock();
        let account = accounts.customers.entry(customer).or_default();
        account.forget(now, self.window);
        account.reads.push_back((now, units));
    }

    /// A page says that it is open, and which customers watch there.
    pub fn watch(&self, visit: &str, customers: &[&'static str], now: Instant) {
        let mut accounts = self.lock();
        accounts
            .seen
            .retain(|_, seen| now.duration_since(*seen) < SILENCE);
        for &customer in customers {
            let before = accounts.seen.insert((visit.to_owned(), customer), now);
            let from = before.unwrap_or(now);
            let account = accounts.customers.entry(customer).or_default();
            account.forget(now, self.window);
            account.watched.push_back(Span {
                from,
                to: Some(now),
            });
        }
    }

    /// Whether a page is open.
    #[must_use]
    pub fn is_watched(&self, now: Instant) -> bool {
        let accounts = self.lock();
        let mut seen = accounts.seen.values();
        seen.any(|seen| now.duration_since(*seen) < SILENCE)
    }

    /// The bill at `now`.
    #[must_use]
    pub fn bill(&self, now: Instant) -> Bill {
        let accounts = self.lock();
        let mut customers = BTreeMap::new();
        let mut total = Used::default();
        for customer in CUSTOMERS {
            let account = accounts.customers.get(customer);
            let used = account.map_or_else(Used::default, |account| account.used(now, self.window));
            total = total + used;
            customers.insert(customer, used.priced());
        }
        Bill {
            customers,
            total: total.priced(),
            held_always: 60e6 * SECOND,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Forgets what ended before the window.
    fn forget(&mut self, now: Instant, window: Duration) {
        let is_recent = |at: Instant| now.duration_since(at) <= window;
        self.requests
            .retain(|_, span| span.to.is_none_or(is_recent));
        self.watched.retain(|span| span.to.is_none_or(is_recent));
        self.reads.retain(|(at, _)| is_recent(*at));
    }

    fn used(&self, now: Instant, window: Duration) -> Used {
        let is_recent = |at: Instant| now.duration_since(at) < window;
        let requests = self.requests.values();
        let reads = self.reads.iter().filter(|(at, _)| is_recent(*at));
        let watched: Duration = self
            .watched
            .iter()
            .map(|span| span.within(now, window))
            .sum();
        Used {
            requests: requests
                .clone()
                .filter(|span| is_recent(span.from))
                .map(|_| 1)
                .sum(),
            held_ms: requests.map(|span| billed(span.within(now, window))).sum(),
            read_units: reads.map(|(_, units)| units).sum(),
            watched_ms: u64::try_from(watched.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Span {
    /// The part of it within the window before `now`.
    fn within(&self, now: Instant, window: Duration) -> Duration {
        let to = self.to.unwrap_or(now);
        // The clock of a machine that was just started may be younger than the window.
        let start = now
            .checked_sub(window)
            .map_or(self.from, |start| start.max(self.from));
        to.saturating_duration_since(start)
    }
}

/// Lambda rounds each invocation up to a millisecond.
fn billed(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

//! Tells the held responses of a process at once which order has a new entry.
//!
//! ```text
//! projector ──append──▶ Feed table ◀─────────────read──────────────┐
//!     └──publish──▶ Valkey or Redis ──one connection──▶ Wake ──▶ held responses
//! ```
//!
//! A message names an order and the number of its newest entry. It is only a hint: it may be lost, late, repeated or wrong. A
//! response that is woken reads the feed, and shows only what it read there. So a lost message costs latency, never a change:
//! every response also polls the feed. It does so every `POLL_INTERVAL` until its subscriptions are confirmed, and every
//! `WAKE_POLL_INTERVAL` from then on, as long as the connection answers.
//!
//! [`Wake`] and [`Publisher`] know no server. A transport drives them: with the cargo feature `wake`, Valkey or Redis.

mod publisher;
#[cfg(feature = "wake")]
mod redis;
#[cfg(feature = "wake")]
mod retries;
mod subscription;
mod url;

use thiserror::Error;

pub use publisher::Publisher;
pub use subscription::{Changes, Subscription, Wake};
pub use url::WakeUrl;

/// Why the wake cannot start.
#[derive(Debug, Error)]
pub enum WakeError {
    /// The binary was built without the cargo feature.
    #[error(
        "WAKE_URL is set, but this binary was built without the feature that it needs: build it with `--features wake` \
         (make build FEATURES=wake), or leave WAKE_URL empty"
    )]
    NotBuilt,
    /// The library does not accept the URL. Its error is not shown, because it could contain the password.
    #[error("WAKE_URL cannot be used, it must be a URL such as rediss://user:password@host:6379")]
    Url,
}

/// The channel of an order is this prefix and the order's id. So several stacks can share one server.
#[cfg(feature = "wake")]
fn channel_prefix(feed_table: &str) -> String {
    format!("{feed_table}:")
}

/// Publishes on the channels of the feed's orders from now on, in a task of its own.
///
/// # Errors
///
/// [`WakeError`] if this binary has no transport, or cannot use the URL.
pub fn publish(url: &WakeUrl, feed_table: &str) -> Result<Publisher, WakeError> {
    #[cfg(feature = "wake")]
    {
        let publisher = Publisher::default();
        let server = redis::Server::new(url, channel_prefix(feed_table))?;
        tokio::spawn(redis::publish(server, publisher.clone()));
        Ok(publisher)
    }
    #[cfg(not(feature = "wake"))]
    {
        let _ = (url, feed_table);
        Err(WakeError::NotBuilt)
    }
}

/// Listens to the channels of the orders that are held from now on, in a task of its own. `poll_interval` is the time between
/// two polls while the wake works.
///
/// # Errors
///
/// [`WakeError`] if this binary has no transport, or cannot use the URL.
pub fn listen(
    url: &WakeUrl,
    feed_table: &str,
    poll_interval: std::time::Duration,
) -> Result<Wake, WakeError> {
    #[cfg(feature = "wake")]
    {
        let wake = Wake::new(poll_interval);
        let server = redis::Server::new(url, channel_prefix(feed_table))?;
        tokio::spawn(redis::listen(server, wake.clone()));
        Ok(wake)
    }
    #[cfg(not(feature = "wake"))]
    {
        let _ = (url, feed_table, poll_interval);
        Err(WakeError::NotBuilt)
    }
}

//! The settings of the wake: `WAKE_URL` and `WAKE_POLL_INTERVAL`.

use super::duration::{Limits, seconds};
use super::reader::Reader;
use super::{ProjectorSettings, StreamSettings};
use crate::wake::{self, Publisher, Wake, WakeError, WakeUrl};

/// Below a second, a wake saves nothing. A response is held for 15 minutes at most, so a longer interval means no polls.
pub(super) const WAKE_POLL_INTERVAL: Limits = Limits::up_to_minutes(seconds(1)..=seconds(900));

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    /// The error does not repeat the value, because it may contain a password.
    pub(super) fn wake_url(&mut self) -> Option<WakeUrl> {
        let url = WakeUrl::parse(&self.get("WAKE_URL")?);
        if url.is_none() {
            self.error(
                "WAKE_URL must be the URL of Valkey or Redis, such as rediss://user:password@host:6379, with a \
                 percent-encoded password"
                    .to_owned(),
            );
        }
        url
    }
}

impl ProjectorSettings {
    /// Begins to publish; `None` without `WAKE_URL`.
    ///
    /// # Errors
    ///
    /// [`WakeError`] if this binary cannot.
    pub fn publisher(&self) -> Result<Option<Publisher>, WakeError> {
        let url = self.wake_url.as_ref();
        url.map(|url| wake::publish(url, &self.feed_table))
            .transpose()
    }
}

impl StreamSettings {
    /// Begins to listen; `None` without `WAKE_URL`.
    ///
    /// # Errors
    ///
    /// [`WakeError`] if this binary cannot.
    pub fn wake(&self) -> Result<Option<Wake>, WakeError> {
        let url = self.wake_url.as_ref();
        url.map(|url| wake::listen(url, &self.feed_table, self.wake_poll_interval))
            .transpose()
    }
}

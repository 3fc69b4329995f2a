//! What is counted of a response, and the log line of one that was held.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::finish::Cause;
use super::{Phase, Session};
use crate::feed::{Discontinuity, Entry};
use crate::metrics::{Count, Delay};

/// A client that comes back after this time, or after the longest rest if that is longer, was away by itself: the delay of what
/// changed meanwhile is not the system's. During an outage, rests reach 36 s.
const LONGEST_ABSENCE: Duration = Duration::from_secs(60);

/// The name of the end of a response whose client has left.
const CLIENT_LEFT: &str = "ClientLeft";

/// What is counted when a session is dropped.
#[derive(Debug)]
pub(super) struct Account {
    /// The invocation's, so that every log line names the request.
    pub(super) span: Span,
    held_since: Option<Instant>,
    /// How the response ends, and how long the client rests.
    end: Option<(Count, Duration)>,
}

impl Account {
    pub(super) fn new() -> Self {
        Self {
            span: Span::current(),
            held_since: None,
            end: None,
        }
    }

    /// The response is held from now on.
    pub(super) fn hold(&mut self, now: Instant) {
        self.held_since.get_or_insert(now);
    }

    /// The response ends. If it ends twice, the first end was not sent.
    pub(super) fn end(&mut self, end: Count, rest: Duration) {
        self.end = Some((end, rest));
    }
}

impl Cause {
    pub(super) fn count(self) -> Count {
        match self {
            Self::NothingDue(_) => Count::RestedNothingDue,
            Self::WindowOver => Count::RestedWindowOver,
            Self::SlowReader => Count::RestedSlowReader,
            Self::FeedFailed => Count::RestedFeedFailed,
            Self::KeysUnavailable => Count::RestedKeysUnavailable,
            Self::TooMuchOpen(_) => Count::RestedTokenLimit,
            Self::Panicked => Count::RestedPanicked,
        }
    }
}

impl<F> Session<F> {
    pub(super) fn count_opened(&self) {
        let metrics = &self.shared.metrics;
        metrics.count(Count::StreamsOpened);
        if !self.timing.first_visit {
            metrics.count(Count::CheckIns);
        }
    }

    pub(super) fn count_reset(&self, reason: Discontinuity) {
        self.shared.metrics.count(match reason {
            Discontinuity::Trimmed => Count::ResetsTrimmed,
            Discontinuity::UnknownCursor => Count::ResetsUnknownCursor,
        });
    }

    /// Records how late a change is, unless it is part of the history that a new visitor is shown, or the client was away.
    pub(super) fn record_delay(&self, entry: &Entry) {
        if self.timing.first_visit && !self.caught_up {
            return;
        }
        let longest_rest = self.timing.policy.map(|policy| policy.max_rest);
        let absence = longest_rest
            .unwrap_or_default()
            .mul_f64(1.1)
            .max(LONGEST_ABSENCE);
        let now = self.clock.epoch();
        let since = |millis: u64| now.saturating_sub(Duration::from_millis(millis));
        let open = self.clock.now() - self.clock.start();
        if since(entry.appended_at) > open + absence {
            return;
        }
        let metrics = &self.shared.metrics;
        metrics.record(Delay::FeedDelay, since(entry.appended_at));
        if let Some(recorded_at) = entry.recorded_at {
            metrics.record(Delay::ChangeDelay, since(recorded_at));
        }
    }
}

impl<F> Drop for Session<F> {
    fn drop(&mut self) {
        // Nothing was sent, as for `HEAD`.
        if matches!(self.phase, Phase::Opening | Phase::Postponing(_)) {
            return;
        }
        let _span = self.account.span.enter();
        let metrics = &self.shared.metrics;
        if let Some((end, rest)) = self.account.end {
            metrics.count(end);
            metrics.add_time(Count::RestTime, rest);
        }
        let changes = self.outbox.changes();
        metrics.add(Count::ChangesDelivered, changes);
        if let Some(since) = self.account.held_since {
            let held = self.clock.now().saturating_duration_since(since);
            metrics.add_time(Count::HeldTime, held);
            let end = self.account.end.map_or(CLIENT_LEFT, |(end, _)| end.name());
            let held_ms = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(held_ms, changes, end, "a held response has ended");
        }
    }
}

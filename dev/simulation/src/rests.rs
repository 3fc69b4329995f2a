//! Checks how long clients rest: P12 and P26.

use std::time::Duration;

use order_status_stream::settings::StreamSettings;
use serde_json::Value;

/// The longest rest while the feed fails.
const UNAVAILABLE: Duration = Duration::from_secs(36);

/// A rest may have exactly the shortest length by chance, but not this often.
const MAX_SHORTEST: u32 = 5;

/// The rests of a client.
#[derive(Debug, Default)]
pub struct Rests {
    shortest: u32,
    /// How long it rested in a row while every order was unknown.
    unknown_for: Duration,
}

impl Rests {
    /// The client has a new cursor, which counts no check-ins.
    pub fn begin_again(&mut self) {
        self.unknown_for = Duration::ZERO;
    }

    /// Checks the `rest` of a response that was held for some time. Returns the promise that it breaks.
    pub fn rest(
        &mut self,
        held: Duration,
        data: &Value,
        retry: Option<u64>,
        unknown: bool,
        settings: &StreamSettings,
    ) -> Option<String> {
        let sent = data["retry"].as_u64();
        let rest = Duration::from_millis(sent.unwrap_or_default());
        let failed = data["unavailable"].as_bool().unwrap_or_default();
        let max_rest = settings
            .policy
            .map_or(Duration::from_secs(1), |policy| policy.max_rest);
        let longest = if failed {
            UNAVAILABLE
        } else {
            max_rest.mul_f64(1.1).max(Duration::from_millis(1600))
        };
        self.shortest += u32::from(sent == Some(1000));
        let unknown_for = self.unknown_for;
        self.unknown_for = if unknown && !failed {
            unknown_for + rest
        } else {
            Duration::ZERO
        };
        if sent != retry {
            Some(format!("a rest of {sent:?} with retry {retry:?}"))
        } else if !(Duration::from_secs(1)..=longest).contains(&rest) {
            Some(format!("a rest of {rest:?}"))
        } else if self.shortest == MAX_SHORTEST {
            Some(format!("{MAX_SHORTEST} rests of exactly 1000 ms"))
        } else if unknown
            && !failed
            && settings.policy.is_some()
            && held + rest < max_rest.mul_f64(0.5).min(unknown_for / 25)
        {
            Some(format!(
                "a rest of {rest:?} after {unknown_for:?} in which the orders were unknown"
            ))
        } else {
            None
        }
    }
}

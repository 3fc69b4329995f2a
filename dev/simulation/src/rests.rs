//! How long a client is told to rest: P12 and P26.

use std::time::Duration;

use order_status_stream::settings::StreamSettings;
use serde_json::Value;

/// The longest rest while the feed fails.
const UNAVAILABLE: Duration = Duration::from_secs(72);

/// Rests of exactly the shortest length happen by chance, but not that often.
const AT_THE_FLOOR: u32 = 5;

/// The rests of a client.
#[derive(Debug, Default)]
pub struct Rests {
    at_the_floor: u32,
    /// How long it rested while it was told nothing of any order.
    unknown_for: Duration,
}

impl Rests {
    /// Takes a `rest` of a response that was held for some time. Returns the promise that it breaks.
    pub fn rest(
        &mut self,
        held: Duration,
        data: &Value,
        retry: Option<u64>,
        unknown: bool,
        settings: &StreamSettings,
    ) -> Option<String> {
        let told = data["retry"].as_u64();
        let rest = Duration::from_millis(told.unwrap_or_default());
        let failed = data["unavailable"].as_bool().unwrap_or_default();
        let max_rest = settings
            .policy
            .map_or(Duration::from_secs(1), |policy| policy.max_rest);
        let longest = if failed {
            UNAVAILABLE
        } else {
            max_rest.mul_f64(1.1).max(Duration::from_millis(1600))
        };
        self.at_the_floor += u32::from(told == Some(1000));
        let unknown_for = self.unknown_for;
        self.unknown_for = if unknown && !failed {
            unknown_for + rest
        } else {
            Duration::ZERO
        };
        if told != retry {
            Some(format!("a rest of {told:?} with retry {retry:?}"))
        } else if !(Duration::from_secs(1)..=longest).contains(&rest) {
            Some(format!("a rest of {rest:?}"))
        } else if self.at_the_floor == AT_THE_FLOOR {
            Some(format!("{AT_THE_FLOOR} rests of exactly 1000 ms"))
        } else if unknown
            && !failed
            && settings.policy.is_some()
            && held + rest < max_rest.mul_f64(0.5).min(unknown_for / 25)
        {
            Some(format!(
                "a rest of {rest:?} after {unknown_for:?} in which nobody knew the orders"
            ))
        } else {
            None
        }
    }
}

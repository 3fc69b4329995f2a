//! The time as Lambda's interfaces write it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970. Earlier times are 0.
pub(crate) fn epoch_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

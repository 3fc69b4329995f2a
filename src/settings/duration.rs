//! Durations as text, and the range of each setting. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A duration is written as a whole number and one unit, so that a template's `AllowedPattern` can check the complete text.
type Unit = (&'static str, Duration);

const MILLISECOND: Unit = ("ms", Duration::from_millis(1));
const SECOND: Unit = ("s", seconds(1));
const MINUTE: Unit = ("m", seconds(60));
pub(super) const DAY: Unit = ("d", days(1));

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn days(days: u64) -> Duration {
    seconds(days * 86_400)
}

/// The values that a setting may have. `template.yaml` repeats them for its parameters, and `tests/template` compares the two.
pub(super) struct Limits {
    /// The accepted units, from the smallest to the largest.
    pub(super) units: &'static [Unit],
    /// The smallest and the largest accepted value.
    pub(super) range: RangeInclusive<Duration>,
}

impl Limits {
    /// For what happens while a stream is open: milliseconds, seconds or minutes.
    pub(super) const fn up_to_minutes(range: RangeInclusive<Duration>) -> Self {
        let units = &[MILLISECOND, SECOND, MINUTE];
        Self { units, range }
    }

    /// `None` unless the text is a whole number followed by one of the units. A number that is too large becomes the largest
    /// duration.
    pub(super) fn parse(&self, text: &str) -> Option<Duration> {
        let digits = text.find(|char: char| !char.is_ascii_digit())?;
        let (number, name) = text.split_at(digits);
        let (_, unit) = self.units.iter().find(|(known, _)| *known == name)?;
        if number.is_empty() || (number.starts_with('0') && number != "0") {
            return None;
        }
        let number: u32 = number.parse().unwrap_or(u32::MAX);
        Some(unit.saturating_mul(number))
    }

    /// In the largest unit that represents the duration exactly. Zero is `0ms`.
    pub(super) fn display(&self, duration: Duration) -> String {
        let (name, unit) = self
            .units
            .iter()
            .rfind(|(_, unit)| {
                duration >= *unit && duration.as_millis().is_multiple_of(unit.as_millis())
            })
            .unwrap_or(&MILLISECOND);
        format!("{}{name}", duration.as_millis() / unit.as_millis())
    }

    pub(super) fn unit_names(&self) -> String {
        let names: Vec<_> = self.units.iter().map(|(name, _)| *name).collect();
        names.join(" or ")
    }
}

//! Statistics of the values of a period.

use serde::Deserialize;

/// A statistic of CloudWatch that the dashboard uses.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
pub enum Statistic {
    Sum,
    Maximum,
    /// From 0 to 100.
    Percentile(f64),
}

impl TryFrom<String> for Statistic {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let percentile = text.strip_prefix('p').and_then(|text| text.parse().ok());
        match (text.as_str(), percentile) {
            ("Sum", _) => Ok(Self::Sum),
            ("Maximum", _) => Ok(Self::Maximum),
            (_, Some(percent)) if (0.0..=100.0).contains(&percent) => Ok(Self::Percentile(percent)),
            _ => Err(format!("the statistic {text} is not supported")),
        }
    }
}

impl Statistic {
    /// The statistic of the values, `None` if there are none. A percentile is the value at the nearest rank; CloudWatch
    /// documents no method.
    pub fn of(self, mut values: Vec<f64>) -> Option<f64> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        Some(match self {
            Self::Sum => values.iter().sum(),
            Self::Maximum => values[last],
            Self::Percentile(percent) => {
                let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
                values[rank.saturating_sub(1).min(last)]
            }
        })
    }
}

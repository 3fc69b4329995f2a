//! The filter of the projector's event source mapping.

use std::fmt;

use order_status_stream::projector::OrderKey;
use serde::Serialize;

/// In the form of Lambda's API. Without filters, every record is admitted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FilterCriteria {
    filters: Vec<Filter>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    pattern: String,
}

impl FilterCriteria {
    /// The filter that admits each order.
    pub fn of(key: &OrderKey) -> Self {
        let pattern = key.filter().map(|pattern| pattern.to_string());
        let filters = pattern.map(|pattern| Filter { pattern });
        Self {
            filters: filters.into_iter().collect(),
        }
    }
}

impl fmt::Display for FilterCriteria {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

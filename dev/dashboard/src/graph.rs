//! The lines of a graph: what CloudWatch computes of the samples.

use std::collections::BTreeMap;

use crate::body::{Graph, Row, Source};
use crate::expression::Points;
use crate::samples::Samples;

/// The colors of rows without one, in their order. They are CloudWatch's.
const COLORS: [&str; 6] = [
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b",
];

/// A visible row of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub label: String,
    /// `#` and six hexadecimal digits.
    pub color: String,
    pub points: Points,
    /// Whether its values belong to the right axis.
    pub right: bool,
    /// AWS counts this itself, and the log has nothing of it.
    pub only_from_aws: bool,
}

/// Evaluates a graph.
///
/// # Errors
///
/// An expression uses an id that no metric has, or that belongs to another expression.
pub fn lines(graph: &Graph, samples: &Samples) -> Result<Vec<Line>, String> {
    let mut by_id = BTreeMap::new();
    let mut unknown = Vec::new();
    for row in &graph.rows {
        if let (Some(id), Source::Metric(..)) = (&row.id, &row.source) {
            by_id.insert(id.clone(), points(row, graph, samples, &BTreeMap::new())?);
            if only_from_aws(row, samples, &[]) {
                unknown.push(id.as_str());
            }
        }
    }
    let visible = graph.rows.iter().filter(|row| row.visible).enumerate();
    let line = |(number, row): (usize, &Row)| {
        Ok(Line {
            label: row.label.clone(),
            color: (row.color.as_deref())
                .unwrap_or(COLORS[number % COLORS.len()])
                .to_owned(),
            points: points(row, graph, samples, &by_id)?,
            right: row.right,
            only_from_aws: only_from_aws(row, samples, &unknown),
        })
    };
    visible.map(line).collect()
}

fn points(
    row: &Row,
    graph: &Graph,
    samples: &Samples,
    by_id: &BTreeMap<String, Points>,
) -> Result<Points, String> {
    match &row.source {
        Source::Metric(metric, statistic) => {
            let periods = samples.by_period(metric, graph.period).into_iter();
            Ok(periods
                .filter_map(|(period, values)| Some((period, statistic.of(values)?)))
                .collect())
        }
        Source::Expression(expression) => expression.evaluate(by_id, samples.periods(graph.period)),
    }
}

/// Whether a row shows what only AWS counts. `unknown` are the ids of the metrics of which this is true.
fn only_from_aws(row: &Row, samples: &Samples, unknown: &[&str]) -> bool {
    match &row.source {
        Source::Metric(metric, _) => metric.namespace.starts_with("AWS/") && !samples.has(metric),
        Source::Expression(expression) => expression.ids().iter().any(|id| unknown.contains(id)),
    }
}

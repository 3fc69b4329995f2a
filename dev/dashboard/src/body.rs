//! The dashboard's body:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>.
//!
//! A property that is not listed here is an error, because it would be missing in the picture.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::expression::{Expression, ExpressionError};
use crate::samples::Metric;
use crate::statistic::Statistic;
use crate::template::Template;

/// The columns of CloudWatch's grid.
pub const COLUMNS: u32 = 24;

#[derive(Clone, Debug, PartialEq)]
pub struct Widget {
    pub title: String,
    /// In cells of the grid.
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The names of alarms.
    Alarms(Vec<String>),
    Graph(Graph),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// In seconds.
    pub period: u64,
    pub stacked: bool,
    /// The label of the left axis.
    pub unit: String,
    /// The label of the right axis, if there is one.
    pub right_unit: Option<String>,
    pub rows: Vec<Row>,
}

/// A metric or an expression of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub source: Source,
    pub id: Option<String>,
    pub label: String,
    pub color: Option<String>,
    pub visible: bool,
    /// Whether its values belong to the right axis.
    pub right: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Metric(Metric, Statistic),
    Expression(Expression),
}

#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the dashboard {place} is not supported: {source}")]
    Json {
        place: String,
        source: serde_json::Error,
    },
    #[error("the widget {title:?}: {reason}")]
    Widget { title: String, reason: String },
    #[error("the widget {title:?}: {source}")]
    Expression {
        title: String,
        source: ExpressionError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBody {
    /// How far back the dashboard looks. The picture shows the whole log.
    #[serde(rename = "start")]
    _start: String,
    widgets: Vec<RawWidget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWidget {
    #[serde(rename = "type")]
    kind: String,
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    properties: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlarms {
    title: String,
    alarms: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawGraph {
    title: String,
    #[serde(rename = "region")]
    _region: String,
    period: u64,
    stat: Statistic,
    stacked: bool,
    y_axis: RawAxes,
    metrics: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAxes {
    left: RawAxis,
    right: Option<RawAxis>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Side {
    Left,
    Right,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawAxis {
    min: f64,
    label: String,
    show_units: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Options {
    expression: Option<String>,
    label: Option<String>,
    stat: Option<Statistic>,
    color: Option<String>,
    id: Option<String>,
    visible: Option<bool>,
    y_axis: Option<Side>,
}

/// The body as CloudWatch gets it from a stack of this name with the default parameters. A resource has its name in the
/// template as its value.
pub fn of_template(stack: &str) -> String {
    let template = Template::read();
    let mut values = template.with_defaults(&[]);
    values.insert("AWS::StackName".to_owned(), stack.to_owned());
    let body = template.at("Resources/Overview/Properties/DashboardBody");
    let body = template.value(body, &values);
    body.as_str().unwrap_or_default().to_owned()
}

/// The widgets of a dashboard.
///
/// # Errors
///
/// The dashboard uses something that is not drawn. The error names it.
pub fn widgets(body: &str) -> Result<Vec<Widget>, BodyError> {
    let body: RawBody = serde_json::from_str(body).map_err(|source| BodyError::Json {
        place: "body".to_owned(),
        source,
    })?;
    body.widgets.into_iter().map(widget).collect()
}

fn widget(raw: RawWidget) -> Result<Widget, BodyError> {
    let title = raw.properties["title"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let refused = |reason: String| BodyError::Widget {
        title: title.clone(),
        reason,
    };
    if raw.width == 0 || raw.height == 0 || raw.x + raw.width > COLUMNS {
        return Err(refused(format!("it must lie within {COLUMNS} columns")));
    }
    let content = match raw.kind.as_str() {
        "alarm" => {
            let alarms: RawAlarms = properties(&title, raw.properties)?;
            debug_assert_eq!(alarms.title, title);
            let names = alarms.alarms.iter();
            Content::Alarms(
                names
                    .map(|arn| arn.trim_end_matches(".Arn").to_owned())
                    .collect(),
            )
        }
        "metric" => Content::Graph(graph(properties(&title, raw.properties)?)?),
        other => return Err(refused(format!("the type {other} is not supported"))),
    };
    Ok(Widget {
        title,
        x: raw.x,
        y: raw.y,
        width: raw.width,
        height: raw.height,
        content,
    })
}

fn properties<T: DeserializeOwned>(title: &str, value: Value) -> Result<T, BodyError> {
    serde_json::from_value(value).map_err(|source| BodyError::Json {
        place: format!("widget {title:?}"),
        source,
    })
}

fn graph(raw: RawGraph) -> Result<Graph, BodyError> {
    let title = raw.title;
    let refused = |reason: &str| BodyError::Widget {
        title: title.clone(),
        reason: reason.to_owned(),
    };
    let RawAxes { left, right } = raw.y_axis;
    let axes = [Some(&left), right.as_ref()].into_iter().flatten();
    if axes.into_iter().any(|it| it.min != 0.0 || it.show_units) {
        return Err(refused("an axis must begin at 0 and have its own label"));
    }
    if raw.period == 0 {
        return Err(refused("the period is 0"));
    }
    let rows = raw.metrics.into_iter();
    let rows = rows.map(|row| row_of(&title, row, raw.stat));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let uses_right = rows.iter().any(|row| row.right);
    if uses_right != right.is_some() || (uses_right && raw.stacked) {
        return Err(refused(
            "a right axis needs a label, and a row in a graph that is not stacked",
        ));
    }
    Ok(Graph {
        period: raw.period,
        stacked: raw.stacked,
        unit: left.label,
        right_unit: right.map(|axis| axis.label),
        rows,
    })
}

fn row_of(title: &str, mut row: Vec<Value>, stat: Statistic) -> Result<Row, BodyError> {
    let refused = |reason: String| BodyError::Widget {
        title: title.to_owned(),
        reason,
    };
    let shown = Value::from(row.clone());
    let mut options = Options::default();
    if row.last().is_some_and(Value::is_object) {
        options = properties(title, row.pop().unwrap_or_default())?;
    }
    let names = row.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
    let (source, name) = match (names.as_deref(), options.expression) {
        (Some([]), Some(text)) => {
            let parsed = Expression::parse(&text).map_err(|source| BodyError::Expression {
                title: title.to_owned(),
                source,
            })?;
            (Source::Expression(parsed), text)
        }
        // A dot repeats what the row before has.
        (Some([namespace, name, dimension, value]), None)
            if !shown.to_string().contains("\".\"") =>
        {
            let metric = Metric {
                namespace: (*namespace).to_owned(),
                name: (*name).to_owned(),
                dimension: (*dimension).to_owned(),
                value: (*value).to_owned(),
            };
            (
                Source::Metric(metric, options.stat.unwrap_or(stat)),
                (*name).to_owned(),
            )
        }
        _ => {
            return Err(refused(format!(
                "the form of this row is not supported: {shown}"
            )));
        }
    };
    Ok(Row {
        source,
        id: options.id,
        label: options.label.unwrap_or(name),
        color: options.color,
        visible: options.visible.unwrap_or(true),
        right: options.y_axis == Some(Side::Right),
    })
}

//! The page with all widgets, on CloudWatch's grid.

use std::fmt::Write;

use crate::body::{COLUMNS, Content, Graph, Widget};
use crate::chart::Chart;
use crate::graph::{Line, lines};
use crate::samples::Samples;

/// A cell of the grid, in pixels.
const CELL: (u32, u32) = (50, 42);

/// Between two widgets, in pixels.
const GAP: u32 = 10;

/// Around the chart within its widget, in pixels: the padding, and the title with the legend.
const AROUND: (u32, u32) = (20, 76);

/// What a widget says instead of a value that a local run does not have.
const FROM_AWS: &str = "from AWS only";

const STYLE: &str = "
body { margin: 10px; background: #f2f3f3; font: 13px sans-serif; color: #16191f; }
main { position: relative; }
section { position: absolute; box-sizing: border-box; padding: 8px 10px; background: #fff; border: 1px solid #d5dbdb; border-radius: 6px; }
h2 { margin: 0 0 4px; font-size: 15px; }
ul { margin: 2px 0 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; }
li::before { content: ''; display: inline-block; width: 11px; height: 11px; margin-right: 5px; background: var(--color); }
li.empty { color: #687078; }
.alarms { display: grid; grid-template-columns: repeat(5, 1fr); gap: 4px; }
.alarms span { padding: 2px 8px; border-left: 4px solid #aab7b8; background: #f2f3f3; }
.note { font-weight: normal; color: #687078; }
svg { display: block; }
";

/// The page's size in pixels, for a screenshot.
pub fn size(widgets: &[Widget]) -> (u32, u32) {
    let rows = widgets.iter().map(|widget| widget.y + widget.height).max();
    let rows = rows.unwrap_or_default();
    (COLUMNS * CELL.0 + GAP, rows * CELL.1 + GAP)
}

/// The page as HTML.
///
/// # Errors
///
/// A graph cannot be evaluated or drawn. The error names it.
pub fn html(widgets: &[Widget], samples: &Samples) -> Result<String, String> {
    let (width, height) = size(widgets);
    let mut page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>The dashboard</title>\n<style>{STYLE}\
         main {{ width: {width}px; height: {height}px; }}</style>\n<main>\n"
    );
    for widget in widgets {
        let content = match &widget.content {
            Content::Alarms(names) => alarms(&widget.title, names),
            Content::Graph(graph) => chart(widget, graph, samples)
                .map_err(|error| format!("the widget {:?}: {error}", widget.title))?,
        };
        let (left, top) = (widget.x * CELL.0, widget.y * CELL.1);
        let (width, height) = pixels(widget);
        let _ = writeln!(
            page,
            "<section style=\"left: {left}px; top: {top}px; width: {width}px; height: {height}px\">\n{content}</section>"
        );
    }
    page.push_str("</main>\n");
    Ok(page)
}

fn pixels(widget: &Widget) -> (u32, u32) {
    (widget.width * CELL.0 - GAP, widget.height * CELL.1 - GAP)
}

fn alarms(title: &str, names: &[String]) -> String {
    let names = names
        .iter()
        .map(|name| format!("<span>{}</span>", text(name)));
    format!(
        "<h2>{} <span class=\"note\">– {FROM_AWS}</span></h2>\n<div class=\"alarms\">{}</div>\n",
        text(title),
        names.collect::<String>()
    )
}

fn chart(widget: &Widget, graph: &Graph, samples: &Samples) -> Result<String, String> {
    let lines = lines(graph, samples)?;
    let (width, height) = pixels(widget);
    let chart = Chart {
        size: (
            width.saturating_sub(AROUND.0),
            height.saturating_sub(AROUND.1),
        ),
        unit: &graph.unit,
        right_unit: graph.right_unit.as_deref(),
        period: graph.period,
        minutes: samples.periods(60),
        stacked: graph.stacked,
        lines: &lines,
    };
    // A graph with two axes says to which one a line belongs.
    let entry = |line| entry(line, graph.right_unit.is_some());
    Ok(format!(
        "<h2>{}</h2>\n{}<ul>{}</ul>\n",
        text(&widget.title),
        chart.svg()?,
        lines.iter().map(entry).collect::<String>()
    ))
}

/// An entry of the legend.
fn entry(line: &Line, two_axes: bool) -> String {
    let (class, note) = match (line.only_from_aws, line.points.is_empty()) {
        (true, _) => ("empty", format!(": {FROM_AWS}")),
        (false, true) => ("empty", ": none".to_owned()),
        (false, false) if two_axes && line.right => ("", " (right)".to_owned()),
        (false, false) => ("", String::new()),
    };
    format!(
        "<li class=\"{class}\" style=\"--color: {}\">{}{note}</li>",
        text(&line.color),
        text(&line.label)
    )
}

/// Text in HTML.
fn text(text: &str) -> String {
    let escape = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c => String::from(c),
    };
    text.chars().map(escape).collect()
}

//! The picture of [`super::growth`]: CPU above memory, a column for each thing that grows.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::growth::{Growth, Point};

type Drawn = std::result::Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (1080, 560);
const INK: RGBColor = RGBColor(40, 44, 52);
const GRID: RGBColor = RGBColor(225, 228, 232);
const AXIS: RGBColor = RGBColor(140, 149, 159);
const CPU: RGBColor = RGBColor(9, 105, 218);
const MEMORY: RGBColor = RGBColor(207, 34, 46);

struct Panel<'a> {
    title: &'a str,
    below: &'a str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

pub(crate) fn draw(path: &Path, growth: &Growth) -> Drawn {
    // A white ground, so that it can be read on a dark page too.
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let columns = [
        (
            "µs of CPU a second, each stream",
            "streams",
            &growth.streams,
        ),
        (
            "% of a core, all streams",
            "changes a second, 256 streams",
            &growth.rates,
        ),
        (
            "µs of CPU a frame",
            "entries of the order, 256 streams",
            &growth.histories,
        ),
    ];
    let cpu = columns.map(|(title, below, points)| Panel {
        title,
        below,
        color: CPU,
        points: values(points, |point| point.cpu),
    });
    let memory = columns.map(|(_, below, points)| {
        let points = values(points, |point| point.kilobytes);
        Panel {
            title: "KB of memory, each stream",
            below,
            color: MEMORY,
            points,
        }
    });
    for (area, panel) in root
        .split_evenly((2, 3))
        .iter()
        .zip(cpu.iter().chain(&memory))
    {
        draw_panel(area, panel)?;
    }
    root.present()?;
    Ok(())
}

fn values(points: &[Point], value: fn(&Point) -> f64) -> Vec<(f64, f64)> {
    points.iter().map(|point| (point.x, value(point))).collect()
}

fn draw_panel(area: &Area<'_>, panel: &Panel<'_>) -> Drawn {
    let points = &panel.points;
    let end = |values: fn(&(f64, f64)) -> f64| points.iter().map(values).fold(1.0, f64::max);
    let (right, top) = (end(|point| point.0) * 2.0, end(|point| point.1) * 1.3);
    let left = points
        .iter()
        .map(|point| point.0)
        .fold(f64::MAX, f64::min)
        .min(right / 4.0)
        / 2.0;
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 16).into_font().color(&INK))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d((left..right).log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc(panel.below)
        .x_label_formatter(&|value| format!("{value}"))
        .draw()?;
    chart.draw_series(LineSeries::new(points.clone(), panel.color.stroke_width(2)))?;
    chart.draw_series(
        points
            .iter()
            .map(|at| Circle::new(*at, 4, panel.color.filled())),
    )?;
    chart.draw_series(points.iter().map(|at| {
        let style = ("sans-serif", 12).into_font().color(&panel.color);
        EmptyElement::at(*at) + Text::new(label(at.1), (-8, -18), style)
    }))?;
    Ok(())
}

fn label(value: f64) -> String {
    match value < 10.0 {
        true => format!("{value:.1}"),
        false => format!("{value:.0}"),
    }
}

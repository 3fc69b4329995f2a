//! Draws requests a second over time, one panel for each event.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{BEFORE, Client, Event, Report};

const SIZE: (u32, u32) = (960, 720);
const INK: RGBColor = RGBColor(40, 44, 52);
const GRID: RGBColor = RGBColor(225, 228, 232);
const AXIS: RGBColor = RGBColor(140, 149, 159);
const BARE: RGBColor = RGBColor(207, 34, 46);
const OURS: RGBColor = RGBColor(9, 105, 218);

/// Draws all reports.
///
/// # Errors
///
/// The file cannot be written. The error names it.
pub fn draw(path: &Path, reports: &[Report]) -> Result<(), String> {
    panels(path, reports).map_err(|error| format!("{}: {error}", path.display()))
}

fn panels(path: &Path, reports: &[Report]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    // A background of its own, so that it can be read on a dark page too.
    root.fill(&WHITE)?;
    let areas = root.split_evenly((3, 2));
    for (area, event) in areas.iter().zip(Event::ALL) {
        let of_event = reports.iter().filter(|it| it.event == event.name());
        panel(area, event, &of_event.collect::<Vec<_>>())?;
    }
    root.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    event: Event,
    reports: &[&Report],
) -> Result<(), Box<dyn Error>> {
    let peak = reports.iter().map(|it| it.peak).max().unwrap_or(1) as f64;
    let from = -(BEFORE as f64) / 2.0;
    let to = reports.first().map_or(0, |it| it.rates.len()) as f64 - BEFORE as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(event.name(), ("sans-serif", 17).into_font().color(&INK))
        .margin(10)
        .x_label_area_size(38)
        .y_label_area_size(56)
        .build_cartesian_2d(from..to, 0.0..peak * 1.25)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .y_labels(5)
        .x_desc("seconds from the event's beginning")
        .y_desc("requests a second")
        .x_label_formatter(&|seconds| format!("{seconds:.0}"))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .draw()?;
    for (client, color, width) in [(Client::EventSource, BARE, 3), (Client::Ours, OURS, 1)] {
        for report in reports.iter().filter(|it| it.client == client.name()) {
            let points = (0..).zip(&report.rates);
            let points = points.map(|(second, rate)| (f64::from(second) - BEFORE as f64, *rate));
            let points = points.filter(|(second, _)| *second >= from);
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(width)))?
                .label(client.name())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 16, y)], color.stroke_width(width))
                });
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 12).into_font().color(&INK))
        .draw()?;
    Ok(())
}

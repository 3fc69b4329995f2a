//! Draws the cost of each setting over its mean delay.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::compare::fixed;
use crate::report::Report;
use crate::trace::Trace;

const SIZE: (u32, u32) = (960, 420);
const INK: RGBColor = RGBColor(40, 44, 52);
const GRID: RGBColor = RGBColor(225, 228, 232);
const OURS: RGBColor = RGBColor(9, 105, 218);
const FIXED: RGBColor = RGBColor(140, 149, 159);
const HELD: RGBColor = RGBColor(207, 34, 46);

/// The intervals of fixed check-ins, in seconds.
const INTERVALS: [u64; 6] = [1, 2, 3, 5, 10, 15];

/// Draws a panel for each trace.
///
/// # Errors
///
/// The file cannot be written. The error names it.
pub fn draw(path: &Path, reports: &[(Trace, Report)]) -> Result<(), String> {
    panels(path, reports).map_err(|error| format!("{}: {error}", path.display()))
}

fn panels(path: &Path, reports: &[(Trace, Report)]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (trace, report)) in root.split_evenly((1, reports.len())).iter().zip(reports) {
        panel(area, trace, report)?;
    }
    root.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    trace: &Trace,
    report: &Report,
) -> Result<(), Box<dyn Error>> {
    let minutes = trace.watch_minutes();
    let fixed = INTERVALS.map(|interval| {
        let (bill, delays) = fixed(trace, Duration::from_secs(interval), report.lag());
        let usd = bill.per_million(minutes).total();
        (delays.mean(), usd, format!("{interval} s"))
    });
    let mut chart = ChartBuilder::on(area)
        .caption(&trace.name, ("sans-serif", 20).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d((0.2..12.0).log_scale(), (0.5..250.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FIXED)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc("mean delay from the write of the order, seconds")
        .y_desc("USD per million watched minutes")
        .x_label_formatter(&|seconds| format!("{seconds}"))
        .y_label_formatter(&|usd| format!("{usd}"))
        .draw()?;
    let ours = report.points("FRESHNESS=");
    let held = report.points("HOLD=");
    // Labels are above a line, and below the lowest line.
    let series = [
        (held, HELD, "held all the time", (7, -13)),
        (
            fixed.into(),
            FIXED,
            "check-ins at fixed intervals",
            (7, -13),
        ),
        (ours, OURS, "hold or rest, by FRESHNESS", (-30, 8)),
    ];
    for (points, color, name, beside) in series {
        let line = points.iter().map(|(delay, usd, _)| (*delay, *usd));
        chart
            .draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| Circle::new((x + 10, y), 4, color.filled()));
        chart.draw_series(line.map(|at| Circle::new(at, 4, color.filled())))?;
        chart.draw_series(points.iter().map(|(delay, usd, label)| {
            let style = ("sans-serif", 12).into_font().color(&color);
            EmptyElement::at((*delay, *usd)) + Text::new(label.clone(), beside, style)
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    Ok(())
}

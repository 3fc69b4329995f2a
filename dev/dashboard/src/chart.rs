//! Draws the lines of a graph as SVG. A stacked graph has bars, because areas between few points hide the gaps.

use std::error::Error;

use plotters::chart::DualCoordChartContext;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::graph::Line;

const INK: RGBColor = RGBColor(65, 77, 92);
const GRID: RGBColor = RGBColor(233, 235, 237);
const AXIS: RGBColor = RGBColor(180, 187, 195);

/// The y axis ends this much above the largest value.
const HEADROOM: f64 = 1.1;

/// The part of its period that a bar takes on each side of the middle.
const HALF_BAR: f64 = 0.4;

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// In pixels.
    pub size: (u32, u32),
    /// The label of the left axis.
    pub unit: &'a str,
    /// The label of the right axis, if there is one.
    pub right_unit: Option<&'a str>,
    /// Of the lines' points, in seconds.
    pub period: u64,
    /// The end of the x axis, in minutes. It begins at 0.
    pub minutes: u64,
    pub stacked: bool,
    pub lines: &'a [Line],
}

type Axes = Cartesian2d<RangedCoordf64, RangedCoordf64>;
type Plane<'a> = DualCoordChartContext<'a, SVGBackend<'a>, Axes, Axes>;

impl Chart<'_> {
    /// The chart as an SVG element.
    ///
    /// # Errors
    ///
    /// It cannot be drawn, for example because it is too small.
    pub fn svg(&self) -> Result<String, String> {
        let mut svg = String::new();
        let drawn = self.draw(SVGBackend::with_string(&mut svg, self.size));
        drawn.map_err(|error| error.to_string())?;
        Ok(svg)
    }

    fn draw<'a>(&self, backend: SVGBackend<'a>) -> Result<(), Box<dyn Error + 'a>> {
        let (limit, right_limit) = (self.limit(false), self.limit(true));
        let minutes = 0.0..self.minutes.max(1) as f64;
        let root = backend.into_drawing_area();
        let mut plane = ChartBuilder::on(&root)
            .margin_top(6)
            .margin_right(24)
            .x_label_area_size(22)
            .y_label_area_size(66)
            .right_y_label_area_size(self.right_unit.map_or(0, |_| 50))
            .build_cartesian_2d(minutes.clone(), 0.0..limit)?
            .set_secondary_coord(minutes, 0.0..right_limit);
        let labels = || ("sans-serif", 12).into_font().color(&INK);
        plane
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .label_style(labels())
            .y_desc(self.unit)
            .y_labels(5)
            .x_label_formatter(&|minutes| match minutes.fract() {
                0.0 => format!("{minutes:.0} min"),
                _ => String::new(),
            })
            .y_label_formatter(&|value| number(*value, limit))
            .draw()?;
        if let Some(unit) = self.right_unit {
            plane
                .configure_secondary_axes()
                .axis_style(AXIS)
                .label_style(labels())
                .y_desc(unit)
                .y_labels(5)
                .y_label_formatter(&|value| number(*value, right_limit))
                .draw()?;
        }
        if self.stacked {
            self.bars(&mut plane)?;
        } else {
            self.curves(&mut plane)?;
        }
        drop(plane);
        root.present()?;
        Ok(())
    }

    fn curves<'a>(&self, plane: &mut Plane<'a>) -> Result<(), Box<dyn Error + 'a>> {
        for line in self.lines {
            let color = color(&line.color);
            let points = line.points.iter();
            let points = points.map(|(at, value)| (self.middle(*at), *value));
            let curve = LineSeries::new(points.clone(), color.stroke_width(2));
            let dots = points.map(|at| Circle::new(at, 3, color.filled()));
            if line.right {
                plane.draw_secondary_series(curve)?;
                plane.draw_secondary_series(dots)?;
            } else {
                plane.draw_series(curve)?;
                plane.draw_series(dots)?;
            }
        }
        Ok(())
    }

    fn bars<'a>(&self, plane: &mut Plane<'a>) -> Result<(), Box<dyn Error + 'a>> {
        let half = self.minutes_of_period() * HALF_BAR;
        for (number, line) in self.lines.iter().enumerate() {
            let below = &self.lines[..number];
            let bars = line.points.iter().map(|(at, value)| {
                let bottom = height(below, *at);
                let (left, right) = (self.middle(*at) - half, self.middle(*at) + half);
                Rectangle::new(
                    [(left, bottom), (right, bottom + value)],
                    color(&line.color).filled(),
                )
            });
            plane.draw_series(bars)?;
        }
        Ok(())
    }

    /// The end of an axis.
    fn limit(&self, right: bool) -> f64 {
        let lines = self.lines.iter().filter(|line| line.right == right);
        let tops = lines.flat_map(|line| &line.points).map(|(at, value)| {
            if self.stacked {
                height(self.lines, *at)
            } else {
                *value
            }
        });
        match tops.fold(0.0, f64::max) * HEADROOM {
            0.0 => 1.0,
            limit => limit,
        }
    }

    fn minutes_of_period(&self) -> f64 {
        self.period as f64 / 60.0
    }

    /// The middle of a period, in minutes.
    fn middle(&self, period: u64) -> f64 {
        (period as f64 + 0.5) * self.minutes_of_period()
    }
}

/// The height of a stack in a period. A line without data there has none.
fn height(lines: &[Line], period: u64) -> f64 {
    lines
        .iter()
        .filter_map(|line| line.points.get(&period))
        .sum()
}

/// A label of an axis that ends at `limit`: as many digits as its steps need.
fn number(value: f64, limit: f64) -> String {
    let digits = match limit {
        limit if limit > 5.0 => 0,
        limit => 1 - limit.log10().floor() as i32,
    };
    let digits = usize::try_from(digits).unwrap_or_default();
    match value {
        0.0 => "0".to_owned(),
        value => format!("{value:.digits$}"),
    }
}

/// The color of `#rrggbb`, black if it is malformed.
fn color(text: &str) -> RGBColor {
    let part = |at: usize| {
        let digits = text.get(at..at + 2);
        digits
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .unwrap_or_default()
    };
    RGBColor(part(1), part(3), part(5))
}

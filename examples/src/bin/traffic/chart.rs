//! A line chart as SVG. Colours and fonts are the page's: the lines have classes, not colours.

use std::fmt::{self, Display, Formatter};

/// About the width of a phone, so that the text keeps its size there.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 58.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 54.0;

/// Labels at the ends of lines are at least so far apart.
const LABEL: f64 = 16.0;

#[derive(Debug)]
pub(crate) struct Chart {
    /// The content in words, for screen readers.
    pub(crate) description: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) scale: Scale,
    /// The values that have a mark, and their texts.
    pub(crate) ticks: Vec<(f64, String)>,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) class: &'static str,
    /// Stands at the end of the line. A line without a label is part of another one.
    pub(crate) label: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) shape: Shape,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// From point to point.
    Straight,
    /// The same, with a dot at each.
    Dots,
    /// As a stair: a value holds half-way to its neighbours.
    Stairs,
}

/// From values to places on an axis, 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scale {
    Linear { from: f64, to: f64 },
    Logarithmic { from: f64, to: f64 },
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear { from, to } => (value - from) / (to - from),
            Self::Logarithmic { from, to } => (value / from).ln() / (to / from).ln(),
        }
    }

    /// An axis says that it is logarithmic: its equal steps are not equal differences.
    fn note(self) -> &'static str {
        match self {
            Self::Linear { .. } => "",
            Self::Logarithmic { .. } => " (logarithmic)",
        }
    }
}

impl Chart {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.scale.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// The path through a line's points, in the chart's coordinates.
    fn path(&self, line: &Line) -> String {
        let points = line.points.iter().map(|&(x, y)| (self.x(x), self.y(y)));
        let points: Vec<_> = points.collect();
        let mut path = String::new();
        for (n, &(x, y)) in points.iter().enumerate() {
            let command = if n == 0 { 'M' } else { 'L' };
            if line.shape == Shape::Stairs && n > 0 {
                let (before, level) = points[n - 1];
                let edge = (before + x) / 2.0;
                path += &format!("L{edge:.1} {level:.1}L{edge:.1} {y:.1}");
            }
            path += &format!("{command}{x:.1} {y:.1}");
        }
        path
    }

    /// The labels and their heights: those of the lines' ends, moved apart where they would overlap.
    fn labels(&self) -> Vec<(&Line, f64)> {
        let end = |line: &Line| line.points.last().map_or(0.0, |&(_, y)| self.y(y));
        let labelled = self.lines.iter().filter(|line| !line.label.is_empty());
        let mut labels: Vec<_> = labelled.map(|line| (line, end(line))).collect();
        labels.sort_by(|a, b| a.1.total_cmp(&b.1));
        for n in 1..labels.len() {
            labels[n].1 = labels[n].1.max(labels[n - 1].1 + LABEL);
        }
        // The labels must not leave the chart at the bottom.
        let mut lowest = HEIGHT - BOTTOM;
        for (_, height) in labels.iter_mut().rev() {
            *height = height.min(lowest);
            lowest = *height - LABEL;
        }
        labels
    }
}

impl Display for Chart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let description = &self.description;
        writeln!(
            f,
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{description}">"#
        )?;
        for (value, text) in &self.y.ticks {
            let y = self.y(*value);
            writeln!(f, r#"<path class="grid" d="M{LEFT} {y:.1}H{right}"/>"#)?;
            let (x, y) = (LEFT - 8.0, y + 4.0);
            writeln!(
                f,
                r#"<text class="tick" x="{x}" y="{y:.1}" text-anchor="end">{text}</text>"#
            )?;
        }
        for (value, text) in &self.x.ticks {
            let (x, y) = (self.x(*value), bottom + 18.0);
            writeln!(f, r#"<path class="axis" d="M{x:.1} {bottom}v4"/>"#)?;
            writeln!(
                f,
                r#"<text class="tick" x="{x:.1}" y="{y}" text-anchor="middle">{text}</text>"#
            )?;
        }
        writeln!(f, r#"<path class="axis" d="M{LEFT} {bottom}H{right}"/>"#)?;
        let (x, y) = ((LEFT + right) / 2.0, HEIGHT - 10.0);
        let label = format!("{}{}", self.x.label, self.x.scale.note());
        writeln!(
            f,
            r#"<text class="label" x="{x}" y="{y}" text-anchor="middle">{label}</text>"#
        )?;
        let label = format!("{}{}", self.y.label, self.y.scale.note());
        writeln!(f, r#"<text class="label" x="4" y="14">{label}</text>"#)?;

        for line in &self.lines {
            writeln!(f, r#"<g class="{}">"#, line.class)?;
            writeln!(f, r#"<path class="line" d="{}"/>"#, self.path(line))?;
            if line.shape == Shape::Dots {
                for &(x, y) in &line.points {
                    let (x, y) = (self.x(x), self.y(y));
                    writeln!(f, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#)?;
                }
            }
            writeln!(f, "</g>")?;
        }
        for (line, height) in self.labels() {
            let (x, y, class, label) = (right + 8.0, height + 4.0, line.class, line.label);
            writeln!(
                f,
                r#"<g class="{class}"><text class="name" x="{x}" y="{y:.1}">{label}</text></g>"#
            )?;
        }
        writeln!(f, "</svg>")
    }
}

//! A line chart as SVG. Colours and fonts are the page's: the lines have classes, not colours.

use std::fmt::{self, Display, Formatter};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 118.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 52.0;

/// Labels at the ends of lines are at least so far apart.
const LABEL: f64 = 16.0;

#[derive(Debug)]
pub(crate) struct Chart {
    /// What there is to see, for those who can't.
    pub(crate) description: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) scale: Scale,
    /// Where the axis has a mark, and what it says.
    pub(crate) ticks: Vec<(f64, String)>,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) class: &'static str,
    /// Stands where the line ends.
    pub(crate) label: String,
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

    /// The heights of the lines' labels: where the lines end, but not one above the other.
    fn labels(&self) -> Vec<f64> {
        let end = |line: &Line| line.points.last().map_or(0.0, |&(_, y)| self.y(y));
        let mut order: Vec<usize> = (0..self.lines.len()).collect();
        order.sort_by(|&a, &b| end(&self.lines[a]).total_cmp(&end(&self.lines[b])));

        let mut heights: Vec<f64> = order.iter().map(|&n| end(&self.lines[n])).collect();
        for n in 1..heights.len() {
            heights[n] = heights[n].max(heights[n - 1] + LABEL);
        }
        // What was pushed out at the bottom pushes back.
        let mut lowest = HEIGHT - BOTTOM;
        for height in heights.iter_mut().rev() {
            *height = height.min(lowest);
            lowest = *height - LABEL;
        }
        let mut labels = vec![0.0; order.len()];
        for (n, height) in order.into_iter().zip(heights) {
            labels[n] = height;
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
        let label = self.x.label;
        writeln!(
            f,
            r#"<text class="label" x="{x}" y="{y}" text-anchor="middle">{label}</text>"#
        )?;
        let (y, label) = ((TOP + bottom) / 2.0, self.y.label);
        writeln!(
            f,
            r#"<text class="label" transform="translate(14 {y}) rotate(-90)" text-anchor="middle">{label}</text>"#
        )?;

        for (line, label) in self.lines.iter().zip(self.labels()) {
            writeln!(f, r#"<g class="{}">"#, line.class)?;
            writeln!(f, r#"<path class="line" d="{}"/>"#, self.path(line))?;
            if line.shape == Shape::Dots {
                for &(x, y) in &line.points {
                    let (x, y) = (self.x(x), self.y(y));
                    writeln!(f, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#)?;
                }
            }
            let (x, y) = (right + 10.0, label + 4.0);
            writeln!(
                f,
                r#"<text class="name" x="{x}" y="{y:.1}">{}</text>"#,
                line.label
            )?;
            writeln!(f, "</g>")?;
        }
        writeln!(f, "</svg>")
    }
}

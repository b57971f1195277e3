//! Bars, lying, as SVG: one row a contender, one panel beside another.

use crate::{record::Kind, report::short};
use std::fmt::Write as _;

pub(super) struct Picture {
    pub(super) title: String,
    pub(super) description: String,
    /// All with the same bars, in the same order.
    pub(super) panels: Vec<Panel>,
    pub(super) footer: String,
}

pub(super) struct Panel {
    pub(super) title: String,
    /// The subject of a figure.
    pub(super) unit: String,
    pub(super) bars: Vec<Bar>,
}

pub(super) struct Bar {
    pub(super) label: String,
    pub(super) kind: Kind,
    /// None for one that can't do it.
    pub(super) figure: Option<f64>,
}

/// Contrasts with the background are 4.5 : 1 or more for text, 3 : 1 or more for bars.
pub(super) struct Theme {
    pub(super) name: &'static str,
    background: &'static str,
    text: &'static str,
    quiet: &'static str,
    ours: &'static str,
    others: &'static str,
}

pub(super) const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        background: "#ffffff",
        text: "#1f2328",
        quiet: "#59636e",
        ours: "#c2410c",
        others: "#878f99",
    },
    Theme {
        name: "dark",
        background: "#0d1117",
        text: "#f0f6fc",
        quiet: "#9198a1",
        ours: "#fb923c",
        others: "#6e7681",
    },
];

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 20.0;
/// For the names of the contenders.
const NAMES: f64 = 292.0;
/// Between panels, and for the figure after the longest bar.
const GAP: f64 = 20.0;
const FIGURE: f64 = 52.0;
const ROW: f64 = 25.0;
const BAR: f64 = 15.0;

impl Picture {
    pub(super) fn svg(&self, theme: &Theme) -> String {
        let titled = self.panels.iter().any(|panel| !panel.title.is_empty());
        let top = if titled { 112.0 } else { 72.0 };
        let rows = self.panels[0].bars.len() as f64;
        let height = top + rows * ROW + 38.0;
        let panels = self.panels.len() as f64;
        let panel_width = (WIDTH - 2.0 * MARGIN - NAMES - panels * GAP) / panels;

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title description\" \
             font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif\" font-size=\"13\">\n\
             <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" fill=\"{}\"/>\n",
            escaped(&self.title),
            escaped(&self.in_words()),
            theme.background,
        );
        text(
            &mut svg,
            (MARGIN, 32.0),
            theme.text,
            "font-size=\"18\" font-weight=\"600\"",
            &self.title,
        );
        text(&mut svg, (MARGIN, 53.0), theme.quiet, "", &self.description);

        for (i, bar) in self.panels[0].bars.iter().enumerate() {
            let y = top + i as f64 * ROW + BAR - 3.0;
            let (fill, weight) = match bar.kind {
                Kind::Ours => (theme.ours, "font-weight=\"600\""),
                _ => (theme.text, ""),
            };
            let style = format!("text-anchor=\"end\" {weight}");
            text(&mut svg, (MARGIN + NAMES, y), fill, &style, &bar.label);
        }
        for (i, panel) in self.panels.iter().enumerate() {
            let left = MARGIN + NAMES + GAP + i as f64 * (panel_width + GAP);
            if titled {
                text(
                    &mut svg,
                    (left, 82.0),
                    theme.text,
                    "font-weight=\"600\"",
                    &panel.title,
                );
                text(
                    &mut svg,
                    (left, 99.0),
                    theme.quiet,
                    "font-size=\"12\"",
                    &panel.unit,
                );
            }
            panel.draw(&mut svg, theme, (left, top), panel_width - FIGURE);
        }
        text(
            &mut svg,
            (MARGIN, height - 15.0),
            theme.quiet,
            "font-size=\"11\"",
            &self.footer,
        );
        svg.push_str("</svg>\n");
        svg
    }

    /// For those who don't see it.
    fn in_words(&self) -> String {
        let mut words = self.description.clone();
        for panel in &self.panels {
            let _ = write!(words, " {} ({}):", panel.title, panel.unit);
            let bars = panel.bars.iter().map(|bar| {
                let figure = bar.figure.map_or("cannot".into(), short);
                format!(" {} {figure}", bar.label)
            });
            words.push_str(&bars.collect::<Vec<_>>().join(","));
            words.push('.');
        }
        words
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, theme: &Theme, (left, top): (f64, f64), width: f64) {
        let mut figures: Vec<f64> = self.bars.iter().filter_map(|bar| bar.figure).collect();
        figures.sort_by(f64::total_cmp);
        // A bar that is far longer than all others is cut. Otherwise the others could not be told apart.
        let longest = match figures[..] {
            [.., second, last] if last > 2.0 * second && self.bars.len() > 4 => 1.15 * second,
            [.., last] => last,
            [] => 1.0,
        };
        for (i, bar) in self.bars.iter().enumerate() {
            let y = top + i as f64 * ROW;
            let Some(figure) = bar.figure else {
                text(
                    svg,
                    (left, y + BAR - 3.0),
                    theme.quiet,
                    "font-style=\"italic\"",
                    "cannot",
                );
                continue;
            };
            let length = (figure.min(longest) / longest * width).max(1.0);
            let paint = match bar.kind {
                Kind::Ours => format!("fill=\"{}\"", theme.ours),
                Kind::Peer => format!("fill=\"{}\"", theme.others),
                // Hollow: no contenders.
                Kind::Bound | Kind::Size => {
                    format!("fill=\"none\" stroke=\"{}\"", theme.others)
                }
            };
            let _ = writeln!(
                svg,
                "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" {paint}/>"
            );
            if figure > longest {
                let cut = left + length - 14.0;
                let _ = writeln!(
                    svg,
                    "<path d=\"M{:.1} {:.1}l6 {:.1}h4l-6 -{:.1}z\" fill=\"{}\"/>",
                    cut,
                    y - 1.0,
                    BAR + 2.0,
                    BAR + 2.0,
                    theme.background
                );
            }
            let (fill, style) = match bar.kind {
                Kind::Ours => (theme.ours, "font-weight=\"600\""),
                _ => (theme.text, ""),
            };
            text(
                svg,
                (left + length + 6.0, y + BAR - 3.0),
                fill,
                style,
                &short(figure),
            );
        }
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), fill: &str, style: &str, text: &str) {
    let style = if style.is_empty() {
        String::new()
    } else {
        format!(" {}", style.trim_end())
    };
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{fill}\"{style}>{}</text>",
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

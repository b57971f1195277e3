//! What was measured, as tables for people and as JSON for programs.

use crate::measure::{Column, Kind, Who};
use serde_json::{Value, json};
use std::fmt;

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    pub(crate) goals: Vec<Goal>,
    /// Who can't take part, and why.
    pub(crate) cannot: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
    /// Whether the first column's best is its largest figure (a throughput) and not its smallest.
    pub(crate) more_is_better: bool,
    /// Whether the rows are sizes and not contenders.
    pub(crate) growth: bool,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) who: Who,
    /// Of each column the lower quartile, the median, the upper quartile.
    pub(crate) figures: Vec<[f64; 3]>,
}

#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) reached: f64,
    pub(crate) limit: f64,
    pub(crate) at_least: bool,
}

impl Goal {
    pub(crate) fn met(&self) -> bool {
        if self.at_least {
            self.reached >= self.limit
        } else {
            self.reached <= self.limit
        }
    }
}

impl Row {
    pub(crate) fn median(&self, column: usize) -> f64 {
        self.figures[column][1]
    }
}

impl Table {
    pub(crate) fn new(id: &str, title: &str, columns: Vec<Column>) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            columns,
            rows: Vec::new(),
            goals: Vec::new(),
            cannot: Vec::new(),
            notes: Vec::new(),
            more_is_better: false,
            growth: false,
        }
    }

    pub(crate) fn push(&mut self, who: Who, figures: Vec<[f64; 3]>) {
        self.rows.push(Row { who, figures });
    }

    /// Our figure in a column. The first row, where several are ours.
    pub(crate) fn ours(&self, column: usize) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.who.kind == Kind::Ours)?;
        Some(row.median(column))
    }

    /// The figure of the row whose name begins so.
    pub(crate) fn of(&self, name: &str, column: usize) -> Option<f64> {
        let row = self
            .rows
            .iter()
            .find(|row| row.who.name.starts_with(name))?;
        Some(row.median(column))
    }

    /// The best peer in the first column.
    pub(crate) fn best_peer(&self) -> Option<f64> {
        self.best_peer_of(|_| true)
    }

    pub(crate) fn best_peer_of(&self, which: impl Fn(&str) -> bool) -> Option<f64> {
        let peers = self
            .rows
            .iter()
            .filter(|row| row.who.kind == Kind::Peer && which(&row.who.name))
            .map(|row| row.median(0));
        if self.more_is_better {
            peers.max_by(f64::total_cmp)
        } else {
            peers.min_by(f64::total_cmp)
        }
    }

    /// Ours over another figure, at most `limit`. States nothing if either is missing.
    pub(crate) fn goal_ratio(&mut self, what: &str, to: Option<f64>, limit: f64) {
        if let (Some(ours), Some(to)) = (self.ours(0), to) {
            self.goal(format!("÷ {what}"), ours / to, limit);
        }
    }

    /// Our figure in a column, at most `limit`.
    pub(crate) fn goal_figure(&mut self, column: usize, limit: f64) {
        if let Some(ours) = self.ours(column) {
            self.goal(self.columns[column].name.clone(), ours, limit);
        }
    }

    pub(crate) fn goal(&mut self, what: impl Into<String>, reached: f64, limit: f64) {
        self.goals.push(Goal {
            what: what.into(),
            reached,
            limit,
            at_least: false,
        });
    }

    pub(crate) fn goal_at_least(&mut self, what: impl Into<String>, reached: f64, limit: f64) {
        self.goals.push(Goal {
            what: what.into(),
            reached,
            limit,
            at_least: true,
        });
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "title": self.title,
            "columns": self.columns.iter().map(|column| &column.name).collect::<Vec<_>>(),
            "rows": self.rows.iter().map(|row| json!({
                "name": row.who.name,
                "kind": if self.growth { "size".into() } else { format!("{:?}", row.who.kind).to_lowercase() },
                "median": row.figures.iter().map(|figure| figure[1]).collect::<Vec<_>>(),
                "lower_quartile": row.figures.iter().map(|figure| figure[0]).collect::<Vec<_>>(),
                "upper_quartile": row.figures.iter().map(|figure| figure[2]).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "goals": self.goals.iter().map(|goal| json!({
                "what": goal.what,
                "reached": goal.reached,
                "limit": goal.limit,
                "at_least": goal.at_least,
                "met": goal.met(),
            })).collect::<Vec<_>>(),
            "cannot": self.cannot.iter().map(|(name, reason)| json!({
                "name": name,
                "reason": reason,
            })).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}: {}\n", self.id, self.title)?;
        let bounds: Vec<&Row> = self
            .rows
            .iter()
            .filter(|row| row.who.kind == Kind::Bound && !self.growth)
            .collect();
        let best = self.best_peer();

        let mut head = vec![String::new()];
        head.extend(self.columns.iter().map(|column| column.name.clone()));
        if best.is_some() {
            head.push("÷ best peer".into());
        }
        head.extend(letters().take(bounds.len()).map(|a| format!("÷ {a}")));
        let mut lines = vec![head];

        let mut letter = letters();
        for row in &self.rows {
            let name = match row.who.kind {
                Kind::Ours => format!("> {}", row.who.name),
                _ if self.growth => row.who.name.clone(),
                Kind::Peer => format!("  {}", row.who.name),
                Kind::Bound => format!("{} {}", letter.next().unwrap_or(' '), row.who.name),
            };
            let mut line = vec![name];
            line.extend(row.figures.iter().map(|figure| short(figure[1])));
            let references = best
                .into_iter()
                .chain(bounds.iter().map(|row| row.median(0)));
            line.extend(references.map(|to| format!("{:.2}", row.median(0) / to)));
            lines.push(line);
        }

        let width = |i: usize| {
            let cells = lines.iter().filter_map(|line| line.get(i));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
        for line in &lines {
            write!(f, "  {:<width$}", line[0], width = widths[0])?;
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        for (name, reason) in &self.cannot {
            writeln!(f, "  - {name}: {reason}")?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        for goal in &self.goals {
            let sign = if goal.at_least { '≥' } else { '≤' };
            let met = if goal.met() { "met" } else { "NOT MET" };
            let (reached, limit) = (short(goal.reached), short(goal.limit));
            writeln!(f, "  goal {} {sign} {limit}: {reached}, {met}", goal.what)?;
        }
        Ok(())
    }
}

fn letters() -> impl Iterator<Item = char> {
    'a'..='z'
}

/// Three digits that count, or all before the point.
fn short(figure: f64) -> String {
    match figure.abs() {
        _ if figure.is_nan() => "–".into(),
        size if size >= 100.0 || figure == 0.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// `name version`, with the version that this program was built with.
pub(crate) fn versioned(name: &str) -> String {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let head = format!("name = \"{name}\"\nversion = \"");
    // Of several versions the last one listed, the newest: the direct dependency.
    match LOCK.rfind(&head) {
        Some(at) => {
            let version = &LOCK[at + head.len()..];
            format!("{name} {}", version.split('"').next().unwrap_or("?"))
        }
        None => name.into(),
    }
}

//! The figures, as tables for people and as JSON for programs.

use crate::record::{Column, Kind, Who};
use serde_json::{Value, json};
use std::fmt::{self, Write as _};

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    pub(crate) goals: Vec<Goal>,
    /// The contenders that can't take part, and why.
    pub(crate) cannot: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
    /// Whether the first column's best is its largest figure (a throughput) and not its smallest.
    pub(crate) more_is_better: bool,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) who: Who,
    /// For each column, the lower quartile, the median and the upper quartile.
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

    /// The best peer's figure in the first column.
    pub(crate) fn best_peer(&self) -> Option<f64> {
        self.best_peer_of(|_| true)
    }

    pub(crate) fn best_peer_of(&self, which: impl Fn(&str) -> bool) -> Option<f64> {
        Some(self.best_peer_row(which)?.median(0))
    }

    pub(crate) fn best_peer_row(&self, which: impl Fn(&str) -> bool) -> Option<&Row> {
        let peers = self
            .rows
            .iter()
            .filter(|row| row.who.kind == Kind::Peer && which(&row.who.name));
        let order = |a: &&Row, b: &&Row| a.median(0).total_cmp(&b.median(0));
        if self.more_is_better {
            peers.max_by(order)
        } else {
            peers.min_by(order)
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

    /// Head and lines as they are shown, ratios included. Each line with the kind of its row.
    pub(crate) fn cells(&self) -> (Vec<String>, Vec<(Kind, Vec<String>)>) {
        let bounds: Vec<&Row> = self
            .rows
            .iter()
            .filter(|row| row.who.kind == Kind::Bound)
            .collect();
        let best = self.best_peer();

        let mut head = vec![String::new()];
        head.extend(self.columns.iter().map(|column| column.name.clone()));
        if best.is_some() {
            head.push("÷ best peer".into());
        }
        head.extend(letters().take(bounds.len()).map(|a| format!("÷ {a}")));

        let mut letter = letters();
        let line = |row: &Row| {
            let name = match row.who.kind {
                Kind::Bound => {
                    format!("{} {}", letter.next().unwrap_or(' '), row.who.name)
                }
                _ => row.who.name.clone(),
            };
            let mut line = vec![name];
            line.extend(row.figures.iter().map(|figure| short(figure[1])));
            let references = best
                .into_iter()
                .chain(bounds.iter().map(|row| row.median(0)));
            line.extend(references.map(|to| format!("{:.2}", row.median(0) / to)));
            (row.who.kind, line)
        };
        (head, self.rows.iter().map(line).collect())
    }

    /// Whether its rows are sizes and not contenders.
    pub(crate) fn grows(&self) -> bool {
        self.rows.iter().any(|row| row.who.kind == Kind::Size)
    }

    /// For each column of a growth table that is a cost per unit: how it grows and where it bends.
    pub(crate) fn bends(&self) -> Vec<String> {
        if !self.grows() {
            return Vec::new();
        }
        let costs = self.columns.iter().enumerate().filter(|(_, column)| {
            [": ns", "ms a function"]
                .iter()
                .any(|cost| column.name.ends_with(cost))
        });
        costs
            .map(|(i, column)| self.bend(i, &column.name))
            .collect()
    }

    fn bend(&self, column: usize, name: &str) -> String {
        let at = |row: &Row| format!("{} at {}", short(row.median(column)), row.who.name);
        let (first, last) = (&self.rows[0], &self.rows[self.rows.len() - 1]);
        let order = |a: &&Row, b: &&Row| a.median(column).total_cmp(&b.median(column));
        let lowest = self.rows.iter().min_by(order).unwrap_or(first);
        let name = name.trim_end_matches(": ns");
        let mut sentence = format!("{name}: {}", at(first));
        if ![first, last].iter().any(|end| std::ptr::eq(*end, lowest)) {
            let _ = write!(sentence, ", lowest {}", at(lowest));
        }
        let _ = write!(sentence, ", {}; ", at(last));

        let rise = |pair: &&[Row]| pair[1].median(column) / pair[0].median(column);
        let steepest = self
            .rows
            .windows(2)
            // Not what is no more than noise.
            .filter(|pair| pair[1].figures[column][0] > pair[0].figures[column][2])
            .filter(|pair| rise(pair) > BEND)
            .max_by(|a, b| rise(a).total_cmp(&rise(b)));
        let _ = match steepest {
            Some(pair) => write!(
                sentence,
                "bends from {} to {}, × {:.1}",
                pair[0].who.name,
                pair[1].who.name,
                rise(&pair)
            ),
            None => write!(sentence, "no step costs more than {BEND} × the one before"),
        };
        sentence
    }

    pub(crate) fn json(&self) -> Value {
        let quartile = |row: &Row, quartile: usize| -> Vec<f64> {
            row.figures
                .iter()
                .map(|figure| rounded(figure[quartile]))
                .collect()
        };
        json!({
            "id": self.id,
            "title": self.title,
            "columns": self.columns.iter().map(|column| &column.name).collect::<Vec<_>>(),
            "more_is_better": self.more_is_better,
            "rows": self.rows.iter().map(|row| json!({
                "name": row.who.name,
                "kind": format!("{:?}", row.who.kind).to_lowercase(),
                "median": quartile(row, 1),
                "lower_quartile": quartile(row, 0),
                "upper_quartile": quartile(row, 2),
            })).collect::<Vec<_>>(),
            "goals": self.goals.iter().map(|goal| json!({
                "what": goal.what,
                "reached": rounded(goal.reached),
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

    /// From what [`json`](Self::json) gave.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |value: &Value| Some(value.as_str()?.to_owned());
        let columns = value["columns"].as_array()?.iter();
        let columns = columns.map(|name| Some(Column::timed(text(name)?)));
        let mut table = Self::new(
            value["id"].as_str()?,
            value["title"].as_str()?,
            columns.collect::<Option<_>>()?,
        );
        table.more_is_better = value["more_is_better"].as_bool()?;
        for row in value["rows"].as_array()? {
            let kind = match row["kind"].as_str()? {
                "ours" => Kind::Ours,
                "peer" => Kind::Peer,
                "bound" => Kind::Bound,
                "size" => Kind::Size,
                _ => return None,
            };
            let figure = |column: usize| {
                // A figure that is not a number is null in JSON.
                ["lower_quartile", "median", "upper_quartile"]
                    .map(|quartile| row[quartile][column].as_f64().unwrap_or(f64::NAN))
            };
            let name = text(&row["name"])?;
            let figures = (0..table.columns.len()).map(figure).collect();
            table.push(Who { name, kind }, figures);
        }
        for goal in value["goals"].as_array()? {
            table.goals.push(Goal {
                what: text(&goal["what"])?,
                reached: goal["reached"].as_f64().unwrap_or(f64::NAN),
                limit: goal["limit"].as_f64()?,
                at_least: goal["at_least"].as_bool()?,
            });
        }
        for absent in value["cannot"].as_array()? {
            table
                .cannot
                .push((text(&absent["name"])?, text(&absent["reason"])?));
        }
        for note in value["notes"].as_array()? {
            table.notes.push(text(note)?);
        }
        Some(table)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}: {}\n", self.id, self.title)?;
        let (head, rows) = self.cells();
        let mut lines = vec![head];
        lines.extend(rows.into_iter().map(|(kind, mut line)| {
            let mark = match kind {
                Kind::Ours => "> ",
                Kind::Peer => "  ",
                Kind::Bound | Kind::Size => "",
            };
            line[0].insert_str(0, mark);
            line
        }));

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
        for note in self.notes.iter().chain(&self.bends()) {
            writeln!(f, "  {note}")?;
        }
        for goal in &self.goals {
            let met = if goal.met() { "met" } else { "NOT MET" };
            writeln!(f, "  goal {goal}: {}, {met}", short(goal.reached))?;
        }
        Ok(())
    }
}

/// What it asks for.
impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at_least { '≥' } else { '≤' };
        write!(f, "{} {sign} {}", self.what, short(self.limit))
    }
}

/// From one size to the next, a cost of one that rises more than this is a bend.
const BEND: f64 = 1.5;

fn letters() -> impl Iterator<Item = char> {
    'a'..='z'
}

/// Three digits that count, or all before the point.
pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        _ if figure.is_nan() => "–".into(),
        size if size >= 100.0 || figure == 0.0 => thousands(&format!("{figure:.0}")),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// A whole number with its digits in groups of three.
pub(crate) fn thousands(whole: &str) -> String {
    let digits = whole.trim_start_matches('-').len();
    let mut grouped = whole[..whole.len() - digits].to_owned();
    for (i, digit) in whole[whole.len() - digits..].chars().enumerate() {
        if i > 0 && (digits - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// To four digits that count: what comes after them is noise, and makes a file hard to read.
fn rounded(figure: f64) -> f64 {
    format!("{figure:.3e}").parse().unwrap_or(figure)
}

/// JSON with a line for each row of a table, lest two runs differ in every line of a file or in one.
pub(crate) fn text(all: &Value) -> String {
    fn write(text: &mut String, value: &Value, indent: usize) {
        // Deeper than that nothing is broken up: a row is five levels down.
        const BROKEN_UP: usize = 4;
        let parts: Vec<(String, &Value)> = match value {
            Value::Object(parts) if indent < BROKEN_UP => parts
                .iter()
                .map(|(name, part)| (format!("{}: ", Value::from(name.as_str())), part))
                .collect(),
            Value::Array(parts) if indent < BROKEN_UP => {
                parts.iter().map(|part| (String::new(), part)).collect()
            }
            _ => Vec::new(),
        };
        if parts.is_empty() {
            let _ = write!(text, "{value}");
            return;
        }
        let [open, close] = if value.is_array() {
            ['[', ']']
        } else {
            ['{', '}']
        };
        text.push(open);
        for (i, (name, part)) in parts.into_iter().enumerate() {
            text.push_str(if i == 0 { "\n" } else { ",\n" });
            text.push_str(&" ".repeat(indent + 1));
            text.push_str(&name);
            write(text, part, indent + 1);
        }
        text.push('\n');
        text.push_str(&" ".repeat(indent));
        text.push(close);
    }
    let mut text = String::new();
    write(&mut text, all, 0);
    text.push('\n');
    text
}

/// `name version`, with the version that this program was built with.
pub(crate) fn versioned(name: &str) -> String {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let head = format!("name = \"{name}\"\nversion = \"");
    // If there are several versions, the last one listed is the newest: the direct dependency.
    match LOCK.rfind(&head) {
        Some(at) => {
            let version = &LOCK[at + head.len()..];
            format!("{name} {}", version.split('"').next().unwrap_or("?"))
        }
        None => name.into(),
    }
}

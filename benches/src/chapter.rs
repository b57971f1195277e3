//! The documentation of the performance: the summary in `docs/performance.md`, all tables in `benches/README.md`, and the
//! pictures, from the figures of one run.
//!
//! The table D1 stands between `<!-- D1 -->` and `<!-- end -->`. The text outside of such markers is written by hand and is
//! kept as it is.

mod picture;

use crate::{
    record::Kind,
    report::{Row, Table, short},
};
use picture::{Bar, Panel, Picture, THEMES};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    fs,
    path::Path,
};

/// The results of a run.
struct Figures {
    /// The machine and the day, in a line.
    machine: String,
    day: String,
    minutes: f64,
    tables: Vec<Table>,
}

/// Writes the pages and pictures, or with `only_check` compares them with what it would write.
pub(crate) fn write(file: &str, only_check: bool) -> Result<(), String> {
    let figures = Figures::read(file)?;
    let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = benches.join("../docs");

    let mut written = Vec::new();
    let mut shown = HashSet::new();
    for page in [docs.join("performance.md"), benches.join("README.md")] {
        let text = fs::read_to_string(&page)
            .map_err(|error| format!("{} can't be read: {error}", page.display()))?;
        let filled = figures.filled_in(&text, &mut shown)?;
        written.push((page, filled));
    }
    if let Some(table) = figures
        .tables
        .iter()
        .find(|table| !shown.contains(&table.id))
    {
        return Err(format!("no page has a place for {}", table.id));
    }
    for (name, picture) in [
        ("postgresql", figures.postgresql()?),
        ("dedup", figures.dedup()?),
    ] {
        for theme in THEMES {
            let file = docs.join(format!("performance/{name}-{}.svg", theme.name));
            written.push((file, picture.svg(&theme)));
        }
    }
    for (file, content) in written {
        if !only_check {
            fs::write(&file, content)
                .map_err(|error| format!("{} can't be written: {error}", file.display()))?;
        } else if fs::read_to_string(&file).ok().as_ref() != Some(&content) {
            return Err(format!(
                "{} is not what the figures give: write it anew, without --check",
                file.display()
            ));
        }
    }
    Ok(())
}

impl Figures {
    fn read(file: &str) -> Result<Self, String> {
        let text =
            fs::read_to_string(file).map_err(|error| format!("{file} can't be read: {error}"))?;
        let value: Value =
            serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
        if value["quick"] != false {
            return Err(format!("{file} is of a --quick run: nothing to publish"));
        }
        Self::from_json(&value).ok_or_else(|| format!("{file} has not been written by --json"))
    }

    fn from_json(value: &Value) -> Option<Self> {
        let tables = value["tables"].as_array()?.iter().map(Table::from_json);
        let machine = &value["machine"];
        let part = |name: &str| machine[name].as_str();
        Some(Self {
            machine: format!(
                "{}, {} cores, {}, {}",
                part("cpu")?,
                machine["cores"],
                part("system")?,
                part("compiler")?
            ),
            day: day(value["unix_time"].as_i64()?),
            minutes: value["seconds"].as_f64()? / 60.0,
            tables: tables.collect::<Option<_>>()?,
        })
    }

    fn table(&self, id: &str) -> Result<&Table, String> {
        let table = self
            .tables
            .iter()
            .find(|table| table.id == id)
            .ok_or_else(|| format!("{id} has not been measured"))?;
        if table.rows.is_empty() {
            return Err(format!("{id} has no figures: {}", table.notes.join("; ")));
        }
        Ok(table)
    }

    /// The text with everything between markers written again. The names of the markers are added to `shown`.
    fn filled_in(&self, text: &str, shown: &mut HashSet<String>) -> Result<String, String> {
        let mut filled = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            filled.push_str(line);
            filled.push('\n');
            let Some(id) = line
                .strip_prefix("<!-- ")
                .and_then(|line| line.strip_suffix(" -->"))
            else {
                continue;
            };
            let block = match id {
                "run" => self.run(),
                "summary" => self.summary(),
                "goals" => self.goals(),
                "absent" => self.absent(),
                _ => markdown(self.table(id)?),
            };
            shown.insert(id.to_owned());
            if !lines.any(|line| line == "<!-- end -->") {
                return Err(format!("no <!-- end --> follows <!-- {id} -->"));
            }
            let _ = write!(filled, "\n{block}\n<!-- end -->\n");
        }
        Ok(filled)
    }

    fn run(&self) -> String {
        format!(
            "Measured on {} in {:.0} minutes: {}.\n",
            self.day, self.minutes, self.machine
        )
    }

    /// If there are peers: our figure, the best peer's, and the ratio.
    fn summary(&self) -> String {
        let mut text =
            String::from("| | | ours | best peer | | ratio |\n|:--|:--|--:|--:|:--|--:|\n");
        for table in &self.tables {
            let (Some(ours), Some(best)) = (table.ours(0), table.best_peer_row(|_| true)) else {
                continue;
            };
            let better = if table.more_is_better {
                " (more is better)"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "| {} | {}{better} | {} | {} | {} | **{:.2}** |",
                table.id,
                table.title,
                short(ours),
                short(best.median(0)),
                best.who.name,
                ours / best.median(0)
            );
        }
        text
    }

    fn goals(&self) -> String {
        let mut text = String::from("| | goal | reached | |\n|:--|:--|--:|:--|\n");
        for table in &self.tables {
            for goal in &table.goals {
                let met = if goal.met() { "" } else { "**not met**" };
                let _ = writeln!(
                    text,
                    "| {} | {goal} | {} | {met} |",
                    table.id,
                    short(goal.reached)
                );
            }
        }
        text
    }

    /// The contenders that don't take part, in which workloads, and why.
    fn absent(&self) -> String {
        let mut absent = BTreeMap::<_, Vec<&str>>::new();
        for table in &self.tables {
            for who in &table.cannot {
                absent.entry(who).or_default().push(&table.id);
            }
        }
        let mut text = String::from("| | not in | because |\n|:--|:--|:--|\n");
        for ((name, reason), tables) in absent {
            let _ = writeln!(text, "| {name} | {} | {reason} |", tables.join(", "));
        }
        text
    }

    fn postgresql(&self) -> Result<Picture, String> {
        let table = self.table("E")?;
        let bars = table
            .rows
            .iter()
            .filter(|row| !row.who.name.ends_with("one a connection"))
            .map(|row| Bar {
                label: row
                    .who
                    .name
                    .replace("as many as callers fill", "2 at a time"),
                kind: row.who.kind,
                figure: Some(row.median(0)),
            });
        let mut bars: Vec<Bar> = bars.collect();
        bars.sort_by(|a, b| a.figure.unwrap_or(0.0).total_cmp(&b.figure.unwrap_or(0.0)));
        let times = match (table.ours(0), table.of("one INSERT each", 0)) {
            (Some(ours), Some(single)) => ours / single,
            _ => return Err("E is not complete".into()),
        };
        Ok(Picture {
            title: format!(
                "With #[batch], {times:.0} times as many rows a second go into PostgreSQL"
            ),
            description: "256 callers, each inserting one row after another. Hollow: a statement \
                          for each row, and the limit for lists of 100."
                .into(),
            panels: vec![Panel {
                title: String::new(),
                unit: "rows/s".into(),
                bars,
            }],
            footer: format!("{}, {}", self.day, self.machine),
        })
    }

    fn dedup(&self) -> Result<Picture, String> {
        let panels = [
            ("D1", "D1: nobody shares", "ns a call, one thread"),
            ("D2 10000", "D2: 10,000 wait", "ns a follower"),
            ("D4", "D4: one hot key", "ns a call, 2 threads"),
        ];
        let mut rows: Vec<&Row> = self.table("D1")?.rows.iter().collect();
        rows.retain(|row| row.who.kind != Kind::Bound);
        rows.sort_by(|a, b| a.median(0).total_cmp(&b.median(0)));
        let panels = panels.map(|(id, title, unit)| {
            let table = self.table(id)?;
            let bars = rows.iter().map(|row| Bar {
                label: without_version(&row.who.name),
                kind: row.who.kind,
                figure: table.of(&row.who.name, 0),
            });
            Ok(Panel {
                title: title.into(),
                unit: unit.into(),
                bars: bars.collect(),
            })
        });
        Ok(Picture {
            title: "What sharing equal calls costs".into(),
            description: "Nanoseconds; shorter is better. Ordered by D1. A bar with a gap in it goes on for longer than there is room.".into(),
            panels: panels.into_iter().collect::<Result<_, String>>()?,
            footer: format!("{}, {}", self.day, self.machine),
        })
    }
}

fn markdown(table: &Table) -> String {
    let (head, lines) = table.cells();
    let mut text = format!("**{}**: {}\n\n", table.id, table.title);
    let _ = writeln!(text, "| {} |", head.join(" | "));
    let _ = writeln!(text, "|:--|{}", "--:|".repeat(head.len() - 1));
    for (kind, mut line) in lines {
        let name = &line[0];
        line[0] = match kind {
            Kind::Ours => format!("**{name}**"),
            Kind::Bound => format!("*{name}*"),
            Kind::Peer | Kind::Size => name.clone(),
        };
        let _ = writeln!(text, "| {} |", line.join(" | "));
    }
    let notes: Vec<String> = table.notes.iter().cloned().chain(table.bends()).collect();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}

/// Without the words that begin with a digit.
fn without_version(name: &str) -> String {
    let words: Vec<&str> = name
        .split(' ')
        .filter(|word| !word.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    words.join(" ")
}

/// The day of a Unix time, in UTC, as `2026-11-24`.
fn day(unix_time: i64) -> String {
    // Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is their last.
    let days = unix_time.div_euclid(86_400) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{}-{month:02}-{day:02}", year + era * 400 + next_year)
}

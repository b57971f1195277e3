//! What a run has to say: tables in Markdown that read well as they are, and the checks.

use std::{fmt::Write as _, thread::available_parallelism, time::Duration};

use crate::{
    checks::Finding,
    client::Route,
    database::{PEOPLE, POSTS},
    load::{Burst, Job, Measured},
    routes::{BATCH_DELAY_MS, BATCH_SIZE},
};

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) setting: String,
    pub(crate) reads: Measurements,
    pub(crate) writes: Measurements,
    /// An empty route, with the same client: what HTTP alone takes.
    pub(crate) http: Measured,
    pub(crate) checks: Vec<Finding>,
}

/// All that was measured of one job.
#[derive(Debug)]
pub(crate) struct Measurements {
    pub(crate) job: Job,
    pub(crate) measured: Vec<Measured>,
    pub(crate) bursts: Vec<(Route, Vec<Burst>)>,
}

impl Measurements {
    pub(crate) fn new(job: Job) -> Self {
        Self {
            job,
            measured: Vec::new(),
            bursts: Vec::new(),
        }
    }
}

impl Report {
    pub(crate) fn passed(&self) -> bool {
        self.checks.iter().all(Result::is_ok)
    }

    /// What there is to say after the tables.
    pub(crate) fn summary(&self) -> String {
        let mut summary = String::from("\n");
        for job in [&self.reads, &self.writes] {
            let what = match job.job {
                Job::ReadTimelines => "requests for one timeline",
                Job::Nothing | Job::SavePosts => "posts",
            };
            let last = |(route, bursts): &(Route, Vec<Burst>)| {
                let Burst { queries, calls } = bursts[bursts.len() - 1];
                (calls, format!("{} {queries}", route.name()))
            };
            let (calls, queries): (Vec<_>, Vec<_>) = job.bursts.iter().map(last).unzip();
            _ = writeln!(
                summary,
                "{} {what} at the same moment made queries: {}",
                calls[0],
                queries.join(", ")
            );
        }
        _ = writeln!(
            summary,
            "HTTP alone (an empty route, the same client, {} callers): {} requests/s, p50 {} ms\n",
            self.http.callers,
            count(self.http.per_second as usize),
            milliseconds(self.http.p50),
        );
        for check in &self.checks {
            _ = match check {
                Ok(good) => writeln!(summary, "ok      {good}"),
                Err(bad) => writeln!(summary, "FAILED  {bad}"),
            };
        }
        summary
    }
}

/// Where it ran, and on what.
pub(crate) fn setting(database: &str, follows: usize, zipf: f64) -> String {
    format!(
        "{database}, {} cores for everything: database, server and callers.\n\
         {} people, {} posts, {} follows; who reads and who posts is drawn by Zipf({zipf}).",
        available_parallelism().map_or(1, usize::from),
        count(PEOPLE as usize),
        count(POSTS),
        count(follows),
    )
}

/// What a job's table shows.
pub(crate) fn title(job: Job) -> String {
    match job {
        Job::Nothing => "GET /nothing".into(),
        Job::ReadTimelines => "GET /timeline/{person} with #[dedup]".into(),
        Job::SavePosts => {
            format!("POST /posts with #[batch(size = {BATCH_SIZE}, delay_ms = {BATCH_DELAY_MS})]")
        }
    }
}

const COLUMNS: [(&str, usize); 8] = [
    ("callers", 7),
    ("route", 9),
    ("requests/s", 10),
    ("p50 ms", 7),
    ("p99 ms", 7),
    ("requests", 8),
    ("queries", 7),
    ("requests per query", 18),
];

/// The names of the columns, for every table.
pub(crate) fn columns() -> [&'static str; 8] {
    COLUMNS.map(|(name, _)| name)
}

pub(crate) fn cells(measured: &Measured) -> [String; 8] {
    [
        measured.callers.to_string(),
        measured.route.name().into(),
        count(measured.per_second.round() as usize),
        milliseconds(measured.p50),
        milliseconds(measured.p99),
        count(measured.requests),
        count(measured.queries as usize),
        format!("{:.2}", measured.requests as f64 / measured.queries as f64),
    ]
}

/// A table's title and the names of its columns.
pub(crate) fn head(job: Job) -> String {
    let rule: Vec<_> = COLUMNS
        .iter()
        .map(|&(name, width)| match name {
            "route" => format!(":{}", "-".repeat(width + 1)),
            _ => format!("{}:", "-".repeat(width + 1)),
        })
        .collect();
    format!(
        "\n{}\n\n{}\n|{}|",
        title(job),
        line(columns()),
        rule.join("|")
    )
}

pub(crate) fn row(measured: &Measured) -> String {
    line(cells(measured))
}

fn line<T: AsRef<str>>(cells: [T; 8]) -> String {
    let mut line = String::from("|");
    for ((name, width), cell) in COLUMNS.into_iter().zip(&cells) {
        let cell = cell.as_ref();
        line += &match name {
            "route" => format!(" {cell:<width$} |"),
            _ => format!(" {cell:>width$} |"),
        };
    }
    line
}

/// 12,345
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Three digits, more or less.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2}"),
        10.0..100.0 => format!("{ms:.1}"),
        _ => count(ms.round() as usize),
    }
}

//! The report of a run: the conclusion, tables in Markdown that read well as they are, and the checks.

use std::{fmt::Write as _, fs, thread::available_parallelism, time::Duration};

use crate::{
    checks::Finding,
    client::Route,
    database::{PEOPLE, POSTS},
    load::{Burst, Job, Measured, Step, TOO_SLOW},
    routes::{BATCH_DELAY_MS, BATCH_SIZE, LINES},
};

/// The conclusion is about this many callers.
const CALLERS: usize = 64;

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) setting: String,
    /// Writes, reads of one timeline, reads of many.
    pub(crate) jobs: Vec<Measurements>,
    /// An empty route, with the same client: the cost of HTTP alone.
    pub(crate) http: Measured,
    pub(crate) checks: Vec<Finding>,
}

/// All measurements of one job.
#[derive(Debug)]
pub(crate) struct Measurements {
    pub(crate) job: Job,
    pub(crate) measured: Vec<Measured>,
    pub(crate) bursts: Vec<(Route, Vec<Burst>)>,
    pub(crate) sweeps: Vec<(Route, Vec<Step>)>,
}

impl Measurements {
    pub(crate) fn new(job: Job) -> Self {
        Self {
            job,
            measured: Vec::new(),
            bursts: Vec::new(),
            sweeps: Vec::new(),
        }
    }

    /// Times the throughput of the plain route with as many callers.
    fn times_plain(&self, measured: &Measured) -> f64 {
        let plain = self
            .measured
            .iter()
            .find(|plain| plain.route == Route::Plain && plain.callers == measured.callers);
        measured.per_second / plain.map_or(f64::NAN, |plain| plain.per_second)
    }

    fn times_plain_with_many_callers(&self) -> f64 {
        let ours = self
            .measured
            .iter()
            .find(|ours| ours.route == Route::Piggyback && ours.callers == CALLERS);
        ours.map_or(f64::NAN, |ours| self.times_plain(ours))
    }
}

impl Report {
    pub(crate) fn passed(&self) -> bool {
        self.checks.iter().all(Result::is_ok)
    }

    /// The conclusion, in a line.
    pub(crate) fn headline(&self) -> String {
        let times: Vec<_> = self
            .jobs
            .iter()
            .map(Measurements::times_plain_with_many_callers)
            .map(|times| format!("{times:.1} ×"))
            .collect();
        let checked = if self.passed() {
            "all checks passed"
        } else {
            "CHECKS FAILED"
        };
        format!(
            "{CALLERS} callers, against plain: posts {}, one hot timeline {}, Zipf timelines {}; {checked}.",
            times[0], times[1], times[2]
        )
    }

    /// The whole report.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}\n\n{}\n\nThe two lines of code that differ:\n\n",
            self.headline(),
            self.setting
        );
        for line in LINES {
            _ = writeln!(text, "    {line}");
        }
        for job in &self.jobs {
            _ = write!(text, "\n{}\n\n{}\n", title(job.job), head());
            for measured in &job.measured {
                _ = writeln!(text, "{}", row(job, measured));
            }
        }
        text.push('\n');
        for job in &self.jobs {
            let last = |(route, bursts): &(Route, Vec<Burst>)| {
                let Burst { queries, .. } = bursts[bursts.len() - 1];
                format!("{} {queries}", name(job.job, *route))
            };
            let queries: Vec<_> = job.bursts.iter().map(last).collect();
            if let Some((_, bursts)) = job.bursts.first() {
                _ = writeln!(
                    text,
                    "{} {} at the same moment make queries: {}",
                    bursts.len(),
                    what(job.job),
                    queries.join(", ")
                );
            }
        }
        text.push('\n');
        for job in &self.jobs {
            let held: Vec<_> = job
                .sweeps
                .iter()
                .map(|(route, steps)| format!("{} {}", name(job.job, *route), holds(steps)))
                .collect();
            if !held.is_empty() {
                _ = writeln!(
                    text,
                    "{} per second with a p99 below {} ms: {}",
                    capital(what(job.job)),
                    TOO_SLOW.as_millis(),
                    held.join(", ")
                );
            }
        }
        _ = writeln!(
            text,
            "HTTP alone (an empty route, the same client, {} callers): {} requests/s, p50 {} ms\n",
            self.http.callers,
            count(self.http.per_second as usize),
            milliseconds(self.http.p50),
        );
        for check in &self.checks {
            _ = match check {
                Ok(good) => writeln!(text, "ok      {good}"),
                Err(bad) => writeln!(text, "FAILED  {bad}"),
            };
        }
        text
    }
}

/// The highest rate of a sweep that the route holds.
pub(crate) fn holds(steps: &[Step]) -> String {
    let held = steps.iter().rev().find(|step| step.holds());
    held.map_or_else(|| "none".into(), |step| count(step.rate.round() as usize))
}

/// The machine, the day, the database and the data.
pub(crate) fn setting(day: &str, database: &str, follows: usize, zipf: f64) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |model| {
            model.trim_start_matches([' ', '\t', ':'])
        });
    format!(
        "{day}: {cpu}, {} cores for the database, the server and the callers.\n\
         {database}.\n\
         {} people, {} posts, {} follows; readers and authors are drawn by Zipf({zipf}).",
        available_parallelism().map_or(1, usize::from),
        count(PEOPLE as usize),
        count(POSTS),
        count(follows),
    )
}

/// What a table or a chart shows.
pub(crate) fn title(job: Job) -> String {
    match job {
        Job::Nothing => "GET /nothing".into(),
        Job::ReadHot => "GET /timeline/1, one timeline for all callers: plain and #[dedup]".into(),
        Job::ReadTimelines => "GET /timeline/{person}, Zipf: plain and #[dedup]".into(),
        Job::SavePosts => format!(
            "POST /posts: plain, #[batch(size = {BATCH_SIZE}, delay_ms = {BATCH_DELAY_MS})], #[batch(size = 100, eager)]"
        ),
    }
}

/// What a job's requests are.
pub(crate) fn what(job: Job) -> &'static str {
    match job {
        Job::Nothing => "requests",
        Job::ReadHot => "requests for one timeline",
        Job::ReadTimelines => "requests for timelines",
        Job::SavePosts => "posts",
    }
}

/// A route as tables and charts call it.
pub(crate) fn name(job: Job, route: Route) -> &'static str {
    match (route, job) {
        (Route::Plain, _) => "plain",
        (Route::Delay, _) => "delay",
        (Route::Piggyback, Job::SavePosts) => "eager",
        (Route::Piggyback, _) => "dedup",
    }
}

pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

const COLUMNS: [(&str, usize); 8] = [
    ("callers", 7),
    ("route", 5),
    ("requests/s", 10),
    ("3 samples", 15),
    ("× plain", 7),
    ("p50 ms", 7),
    ("p99 ms", 7),
    ("requests/query", 14),
];

/// The names of the columns, for every table.
pub(crate) fn columns() -> [&'static str; 8] {
    COLUMNS.map(|(name, _)| name)
}

pub(crate) fn cells(job: &Measurements, measured: &Measured) -> [String; 8] {
    let whole = |rate: f64| count(rate.round() as usize);
    [
        measured.callers.to_string(),
        name(job.job, measured.route).into(),
        whole(measured.per_second),
        format!("{}–{}", whole(measured.lowest), whole(measured.highest)),
        format!("{:.2}", job.times_plain(measured)),
        milliseconds(measured.p50),
        milliseconds(measured.p99),
        format!("{:.2}", measured.requests as f64 / measured.queries as f64),
    ]
}

/// The names of the columns, and the rule below them.
fn head() -> String {
    let rule: Vec<_> = COLUMNS
        .iter()
        .map(|&(name, width)| match name {
            "route" => format!(":{}", "-".repeat(width + 1)),
            _ => format!("{}:", "-".repeat(width + 1)),
        })
        .collect();
    format!("{}\n|{}|", line(columns()), rule.join("|"))
}

fn row(job: &Measurements, measured: &Measured) -> String {
    line(cells(job, measured))
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

/// With about three digits.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2}"),
        10.0..100.0 => format!("{ms:.1}"),
        _ => count(ms.round() as usize),
    }
}

//! The page: the article's two pictures, as they came out here, and the figures behind them.

use std::fmt::Write as _;

use crate::{
    chart::{Axis, Chart, Line, Scale, Shape},
    client::Route,
    load::Job,
    report::{self, Measurements, Report},
    routes::{BATCH_DELAY_MS, BATCH_SIZE},
};

pub(crate) fn page(report: &Report) -> String {
    let jobs = [&report.writes, &report.reads];
    let [queries_writes, queries_reads] =
        jobs.map(|job| figure(caption(job.job, true), &queries(job)));
    let [latency_writes, latency_reads] =
        jobs.map(|job| figure(caption(job.job, false), &latency(job)));
    let tables: String = jobs.into_iter().map(table).collect();
    let checks: String = report
        .checks
        .iter()
        .map(|check| match check {
            Ok(good) => format!("<li>{good}</li>\n"),
            Err(bad) => format!("<li class=\"failed\">{}</li>\n", escape(bad)),
        })
        .collect();
    let setting = report.setting.replace('\n', "<br>");

    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Traffic, with piggyback and without</title>
<style>
{css}</style>

<h1>The same traffic, <span class="plain-word">plain</span> and with
<span class="piggyback-word">piggyback</span></h1>
<p class="quiet">{setting}</p>

<h2>Queries to the database</h2>
<p>Bursts of requests at the same moment, and the queries that they made. A batch takes up to
{BATCH_SIZE} posts, so one more query is made every {BATCH_SIZE} posts; reads of one timeline that
overlap share a single query.</p>
<div class="pair">
{queries_writes}{queries_reads}</div>

<h2>Latency</h2>
<p>Each caller calls again as soon as it has its answer. A lone post waits {BATCH_DELAY_MS} ms for
company; the more callers there are, the sooner a batch is full.</p>
<div class="pair">
{latency_writes}{latency_reads}</div>

{tables}
<h2>Checked in this run</h2>
<ul>
{checks}</ul>
</html>
"#,
        css = include_str!("page.css"),
    )
}

fn caption(job: Job, burst: bool) -> &'static str {
    match (job, burst) {
        (Job::SavePosts, _) => "Saving posts",
        (_, true) => "Reading one timeline",
        (_, false) => "Reading timelines",
    }
}

fn figure(caption: &str, chart: &Chart) -> String {
    format!("<figure>\n<figcaption>{caption}</figcaption>\n{chart}</figure>\n")
}

/// The queries that bursts made.
fn queries(job: &Measurements) -> Chart {
    let largest = job
        .bursts
        .iter()
        .flat_map(|(_, bursts)| bursts)
        .map(|burst| burst.calls)
        .max();
    let largest = largest.unwrap_or(1) as f64;
    let step = BATCH_SIZE as f64;
    let ticks = || {
        let marks = (0..)
            .map(|n| f64::from(n) * step)
            .take_while(|&value| value <= largest);
        marks.map(|value| (value, value.to_string())).collect()
    };
    let lines = job.bursts.iter().map(|(route, bursts)| Line {
        class: route.name(),
        label: format!(
            "{} {}",
            route.name(),
            bursts.last().map_or(0, |last| last.queries)
        ),
        points: bursts
            .iter()
            .map(|burst| (burst.calls as f64, burst.queries as f64))
            .collect(),
        shape: match route {
            Route::Plain => Shape::Straight,
            Route::Piggyback => Shape::Stairs,
        },
    });
    Chart {
        description: format!("{}: queries against requests", caption(job.job, true)),
        x: Axis {
            label: "requests at the same moment",
            scale: Scale::Linear {
                from: 0.0,
                to: largest,
            },
            ticks: ticks(),
        },
        y: Axis {
            label: "queries",
            scale: Scale::Linear {
                from: 0.0,
                to: largest,
            },
            ticks: ticks(),
        },
        lines: lines.collect(),
    }
}

/// Median and 99th percentile against the number of callers.
fn latency(job: &Measurements) -> Chart {
    let mut lines = Vec::new();
    for (route, classes) in [
        (Route::Plain, ["plain", "plain p99"]),
        (Route::Piggyback, ["piggyback", "piggyback p99"]),
    ] {
        let measured = || job.measured.iter().filter(move |m| m.route == route);
        let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        for (class, label, points) in [
            (
                classes[1],
                "p99",
                measured().map(|m| (m.callers as f64, ms(m.p99))).collect(),
            ),
            (
                classes[0],
                "p50",
                measured().map(|m| (m.callers as f64, ms(m.p50))).collect(),
            ),
        ] {
            let label = format!("{} {label}", route.name());
            lines.push(Line {
                class,
                label,
                points,
                shape: Shape::Dots,
            });
        }
    }
    let callers: Vec<_> = lines[0]
        .points
        .iter()
        .map(|&(callers, _)| callers)
        .collect();
    let values = || lines.iter().flat_map(|line| &line.points).map(|&(_, y)| y);
    let from = 10_f64.powf(values().fold(f64::MAX, f64::min).log10().floor());
    let to = 10_f64.powf(values().fold(f64::MIN, f64::max).log10().ceil());
    let decades = std::iter::successors(Some(from), |value| Some(value * 10.0));
    Chart {
        description: format!(
            "{}: latency against concurrent callers",
            caption(job.job, false)
        ),
        x: Axis {
            label: "concurrent callers",
            scale: Scale::Logarithmic {
                from: callers[0],
                to: callers[callers.len() - 1],
            },
            ticks: callers
                .iter()
                .map(|&callers| (callers, callers.to_string()))
                .collect(),
        },
        y: Axis {
            label: "milliseconds",
            scale: Scale::Logarithmic { from, to },
            ticks: decades
                .take_while(|&value| value <= to * 1.01)
                .map(|value| (value, short(value)))
                .collect(),
        },
        lines,
    }
}

fn short(value: f64) -> String {
    if value >= 1.0 {
        report::count(value.round() as usize)
    } else {
        format!("{value:.3}").trim_end_matches('0').into()
    }
}

fn table(job: &Measurements) -> String {
    let mut table = format!(
        "<h2><code>{}</code></h2>\n<div class=\"scroll\"><table>\n<tr>",
        escape(&report::title(job.job))
    );
    for column in report::columns() {
        _ = write!(table, "<th>{column}</th>");
    }
    table += "</tr>\n";
    for measured in &job.measured {
        _ = write!(table, "<tr class=\"{}\">", measured.route.name());
        for cell in report::cells(measured) {
            _ = write!(table, "<td>{cell}</td>");
        }
        table += "</tr>\n";
    }
    table + "</table></div>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

//! The page: the conclusion, the lines of code, charts of throughput, queries and latency, and the figures behind them.

use std::fmt::Write as _;

use crate::{
    chart::{Axis, Chart, Line, Scale, Shape},
    client::Route,
    load::{Job, Measured},
    report::{self, Measurements, Report},
    routes::LINES,
};

pub(crate) fn page(report: &Report) -> String {
    let each = |chart: fn(&Measurements) -> Option<Chart>| -> String {
        let figures = report
            .jobs
            .iter()
            .filter_map(|job| chart(job).map(|chart| figure(caption(job.job), &chart)));
        figures.collect()
    };
    let throughputs = each(throughput);
    let queries = each(queries);
    let latencies = each(latency);
    let sweeps = each(sweep);
    let tables: String = report.jobs.iter().map(table).collect();
    let checks: String = report
        .checks
        .iter()
        .map(|check| match check {
            Ok(good) => format!("<li>{good}</li>\n"),
            Err(bad) => format!("<li class=\"failed\">{}</li>\n", escape(bad)),
        })
        .collect();
    let headline = escape(&report.headline());
    let setting = escape(&report.setting).replace('\n', "<br>");
    let [dedup, batch] = LINES.map(escape);

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
<p class="headline">{headline}</p>
<p class="quiet">{setting}</p>

<p>Two lines of code differ:</p>
<pre><code>{dedup}
{batch}</code></pre>

<h2>Throughput</h2>
<p>Each caller calls again as soon as it has its answer. “delay” is the batch of the article, with
a size and a delay; “eager” waits for nothing while no INSERT runs.</p>
<div class="group">
{throughputs}</div>

<h2>Queries to the database</h2>
<p>Bursts of requests at the same moment, and the queries that they make.</p>
<div class="group">
{queries}</div>

<h2>Latency</h2>
<p>The median, and dashed the 99th percentile.</p>
<div class="group">
{latencies}</div>

<h2>Where each breaks</h2>
<p>Requests arrive at a given rate, whether or not earlier ones have been answered. The rate rises
until the 99th percentile (dashed) exceeds {too_slow} ms.</p>
<div class="group">
{sweeps}</div>

{tables}
<h2>Checked in this run</h2>
<ul>
{checks}</ul>
</html>
"#,
        css = include_str!("page.css"),
        too_slow = crate::load::TOO_SLOW.as_millis(),
    )
}

fn caption(job: Job) -> &'static str {
    match job {
        Job::Nothing => "Nothing",
        Job::SavePosts => "Saving posts",
        Job::ReadHot => "Reading one timeline",
        Job::ReadTimelines => "Reading timelines (Zipf)",
    }
}

fn figure(caption: &str, chart: &Chart) -> String {
    format!("<figure>\n<figcaption>{caption}</figcaption>\n{chart}</figure>\n")
}

/// The class of a route's line, and of one that is dashed.
fn classes(route: Route) -> [&'static str; 2] {
    match route {
        Route::Plain => ["plain", "plain p99"],
        Route::Delay => ["delay", "delay p99"],
        Route::Piggyback => ["piggyback", "piggyback p99"],
    }
}

/// Requests per second against the number of callers.
fn throughput(job: &Measurements) -> Option<Chart> {
    let lines = job.job.routes().iter().map(|&route| Line {
        class: classes(route)[0],
        label: report::name(job.job, route),
        points: points(job, route, |measured| measured.per_second),
        shape: Shape::Dots,
    });
    Some(chart(
        format!("{}: requests per second against callers", caption(job.job)),
        "callers",
        "requests/s",
        lines.collect(),
    ))
}

/// The median and the 99th percentile against the number of callers.
fn latency(job: &Measurements) -> Option<Chart> {
    let mut lines = Vec::new();
    for &route in job.job.routes() {
        let [class, dashed] = classes(route);
        lines.push(Line {
            class: dashed,
            label: "",
            points: points(job, route, |measured| milliseconds(measured.p99)),
            shape: Shape::Straight,
        });
        lines.push(Line {
            class,
            label: report::name(job.job, route),
            points: points(job, route, |measured| milliseconds(measured.p50)),
            shape: Shape::Dots,
        });
    }
    Some(chart(
        format!("{}: latency against callers", caption(job.job)),
        "callers",
        "milliseconds",
        lines,
    ))
}

/// Latency against the rate of arrival.
fn sweep(job: &Measurements) -> Option<Chart> {
    let mut lines = Vec::new();
    for (route, steps) in &job.sweeps {
        let [class, dashed] = classes(*route);
        lines.push(Line {
            class: dashed,
            label: "",
            points: steps
                .iter()
                .map(|step| (step.rate, milliseconds(step.p99)))
                .collect(),
            shape: Shape::Straight,
        });
        lines.push(Line {
            class,
            label: report::name(job.job, *route),
            points: steps
                .iter()
                .map(|step| (step.rate, milliseconds(step.p50)))
                .collect(),
            shape: Shape::Dots,
        });
    }
    if lines.is_empty() {
        return None;
    }
    Some(chart(
        format!("{}: latency against the rate of arrival", caption(job.job)),
        "requests/s that arrive",
        "milliseconds",
        lines,
    ))
}

/// The queries that bursts make.
fn queries(job: &Measurements) -> Option<Chart> {
    let largest = job.bursts.first()?.1.last()?.calls as f64;
    let axis = |label| Axis {
        label,
        scale: Scale::Linear {
            from: 0.0,
            to: largest,
        },
        ticks: (0..=5)
            .map(|n| f64::from(n) * largest / 5.0)
            .map(|value| (value, value.to_string()))
            .collect(),
    };
    let lines = job.bursts.iter().map(|(route, bursts)| Line {
        class: classes(*route)[0],
        label: report::name(job.job, *route),
        points: bursts
            .iter()
            .map(|burst| (burst.calls as f64, burst.queries as f64))
            .collect(),
        shape: match route {
            Route::Plain => Shape::Straight,
            Route::Delay | Route::Piggyback => Shape::Stairs,
        },
    });
    Some(Chart {
        description: format!("{}: queries against requests", caption(job.job)),
        x: axis("requests at the same moment"),
        y: axis("queries"),
        lines: lines.collect(),
    })
}

fn points(job: &Measurements, route: Route, figure: fn(&Measured) -> f64) -> Vec<(f64, f64)> {
    let measured = job.measured.iter().filter(|m| m.route == route);
    measured.map(|m| (m.callers as f64, figure(m))).collect()
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// With two logarithmic axes.
fn chart(description: String, x: &'static str, y: &'static str, lines: Vec<Line>) -> Chart {
    let xs = || lines.iter().flat_map(|line| &line.points).map(|&(x, _)| x);
    let ys = || lines.iter().flat_map(|line| &line.points).map(|&(_, y)| y);
    let from = xs().fold(f64::MAX, f64::min);
    let to = xs().fold(f64::MIN, f64::max);
    let steps = std::iter::successors(Some(from), |value| Some(value * 4.0));
    let x = Axis {
        label: x,
        scale: Scale::Logarithmic { from, to },
        ticks: steps
            .take_while(|&value| value <= to * 1.01)
            .map(|value| (value, short(value)))
            .collect(),
    };
    let from = 10_f64.powf(ys().fold(f64::MAX, f64::min).log10().floor());
    let to = 10_f64.powf(ys().fold(f64::MIN, f64::max).log10().ceil());
    let decades = std::iter::successors(Some(from), |value| Some(value * 10.0));
    let y = Axis {
        label: y,
        scale: Scale::Logarithmic { from, to },
        ticks: decades
            .take_while(|&value| value <= to * 1.01)
            .map(|value| (value, short(value)))
            .collect(),
    };
    Chart {
        description,
        x,
        y,
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
        "<h2 class=\"table\"><code>{}</code></h2>\n<div class=\"scroll\"><table>\n<tr>",
        escape(&report::title(job.job))
    );
    for column in report::columns() {
        _ = write!(table, "<th>{column}</th>");
    }
    table += "</tr>\n";
    for measured in &job.measured {
        _ = write!(table, "<tr class=\"{}\">", measured.route.name());
        for cell in report::cells(job, measured) {
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

//! Whether the service tells all that the dashboard asks for.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../../dashboard/grafana.json");

pub(crate) async fn run(service: SocketAddr) -> anyhow::Result<()> {
    let queries = queries()?;
    let calls = (0..40).map(|n| {
        tokio::task::spawn_blocking(move || {
            call(service, "GET", "/users/7", "")?;
            call(service, "POST", "/events", &format!("event {n}"))
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await??;
    }
    let told = tokio::task::spawn_blocking(move || call(service, "GET", "/metrics", "")).await??;

    let asked: BTreeSet<&str> = queries.iter().flat_map(|query| metrics(query)).collect();
    let series: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("piggyback_"))
        .collect();
    let names: BTreeSet<&str> = series.iter().copied().flat_map(metrics).collect();
    let missing: Vec<_> = asked.difference(&names).collect();
    ensure!(missing.is_empty(), "the service does not tell {missing:?}");
    let unasked: Vec<_> = names.difference(&asked).collect();
    // Not every part of a histogram has to be looked at, but each metric has.
    let families = |names: &BTreeSet<&str>| -> BTreeSet<String> {
        let parts = ["_bucket", "_sum", "_count"];
        let family = |name: &&str| {
            let part = parts.iter().find_map(|part| name.strip_suffix(part));
            part.unwrap_or(name).to_owned()
        };
        names.iter().map(family).collect()
    };
    ensure!(
        families(&names) == families(&asked),
        "the dashboard does not show {unasked:?}"
    );
    for line in &series {
        for label in ["function=\"", "kind=\""] {
            ensure!(line.contains(label), "no {label} in {line}");
        }
    }
    for family in families(&names) {
        for comment in ["HELP", "TYPE"] {
            let comment = format!("# {comment} {family} ");
            ensure!(told.contains(&comment), "no {comment}");
        }
    }
    let value = |start: &str| {
        let line = series.iter().find(|line| line.starts_with(start));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        value.with_context(|| format!("no {start}"))
    };
    let users = "{function=\"users.find\"";
    let calls = value(&format!("piggyback_calls_total{users}"))?;
    let executions = value(&format!("piggyback_executions_total{users}"))?;
    let shared = value(&format!("piggyback_shared_total{users}"))?;
    ensure!(calls == 40.0 && executions + shared == calls, "{told}");
    for name in &asked {
        println!("{name}");
    }
    println!(
        "all there, for {} queries; {calls} reads took {executions} executions",
        queries.len()
    );
    Ok(())
}

/// The queries of the dashboard, which has to be one.
fn queries() -> anyhow::Result<Vec<String>> {
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let version = dashboard["schemaVersion"].as_u64();
    ensure!(version >= Some(36), "schemaVersion {version:?}");
    ensure!(dashboard["title"].is_string() && dashboard["uid"].is_string());
    let mut queries = Vec::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().context("no panels")? {
        let title = panel["title"].as_str().context("a panel has no title")?;
        ensure!(ids.insert(panel["id"].as_u64()), "{title}: not its own id");
        for side in ["x", "y", "w", "h"] {
            ensure!(panel["gridPos"][side].is_u64(), "{title}: no {side}");
        }
        let targets = panel["targets"].as_array().context("no targets")?;
        ensure!(!targets.is_empty(), "{title}: no query");
        for target in targets {
            match target["expr"].as_str() {
                Some(query) => queries.push(query.to_owned()),
                None => bail!("{title}: a target without a query"),
            }
        }
    }
    Ok(queries)
}

/// The names of metrics in a query, or in a line of what is scraped.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("piggyback_"))
}

/// One request on a connection of its own. Fails unless the answer is 200.
fn call(service: SocketAddr, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
    let mut connection = TcpStream::connect(service)?;
    let length = body.len();
    write!(
        connection,
        "{method} {path} HTTP/1.0\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.contains(" 200 "), "{method} {path}: {head}");
    Ok(body.to_owned())
}

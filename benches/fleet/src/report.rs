//! The figures as text, and where they stand.

use std::fmt::Write;
use std::process::Command;

use crate::contenders::CALLERS;
use crate::measure::{Figures, MANY, PATIENCE, Row};
use crate::processes::PROCESSES;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../redis/README.md");
const BEGIN: &str = "<!-- figures, written by benches/fleet -->\n";
const END: &str = "<!-- end of the figures -->\n";

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map_or_else(
        |_| String::new(),
        |it| String::from_utf8_lossy(&it.stdout).into_owned(),
    );
    text.lines().next().unwrap_or_default().to_owned()
}

fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} ({cores} cores)", model.unwrap_or("unknown processor"))
}

fn row(row: &Row) -> String {
    let late = row.late.map_or_else(
        || ["".to_owned(), "".to_owned()],
        |late| late.map(|ms| format!("{ms:.1} ms")),
    );
    let killed = match row.killed {
        None => String::new(),
        Some(None) => format!("more than {} s", PATIENCE.as_secs()),
        Some(Some(time)) => format!("{:.2} s", time.as_secs_f64()),
    };
    let Row {
        name,
        executions,
        alone,
        commands_alone,
        commands,
        keys,
        ..
    } = row;
    let [p50, p99] = late;
    let alone = match *alone {
        0.0 => String::new(),
        added => format!("{added:.2} ms"),
    };
    format!(
        "| {name} | {executions:.2} | {p50} | {p99} | {alone} | {commands_alone:.1} | {commands:.1} | {killed} | {keys} |"
    )
}

pub fn text(figures: &Figures) -> String {
    let Figures {
        rows,
        many,
        faults,
        took,
        load,
        skipped,
    } = figures;
    let mut text = String::new();
    let version = first_line("redis-server", &["--version"]);
    let version = version
        .split("v=")
        .nth(1)
        .and_then(|it| it.split(' ').next());
    let date = first_line("date", &["+%Y-%m-%d"]);
    let _ = writeln!(
        text,
        "{PROCESSES} processes with {CALLERS} callers each that call at the same moment, one key, a body of 100 to 150 ms, Redis {} on the same \
         machine: {}, {date}. The load average before the start was {load}; the program itself took {:.0} s.\n",
        version.unwrap_or("?"),
        machine(),
        took.as_secs_f64(),
    );
    text += "| | executions per round | late, p50 | late, p99 | alone, p50 | commands alone | commands per round | leader killed | keys left |\n";
    text += "|:--|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for each in rows {
        text += &row(each);
        text += "\n";
    }
    let errors: usize = rows.iter().map(|row| row.errors).sum();
    text += "\n\
        - *late*: in processes that did not run the body, from its end until the last of their callers has the result.\n\
        - *alone*: what a call that meets no other takes longer than a plain one, with a body that does nothing.\n\
        - *commands*: that clients send to Redis, for a call alone and for a round of all processes.\n\
        - *leader killed*: from `kill -9` of the process that runs the body until another begins.\n\
        - *keys left*: four seconds after the last call. The three caches were told to keep results for ten seconds.\n\n";
    let with = |bodies: usize| many.get(bodies).copied().unwrap_or(0);
    let more: u64 = many.iter().skip(2).sum();
    let total: u64 = many
        .iter()
        .zip(0..)
        .map(|(rounds, bodies)| rounds * bodies)
        .sum();
    let _ = writeln!(
        text,
        "With `across`: in {MANY} rounds, 20 at a time, {} had one execution and {more} had more, {:.3} per round.",
        with(1),
        total as f64 / MANY as f64,
    );
    let mut times: Vec<_> = faults
        .killed
        .iter()
        .map(|(time, _)| time.as_millis())
        .collect();
    times.sort_unstable();
    let most = faults.killed.iter().map(|(_, bodies)| *bodies).max();
    let _ = writeln!(
        text,
        "After `kill -9` of the leader, another process began after {} ms (median of {}, at most {} ms), with {} executions in all; after `SIGSTOP`, after {:.1} s, with {}.",
        times[times.len() / 2],
        times.len(),
        times[times.len() - 1],
        most.unwrap_or(0),
        faults.stopped.0.as_secs_f64(),
        faults.stopped.1,
    );
    let _ = writeln!(
        text,
        "With Redis killed in the middle of a round and away for a second, {} calls failed; {:.1} s after its return, a round had one execution again.",
        faults.errors,
        faults.back.as_secs_f64(),
    );
    if errors > 0 {
        let _ = writeln!(text, "Calls of peers that failed: {errors}.");
    }
    for name in skipped {
        let _ = writeln!(
            text,
            "Not measured, since it could not be installed: {name}."
        );
    }
    text
}

pub fn write(text: &str) {
    let readme = std::fs::read_to_string(README).expect("the README");
    let (before, rest) = readme.split_once(BEGIN).expect("a begin");
    let (_, after) = rest.split_once(END).expect("an end");
    let readme = format!("{before}{BEGIN}{text}{END}{after}");
    std::fs::write(README, readme).expect("it can be written");
}

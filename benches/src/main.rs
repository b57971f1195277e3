//! Measures `piggyback` against its peers. One command: `cargo run --release -p piggyback-benches`.

mod alloc;
mod batch;
mod chapter;
mod cores;
mod dedup;
mod measure;
mod ours;
mod record;
mod report;
mod side_by_side;
mod workloads;

use measure::Plan;
use serde_json::{Value, json};
use std::{
    process::ExitCode,
    time::{Instant, SystemTime},
};
use workloads::Workload;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

const USAGE: &str = "\
Measures piggyback against its peers.

  cargo run --release -p piggyback-benches -- [OPTIONS]

  --only D1,\"B1 ct 100\"  these families or workloads only
  --json FILE            also writes all figures there
  --chapter FILE         measures nothing, but writes the tables and pictures of the docs
                         from the figures in FILE
  --check                with --chapter: fails if they are not what FILE gives, writes nothing
  --quick                few rounds: to see that it works, not how fast it is
  --list                 the workloads and who takes part
  --callgrind WORKLOAD --contender NAME --calls N --laps L
                         one contender, L laps of N calls and nothing else: for callgrind.sh
  --counted WORKLOAD --contender NAME
                         its allocations and whatever else needs no clock: for counts.sh

E needs DATABASE_URL, a PostgreSQL database in which it may create a table.";

#[derive(Default)]
struct Options {
    only: Vec<String>,
    json: Option<String>,
    quick: bool,
    list: bool,
    chapter: Option<String>,
    check: bool,
    callgrind: Option<String>,
    counted: Option<String>,
    contender: String,
    calls: u64,
    laps: u64,
}

fn options() -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--only" => options.only.extend(
                value()?
                    .split(',')
                    .map(|workload| workload.trim().to_owned()),
            ),
            "--json" => options.json = Some(value()?),
            "--quick" => options.quick = true,
            "--list" => options.list = true,
            "--chapter" => options.chapter = Some(value()?),
            "--check" => options.check = true,
            "--counted" => options.counted = Some(value()?),
            "--callgrind" => options.callgrind = Some(value()?),
            "--contender" => options.contender = value()?,
            "--calls" => options.calls = number("--calls", value()?)?,
            "--laps" => options.laps = number("--laps", value()?)?,
            _ => return Err(format!("unknown option {argument}\n\n{USAGE}")),
        }
    }
    Ok(options)
}

fn number(option: &str, value: String) -> Result<u64, String> {
    value
        .parse()
        .map_err(|_| format!("{option} needs a number"))
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    if let Some(file) = &options.chapter {
        return chapter::write(file, options.check);
    }
    let workloads = workloads::all();
    let race = |asked: &str| {
        workloads
            .iter()
            .find_map(|workload| match workload {
                Workload::Race(race) if workload.is(asked) => Some(race),
                _ => None,
            })
            .ok_or_else(|| format!("no race is called {asked}"))
    };
    if let Some(asked) = &options.callgrind {
        return race(asked)?.alone(&options.contender, options.calls, options.laps.max(1));
    }
    if let Some(asked) = &options.counted {
        for (column, figure) in race(asked)?.counted(&options.contender)? {
            println!("{}\t{figure:.3}", column.name);
        }
        return Ok(());
    }

    let asked: Vec<&Workload> = workloads
        .iter()
        .filter(|workload| {
            options.only.is_empty() || options.only.iter().any(|only| workload.is(only))
        })
        .collect();
    if let Some(unknown) = options
        .only
        .iter()
        .find(|only| !workloads.iter().any(|workload| workload.is(only)))
    {
        return Err(format!("no workload is called {unknown}\n\n{USAGE}"));
    }
    if options.list {
        list(&asked);
        return Ok(());
    }

    let plan = Plan {
        quick: options.quick,
    };
    let machine = machine();
    let [cpu, system, compiler] =
        ["cpu", "system", "compiler"].map(|part| machine[part].as_str().unwrap_or_default());
    println!("{cpu}, {} cores, {system}, {compiler}", machine["cores"]);
    let begun = Instant::now();
    let mut tables = Vec::new();
    for (i, workload) in asked.iter().enumerate() {
        eprintln!(
            "{}/{}  {}: {} …",
            i + 1,
            asked.len(),
            workload.id(),
            workload.title()
        );
        for table in workload.run(&plan) {
            print!("{table}");
            tables.push(table);
        }
        // After each, lest a run that is stopped has measured for nothing.
        if let Some(file) = &options.json {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let so_far = json!({
                "machine": machine,
                "unix_time": since.map_or(0, |since| since.as_secs()),
                "seconds": begun.elapsed().as_secs(),
                "quick": options.quick,
                "tables": tables.iter().map(report::Table::json).collect::<Vec<_>>(),
            });
            std::fs::write(file, report::text(&so_far))
                .map_err(|error| format!("{file} can't be written: {error}"))?;
        }
    }
    let missed = tables
        .iter()
        .flat_map(|table| &table.goals)
        .filter(|goal| !goal.met())
        .count();
    let goals: usize = tables.iter().map(|table| table.goals.len()).sum();
    println!("\n{} of {goals} goals met", goals - missed);
    Ok(())
}

/// `workload<TAB>contender`, a line each, as callgrind.sh reads it.
fn list(workloads: &[&Workload]) {
    for workload in workloads {
        match workload {
            Workload::Race(race) => {
                for contender in (race.field)().contenders {
                    println!("{}\t{}", race.id, contender.who.name);
                }
            }
            Workload::Other(id, title, _) => println!("{id}\t({title})"),
        }
    }
}

/// The facts about the machine on which the figures depend.
fn machine() -> Value {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let compiler = std::process::Command::new("rustc")
        .arg("--version")
        .output();
    let compiler = compiler.map_or_else(
        |_| "rustc of unknown version".into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let system = read("/etc/os-release");
    let system = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "cpu": cpu.unwrap_or(std::env::consts::ARCH),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "system": system.unwrap_or(std::env::consts::OS).trim_matches('"'),
        // Without the commit and the day in parentheses.
        "compiler": compiler.split(" (").next(),
    })
}

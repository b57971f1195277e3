//! Measures `piggyback` against its peers. One command: `cargo run --release -p piggyback-benches`.

mod alloc;
mod batch;
mod dedup;
mod measure;
mod ours;
mod report;
mod side_by_side;
mod workloads;

use measure::Plan;
use serde_json::json;
use std::{process::ExitCode, time::SystemTime};
use workloads::Workload;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

const USAGE: &str = "\
Measures piggyback against its peers.

  cargo run --release -p piggyback-benches -- [OPTIONS]

  --only D1,\"B1 ct 100\"  these families or workloads only
  --json FILE            also writes all figures there
  --quick                few rounds: to see that it works, not how fast it is
  --list                 the workloads and who takes part
  --callgrind WORKLOAD --contender NAME --calls N
                         one contender, one lap of N calls and nothing else: for callgrind.sh

E needs DATABASE_URL, a PostgreSQL database in which it may create a table.";

#[derive(Default)]
struct Options {
    only: Vec<String>,
    json: Option<String>,
    quick: bool,
    list: bool,
    callgrind: Option<String>,
    contender: String,
    calls: u64,
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
            "--callgrind" => options.callgrind = Some(value()?),
            "--contender" => options.contender = value()?,
            "--calls" => {
                options.calls = value()?
                    .parse()
                    .map_err(|_| "--calls needs a number".to_owned())?;
            }
            _ => return Err(format!("unknown option {argument}\n\n{USAGE}")),
        }
    }
    Ok(options)
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
    let workloads = workloads::all();
    if let Some(asked) = &options.callgrind {
        let race = workloads
            .iter()
            .find_map(|workload| match workload {
                Workload::Race(race) if workload.is(asked) => Some(race),
                _ => None,
            })
            .ok_or_else(|| format!("no race is called {asked}"))?;
        return race.alone(&options.contender, options.calls);
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
    println!("{machine}");
    let mut tables = Vec::new();
    for workload in asked {
        for table in workload.run(&plan) {
            print!("{table}");
            tables.push(table);
        }
    }
    let missed = tables
        .iter()
        .flat_map(|table| &table.goals)
        .filter(|goal| !goal.met())
        .count();
    let goals: usize = tables.iter().map(|table| table.goals.len()).sum();
    println!("\n{} of {goals} goals met", goals - missed);

    if let Some(file) = &options.json {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let all = json!({
            "machine": machine,
            "unix_time": since.map_or(0, |since| since.as_secs()),
            "quick": options.quick,
            "tables": tables.iter().map(report::Table::json).collect::<Vec<_>>(),
        });
        std::fs::write(file, format!("{all:#}\n"))
            .map_err(|error| format!("{file} can't be written: {error}"))?;
    }
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

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let compiler = std::process::Command::new("rustc")
        .arg("--version")
        .output();
    let compiler = compiler.map_or_else(
        |_| "rustc of unknown version".into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    );
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .unwrap_or(std::env::consts::ARCH);
    format!("{cpu}, {cores} cores, {compiler}")
}

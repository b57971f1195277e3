//! What is measured, and in which order.

use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::processes::{Monitor, PROCESSES, Processes, Round, Server};

/// How long a takeover is waited for.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// Of a fleet alone, in which executions are counted; so many run at the same time.
pub const MANY: u64 = 1000;
const AT_ONCE: u64 = 20;

/// The most rounds that are measured, if they don't take longer than `BUDGET`.
fn rounds_of(mode: &str) -> u64 {
    if mode == "fleet" { 100 } else { 30 }
}
const BUDGET: Duration = Duration::from_secs(10);
const FEWEST: u64 = 10;

pub struct Row {
    pub name: &'static str,
    pub executions: f64,
    /// Median and 99th percentile, in milliseconds, of processes that did not run the body.
    pub late: Option<[f64; 2]>,
    /// Milliseconds that a call takes by itself, beyond a plain one.
    pub alone: f64,
    pub commands_alone: f64,
    pub commands: f64,
    /// `None` if there is no takeover, `Some(None)` if it did not come.
    pub killed: Option<Option<Duration>>,
    pub keys: u64,
    pub errors: usize,
}

pub struct Faults {
    /// From the end of the leader's process to the next begin, and how many bodies began.
    pub killed: Vec<(Duration, usize)>,
    pub stopped: (Duration, usize),
    /// With Redis killed in the middle of a round: calls that failed, and bodies.
    pub errors: usize,
    /// From the server's return to the first round with one body.
    pub back: Duration,
}

pub struct Figures {
    pub rows: Vec<Row>,
    /// How many of `MANY` rounds had so many bodies: at the index.
    pub many: Vec<u64>,
    pub faults: Faults,
    pub took: Duration,
    pub load: String,
    pub skipped: Vec<&'static str>,
}

const CONTENDERS: &[(&str, &str)] = &[
    ("plain", "no sharing"),
    ("dedup", "`#[dedup]`"),
    (
        "hand",
        "`#[dedup]`, and by hand `SET NX` with a look every 50 ms",
    ),
    ("dogpile", "dogpile.cache 1.5 (Python, threads)"),
    ("cachekit", "cachekit-rs 0.13"),
    ("amalgam", "`#[dedup]` and amalgam-cache 0.4"),
    ("fleet", "`#[dedup(across = …)]`"),
];

pub fn all() -> Figures {
    let begin = Instant::now();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let mut rows: Vec<(Row, JoinHandle<u64>)> = Vec::new();
    let mut skipped = Vec::new();
    for &(mode, name) in CONTENDERS {
        if mode == "dogpile" && !has_python() {
            skipped.push(name);
            continue;
        }
        eprintln!("{:>5.1} s  {name}", begin.elapsed().as_secs_f64());
        let plain = rows.first().map_or(0.0, |(row, _)| row.alone);
        rows.push(contender(mode, name, plain));
    }
    rows[0].0.alone = 0.0;
    eprintln!("{:>5.1} s  {MANY} rounds", begin.elapsed().as_secs_f64());
    let many = many();
    eprintln!("{:>5.1} s  faults", begin.elapsed().as_secs_f64());
    let faults = faults();
    let rows = rows.into_iter().map(|(row, keys)| {
        let keys = keys.join().expect("it counts");
        Row { keys, ..row }
    });
    Figures {
        rows: rows.collect(),
        many,
        faults,
        took: begin.elapsed(),
        load,
        skipped,
    }
}

fn percentile(times: &mut [u128], part: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() * part / 100).min(times.len() - 1)] as f64 / 1000.0
}

fn contender(mode: &str, name: &'static str, plain: f64) -> (Row, JoinHandle<u64>) {
    let server = Server::start();
    let mut processes = Processes::start(mode, server.port);
    let (mut bodies, mut errors, mut late) = (0, 0, Vec::new());
    let round = |processes: &mut Processes, key| {
        let rounds = processes.rounds(key..key + 1, PROCESSES);
        let Round {
            ran,
            ended,
            returned,
            errors,
        } = &rounds[&key];
        let waited = returned.iter().filter(|(n, _)| !ran.contains(n));
        let late: Vec<_> = waited.map(|(_, at)| at.saturating_sub(*ended)).collect();
        (ran.len(), *errors, late)
    };
    let begin = Instant::now();
    let mut rounds = 0;
    while rounds < FEWEST || rounds < rounds_of(mode) && begin.elapsed() < BUDGET {
        let key = rounds;
        rounds += 1;
        let (ran, failed, waited) = round(&mut processes, key);
        bodies += ran;
        errors += failed;
        late.extend(waited);
    }
    processes.say_to(0, "alone 500");
    let ((_, _, _, nanos), _) = processes.wait_for("alone");
    let alone = nanos as f64 / 1e6 - plain;
    // Separately, as it slows the server.
    let monitor = Monitor::start(server.port);
    let before = monitor.count();
    processes.say_to(0, "alone 50");
    processes.wait_for("alone");
    let commands_alone = (monitor.count() - before) as f64 / 50.0;
    let before = monitor.count();
    for key in rounds..rounds + 5 {
        round(&mut processes, key);
    }
    let commands = (monitor.count() - before) as f64 / 5.0;
    drop(processes);
    let keys = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(4));
        server.keys()
    });
    let killed = match mode {
        "plain" | "dedup" => None,
        _ => Some(leader_lost(mode, 150, |child| drop(child.kill())).map(|(time, _)| time)),
    };
    let late = (!late.is_empty()).then(|| [50, 99].map(|part| percentile(&mut late, part)));
    let row = Row {
        name,
        executions: bodies as f64 / rounds as f64,
        late,
        alone,
        commands_alone,
        commands,
        killed,
        keys: 0,
        errors,
    };
    (row, keys)
}

/// The time from when something is done to the leader, so many milliseconds after its body began, until another process begins, and how
/// many bodies began in all.
fn leader_lost(
    mode: &str,
    after: u64,
    mut end: impl FnMut(&mut std::process::Child),
) -> Option<(Duration, usize)> {
    let server = Server::start();
    let mut processes = Processes::start(mode, server.port);
    processes.say("round 1 500");
    let ((leader, ..), _) = processes.wait_for("begin");
    std::thread::sleep(Duration::from_millis(after));
    end(&mut processes.children[leader].0);
    let lost = Instant::now();
    let mut next: Option<Duration> = None;
    let (mut bodies, mut left) = (1, PROCESSES - 1);
    while left > 0 {
        let wait = PATIENCE.saturating_sub(lost.elapsed());
        let Some((_, word, ..)) = processes.next_within(wait) else {
            break;
        };
        match &*word {
            "begin" => {
                bodies += 1;
                next = next.or(Some(lost.elapsed()));
                if mode != "fleet" {
                    // Only of a fleet is it counted how many bodies begin after that.
                    break;
                }
            }
            "returned" => left -= 1,
            _ => {}
        }
    }
    next.map(|next| (next, bodies))
}

fn many() -> Vec<u64> {
    let server = Server::start();
    let mut processes = Processes::start("fleet", server.port);
    let mut counts = vec![0; 2];
    for key in (0..MANY).step_by(AT_ONCE as usize) {
        for round in processes.rounds(key..key + AT_ONCE, PROCESSES).values() {
            let bodies = round.ran.len();
            counts.resize(counts.len().max(bodies + 1), 0);
            counts[bodies] += 1;
        }
    }
    counts
}

fn faults() -> Faults {
    // At different times between two looks of those that wait.
    let killed = [110, 150, 190, 230, 270].map(|after| {
        let killed = leader_lost("fleet", after, |child| drop(child.kill()));
        killed.expect("another takes over")
    });
    let stopped = leader_lost("fleet", 150, |child| {
        let stop = Command::new("kill")
            .args(["-STOP", &child.id().to_string()])
            .status();
        assert!(stop.expect("kill runs").success());
    });

    let mut server = Server::start();
    let mut processes = Processes::start("fleet", server.port);
    processes.say("round 1 300");
    processes.wait_for("begin");
    server.kill();
    let mut errors = 0;
    let mut left = PROCESSES;
    while left > 0 {
        match &*processes.next().1 {
            "error" => errors += 1,
            "returned" => left -= 1,
            _ => {}
        }
    }
    // A few more without it, so that it has been away for a while.
    for key in 2..10 {
        let rounds = processes.rounds(key..key + 1, PROCESSES);
        errors += rounds[&key].errors;
    }
    server.restart();
    let returned = Instant::now();
    let back = (10..).find_map(|key| {
        let begin = returned.elapsed();
        let rounds = processes.rounds(key..key + 1, PROCESSES);
        errors += rounds[&key].errors;
        (rounds[&key].ran.len() == 1).then_some(begin)
    });
    Faults {
        killed: killed.into(),
        stopped: stopped.expect("another takes over"),
        errors,
        back: back.expect("it comes back"),
    }
}

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python");

pub fn python() -> String {
    format!("{PYTHON}/bin/python")
}

/// Whether there is a Python with the library; tries to make one, once.
fn has_python() -> bool {
    let runs = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        status.is_ok_and(|status| status.success())
    };
    let works = || runs(&python(), &["-c", "import dogpile.cache, redis"]);
    works()
        || runs("python3", &["-m", "venv", PYTHON])
            && runs(
                &format!("{PYTHON}/bin/pip"),
                &["install", "-q", "dogpile.cache==1.5.0", "redis"],
            )
            && works()
}

//! The measurement of a workload: all contenders in one process, in rounds in which each runs one lap,
//! in an order that rotates; of every figure the median over the rounds.
//!
//! Before the timed rounds each contender runs two more laps: one to warm up, one with the counting
//! allocator on, from which allocations, bytes and executions are taken.

use crate::{
    alloc, cores,
    record::{Column, From, Who},
    report::Table,
};
use std::{
    io::{IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Instant,
};

/// The extent of a measurement.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) quick: bool,
}

impl Plan {
    pub(crate) fn rounds(&self, rounds: usize) -> usize {
        if self.quick { rounds.min(3) } else { rounds }
    }

    /// The calls of a lap: a tenth when it has to be quick.
    pub(crate) fn calls(&self, calls: u64) -> u64 {
        if self.quick {
            (calls / 10).max(1)
        } else {
            calls
        }
    }
}

/// Whether a lap goes on to its end however long it takes, as under a tool that makes all slow.
pub(crate) static PATIENT: AtomicBool = AtomicBool::new(false);

/// Runs so many calls and gives a figure for each column.
pub(crate) type Lap = Box<dyn FnMut(u64) -> Vec<f64>>;

pub(crate) struct Contender {
    pub(crate) who: Who,
    /// Sets it up; what it returns is run again and again.
    pub(crate) set_up: Box<dyn FnOnce() -> Lap>,
}

/// The contenders of a workload, and those that can't take part.
#[derive(Default)]
pub(crate) struct Field {
    pub(crate) contenders: Vec<Contender>,
    /// Name and reason.
    pub(crate) cannot: Vec<(String, String)>,
}

/// A workload in which contenders run against each other.
pub(crate) struct Race {
    /// The family (`D2`), and a variant after a space (`D2 100`).
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// The first one is what the ratios are of.
    pub(crate) columns: fn() -> Vec<Column>,
    /// The number of threads that it runs on.
    pub(crate) workers: usize,
    /// Calls a lap.
    pub(crate) calls: u64,
    /// Whether `--quick` makes laps shorter. Not where their length is the workload.
    pub(crate) shorten: bool,
    pub(crate) rounds: usize,
    pub(crate) field: fn() -> Field,
    /// States the goals, once there are figures of ours.
    pub(crate) goals: fn(&mut Table),
}

impl Race {
    pub(crate) fn run(&self, plan: &Plan) -> Table {
        let columns = (self.columns)();
        let field = (self.field)();
        let calls = if self.shorten {
            plan.calls(self.calls)
        } else {
            self.calls
        };
        let rounds = plan.rounds(self.rounds);
        let mut table = Table::new(self.id, self.title, columns);
        table.cannot = field.cannot;
        let progress = Progress::new(self.id);

        let mut laps = Vec::new();
        for Contender { who, set_up } in field.contenders {
            progress.say(&format!("setting up {}", who.name));
            let mut lap = set_up();
            lap(calls);
            alloc::count(true);
            let counted = lap(calls);
            alloc::count(false);
            laps.push((who, lap, counted, Vec::new()));
        }
        let contenders = laps.len();
        let distance = || (self.workers > 1).then(cores::one_way).flatten();
        let before = distance();
        for round in 0..rounds {
            for i in 0..contenders {
                let (who, lap, _, timed) = &mut laps[(round + i) % contenders];
                progress.say(&format!("round {}/{rounds}  {}", round + 1, who.name));
                timed.push(lap(calls));
            }
        }
        if let (Some(before), Some(after)) = (before, distance()) {
            table.notes.push(format!(
                "a cache line took {before:.0} ns from one core to the other before it, {after:.0} ns after it"
            ));
        }
        for (who, _, counted, timed) in laps {
            let quartiles = table
                .columns
                .iter()
                .enumerate()
                .map(|(i, column)| match column.from {
                    From::Counted => [counted[i]; 3],
                    From::Timed => quartiles(timed.iter().map(|lap| lap[i]).collect()),
                })
                .collect();
            table.push(who, quartiles);
        }
        (self.goals)(&mut table);
        progress.done();
        table
    }

    /// One contender and nothing else, for tools that count a whole process.
    pub(crate) fn alone(&self, name: &str, calls: u64, laps: u64) -> Result<(), String> {
        PATIENT.store(true, Relaxed);
        let mut lap = self.contender(name)?;
        for _ in 0..laps {
            lap(calls);
        }
        Ok(())
    }

    /// The counted columns of one contender, which need no rounds.
    pub(crate) fn counted(&self, name: &str) -> Result<Vec<(Column, f64)>, String> {
        let mut lap = self.contender(name)?;
        lap(self.calls);
        alloc::count(true);
        let counted = lap(self.calls);
        alloc::count(false);
        let figures = (self.columns)().into_iter().zip(counted);
        Ok(figures
            .filter(|(column, _)| column.from == From::Counted)
            .collect())
    }

    fn contender(&self, name: &str) -> Result<Lap, String> {
        let field = (self.field)();
        let contender = field
            .contenders
            .into_iter()
            .find(|contender| contender.who.name == name)
            .ok_or_else(|| format!("{} has no contender `{name}`", self.id))?;
        Ok((contender.set_up)())
    }
}

/// The lower quartile, the median and the upper quartile.
pub(crate) fn quartiles(mut figures: Vec<f64>) -> [f64; 3] {
    figures.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| quantile(&figures, quarter as f64 / 4.0))
}

/// The quantile of figures in ascending order, interpolated.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = q * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Shows what is being measured, on one line of the terminal.
pub(crate) struct Progress {
    id: String,
    begun: Instant,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(id: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            id: id.into(),
            begun: Instant::now(),
            terminal,
        }
    }

    pub(crate) fn say(&self, what: &str) {
        if self.terminal {
            eprint!("\r\x1b[K{}  {what}", self.id);
            let _ = std::io::stderr().flush();
        }
    }

    pub(crate) fn done(&self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        eprintln!("{clear}{}  done in {seconds:.1} s", self.id);
    }
}

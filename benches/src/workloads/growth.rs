//! How cost grows: with followers on one key, keys in flight, tenants, the size of a batch, annotated
//! functions. Beside ours stands what is nearest to it among the peers.

use super::{
    Workload, compile,
    followers::{Standing, idle_waker},
    throughput::items,
};
use crate::{
    alloc,
    batch::{self, Batcher, Setup, Tenants, crates::BatchAintOne},
    dedup::{self, Calls, GATE},
    measure::{Plan, Progress, quartiles},
    record::{Column, Kind, Who},
    report::{Table, thousands},
    side_by_side::{Flavour, side_by_side},
};
use std::{hint::black_box, sync::Arc, task::Context, time::Instant};

pub(crate) fn workloads() -> [Workload; 5] {
    [
        Workload::Other("growth followers", "on one key", |plan| {
            vec![followers(plan)]
        }),
        Workload::Other("growth keys", "in flight at once", |plan| vec![keys(plan)]),
        Workload::Other("growth tenants", "with a batch each", |plan| {
            vec![tenants(plan)]
        }),
        Workload::Other("growth size", "of a batch", |plan| vec![sizes(plan)]),
        Workload::Other("growth functions", "in a crate", |plan| {
            vec![functions(plan)]
        }),
    ]
}

/// One size after another, in decades.
fn decades(last: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1), |n| Some(n * 10)).take_while(move |&n| n <= last)
}

/// The number of rounds if each lap is of many items, whatever the size.
const ROUNDS_OF_MANY: usize = 15;

/// A contender of which we want to know how it grows.
struct Grows {
    name: String,
    /// Runs with so many and gives figures, the same number each time.
    lap: Box<dyn FnMut(u64) -> Vec<f64>>,
}

/// A table with a row for each size and a group of columns for each contender.
fn table(
    id: &str,
    title: &str,
    figures: &[&str],
    sizes: impl Iterator<Item = u64>,
    mut contenders: Vec<Grows>,
    most_rounds: usize,
    plan: &Plan,
) -> Table {
    let columns = contenders
        .iter()
        .flat_map(|contender| {
            figures
                .iter()
                .map(|figure| Column::timed(format!("{}: {figure}", contender.name)))
        })
        .collect();
    let mut table = Table::new(id, title, columns);
    let progress = Progress::new(id);
    for size in sizes {
        // Small ones are repeated until there is something to time.
        let rounds = plan
            .rounds((2_000_000 / size).clamp(5, 101) as usize)
            .min(most_rounds);
        let mut laps: Vec<Vec<Vec<f64>>> = vec![Vec::new(); contenders.len()];
        for round in 0..=rounds {
            for (contender, laps) in contenders.iter_mut().zip(&mut laps) {
                progress.say(&format!(
                    "{size}: round {round}/{rounds}  {}",
                    contender.name
                ));
                // The first one is counted, and warms up.
                alloc::count(round == 0);
                laps.push((contender.lap)(size));
                alloc::count(false);
            }
        }
        let row = laps.iter().flat_map(|laps| {
            (0..figures.len()).map(|figure| {
                if figures[figure].starts_with("bytes") {
                    [laps[0][figure]; 3]
                } else {
                    quartiles(laps[1..].iter().map(|lap| lap[figure]).collect())
                }
            })
        });
        let who = Who {
            name: thousands(&size.to_string()),
            kind: Kind::Size,
        };
        table.push(who, row.collect());
    }
    progress.done();
    table
}

fn picked(name: &str) -> Option<String> {
    ["piggyback", "OnceCell", "quick_cache"]
        .iter()
        .find(|pick| name.contains(**pick))
        .map(|pick| (*pick).to_owned())
}

struct Dedups(fn(&mut Vec<Grows>, String, Boxed), Vec<Grows>);

/// A contender with its type erased down to what is asked for here.
struct Boxed {
    followers: Box<dyn FnMut(u64) -> Vec<f64>>,
    keys: Box<dyn FnMut(u64) -> Vec<f64>>,
}

impl dedup::Visitor for Dedups {
    fn visit<C: Calls>(&mut self, who: Who, make: fn() -> C) {
        let Some(name) = picked(&who.name) else {
            return;
        };
        let contender: &'static C = Box::leak(Box::new(make()));
        let boxed = Boxed {
            followers: Box::new(on_one_key(contender)),
            keys: Box::new(in_flight(contender)),
        };
        self.0(&mut self.1, name, boxed);
    }
}

fn followers(plan: &Plan) -> Table {
    let mut all = Dedups(
        |all, name, boxed| {
            let lap = boxed.followers;
            all.push(Grows { name, lap });
        },
        Vec::new(),
    );
    dedup::each(&mut all);
    table(
        "growth followers",
        "followers on one key, joining and finishing, each",
        &["ns", "bytes of heap"],
        decades(1_000_000),
        all.1,
        101,
        plan,
    )
}

fn on_one_key<C: Calls>(contender: &'static C) -> impl FnMut(u64) -> Vec<f64> {
    let mut futures = Standing::new();
    move |followers| {
        let _inside = Flavour::Current.runtime().enter();
        let waker = idle_waker();
        let mut cx = Context::from_waker(&waker);
        futures.clear(followers as usize + 1);
        futures.join(contender.gated(7), &mut cx);
        let heap = alloc::live();
        let begun = Instant::now();
        for _ in 0..followers {
            futures.join(contender.gated(7), &mut cx);
        }
        let joined = begun.elapsed();
        let heap = alloc::live() - heap;
        GATE.notify_waiters();
        let begun = Instant::now();
        futures.finish(&mut cx, |answer| assert_eq!(answer, 7));
        let took = joined + begun.elapsed();
        let each = followers as f64;
        vec![took.as_nanos() as f64 / each, heap / each]
    }
}

fn keys(plan: &Plan) -> Table {
    let mut all = Dedups(
        |all, name, boxed| {
            let lap = boxed.keys;
            all.push(Grows { name, lap });
        },
        Vec::new(),
    );
    dedup::each(&mut all);
    let mut table = table(
        "growth keys",
        "keys in flight at once, beginning and ending, each; and bytes that are still held afterwards, in all",
        &["ns", "bytes of heap", "bytes kept"],
        decades(1_000_000),
        all.1,
        101,
        plan,
    );
    table
        .notes
        .push("the caches get their capacity in the first row and keep it; less than 0 is memory of an earlier row given back".into());
    table
}

fn in_flight<C: Calls>(contender: &'static C) -> impl FnMut(u64) -> Vec<f64> {
    let mut futures = Standing::new();
    move |keys| {
        let _inside = Flavour::Current.runtime().enter();
        let waker = idle_waker();
        let mut cx = Context::from_waker(&waker);
        futures.clear(keys as usize);
        let before = alloc::live();
        let begun = Instant::now();
        for key in 0..keys {
            futures.join(contender.gated(key), &mut cx);
        }
        let joined = begun.elapsed();
        let heap = alloc::live() - before;
        GATE.notify_waiters();
        let begun = Instant::now();
        futures.finish(&mut cx, |answer| {
            black_box(answer);
        });
        let took = joined + begun.elapsed();
        futures.clear(0);
        let each = keys as f64;
        vec![
            took.as_nanos() as f64 / each,
            heap / each,
            alloc::live() - before,
        ]
    }
}

impl Tenants for BatchAintOne {
    fn call(&self, tenant: u64, item: u64) -> impl Future<Output = u64> + Send {
        self.call_for(tenant, item)
    }
}

/// The time of an item in a tenant's batch.
const TENANT_SIZE: u64 = 2;

fn tenants(plan: &Plan) -> Table {
    fn grows<T: Tenants>(name: &str, contender: T) -> Grows {
        let contender = Arc::new(contender);
        Grows {
            name: name.into(),
            lap: Box::new(move |tenants| vec![of_tenants(&contender, tenants)]),
        }
    }
    let setup = Setup::new(Flavour::Multi, TENANT_SIZE as usize);
    let inside = Flavour::Multi.runtime().enter();
    let contenders = vec![
        grows("piggyback", crate::ours::Piggyback::new(setup).unwrap()),
        grows("batch-aint-one", BatchAintOne::new(setup).unwrap()),
    ];
    drop(inside);
    table(
        "growth tenants",
        "tenants with one open batch each, which two items fill, 2 workers; an item",
        &["ns"],
        decades(100_000),
        contenders,
        ROUNDS_OF_MANY,
        plan,
    )
}

fn of_tenants<T: Tenants>(contender: &Arc<T>, tenants: u64) -> f64 {
    let tasks = tenants * TENANT_SIZE;
    let each = (20_000 / tasks).max(1);
    let [begun, ended] = side_by_side(
        Flavour::Multi,
        tasks as usize,
        |task| {
            let contender = contender.clone();
            async move {
                let task = task as u64;
                for item in task * each..(task + 1) * each {
                    assert_eq!(contender.call(task % tenants, item).await, item + 1);
                }
            }
        },
        || {},
    );
    ended.since(begun).ns / (tasks * each) as f64
}

fn sizes(plan: &Plan) -> Table {
    struct Batches(Vec<Grows>);
    impl batch::Visitor for Batches {
        fn visit<B: Batcher>(&mut self, who: Who) {
            let picks = ["piggyback", "by hand"];
            if !picks.iter().any(|pick| who.name.contains(pick)) {
                return;
            }
            for flavour in [Flavour::Current, Flavour::Multi] {
                // A worker for each size, made once.
                let mut made: Option<(u64, Arc<B>)> = None;
                let name = who.name.split([',', ' ']).next().unwrap_or_default();
                self.0.push(Grows {
                    name: match flavour {
                        Flavour::Current => format!("{name} ct"),
                        Flavour::Multi => format!("{name} mt"),
                    },
                    lap: Box::new(move |size| {
                        if made.as_ref().is_none_or(|(made_for, _)| *made_for != size) {
                            let _inside = flavour.runtime().enter();
                            let batcher = B::new(Setup::new(flavour, size as usize));
                            made = Some((size, Arc::new(batcher.expect("does B1 as well"))));
                        }
                        let (_, batcher) = made.as_ref().expect("was just made");
                        vec![items(batcher, flavour, 1_000, 20_000).ns]
                    }),
                });
            }
        }

        fn absent(&mut self, _: String, _: &'static str) {}
    }
    let mut all = Batches(Vec::new());
    batch::each(&mut all);
    table(
        "growth size",
        "the size of a batch, 1 000 tasks, one thread (ct) and 2 workers (mt); an item",
        &["ns"],
        [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000].into_iter(),
        all.0,
        ROUNDS_OF_MANY,
        plan,
    )
}

fn functions(plan: &Plan) -> Table {
    let columns = vec![
        Column::timed("s without"),
        Column::timed("s with the attributes"),
        Column::timed("ms a function"),
    ];
    let title = "functions in a crate, `cargo check` of it alone";
    let mut table = Table::new("growth functions", title, columns);
    let progress = Progress::new("growth functions");
    let sizes = [1, 3, 10, 30, 100, 300];
    match compile::check(&sizes, compile::Bodies::Short, plan.rounds(5), |what| {
        progress.say(what)
    }) {
        Ok(figures) => {
            for (size, [without, with]) in sizes.into_iter().zip(figures) {
                let who = Who {
                    name: thousands(&size.to_string()),
                    kind: Kind::Size,
                };
                let pairs = without.iter().zip(&with);
                let each = pairs.map(|(without, with)| 1e3 * (with - without) / size as f64);
                let each = quartiles(each.collect());
                table.push(who, vec![quartiles(without), quartiles(with), each]);
            }
        }
        Err(reason) => table.notes.push(format!("not measured: {reason}")),
    }
    progress.done();
    table
}

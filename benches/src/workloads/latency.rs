//! B2: a lone caller, who waits for the delay, or with `eager` doesn't. B3: fewer callers than would
//! keep the queue full, and a body that takes its time.

use crate::{
    batch::{Batcher, Body, Runner, Setup, bulk_calls, field},
    measure::{Lap, Race, quantile},
    record::Column,
    side_by_side::{Flavour, side_by_side},
};
use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

pub(crate) fn races() -> [Race; 3] {
    [
        Race {
            id: "B2",
            workers: 2,
            title: "a lone caller, 10 ms; latency in µs",
            columns: || vec![Column::timed("µs")],
            calls: 10,
            shorten: false,
            rounds: 7,
            field: field::<Lone<false>>,
            goals: |table| table.goal_figure(0, 11_200.0),
        },
        Race {
            id: "B2 eager",
            workers: 2,
            title: "a lone caller who waits for nobody; latency in µs",
            columns: || vec![Column::timed("µs")],
            calls: 200,
            shorten: false,
            rounds: 15,
            field: field::<Lone<true>>,
            goals: |table| table.goal_figure(0, 100.0),
        },
        Race {
            id: "B3",
            workers: 2,
            title: "64 callers one call after another, size 10, 10 ms, the body sleeps 1 ms",
            columns: || {
                vec![
                    Column::timed("p50 ms"),
                    Column::timed("p99 ms"),
                    Column::timed("items a batch"),
                ]
            },
            calls: 6_400,
            // Its tail, where fewer callers are left than a batch takes, would weigh more.
            shorten: false,
            rounds: 7,
            field: field::<Paced>,
            goals: |table| {
                let spawn = table.best_peer_of(|name| name.contains("mpsc + oneshot + spawn"));
                table.goal_ratio("mpsc + oneshot + spawn, p50", spawn, 1.05);
                if let Some(items) = table.ours(2) {
                    table.goal_at_least("items a batch", items, 9.9);
                }
            },
        },
    ]
}

struct Lone<const EAGER: bool>;

impl<const EAGER: bool> Runner for Lone<EAGER> {
    const SETUP: Setup = Setup {
        eager: EAGER,
        ..Setup::new(Flavour::Multi, 100)
    };
    const BOUNDS: bool = false;

    fn lap<B: Batcher>(batcher: B) -> Lap {
        let batcher = Arc::new(batcher);
        Box::new(move |calls| {
            let batcher = batcher.clone();
            let caller = Flavour::Multi.runtime().spawn(async move {
                let mut latencies = Vec::with_capacity(calls as usize);
                for item in 0..calls {
                    let begun = Instant::now();
                    assert_eq!(batcher.call(item).await, item + 1);
                    latencies.push(begun.elapsed().as_nanos() as f64 / 1e3);
                }
                latencies
            });
            let mut latencies = Flavour::Multi.runtime().block_on(caller).unwrap();
            latencies.sort_by(f64::total_cmp);
            vec![quantile(&latencies, 0.5)]
        })
    }
}

const CALLERS: u64 = 64;

struct Paced;

impl Runner for Paced {
    const SETUP: Setup = Setup {
        body: Body::Slow,
        ..Setup::new(Flavour::Multi, 10)
    };
    const BOUNDS: bool = false;

    fn lap<B: Batcher>(batcher: B) -> Lap {
        let batcher = Arc::new(batcher);
        Box::new(move |calls| {
            let each = calls / CALLERS;
            let before = bulk_calls();
            let all = Arc::new(Mutex::new(Vec::with_capacity(calls as usize)));
            side_by_side(
                Flavour::Multi,
                CALLERS as usize,
                |task| {
                    let (batcher, all) = (batcher.clone(), all.clone());
                    async move {
                        let mut latencies = Vec::with_capacity(each as usize);
                        let first = task as u64 * each;
                        for item in first..first + each {
                            let begun = Instant::now();
                            assert_eq!(batcher.call(item).await, item + 1);
                            latencies.push(begun.elapsed().as_nanos() as f64 / 1e6);
                        }
                        all.lock().unwrap().extend(latencies);
                    }
                },
                || {},
            );
            let mut latencies = std::mem::take(&mut *all.lock().unwrap());
            latencies.sort_by(f64::total_cmp);
            let items = latencies.len() as f64;
            vec![
                quantile(&latencies, 0.5),
                quantile(&latencies, 0.99),
                items / (bulk_calls() - before),
            ]
        })
    }
}

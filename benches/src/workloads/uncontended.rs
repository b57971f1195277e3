//! D1: every call has another key and its body is ready at once, so nothing is shared: what the
//! attribute costs those who don't need it. D1s: the key is a `&str`, which only a leader has to own.

use crate::{
    alloc,
    dedup::{Calls, Runner, field},
    measure::{Lap, Race},
    record::Column,
    report::Table,
    side_by_side::Flavour,
};
use std::{hint::black_box, time::Instant};

pub(crate) fn races() -> [Race; 2] {
    [
        Race {
            id: "D1",
            workers: 1,
            title: "uncontended, u64 keys, the body is ready at once; ns a call",
            columns,
            calls: 20_000,
            shorten: false,
            rounds: 41,
            field: || field::<Numbers>("D1"),
            goals: |table| goals(table, 0.0),
        },
        Race {
            id: "D1s",
            workers: 1,
            title: "uncontended, &str keys, the body is ready at once; ns a call",
            columns,
            calls: 20_000,
            shorten: false,
            rounds: 41,
            field: || field::<Strings>("D1s"),
            goals: |table| goals(table, 1.0),
        },
    ]
}

fn columns() -> Vec<Column> {
    vec![Column::timed("ns"), Column::counted("allocs/call")]
}

fn goals(table: &mut Table, allocations: f64) {
    table.goal_ratio("best peer", table.best_peer(), 0.40);
    table.goal_ratio("map + Arc", table.of("map + Arc", 0), 0.80);
    table.goal_figure(1, allocations);
}

/// Nanoseconds and allocations of each call.
fn timed(calls: u64, run: impl Future<Output = ()>) -> Vec<f64> {
    Flavour::Current.runtime().block_on(async {
        let before = alloc::allocations();
        let begun = Instant::now();
        run.await;
        let ns = begun.elapsed().as_nanos() as f64;
        let allocations = alloc::allocations() - before;
        // An allocation that a table or a cache makes once in a while is not counted for a call.
        let allocations = (100.0 * allocations / calls as f64).round() / 100.0;
        vec![ns / calls as f64, allocations]
    })
}

struct Numbers;

impl Runner for Numbers {
    fn lap<C: Calls>(contender: C) -> Lap {
        Box::new(move |calls| {
            timed(calls, async {
                for key in 0..calls {
                    black_box(contender.ready(black_box(key)).await);
                }
            })
        })
    }
}

struct Strings;

impl Runner for Strings {
    fn lap<C: Calls>(contender: C) -> Lap {
        let keys: Vec<String> = (0..4096).map(|i| format!("user:{:07}", i * 7919)).collect();
        Box::new(move |calls| {
            timed(calls, async {
                for key in keys.iter().cycle().take(calls as usize) {
                    black_box(contender.ready_str(black_box(key)).await);
                }
            })
        })
    }
}

//! D3: many tasks on two workers ask for keys of which some are far more popular than others; the
//! body yields once, so that calls overlap. D4: all ask for the same key. And both on one thread, where
//! nobody contends for a lock: what is left is instructions, which can be counted.

use crate::{
    dedup::{Calls, Runner, executions, field},
    measure::{Lap, Race},
    record::Column,
    side_by_side::{Flavour, side_by_side},
};
use std::sync::Arc;

const TASKS: u64 = 64;
const KEYS: usize = 10_000;

pub(crate) fn races() -> [Race; 4] {
    let race = |id, workers, title, field, goals| Race {
        id,
        workers,
        title,
        columns: || {
            vec![
                Column::timed("ns"),
                Column::counted("allocs/call"),
                Column::counted("executions/call"),
            ]
        },
        calls: 64_000,
        shorten: true,
        rounds: 31,
        field,
        goals,
    };
    [
        race(
            "D3",
            2,
            "64 tasks on 2 workers, Zipf(1.0) keys out of 10 000, the body yields once; ns a call",
            || field::<Contended<true, true>>("D3"),
            |table| {
                table.goal_ratio("best peer", table.best_peer(), 0.75);
                table.goal_ratio("best peer", table.best_peer(), 0.80);
            },
        ),
        race(
            "D4",
            2,
            "64 tasks on 2 workers, one hot key, the body yields once; ns a call",
            || field::<Contended<false, true>>("D4"),
            |table| table.goal_ratio("best peer", table.best_peer(), 0.80),
        ),
        race(
            "D3 ct",
            1,
            "64 tasks on one thread, Zipf(1.0) keys out of 10 000, the body yields once; ns a call",
            || field::<Contended<true, false>>("D3"),
            |_| {},
        ),
        race(
            "D4 ct",
            1,
            "64 tasks on one thread, one hot key, the body yields once; ns a call",
            || field::<Contended<false, false>>("D4"),
            |_| {},
        ),
    ]
}

struct Contended<const ZIPF: bool, const MULTI: bool>;

impl<const ZIPF: bool, const MULTI: bool> Runner for Contended<ZIPF, MULTI> {
    fn lap<C: Calls>(contender: C) -> Lap {
        let contender = Arc::new(contender);
        let keys: Arc<[u64]> = if ZIPF {
            zipf(1 << 16)
        } else {
            vec![0; 1 << 16]
        }
        .into();
        Box::new(move |calls| {
            let each = calls / TASKS;
            let before = executions();
            let [begun, ended] = side_by_side(
                if MULTI {
                    Flavour::Multi
                } else {
                    Flavour::Current
                },
                TASKS as usize,
                |task| {
                    let (contender, keys) = (contender.clone(), keys.clone());
                    async move {
                        // Another part of the sequence for each task.
                        let first = task * keys.len() / TASKS as usize;
                        for at in first..first + each as usize {
                            let key = keys[at % keys.len()];
                            assert_eq!(contender.yielding(key).await, key);
                        }
                    }
                },
                || {},
            );
            let took = ended.since(begun);
            let calls = (each * TASKS) as f64;
            vec![
                took.ns / calls,
                took.allocations / calls,
                (executions() - before) / calls,
            ]
        })
    }
}

/// Keys drawn so that the n-th most popular comes 1/n times as often as the first.
fn zipf(draws: usize) -> Vec<u64> {
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..draws)
        .map(|_| {
            // splitmix64
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let uniform = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
            cumulated.partition_point(|&c| c < uniform * sum) as u64
        })
        .collect()
}

//! The time that a cache line takes from one core to another. Data that tasks on several workers share goes that way, and on a
//! virtual machine it may take eight times as long as a moment ago: the host has moved one of the cores.

use std::{
    hint::spin_loop,
    sync::atomic::{
        AtomicUsize,
        Ordering::{Acquire, Release},
    },
    thread::{available_parallelism, scope},
    time::Instant,
};

/// The number of times that a line goes from one core to the other and back.
const TURNS: usize = 4_000;
/// Of so many times the shortest: in the others the system had something else to do, or had put both threads on one core.
const TIMES: usize = 9;

/// Alone in its cache lines.
#[repr(align(128))]
struct Turn(AtomicUsize);

/// In nanoseconds, of one way. `None`: there is one core.
pub(crate) fn one_way() -> Option<f64> {
    if available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        return None;
    }
    (0..TIMES).map(|_| once()).min_by(f64::total_cmp)
}

fn once() -> f64 {
    let turn = &Turn(AtomicUsize::new(0));
    let begun = Instant::now();
    scope(|scope| {
        for first in [0, 1] {
            scope.spawn(move || {
                for mine in (first..2 * TURNS).step_by(2) {
                    while turn.0.load(Acquire) != mine {
                        spin_loop();
                    }
                    turn.0.store(mine + 1, Release);
                }
            });
        }
    });
    begun.elapsed().as_nanos() as f64 / (2 * TURNS) as f64
}

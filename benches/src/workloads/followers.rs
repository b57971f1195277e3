//! D2: many followers join one flight and all get its answer. Dc: all are dropped while they wait.
//!
//! Futures are polled by hand, in the order in which they were made, with one waker that does nothing:
//! what a runtime costs for a task is not in these figures.

use crate::{
    alloc,
    dedup::{Calls, GATE, Runner, executions, field},
    measure::{Lap, Race},
    record::Column,
    report::Table,
    side_by_side::Flavour,
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

pub(crate) fn races() -> Vec<Race> {
    let joins = |id, calls, rounds, goals| Race {
        id,
        workers: 1,
        title: "followers join one flight, wait, and get its answer; ns a follower",
        columns: || {
            vec![
                Column::timed("ns"),
                Column::counted("bytes/follower"),
                Column::counted("of these, the future"),
                Column::counted("of these, heap"),
                Column::counted("executions"),
            ]
        },
        calls,
        shorten: false,
        rounds,
        field: || field::<Join>("D2"),
        goals,
    };
    let leaves = |id, calls, rounds| Race {
        id,
        workers: 1,
        title: "followers of one flight are dropped while they wait; ns a follower",
        columns: || vec![Column::timed("ns")],
        calls,
        shorten: false,
        rounds,
        field: || field::<Leave>("Dc"),
        goals: |table| table.goal_ratio("OnceCell by hand", once_cell(table), 1.3),
    };
    vec![
        joins("D2 100", 100, 201, |table| joining_goals(table, 0.65)),
        joins("D2 10000", 10_000, 31, |table| joining_goals(table, 0.65)),
        joins("D2 100000", 100_000, 11, |table| joining_goals(table, 1.0)),
        leaves("Dc 100", 100, 201),
        leaves("Dc 10000", 10_000, 21),
        leaves("Dc 100000", 100_000, 5),
    ]
}

fn once_cell(table: &Table) -> Option<f64> {
    let row = table
        .rows
        .iter()
        .find(|row| row.who.name.contains("OnceCell"))?;
    Some(row.median(0))
}

fn joining_goals(table: &mut Table, limit: f64) {
    table.goal_ratio("best peer", table.best_peer(), limit);
    if let (Some(ours), Some(bare)) = (table.ours(2), table.of("bare call", 2)) {
        table.goal("bytes of future over the bare body's", ours - bare, 48.0);
    }
    if let Some(heap) = table.ours(3) {
        table.goal("bytes of heap a follower", heap, 32.0);
    }
}

/// Futures that stay where they are until all of them are dropped. Its memory is used again, so that
/// only the first lap pays the operating system for it.
pub(crate) struct Standing<F>(Vec<F>);

impl<F: Future> Standing<F> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Drops what is there and makes room.
    pub(crate) fn clear(&mut self, futures: usize) {
        self.0.clear();
        self.0.reserve(futures);
    }

    /// Adds a future and polls it once.
    pub(crate) fn join(&mut self, future: F, cx: &mut Context<'_>) {
        assert!(self.0.len() < self.0.capacity(), "growing would move them");
        self.0.push(future);
        let last = self.0.len() - 1;
        assert!(self.poll(last, cx).is_pending());
    }

    pub(crate) fn poll(&mut self, i: usize, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the vector only grows when it is empty, nothing is taken out of it, and what is
        // truncated or cleared is dropped in place.
        unsafe { Pin::new_unchecked(&mut self.0[i]) }.poll(cx)
    }

    /// Polls all, again and again, until each has given its answer.
    ///
    /// On a machine so busy that this thread is not run for a while, between a wake-up and the leader's
    /// poll, a contender may take the leader for stalled and begin anew: the gate opens for that one too.
    pub(crate) fn finish(&mut self, cx: &mut Context<'_>, mut answer: impl FnMut(F::Output)) {
        // Nearly always all are ready at the first go, in order.
        let mut waiting = Vec::new();
        for i in 0..self.0.len() {
            match self.poll(i, cx) {
                Poll::Ready(output) => answer(output),
                Poll::Pending => waiting.push(i),
            }
        }
        while !waiting.is_empty() {
            GATE.notify_waiters();
            waiting.retain(|&i| match self.poll(i, cx) {
                Poll::Ready(output) => {
                    answer(output);
                    false
                }
                Poll::Pending => true,
            });
        }
    }
}

/// A waker that costs what a task's costs to clone and to drop, and does nothing.
struct Idle;

impl Wake for Idle {
    fn wake(self: Arc<Self>) {}
    fn wake_by_ref(self: &Arc<Self>) {}
}

pub(crate) fn idle_waker() -> Waker {
    Waker::from(Arc::new(Idle))
}

struct Join;

impl Runner for Join {
    fn lap<C: Calls>(contender: C) -> Lap {
        // For as long as the program runs, lest the futures that borrow from it stand beside it.
        let contender: &'static C = Box::leak(Box::new(contender));
        let mut futures = Standing::new();
        Box::new(move |followers| {
            let _inside = Flavour::Current.runtime().enter();
            let waker = idle_waker();
            let mut cx = Context::from_waker(&waker);
            futures.clear(followers as usize + 1);
            let before = executions();
            futures.join(contender.gated(7), &mut cx);

            let heap = alloc::live();
            let begun = Instant::now();
            for _ in 0..followers {
                futures.join(contender.gated(7), &mut cx);
            }
            let joined = begun.elapsed();
            let heap = (alloc::live() - heap) / followers as f64;
            GATE.notify_waiters();
            let begun = Instant::now();
            futures.finish(&mut cx, |answer| assert_eq!(answer, 7));
            let took = joined + begun.elapsed();

            let future = future_size(&futures);
            vec![
                took.as_nanos() as f64 / followers as f64,
                heap + future,
                future,
                heap,
                executions() - before,
            ]
        })
    }
}

fn future_size<F>(_: &Standing<F>) -> f64 {
    size_of::<F>() as f64
}

struct Leave;

impl Runner for Leave {
    fn lap<C: Calls>(contender: C) -> Lap {
        // For as long as the program runs, lest the futures that borrow from it stand beside it.
        let contender: &'static C = Box::leak(Box::new(contender));
        let mut futures = Standing::new();
        Box::new(move |followers| {
            let _inside = Flavour::Current.runtime().enter();
            let waker = idle_waker();
            let mut cx = Context::from_waker(&waker);
            futures.clear(followers as usize + 1);
            for _ in 0..=followers {
                futures.join(contender.gated(7), &mut cx);
            }
            let begun = Instant::now();
            futures.0.truncate(1);
            let took = begun.elapsed();
            GATE.notify_waiters();
            futures.finish(&mut cx, |answer| assert_eq!(answer, 7));
            vec![took.as_nanos() as f64 / followers as f64]
        })
    }
}

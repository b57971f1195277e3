//! What tasks do: they ask whether their batches may run, take them, hand in what came of them, and stay for others.

use std::task::{Context, Waker};

use tokio::runtime;
use tokio::time::Instant;

use super::{Entry, Queue, Shard, Table, wake_callers};
use crate::batch::askers::Asked;
use crate::batch::cell::{Cell, Ended, Failure};
use crate::batch::group::{Again, Closing, Ends, Moved, Queued, Run, Step, Turn};
use crate::batch::start::{self, Start};
use crate::observe::Calls;
use crate::reentrancy::graph::Execution;
use crate::reentrancy::waits;
use crate::sync::{Arc, MutexGuard};
use crate::wake::{discard, guarded, wake_all};

/// A batch that was given to a task that had stayed.
pub(crate) struct Taken<T, B, R> {
    pub(crate) cell: Arc<Cell<R>>,
    pub(crate) turn: Turn,
    /// If it may run.
    pub(crate) ready: Option<Ready<T, B>>,
}

/// A bulk call that is to be made.
pub(crate) struct Ready<T, B> {
    pub(crate) items: Vec<T>,
    pub(crate) bulk: B,
    /// How the batch was closed.
    pub(crate) closed: Closing,
    pub(crate) calls: Calls,
    /// What it holds: see [`within_bulk`](frames::within_bulk).
    pub(crate) held: Vec<Execution>,
}

/// A table, as a task sees it that is dropped: it need not know what the items and bulk calls are.
pub(crate) trait Work<R>: Queue<R> {
    /// A batch that left the queue has ended, one way or the other. Its group learns of it first: if it is idle, nothing
    /// is left of it before anybody can look.
    fn ends(&self, cell: &Cell<R>, ended: Ended<R>);
    /// A bulk call panicked, or gave a wrong number of results.
    fn panicked(&self, cell: &Cell<R>);
    /// A runtime was shut down under a batch: it is counted.
    fn count_lost(&self, cell: &Cell<R>);
    /// The same, for subscribers.
    fn warn_lost(&self, cell: &Cell<R>);
    /// The same where it is lost with its runtime.
    fn task_gone(&self, cell: &Cell<R>, turn: Turn) {
        if self.orphan(cell, turn) {
            self.count_lost(cell);
            self.warn_lost(cell);
        }
    }
    /// A task can't do its work: its callers are told.
    fn fail(&self, cell: &Arc<Cell<R>>, turn: Turn, failure: Failure);
    /// A task that stayed is lost.
    fn lost(&self, hash: u64, number: u64);
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    /// A batch's task is polled for the first time.
    pub(crate) fn no_longer_fresh(&self, cell: &Cell<R>) {
        if let Some(group) = self.shard(cell.hash).lock().group(cell) {
            group.no_longer_fresh(cell.id);
        }
    }

    /// A batch's task is polled, and has `seen` so many items, if it would rather ask again than wait while these get more.
    pub(crate) fn go(
        &self,
        cell: &Arc<Cell<R>>,
        turn: Turn,
        seen: Option<usize>,
        cx: &mut Context<'_>,
    ) -> Step<Ready<T, B>> {
        let mut waker = None;
        loop {
            let mut guard = self.shard(cell.hash).lock();
            let shard = &mut *guard;
            let Some(Entry { group, clock, .. }) = shard.entry(cell) else {
                return Step::Gone;
            };
            let step = match group.go(
                cell.id,
                turn,
                seen,
                || clock.of_task(turn),
                |old| old.will_wake(cx.waker()),
                &mut waker,
            ) {
                Err(Again::NeedsWaker) => {
                    drop(guard);
                    waker = Some(cx.waker().clone());
                    continue;
                }
                Err(Again::GivesUp(permit)) => {
                    drop(guard);
                    guarded(|| drop(permit));
                    continue;
                }
                Ok(Step::Run(run)) => Step::Run(self.run(guard, cell, run)),
                Ok(Step::Wait(until)) => {
                    let grant = if B::MAY_NEED_PERMIT {
                        group.grant(cell.id)
                    } else {
                        None
                    };
                    drop(guard);
                    // A permit that was given before the task could be told is taken at once.
                    if grant.is_some_and(|grant| grant.wakes(cx.waker().clone())) {
                        discard(waker.take());
                        continue;
                    }
                    Step::Wait(until)
                }
                Ok(Step::Fills(items)) => {
                    drop(guard);
                    Step::Fills(items)
                }
                Ok(Step::Gone) => {
                    drop(guard);
                    Step::Gone
                }
            };
            discard(waker);
            return step;
        }
    }

    /// A batch leaves the queue, to run.
    fn run(
        &self,
        mut shard: MutexGuard<'_, Shard<K, T, U, B, R>>,
        cell: &Arc<Cell<R>>,
        run: Run<T, B, Waker, Arc<Cell<R>>>,
    ) -> Ready<T, B> {
        let Run {
            items,
            mut callers,
            bulk,
            closed,
            wake,
            limited,
            semaphore,
            moved,
        } = run;
        shard.counts.ran(items.len(), closed);
        let calls = Calls::of(
            callers
                .iter_mut()
                .map(|caller| (caller.came, &mut caller.seen)),
        );
        // Under the shard's lock, too: a caller always finds its batch queued or running.
        cell.run(callers);
        let emptied: Vec<_> = moved
            .into_iter()
            .filter_map(|moved| moves(moved, cell))
            .collect();
        drop(shard);
        wake_all(wake);
        emptied.into_iter().for_each(Emptied::ends);
        let held = [
            limited.then(|| cell.limiter()),
            (semaphore != 0).then(|| start::limiter(semaphore)),
        ];
        Ready {
            items,
            bulk,
            closed,
            calls,
            held: held.into_iter().flatten().collect(),
        }
    }

    /// A task has ended its bulk call, of a batch with this hash. Returns its number if it may stay for another.
    pub(crate) fn stay(&self, hash: u64, runtime: runtime::Id, waker: Waker) -> Option<u64> {
        let stays = self.shard(hash).lock().askers.stay(runtime, waker);
        stays.map_err(|waker| discard(Some(waker))).ok()
    }

    /// A task that stayed is polled. The batch that it takes may run at once, if it is full by now.
    pub(crate) fn ask(&self, hash: u64, number: u64) -> Asked<Taken<T, B, R>> {
        let mut shard = self.shard(hash).lock();
        let (cell, turn) = match shard.askers.ask(number) {
            Asked::Takes(batch) => batch,
            Asked::SleepsOn => return Asked::SleepsOn,
            Asked::Ends => return Asked::Ends,
        };
        let step = shard
            .group(&cell)
            .map(|group| group.go(cell.id, turn, Some(0), Instant::now, |_| false, &mut None));
        let ready = match step {
            Some(Ok(Step::Run(run))) => Some(self.run(shard, &cell, run)),
            other => {
                // It may hold a permit that the batch gives up, whose next user is woken as it is dropped.
                drop(shard);
                guarded(|| drop(other));
                None
            }
        };
        Asked::Takes(Taken { cell, turn, ready })
    }

    /// A batch gets a new task, if it needs one. Returns the turn of that.
    pub(crate) fn adopt(&self, cell: &Cell<R>) -> Option<Turn> {
        self.shard(cell.hash).lock().group(cell)?.adopt(cell.id)
    }

    fn ended(&self, cell: &Cell<R>) {
        let mut shard = self.shard(cell.hash).lock();
        let Some((ends, idle)) = shard.gone(cell, |group| group.ended(cell.id)) else {
            return;
        };
        drop(shard);
        let Ends {
            next,
            unblocked,
            values,
        } = ends;
        guarded(|| drop(idle));
        wake_all(next.into_iter().chain(unblocked));
        values.into_iter().for_each(|value| guarded(|| drop(value)));
    }
}

impl<K, T, U: Eq, B: Start, R> Work<R> for Table<K, T, U, B, R> {
    fn ends(&self, cell: &Cell<R>, ended: Ended<R>) {
        self.ended(cell);
        wake_callers(cell.end(ended));
    }

    fn panicked(&self, cell: &Cell<R>) {
        self.shard(cell.hash).lock().counts.panics += 1;
    }

    fn count_lost(&self, cell: &Cell<R>) {
        self.shard(cell.hash).lock().counts.lost += 1;
    }

    fn warn_lost(&self, cell: &Cell<R>) {
        guarded(|| cell.warned.runtime_gone(&self.function));
    }

    fn fail(&self, cell: &Arc<Cell<R>>, turn: Turn, failure: Failure) {
        let mut shard = self.shard(cell.hash).lock();
        let Some(group) = shard.group(cell) else {
            return;
        };
        let Some(Run {
            items,
            callers,
            bulk,
            wake,
            ..
        }) = group.fail(cell.id, turn)
        else {
            return;
        };
        cell.run(callers);
        drop(shard);
        guarded(|| drop((items, bulk)));
        wake_all(wake);
        self.ends(cell, Ended::Failed(failure));
    }

    fn lost(&self, hash: u64, number: u64) {
        let (waker, batch) = self.shard(hash).lock().askers.lost(number);
        discard(waker);
        if let Some((cell, turn)) = batch {
            self.task_gone(&cell, turn);
        }
    }
}

/// A batch all of whose items have moved.
struct Emptied<T, B, R> {
    batch: Queued<T, B, Waker, Arc<Cell<R>>>,
    cell: Arc<Cell<R>>,
}

/// Items have moved to this batch, which is about to run. Under the shard's lock: a caller always finds its item.
fn moves<T, B, R>(
    moved: Moved<T, B, Waker, Arc<Cell<R>>>,
    cell: &Arc<Cell<R>>,
) -> Option<Emptied<T, B, R>> {
    let Moved {
        from,
        tickets,
        offset,
        nested,
        emptied,
    } = moved;
    from.moves(tickets, offset, cell.clone());
    if nested {
        waits::follow(from.execution(), cell.execution());
    }
    emptied.map(|batch| Emptied { batch, cell: from })
}

impl<T, B, R> Emptied<T, B, R> {
    /// Its task is woken, to end, and those who wait for its end.
    fn ends(mut self) {
        let task = self.batch.task();
        guarded(|| drop(self.batch));
        wake_all(task);
        wake_callers(self.cell.end(Ended::Empty));
    }
}

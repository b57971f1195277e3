//! Tasks: they ask whether their batches may run, take them, report how they ended, and stay for other batches.

use std::task::{Context, Waker};

use tokio::runtime;

use super::{Entry, Queue, Shard, Table, wake_callers};
use crate::batch::group::{Again, Closing, Ends, Queued, Run, Step, TopUp, Turn};
use crate::batch::idle::Asked;
use crate::batch::shared::{Batch, Cause, Ended};
use crate::batch::start::{self, Start};
use crate::observe::Calls;
use crate::reentrancy::Execution;
use crate::reentrancy::waits;
use crate::sync::{Arc, MutexGuard};
use crate::wake::{discard, drop_guarded, guarded, wake_all};

/// A batch that an idle task has been given.
pub(crate) struct Given<T, B, R> {
    pub(crate) batch: Arc<Batch<R>>,
    pub(crate) turn: Turn,
    /// What it runs, if it may run at once.
    pub(crate) ready: Option<Ready<T, B>>,
}

/// A bulk call that is about to start.
pub(crate) struct Ready<T, B> {
    pub(crate) items: Vec<T>,
    pub(crate) bulk: B,
    /// How the batch was closed.
    pub(crate) closed: Closing,
    pub(crate) calls: Calls,
    /// What it holds: see [`within_bulk`](crate::reentrancy::frames::within_bulk).
    pub(crate) held: Vec<Execution>,
}

/// A table as the drop of a task sees it, without the types of its items and bulk calls.
pub(crate) trait Work<R>: Queue<R> {
    /// A batch that left the queue has ended. Its group is updated before the callers are woken, so that a group that is idle has
    /// gone by the time a caller looks.
    fn ends(&self, batch: &Batch<R>, ended: Ended<R>);
    /// A bulk call panicked, or returned a wrong number of results.
    fn panicked(&self, batch: &Batch<R>);
    /// Counts a batch whose runtime was shut down.
    fn count_lost(&self, batch: &Batch<R>);
    /// Tells subscribers about it.
    fn warn_lost(&self, batch: &Batch<R>);
    /// A task was dropped with its runtime while its batch was queued.
    fn task_gone(&self, batch: &Batch<R>, turn: Turn) {
        if self.orphan(batch, turn) {
            self.count_lost(batch);
            self.warn_lost(batch);
        }
    }
    /// A task can't do its work: the callers of its batch get a failure.
    fn fail(&self, batch: &Arc<Batch<R>>, turn: Turn, failure: Cause);
    /// An idle task was dropped.
    fn lost(&self, hash: u64, number: u64);
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    /// A batch's task is polled for the first time.
    pub(crate) fn no_longer_fresh(&self, batch: &Batch<R>) {
        if let Some(group) = self.shard(batch.hash).lock().group(batch) {
            group.no_longer_fresh(batch.id);
        }
    }

    /// A batch's task is polled. A task that asks again as long as its batch fills says how many items it has `seen`.
    pub(crate) fn go(
        &self,
        batch: &Arc<Batch<R>>,
        turn: Turn,
        seen: Option<usize>,
        cx: &mut Context<'_>,
    ) -> Step<Ready<T, B>> {
        let mut waker = None;
        loop {
            let mut guard = self.shard(batch.hash).lock();
            let shard = &mut *guard;
            let Some(entry) = shard.entry(batch) else {
                return Step::Gone;
            };
            let step = match entry.go(batch, turn, seen, Some(cx.waker()), &mut waker) {
                Err(Again::NeedsWaker) => {
                    drop(guard);
                    waker = Some(cx.waker().clone());
                    continue;
                }
                Err(Again::GivesUp(permit)) => {
                    drop(guard);
                    drop_guarded(permit);
                    continue;
                }
                Ok(Step::Run(run)) => Step::Run(self.run(guard, batch, run)),
                Ok(Step::Wait(until)) => {
                    let grant = if B::MAY_NEED_PERMIT {
                        entry.group.grant(batch.id)
                    } else {
                        None
                    };
                    drop(guard);
                    // If the permit came before the grant knew the task, nothing would wake the task: it asks again at once.
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
        batch: &Arc<Batch<R>>,
        run: Run<T, B, Waker, Arc<Batch<R>>>,
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
        // Under the shard's lock as well, so that a caller always finds its batch queued or running.
        batch.run(callers);
        let emptied: Vec<_> = moved
            .into_iter()
            .filter_map(|moved| moves(moved, batch))
            .collect();
        drop(shard);
        wake_all(wake);
        emptied.into_iter().for_each(Emptied::ends);
        let held = [
            limited.then(|| batch.limiter()),
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

    /// A task has ended the bulk call of a batch with this hash. Returns the task's number if it may stay for another batch.
    pub(crate) fn stay(&self, hash: u64, runtime: runtime::Id, waker: Waker) -> Option<u64> {
        let stays = self.shard(hash).lock().idle.stay(runtime, waker);
        stays.map_err(|waker| discard(Some(waker))).ok()
    }

    /// An idle task is polled. The batch that it takes may run at once, if it is full by now.
    pub(crate) fn ask(&self, hash: u64, number: u64) -> Asked<Given<T, B, R>> {
        let mut shard = self.shard(hash).lock();
        let (batch, turn) = match shard.idle.ask(number) {
            Asked::Takes(given) => given,
            Asked::SleepsOn => return Asked::SleepsOn,
            Asked::Ends => return Asked::Ends,
        };
        let step = shard
            .entry(&batch)
            .map(|entry| entry.go(&batch, turn, Some(0), None, &mut None));
        let ready = match step {
            Some(Ok(Step::Run(run))) => Some(self.run(shard, &batch, run)),
            other => {
                // It may hold a permit that the batch gives up, whose next user is woken as it is dropped.
                drop(shard);
                drop_guarded(other);
                None
            }
        };
        Asked::Takes(Given { batch, turn, ready })
    }

    /// Lets the caller give a batch a new task, if it needs one. Returns the turn of that task.
    pub(crate) fn adopt(&self, batch: &Batch<R>) -> Option<Turn> {
        self.shard(batch.hash).lock().group(batch)?.adopt(batch.id)
    }

    fn ended(&self, batch: &Batch<R>) {
        let mut shard = self.shard(batch.hash).lock();
        let Some((ends, idle)) = shard.gone(batch, |group| group.ended(batch.id)) else {
            return;
        };
        drop(shard);
        let Ends {
            next,
            unblocked,
            values,
        } = ends;
        drop_guarded(idle);
        wake_all(next.into_iter().chain(unblocked));
        values.into_iter().for_each(drop_guarded);
    }
}

impl<K, T, U: Eq, B: Start, R> Entry<K, T, U, B, R> {
    /// A batch's task, which this waker wakes, is polled.
    fn go(
        &mut self,
        batch: &Batch<R>,
        turn: Turn,
        seen: Option<usize>,
        task: Option<&Waker>,
        waker: &mut Option<Waker>,
    ) -> Result<Step<Run<T, B, Waker, Arc<Batch<R>>>>, Again> {
        let Self { group, clock, .. } = self;
        let same = |old: &Waker| task.is_some_and(|task| old.will_wake(task));
        group.go(batch.id, turn, seen, || clock.of_task(turn), same, waker)
    }
}

impl<K, T, U: Eq, B: Start, R> Work<R> for Table<K, T, U, B, R> {
    fn ends(&self, batch: &Batch<R>, ended: Ended<R>) {
        self.ended(batch);
        wake_callers(batch.end(ended));
    }

    fn panicked(&self, batch: &Batch<R>) {
        self.shard(batch.hash).lock().counts.panics += 1;
    }

    fn count_lost(&self, batch: &Batch<R>) {
        self.shard(batch.hash).lock().counts.lost += 1;
    }

    fn warn_lost(&self, batch: &Batch<R>) {
        guarded(|| batch.warned.runtime_gone(&self.function));
    }

    fn fail(&self, batch: &Arc<Batch<R>>, turn: Turn, failure: Cause) {
        let mut shard = self.shard(batch.hash).lock();
        let Some(group) = shard.group(batch) else {
            return;
        };
        let Some(Run {
            items,
            callers,
            bulk,
            wake,
            ..
        }) = group.fail(batch.id, turn)
        else {
            return;
        };
        batch.run(callers);
        drop(shard);
        drop_guarded((items, bulk));
        wake_all(wake);
        self.ends(batch, Ended::Failed(failure));
    }

    fn lost(&self, hash: u64, number: u64) {
        let (waker, given) = self.shard(hash).lock().idle.lost(number);
        discard(waker);
        if let Some((batch, turn)) = given {
            self.task_gone(&batch, turn);
        }
    }
}

/// A batch all of whose items have moved.
struct Emptied<T, B, R> {
    queued: Queued<T, B, Waker, Arc<Batch<R>>>,
    batch: Arc<Batch<R>>,
}

/// Notes that items have moved to this batch, which is about to run. Under the shard's lock, so that a caller always finds its
/// item.
fn moves<T, B, R>(
    moved: TopUp<T, B, Waker, Arc<Batch<R>>>,
    batch: &Arc<Batch<R>>,
) -> Option<Emptied<T, B, R>> {
    let TopUp {
        from,
        tickets,
        offset,
        nested,
        emptied,
    } = moved;
    from.moves(tickets, offset, batch.clone());
    if nested {
        waits::follow(from.execution(), batch.execution());
    }
    emptied.map(|queued| Emptied {
        queued,
        batch: from,
    })
}

impl<T, B, R> Emptied<T, B, R> {
    /// Wakes its task, which ends, and the flushes that wait for its end.
    fn ends(mut self) {
        let task = self.queued.task();
        drop_guarded(self.queued);
        wake_all(task);
        wake_callers(self.batch.end(Ended::Empty));
    }
}

//! Tasks: they ask whether their batches may run, take them, end them, or are lost.

use std::mem;

use tokio::time::Instant;

use super::queued::{Caller, Queued};
use super::uniques::{Number, Released};
use super::{Closing, Group, Id, Running, Ticket, Turn, hash};
use crate::batch::start::{Grant, Permit, Start};
use crate::sync::Arc;
use crate::wake::offer;

/// What a task is to do. `R`: what it runs.
pub(crate) enum Step<R> {
    Run(R),
    /// Ask again as soon as others have been polled: this many items are there, and more are coming.
    Fills(usize),
    /// Wait, to this time or to be woken.
    Wait(Option<Instant>),
    /// End: its batch has gone, or belongs to another task.
    Gone,
}

/// Why a task has to ask again at once.
pub(crate) enum Again {
    NeedsWaker,
    /// The batch can't use its permit now: to be dropped.
    GivesUp(Box<dyn Send>),
}

/// A batch that runs.
pub(crate) struct Run<T, B, W, C> {
    pub(crate) items: Vec<T>,
    pub(crate) callers: Vec<Caller<W>>,
    pub(crate) bulk: B,
    pub(crate) closed: Closing,
    /// The next task that may run.
    pub(crate) wake: Option<W>,
    /// Whether it counts for the limit on concurrency, or for the order of unique values.
    pub(crate) limited: bool,
    /// The address of the semaphore of which it has a permit, or 0.
    pub(crate) semaphore: usize,
    pub(crate) moved: Vec<TopUp<T, B, W, C>>,
}

/// Items that a batch was topped up with.
pub(crate) struct TopUp<T, B, W, C> {
    /// The batch from which they were taken.
    pub(crate) from: C,
    /// The tickets that they had there, from the first to the last.
    pub(crate) tickets: (Ticket, Ticket),
    /// What is added to a ticket to get the new one.
    pub(crate) offset: Ticket,
    /// Calls inside of other executions have items in the batch.
    pub(crate) nested: bool,
    /// The batch, if no item is left in it. Its task is to be woken, which ends, and the batch is to be dropped.
    pub(crate) emptied: Option<Queued<T, B, W, C>>,
}

/// A batch has lost its task.
pub(crate) struct Orphaned<W> {
    /// The callers, one of which will adopt it, and the task of the batch behind it.
    pub(crate) wake: Vec<W>,
    /// Its place in the queue for a permit, to be dropped: there may be no task to use the permit.
    pub(crate) place: Option<Box<dyn Send>>,
}

/// What follows from the end of a bulk call.
pub(crate) struct Ends<U, W> {
    /// Tasks that may run next.
    pub(crate) next: Option<W>,
    pub(crate) unblocked: Vec<W>,
    /// To be dropped.
    pub(crate) values: Vec<U>,
}

/// What follows from unique values that batches no longer have.
pub(super) struct Unblocked<U, W> {
    pub(super) tasks: Vec<W>,
    pub(super) values: Vec<U>,
}

impl<U, W> Default for Unblocked<U, W> {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<T, U: Eq, B: Start, W, C: Clone> Group<T, U, B, W, C> {
    /// From now on the clock is read for every item of the open batch.
    pub(crate) fn no_longer_fresh(&mut self, id: Id) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == id) {
            open.fresh = None;
        }
    }

    /// A task is polled, with a waker on [`offer`]. A task that asks again as long as its batch fills says how many items it has
    /// `seen`.
    pub(crate) fn go(
        &mut self,
        id: Id,
        turn: Turn,
        seen: Option<usize>,
        now: impl FnOnce() -> Instant,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Result<Step<Run<T, B, W, C>>, Again> {
        let Some(batch) = self.find(id) else {
            return Ok(Step::Gone);
        };
        if seen == Some(0) && batch.closed.is_none() {
            return Ok(Step::Fills(batch.len()));
        }
        batch.fresh = None;
        if batch.orphaned && batch.turn == turn + 1 {
            // The batch was orphaned too early, and no caller has adopted it yet. Under load every task stands still for a while. If
            // each were replaced by a new task, which has to wait for its first poll as well, no batch would make progress.
            batch.orphaned = false;
            batch.turn = turn;
            self.bring_back(id);
        }
        let Some(batch) = self.find(id) else {
            return Ok(Step::Gone);
        };
        let ours = batch.turn == turn;
        // The clock is not read if it does not matter, as for a batch that was full before its task ran.
        let now = if batch.closed.is_some() {
            batch.opened()
        } else {
            now()
        };
        // If an item comes from a runtime whose paused clock is ahead of this one, its delay counts from now.
        let oldest = batch.oldest();
        oldest.came = oldest.came.min(now);
        if let Some(why) = self.ready(id, now) {
            // Also if the batch belongs to another task by now: it need not wait for that task to be polled.
            if !B::MAY_NEED_PERMIT || self.has_permit(id) {
                return Ok(Step::Run(self.run(id, why)));
            }
        } else if B::MAY_NEED_PERMIT {
            if let Some(permit) = self.give_up(id) {
                return Err(Again::GivesUp(permit));
            }
        }
        if !ours {
            return Ok(Step::Gone);
        }
        self.wait(id, seen, now, same, waker)
    }

    /// A batch may not run yet.
    #[inline]
    fn wait(
        &mut self,
        id: Id,
        seen: Option<usize>,
        now: Instant,
        same: impl FnOnce(&W) -> bool,
        waker: &mut Option<W>,
    ) -> Result<Step<Run<T, B, W, C>>, Again> {
        let Some(batch) = self.find(id) else {
            return Ok(Step::Gone);
        };
        if batch.closed.is_none() && seen.is_some_and(|seen| seen < batch.len()) {
            batch.fresh = Some(now);
            return Ok(Step::Fills(batch.len()));
        }
        if !offer(&mut batch.task, same, waker) {
            return Err(Again::NeedsWaker);
        }
        let (closed, due) = (batch.closed, batch.due());
        // A batch that is closed or due needs no timer: it is woken when it may run.
        Ok(Step::Wait(due.filter(|&due| closed.is_none() && due > now)))
    }

    fn run(&mut self, id: Id, why: Closing) -> Run<T, B, W, C> {
        let mut batch = self.take(id).expect("a batch that is ready is queued");
        let limited = self.is_limited() || self.uniques.is_some() || batch.waits_for_others();
        let permit = batch.bulk.permit();
        let queues = self.is_limited() || permit != Permit::Unneeded;
        let moved = if queues && !batch.urgent {
            self.top_up(&mut batch)
        } else {
            Vec::new()
        };
        self.waiting -= batch.len();
        self.expected = batch.len();
        let values = match &self.uniques {
            Some(_) => batch.values(),
            None => Vec::new(),
        };
        let (items, callers, bulk, shared) = batch.into_parts();
        let semaphore = match permit {
            Permit::Has => bulk.semaphore(),
            _ => 0,
        };
        let running = Running { id, shared, values };
        self.running
            .insert_unique(hash(id), running, |running| hash(running.id));
        Run {
            items,
            callers,
            bulk,
            closed: why,
            wake: self.next(),
            limited,
            semaphore,
            moved,
        }
    }

    /// Fills a batch that is about to run with items of those behind it.
    fn top_up(&mut self, batch: &mut Queued<T, B, W, C>) -> Vec<TopUp<T, B, W, C>> {
        let (mut moved, id) = (Vec::new(), batch.id);
        while !batch.is_full() {
            // The line is searched, since a batch that was blocked may be before this one and get its permit later.
            let behind = self.line.partition_point(|&(other, _)| other < id);
            let mut place = None;
            for at in behind..self.line.len() {
                if self.line[at].1.is_some() {
                    place = Some(at);
                    break;
                }
            }
            let behind = match place {
                Some(at) => self.line[at].1.as_mut(),
                None => self.open.as_mut(),
            };
            let Some(next) = behind else {
                break;
            };
            let (behind, uniques) = (next.id, &mut self.uniques);
            let took = batch.top_up(next, |extra| match (extra.unique, &mut *uniques) {
                (Some(value), Some(uniques)) => {
                    // The item must not overtake an item with the same value in a batch further ahead.
                    let first = uniques.is_first(value, behind);
                    if first {
                        uniques.moves(value, id);
                    }
                    first
                }
                _ => true,
            });
            let Some((first, last, offset)) = took else {
                break;
            };
            // It has another oldest item now, whose time has to be read.
            next.fresh = None;
            let (from, nested, rest) = (next.shared.clone(), next.nested, next.len());
            moved.push(TopUp {
                from,
                tickets: (first, last),
                offset,
                nested,
                emptied: if rest == 0 { self.take(behind) } else { None },
            });
            if rest > 0 {
                break;
            }
        }
        moved
    }

    /// Whether a batch that is due has its permit, or needs none.
    pub(super) fn has_permit(&mut self, id: Id) -> bool {
        let Some(batch) = self.find(id) else {
            return false;
        };
        if !batch.urgent {
            batch.bulk.ask();
        }
        batch.urgent || batch.bulk.permit() != Permit::Waits
    }

    /// A batch that can't run must not keep a permit from others. It may have lost its slot, or the caller that made it due.
    fn give_up(&mut self, id: Id) -> Option<Box<dyn Send>> {
        let batch = self.find(id)?;
        match batch.bulk.permit() {
            Permit::Has => batch.bulk.give_up(),
            _ => None,
        }
    }

    /// The grant that tells the task of a batch about its permit.
    pub(crate) fn grant(&mut self, id: Id) -> Option<Arc<Grant>> {
        self.find(id)?.bulk.grant()
    }

    /// A bulk call has ended.
    pub(crate) fn ended(&mut self, id: Id) -> Ends<U, W> {
        let running = self
            .running
            .find_entry(hash(id), |running| running.id == id);
        let mut unblocked = Unblocked::default();
        if let Ok(running) = running {
            let Running { values, .. } = running.remove().0;
            for value in values {
                self.release(value, id, &mut unblocked);
            }
        }
        Ends {
            next: self.next(),
            unblocked: unblocked.tasks,
            values: unblocked.values,
        }
    }

    /// A batch has a unique value no more.
    pub(super) fn release(&mut self, value: Number, batch: Id, unblocked: &mut Unblocked<U, W>) {
        let Some(uniques) = &mut self.uniques else {
            return;
        };
        let next = match uniques.release(value, batch) {
            Released::Free(value) => {
                unblocked.values.push(value);
                if uniques.is_empty() {
                    self.uniques = None;
                }
                return;
            }
            Released::Next(next) => next,
            // The batch has lost an item whose value an earlier batch has, so it may be blocked no longer.
            Released::Behind => batch,
        };
        let Some(batch) = self.find(next) else {
            // It was urgent, and runs already.
            return;
        };
        batch.blocked -= 1;
        if batch.blocked == 0 {
            // The task checks whether the batch may run.
            unblocked.tasks.extend(batch.task.take());
            self.bring_back(next);
        }
    }

    /// A task was lost, or stands still.
    pub(crate) fn orphan(&mut self, id: Id, turn: Turn) -> Orphaned<W> {
        let Some(batch) = self.find(id).filter(|batch| batch.turn == turn) else {
            return Orphaned {
                wake: Vec::new(),
                place: None,
            };
        };
        batch.turn += 1;
        batch.orphaned = true;
        batch.ready_for = 0;
        let mut wake = batch.wakers();
        let place = batch.bulk.give_up();
        self.set_aside(id);
        wake.extend(self.next());
        Orphaned { wake, place }
    }

    /// A task could not do its work. Takes the batch out of the queue, since its callers get a failure.
    pub(crate) fn fail(&mut self, id: Id, turn: Turn) -> Option<Run<T, B, W, C>> {
        self.find(id).filter(|batch| batch.turn == turn)?;
        let concurrency = mem::replace(&mut self.concurrency, usize::MAX);
        // The limit is lifted, so that the batch is not topped up with items of others, which would fail with it.
        let mut run = self.run(id, Closing::Delay);
        self.concurrency = concurrency;
        run.wake = run.wake.or_else(|| self.next());
        Some(run)
    }
}

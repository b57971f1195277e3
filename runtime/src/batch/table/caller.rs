//! What callers that have joined do: they are polled, and go.

use std::task::Context;

use super::{Table, wake_callers};
use crate::batch::cell::{Cell, Ended, Failure, Found, Leaves};
use crate::batch::group::{Left, Orphaned, Queuing, Ticket, Turn};
use crate::batch::start::Start;
use crate::sync::Arc;
use crate::wake::{discard, guarded, wake_all};

/// What a caller that is polled has to do.
#[derive(Debug)]
pub enum Polled<R> {
    Result(R),
    Failed(Failure),
    Waits,
    /// Give the batch a task with this turn, and wait.
    Adopts(Turn),
    /// Give another batch, which is abandoned, a task with this turn, and wait.
    Rescues(Arc<Cell<R>>, Turn),
    /// Its item is in another batch.
    Moved(Arc<Cell<R>>, Ticket),
}

/// A table, as its callers see it: they need not know what its items and bulk calls are.
pub trait Queue<R> {
    /// The function's path.
    fn path(&self) -> &str;
    /// A caller is polled.
    fn poll(&self, cell: &Cell<R>, ticket: Ticket, cx: &mut Context<'_>) -> Polled<R>;
    /// A caller goes without its result.
    fn leave(&self, cell: &Cell<R>, ticket: Ticket);
    /// A task is lost: another caller's runtime has to do its work. Returns whether there are callers to do it.
    fn orphan(&self, cell: &Cell<R>, turn: Turn) -> bool;
    /// A bulk call waits for a batch, which must not wait for the bulk call.
    fn hurry(&self, cell: &Cell<R>);
}

impl<K, T, U: Eq, B: Start, R> Queue<R> for Table<K, T, U, B, R> {
    fn path(&self) -> &str {
        &self.function
    }

    fn poll(&self, cell: &Cell<R>, ticket: Ticket, cx: &mut Context<'_>) -> Polled<R> {
        let mut waker = None;
        let polled = loop {
            match cell.poll(ticket, |old| old.will_wake(cx.waker()), &mut waker) {
                Found::Result(result) => break Polled::Result(result),
                Found::Failed(failure) => break Polled::Failed(failure),
                Found::Runs => break Polled::Waits,
                Found::Moved(to, ticket) => break Polled::Moved(to, ticket),
                Found::NeedsWaker => waker = Some(cx.waker().clone()),
                Found::Queued => {
                    let mut shard = self.shard(cell.hash).lock();
                    let queuing = shard.group(cell).and_then(|group| {
                        group.queuing(cell.id, ticket, |old| old.will_wake(cx.waker()), &mut waker)
                    });
                    drop(shard);
                    match queuing {
                        // It began to run between the two looks.
                        None => {}
                        Some(Queuing::NeedsWaker) => waker = Some(cx.waker().clone()),
                        Some(Queuing::Waits) => break Polled::Waits,
                        Some(Queuing::Adopts(turn)) => break Polled::Adopts(turn),
                        Some(Queuing::Rescues(other, turn)) => break Polled::Rescues(other, turn),
                    }
                }
            }
        };
        discard(waker);
        polled
    }

    fn leave(&self, cell: &Cell<R>, ticket: Ticket) {
        let mut shard = self.shard(cell.hash).lock();
        let Some((Some(left), idle)) = shard.gone(cell, |group| group.leave(cell.id, ticket))
        else {
            drop(shard);
            return match cell.leave(ticket) {
                Leaves::Waker(waker) => discard(waker),
                Leaves::Moved(to, ticket) => self.leave(&to, ticket),
            };
        };
        drop(shard);
        let Left {
            item,
            unique,
            waker,
            seen,
            emptied,
            wake,
        } = left;
        let ended = emptied.is_some();
        guarded(|| drop((item, unique, seen)));
        guarded(|| drop(emptied));
        guarded(|| drop(idle));
        discard(waker);
        wake_all(wake);
        if ended {
            wake_callers(cell.end(Ended::Empty));
        }
    }

    fn orphan(&self, cell: &Cell<R>, turn: Turn) -> bool {
        let mut shard = self.shard(cell.hash).lock();
        let Some(group) = shard.group(cell) else {
            return false;
        };
        let Orphaned { wake, place } = group.orphan(cell.id, turn);
        drop(shard);
        guarded(|| drop(place));
        let any = !wake.is_empty();
        wake_all(wake.into_iter().chain(cell.observers()));
        any
    }

    fn hurry(&self, cell: &Cell<R>) {
        let mut shard = self.shard(cell.hash).lock();
        let task = shard.group(cell).and_then(|group| group.hurry(cell.id));
        drop(shard);
        wake_all(task);
    }
}

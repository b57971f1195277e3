//! Callers that have joined: they are polled, and leave.

use std::task::Context;

use super::{Table, wake_callers};
use crate::batch::group::{Left, Orphaned, Queuing, Ticket, Turn};
use crate::batch::shared::{Batch, Cause, Ended, Found, Leaves};
use crate::batch::start::Start;
use crate::sync::Arc;
use crate::wake::{discard, drop_guarded, wake_all};

/// What a caller that is polled has to do.
#[derive(Debug)]
pub enum Polled<R> {
    Result(R),
    Failed(Cause),
    Waits,
    /// Give the batch a task with this turn, and wait.
    Adopts(Turn),
    /// Give another batch, which is unadopted, a task with this turn, and wait.
    Rescues(Arc<Batch<R>>, Turn),
    /// Its item is in another batch.
    Moved(Arc<Batch<R>>, Ticket),
}

/// A table as its callers see it, without the types of its items and bulk calls.
pub trait Queue<R> {
    /// The function's path.
    fn path(&self) -> &str;
    /// A caller is polled.
    fn poll(&self, batch: &Batch<R>, ticket: Ticket, cx: &mut Context<'_>) -> Polled<R>;
    /// A caller leaves without its result.
    fn leave(&self, batch: &Batch<R>, ticket: Ticket);
    /// A batch has lost its task, so a caller has to adopt the batch. Returns whether there are callers.
    fn orphan(&self, batch: &Batch<R>, turn: Turn) -> bool;
    /// A bulk call waits for a batch, which must not wait for the bulk call.
    fn hurry(&self, batch: &Batch<R>);
}

impl<K, T, U: Eq, B: Start, R> Queue<R> for Table<K, T, U, B, R> {
    fn path(&self) -> &str {
        &self.function
    }

    fn poll(&self, batch: &Batch<R>, ticket: Ticket, cx: &mut Context<'_>) -> Polled<R> {
        let mut waker = None;
        let polled = loop {
            match batch.poll(ticket, |old| old.will_wake(cx.waker()), &mut waker) {
                Found::Result(result) => break Polled::Result(result),
                Found::Failed(failure) => break Polled::Failed(failure),
                Found::Runs => break Polled::Waits,
                Found::Moved(to, ticket) => break Polled::Moved(to, ticket),
                Found::NeedsWaker => waker = Some(cx.waker().clone()),
                Found::Queued => {
                    let mut shard = self.shard(batch.hash).lock();
                    let queuing = shard.group(batch).and_then(|group| {
                        group.queuing(
                            batch.id,
                            ticket,
                            |old| old.will_wake(cx.waker()),
                            &mut waker,
                        )
                    });
                    drop(shard);
                    match queuing {
                        // The batch started to run between the two locks.
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

    fn leave(&self, batch: &Batch<R>, ticket: Ticket) {
        let mut shard = self.shard(batch.hash).lock();
        let Some((Some(left), idle)) = shard.gone(batch, |group| group.leave(batch.id, ticket))
        else {
            drop(shard);
            return match batch.leave(ticket) {
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
        drop_guarded((item, unique, seen));
        drop_guarded(emptied);
        drop_guarded(idle);
        discard(waker);
        wake_all(wake);
        if ended {
            wake_callers(batch.end(Ended::Empty));
        }
    }

    fn orphan(&self, batch: &Batch<R>, turn: Turn) -> bool {
        let mut shard = self.shard(batch.hash).lock();
        let Some(group) = shard.group(batch) else {
            return false;
        };
        let Orphaned { wake, place } = group.orphan(batch.id, turn);
        drop(shard);
        drop_guarded(place);
        let any = !wake.is_empty();
        wake_all(wake.into_iter().chain(batch.observers()));
        any
    }

    fn hurry(&self, batch: &Batch<R>) {
        let mut shard = self.shard(batch.hash).lock();
        let task = shard.group(batch).and_then(|group| group.hurry(batch.id));
        drop(shard);
        wake_all(task);
    }
}

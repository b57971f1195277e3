//! The places of the items beside the first.

use std::mem;
use std::ops::Deref;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::Places;
use crate::batch::group::{Ticket, Turn};
use crate::batch::seat::{Spawn, failure, may_wait};
use crate::batch::shared::Batch;
use crate::batch::table::{Polled, Queue, Seated};
use crate::failure::Failure;
use crate::reentrancy::waits;
use crate::sync::Arc;

/// Places for which it is not known yet how a failure is handled.
pub(super) trait Unfailing<R>: Send {
    fn or(self: Box<Self>, failed: Option<Box<dyn Fn(Failure) -> R + Send>>) -> Box<dyn Places<R>>;
}

/// The places of one call in a table's batches.
pub(super) struct Seats<H: Deref<Target: Queue<R>>, R> {
    table: H,
    /// Those that have no result yet.
    pub(super) parts: Vec<Part<R>>,
    /// In the order of the list.
    results: Vec<Option<R>>,
    failed: Option<Box<dyn Fn(Failure) -> R + Send>>,
    spawn: Spawn<H, R>,
}

/// Items that follow one another both in the list and in a batch. Only the first has a waker, since all are polled together.
pub(super) struct Part<R> {
    batch: Arc<Batch<R>>,
    first: Ticket,
    count: Ticket,
    /// The index of the first in the list.
    at: usize,
    noted: waits::WaitId,
}

impl<H: Deref<Target: Queue<R>> + Clone + Send + 'static, R: Send + 'static> Seats<H, R> {
    pub(super) fn new(table: H, spawn: Spawn<H, R>) -> Self {
        Self {
            table,
            parts: Vec::new(),
            results: Vec::new(),
            failed: None,
            spawn,
        }
    }

    /// The next item of the list has a place. Its batch gets its task at once, since items of other calls may join it.
    pub(super) fn add(&mut self, seated: Seated<R>) {
        let Seated {
            batch,
            ticket,
            nests,
            task,
            ..
        } = seated;
        let at = self.results.len();
        self.results.push(None);
        match self.parts.last_mut() {
            Some(part) if Arc::ptr_eq(&part.batch, &batch) && part.first + part.count == ticket => {
                part.count += 1;
                waits::end(nests.wait);
            }
            _ => self.parts.push(Part {
                batch: batch.clone(),
                first: ticket,
                count: 1,
                at,
                noted: nests.wait,
            }),
        }
        if nests.is_limited {
            may_wait(self.table.clone(), batch.clone());
        }
        if let Some(turn) = task {
            self.give_task(&batch, turn);
        }
    }

    /// Returns whether the task has ended already.
    fn give_task(&self, batch: &Arc<Batch<R>>, turn: Turn) -> bool {
        match Handle::try_current() {
            Ok(runtime) => (self.spawn)(&runtime, self.table.clone(), batch.clone(), turn),
            Err(_) => self.cannot(batch, turn, "outside of a tokio runtime"),
        }
    }

    #[cold]
    fn cannot(&self, batch: &Batch<R>, turn: Turn, called: &str) -> ! {
        self.table.orphan(batch, turn);
        panic!(
            "`{}` was called {called}: a batch needs one to run its bulk call on",
            self.table.path()
        );
    }

    /// Polls the last part, and removes it. Returns it, if it still waits.
    fn poll_last(&mut self, cx: &mut Context<'_>) -> Option<Part<R>> {
        let mut ended = false;
        loop {
            let part = self.parts.last()?;
            let (batch, first) = (part.batch.clone(), part.first);
            match self.table.poll(&batch, first, cx) {
                Polled::Result(result) => self.has(result),
                Polled::Failed(cause) => {
                    let failure = failure(self.table.path(), cause);
                    let result = match &self.failed {
                        Some(failed) => failed(failure),
                        None => panic!("{failure}"),
                    };
                    self.has(result);
                }
                Polled::Waits => break,
                Polled::Rescues(batch, turn) => {
                    match Handle::try_current() {
                        Ok(runtime) => {
                            (self.spawn)(&runtime, self.table.clone(), batch, turn);
                        }
                        Err(_) => drop(self.table.orphan(&batch, turn)),
                    }
                    break;
                }
                Polled::Moved(to, ticket) => self.moved(to, ticket),
                Polled::Adopts(turn) if ended => {
                    self.cannot(&batch, turn, "on a tokio runtime that was shut down")
                }
                Polled::Adopts(turn) => {
                    ended = self.give_task(&batch, turn);
                    if !ended {
                        break;
                    }
                }
            }
        }
        let mut part = self.parts.pop()?;
        if waits::has_moved(part.noted) {
            let limiters = part.batch.limiters();
            if let Ok(wait) = waits::begin(part.batch.execution(), &limiters) {
                waits::end(mem::replace(&mut part.noted, wait));
            }
        }
        Some(part)
    }

    /// The first item of the last part has its result.
    fn has(&mut self, result: R) {
        let Some(part) = self.parts.last_mut() else {
            return;
        };
        self.results[part.at] = Some(result);
        (part.first, part.count, part.at) = (part.first + 1, part.count - 1, part.at + 1);
        if part.count == 0 {
            self.parts.pop().into_iter().for_each(Part::ends);
        }
    }

    /// The first item of the last part is in another batch, possibly with some of the items after it.
    fn moved(&mut self, to: Arc<Batch<R>>, first: Ticket) {
        let Some(part) = self.parts.last_mut() else {
            return;
        };
        let count = (1..part.count)
            .find(|&n| match part.batch.moved(part.first + n) {
                Some((batch, ticket)) => !Arc::ptr_eq(&batch, &to) || ticket != first + n,
                None => true,
            })
            .unwrap_or(part.count);
        let moved = Part {
            batch: to,
            first,
            count,
            at: part.at,
            noted: 0,
        };
        (part.first, part.at) = (part.first + count, part.at + count as usize);
        part.count -= count;
        if part.count == 0 {
            self.parts.pop().into_iter().for_each(Part::ends);
        }
        self.parts.push(moved);
    }
}

impl<R> Part<R> {
    fn ends(self) {
        waits::end(self.noted);
    }
}

impl<H, R> Unfailing<R> for Seats<H, R>
where
    H: Deref<Target: Queue<R>> + Clone + Send + 'static,
    R: Send + 'static,
{
    fn or(
        mut self: Box<Self>,
        failed: Option<Box<dyn Fn(Failure) -> R + Send>>,
    ) -> Box<dyn Places<R>> {
        self.failed = failed;
        self
    }
}

impl<H, R> Places<R> for Seats<H, R>
where
    H: Deref<Target: Queue<R>> + Clone + Send + 'static,
    R: Send + 'static,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<R>> {
        let mut waits = Vec::new();
        while !self.parts.is_empty() {
            waits.extend(self.poll_last(cx));
        }
        waits.reverse();
        self.parts = waits;
        if self.parts.is_empty() {
            Poll::Ready(self.results.drain(..).flatten().collect())
        } else {
            Poll::Pending
        }
    }
}

impl<H: Deref<Target: Queue<R>>, R> Drop for Seats<H, R> {
    fn drop(&mut self) {
        for part in self.parts.drain(..) {
            // Starts with the last, which leaves no gaps in the batch.
            for n in (0..part.count).rev() {
                self.table.leave(&part.batch, part.first + n);
            }
            part.ends();
        }
    }
}

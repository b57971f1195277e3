//! A caller's place in a batch: the future that its call is.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::group::{Ticket, Turn};
use super::shared::{Batch, Cause};
use super::table::{Polled, Queue, Seated};
use crate::failure::{Failure, Shared, Why};
use crate::reentrancy::waits;
use crate::sharing::IsResult;
use crate::sync::Arc;

/// A place in a batch. If it is dropped before the bulk call has begun, its item leaves the batch.
pub struct Seat<H: Deref<Target: Queue<R>>, R> {
    table: H,
    batch: Arc<Batch<R>>,
    ticket: Ticket,
    /// The number of its wait, if it was polled inside an execution.
    noted: waits::WaitId,
    state: SeatState,
    spawn: Spawn<H, R>,
}

/// A function that gives a batch a task on a runtime. It returns whether the task has ended already.
pub(super) type Spawn<H, R> = fn(&Handle, H, Arc<Batch<R>>, Turn) -> bool;

#[derive(Clone, Copy, PartialEq, Eq)]
enum SeatState {
    /// It was not polled since it joined with its waker.
    Seated,
    Polled,
    Served,
}

impl<H: Deref<Target: Queue<R>> + Clone + Send + 'static, R: Send + 'static> Seat<H, R> {
    pub(super) fn take((table, spawn): (H, Spawn<H, R>), seated: Seated<R>) -> Self {
        let Seated {
            batch,
            ticket,
            task,
            nests,
            ..
        } = seated;
        if let Some(turn) = task {
            Self::give_first_task(
                table.clone(),
                batch.clone(),
                ticket,
                nests.wait,
                turn,
                spawn,
            );
        }
        if nests.is_limited {
            may_wait(table.clone(), batch.clone());
        }
        Self {
            table,
            batch,
            ticket,
            noted: nests.wait,
            state: SeatState::Seated,
            spawn,
        }
    }
}

/// The batch of a call that is made inside an execution may have to wait for bulk calls of its group. If one of these bulk calls
/// waits for the call, the batch must start without waiting. Otherwise they would wait for each other forever.
#[cold]
pub(super) fn may_wait<H, R>(table: H, batch: Arc<Batch<R>>)
where
    H: Deref<Target: Queue<R>> + Send + 'static,
    R: Send + 'static,
{
    let (execution, limiters) = (batch.execution(), batch.limiters());
    waits::queue(execution, &limiters, Box::new(move || table.hurry(&batch)));
}

impl<H: Deref<Target: Queue<R>> + Clone, R> Seat<H, R> {
    /// Takes its own copies: if it borrowed the seat that is being returned, the compiler would build that seat on the stack and
    /// copy it.
    #[cold]
    fn give_first_task(
        table: H,
        batch: Arc<Batch<R>>,
        ticket: Ticket,
        noted: waits::WaitId,
        turn: Turn,
        spawn: Spawn<H, R>,
    ) {
        let mut seat = Self {
            table,
            batch,
            ticket,
            noted,
            state: SeatState::Seated,
            spawn,
        };
        seat.give_task(turn);
        // The item belongs to the seat that is returned, so the drop of this one must not take it out of its batch.
        (seat.noted, seat.state) = (0, SeatState::Served);
    }

    /// Returns whether the task has ended already.
    #[cold]
    fn give_task(&self, turn: Turn) -> bool {
        match Handle::try_current() {
            Ok(runtime) => (self.spawn)(&runtime, self.table.clone(), self.batch.clone(), turn),
            Err(_) => self.cannot(turn, "outside of a tokio runtime"),
        }
    }

    /// Gives another batch a task, or leaves it to callers that are on a runtime.
    #[cold]
    fn rescue(&self, batch: Arc<Batch<R>>, turn: Turn) {
        match Handle::try_current() {
            Ok(runtime) => drop((self.spawn)(&runtime, self.table.clone(), batch, turn)),
            Err(_) => drop(self.table.orphan(&batch, turn)),
        }
    }

    /// Leaves the batch to callers that are on a runtime, and panics.
    #[cold]
    fn cannot(&self, turn: Turn, called: &str) -> ! {
        self.table.orphan(&self.batch, turn);
        panic!(
            "`{}` was called {called}: a batch needs one to run its bulk call on",
            self.table.path()
        );
    }
}

/// For models, which poll by hand.
#[cfg(test)]
impl<H: Deref<Target: Queue<R>>, R> Seat<H, R> {
    pub(super) fn place(&self) -> (&Arc<Batch<R>>, Ticket) {
        (&self.batch, self.ticket)
    }

    pub(super) fn served(mut self) {
        self.state = SeatState::Served;
    }
}

impl<H: Deref<Target: Queue<R>> + Clone + Unpin, R> Future for Seat<H, R> {
    type Output = R;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        self.get_mut().poll_or(cx, |failure| panic!("{failure}"))
    }
}

/// A future that can be polled for the failure of its bulk call, beside its result.
pub trait Pollable {
    /// What one caller gets.
    type Output;
    /// Polls it. `failed` makes a result of a failure, or panics.
    fn poll_or(
        &mut self,
        cx: &mut Context<'_>,
        failed: impl FnOnce(Failure) -> Self::Output,
    ) -> Poll<Self::Output>;
}

impl<H: Deref<Target: Queue<R>> + Clone, R> Pollable for Seat<H, R> {
    type Output = R;

    #[inline]
    fn poll_or(&mut self, cx: &mut Context<'_>, failed: impl FnOnce(Failure) -> R) -> Poll<R> {
        Self::poll_or(self, cx, failed)
    }
}

/// A seat whose failures become errors by `failed`.
#[derive(Debug)]
pub struct OrFailed<S, F> {
    place: S,
    failed: F,
}

/// Makes an error of a failure of the bulk call.
pub fn or_failed<S, F>(place: S, failed: F) -> OrFailed<S, F>
where
    S: Pollable<Output: IsResult>,
    F: Fn(Failure) -> <S::Output as IsResult>::Err + Unpin,
{
    OrFailed { place, failed }
}

impl<S, F> Future for OrFailed<S, F>
where
    S: Pollable<Output: IsResult> + Unpin,
    F: Fn(Failure) -> <S::Output as IsResult>::Err + Unpin,
{
    type Output = S::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<S::Output> {
        let Self { place, failed } = self.get_mut();
        place.poll_or(cx, |failure| IsResult::from_result(Err(failed(failure))))
    }
}

impl<H: Deref<Target: Queue<R>> + Clone, R> Seat<H, R> {
    #[inline(always)]
    fn poll_or(&mut self, cx: &mut Context<'_>, failed: impl FnOnce(Failure) -> R) -> Poll<R> {
        if self.state == SeatState::Seated {
            // The call joined in this same poll, and its item brought this poll's waker along. Whatever has happened since then
            // has woken it, so the next poll finds all that this one would.
            self.state = SeatState::Polled;
            return Poll::Pending;
        }
        // The call was woken for its result, most likely: one lock, and no look at the queue.
        if let Some(result) = self.batch.take(self.ticket) {
            self.state = SeatState::Served;
            return Poll::Ready(result);
        }
        self.look(cx, failed)
    }

    #[inline(never)]
    fn look(&mut self, cx: &mut Context<'_>, failed: impl FnOnce(Failure) -> R) -> Poll<R> {
        let mut ended = false;
        loop {
            match self.table.poll(&self.batch, self.ticket, cx) {
                Polled::Result(result) => {
                    self.state = SeatState::Served;
                    return Poll::Ready(result);
                }
                Polled::Failed(cause) => {
                    self.state = SeatState::Served;
                    return Poll::Ready(failed(failure(self.table.path(), cause)));
                }
                Polled::Waits => {
                    self.waits();
                    return Poll::Pending;
                }
                Polled::Rescues(batch, turn) => {
                    self.rescue(batch, turn);
                    self.waits();
                    return Poll::Pending;
                }
                Polled::Moved(to, ticket) => (self.batch, self.ticket) = (to, ticket),
                // The task that this poll has spawned was dropped at once.
                Polled::Adopts(turn) if ended => {
                    self.cannot(turn, "on a tokio runtime that was shut down")
                }
                Polled::Adopts(turn) => {
                    ended = self.give_task(turn);
                    if !ended {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<H: Deref<Target: Queue<R>>, R> Seat<H, R> {
    /// It is kept for the next leader of its flight. Returns whether it still waits for its result.
    #[cold]
    pub(super) fn rests(&mut self) -> bool {
        waits::end(mem::take(&mut self.noted));
        if self.state == SeatState::Served {
            return false;
        }
        self.state = SeatState::Polled;
        true
    }

    /// It goes on waiting, possibly inside another execution than before.
    #[inline]
    fn waits(&mut self) {
        if waits::has_moved(self.noted) {
            if let Ok(wait) = waits::begin(self.batch.execution(), &self.batch.limiters()) {
                waits::end(mem::replace(&mut self.noted, wait));
            }
        }
    }
}

/// The failure that callers get. A runtime without timers is a mistake in the program, which no caller can handle: a panic.
#[cold]
pub(super) fn failure(path: &str, cause: Cause) -> Failure {
    let why = match cause {
        Cause::Panic(said) => Why::Panicked(said),
        Cause::WrongNumber { items, results } => Why::WrongNumber { items, results },
        Cause::RuntimeGone => Why::RuntimeShutDown,
        Cause::NoTimers => panic!(
            "`{path}` could not wait for more calls: its runtime has no timers (see `tokio::runtime::Builder::enable_time`)"
        ),
    };
    Failure::new(path, Shared::Batch, why)
}

impl<H: Deref<Target: Queue<R>>, R> Drop for Seat<H, R> {
    #[inline]
    fn drop(&mut self) {
        waits::end(self.noted);
        if self.state != SeatState::Served {
            self.table.leave(&self.batch, self.ticket);
        }
    }
}

impl<H: Deref<Target: Queue<R>>, R> fmt::Debug for Seat<H, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("function", &self.table.path())
            .finish_non_exhaustive()
    }
}

//! What a task owes to the callers of its batch, whatever happens to the task.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep};

use crate::batch::group::{Step, Turn};
use crate::batch::results::{Results, WrongNumber};
use crate::batch::shared::{Batch, Cause, Ended};
use crate::batch::start::Start;
use crate::batch::table::{Ready, Table, Work};
use crate::fixed::InScope;
use crate::observe::{Ended as Outcome, Trace};
use crate::reentrancy::Execution;
use crate::reentrancy::frames;
use crate::sync::Arc;
use crate::wake::{drop_guarded, guarded, message};

/// What a task owes to the callers of its batch.
pub(super) struct Duty<H: Deref<Target: Work<R>>, R> {
    pub(super) table: H,
    pub(super) batch: Arc<Batch<R>>,
    pub(super) stage: Stage,
    /// Where the task is.
    pub(super) runtime: runtime::Id,
}

pub(super) enum Stage {
    Queued(Turn),
    /// It asks for a timer, which panics on a runtime without timers.
    NeedsTimer(Turn),
    Running,
    Done,
}

impl<H: Deref<Target: Work<R>>, R> Duty<H, R> {
    fn timer(&mut self, turn: Turn, until: Instant) -> Sleep {
        self.stage = Stage::NeedsTimer(turn);
        let timer = tokio::time::sleep_until(until);
        self.stage = Stage::Queued(turn);
        timer
    }
}

impl<K, T, U, B, R> Duty<InScope<Table<K, T, U, B, R>>, R>
where
    U: Eq,
    B: Start,
{
    /// Waits until the batch may run.
    pub(super) async fn queue(&mut self) -> Step<Ready<T, B>> {
        let Stage::Queued(turn) = self.stage else {
            return Step::Gone;
        };
        // Under load the batch is full by now, or soon, and needs no timer.
        let mut seen = 0;
        loop {
            let step = std::future::poll_fn(|cx| {
                Poll::Ready(self.table.go(&self.batch, turn, Some(seen), cx))
            });
            match step.await {
                Step::Fills(items) => seen = items,
                Step::Wait(_) => break,
                step => return step,
            }
            // Only on this flavor can time be paused, and advance before this task is polled again. So these batches run at the
            // exact time, and items that come after this poll read the clock.
            let exact = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
            if exact {
                self.table.no_longer_fresh(&self.batch);
            }
            // Calls that are polled in the same tick of the scheduler can join before the batch waits.
            tokio::task::yield_now().await;
            if exact {
                break;
            }
        }
        // Boxed, since tasks under load need no timer, and are smaller without it.
        let mut timer = None::<Pin<Box<Sleep>>>;
        std::future::poll_fn(|cx| {
            loop {
                match self.table.go(&self.batch, turn, None, cx) {
                    Step::Wait(Some(until)) => {
                        let timer = match &mut timer {
                            None => timer.insert(Box::pin(self.timer(turn, until))),
                            Some(timer) => {
                                if timer.deadline() != until {
                                    timer.as_mut().reset(until);
                                }
                                timer
                            }
                        };
                        ready!(timer.as_mut().poll(cx));
                    }
                    Step::Wait(None) => return Poll::Pending,
                    step => return Poll::Ready(step),
                }
            }
        })
        .await
    }
}

impl<K, T, U, B, R> Duty<InScope<Table<K, T, U, B, R>>, R>
where
    U: Eq,
    B: Start,
{
    /// The bulk call is about to be made.
    pub(super) fn begins(&mut self, ready: Ready<T, B>) -> (B, Vec<T>, Running) {
        let Ready {
            items,
            bulk,
            closed,
            calls,
            held,
        } = ready;
        self.stage = Stage::Running;
        let count = items.len();
        let waited = bulk.waited();
        let trace = self
            .table
            .function
            .bulk(calls, count as u64, closed.name(), waited);
        let running = Running {
            items: count,
            trace,
            execution: self.batch.execution(),
            held,
        };
        (bulk, items, running)
    }
}

impl<H: Deref<Target: Work<R>>, R> Duty<H, R> {
    /// The bulk call has ended.
    pub(super) fn ends(mut self, results: Result<Results<R>, Box<str>>, running: Running) {
        let (outcome, ended) = match results {
            Ok(Ok(results)) => {
                debug_assert_eq!(results.len(), running.items, "counted when handed out");
                (Outcome::Returned, Ended::with(results))
            }
            Ok(Err(WrongNumber { items, results })) => {
                let failure = Cause::WrongNumber { items, results };
                (Outcome::WrongNumber, Ended::Failed(failure))
            }
            Err(said) => (Outcome::Panicked, Ended::Failed(Cause::Panic(said))),
        };
        let Running {
            mut trace, items, ..
        } = running;
        guarded(|| trace.ends(outcome, items as u64));
        if outcome != Outcome::Returned {
            self.table.panicked(&self.batch);
        }
        self.stage = Stage::Done;
        self.table.ends(&self.batch, ended);
    }
}

impl<H: Deref<Target: Work<R>>, R> Drop for Duty<H, R> {
    fn drop(&mut self) {
        match self.stage {
            Stage::NeedsTimer(turn) => self.table.fail(&self.batch, turn, Cause::NoTimers),
            Stage::Queued(turn) => self.table.task_gone(&self.batch, turn),
            Stage::Running => {
                // A subscriber is user code, which may panic or block, so it comes last.
                self.table.count_lost(&self.batch);
                let ended = Ended::Failed(Cause::RuntimeGone);
                self.table.ends(&self.batch, ended);
                self.table.warn_lost(&self.batch);
            }
            Stage::Done => {}
        }
    }
}

/// A bulk call that runs.
pub(super) struct Running {
    /// How many items it was given.
    items: usize,
    trace: Trace,
    execution: Execution,
    /// The limiters that it holds.
    held: Vec<Execution>,
}

impl Running {
    /// Polls the bulk call. A panic becomes an `Err` with its message.
    pub(super) fn poll<F: Future>(
        &self,
        bulk: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Box<str>>> {
        let poll = || {
            frames::within_bulk(self.execution, &self.held, || {
                self.trace.within(|| bulk.poll(cx))
            })
        };
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => {
                let said = message(&*payload).into();
                drop_guarded(payload);
                Poll::Ready(Err(said))
            }
        }
    }
}

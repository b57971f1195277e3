//! The task of a batch: it waits until the batch may run, runs the bulk call, and hands out the results.
//!
//! Whatever happens to it, its callers learn of it from [`Duty`], whose `Drop` knows how far it got: a queued batch is
//! orphaned and goes off from another caller's runtime; a running one has failed.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep};

use super::WrongNumber;
use super::cell::{Cell, Ended, Failure};
use super::group::Turn;
use super::results::Bulk;
use super::table::{Queue, Step, Table};
use crate::frames::{self, Execution};
use crate::observe::{Ended as Outcome, Trace};
use crate::sync::Arc;
use crate::wake::{guarded, message};

/// The task.
pub(super) async fn drive<H, K, T, U, B, R>(mut duty: Duty<H, R>)
where
    H: Deref<Target = Table<K, T, U, B, R>>,
    T: Send + 'static,
    U: Eq,
    B: Bulk<T, R>,
{
    let step = queue(&mut duty).await;
    let Step::Run(items, bulk, closed, calls, inside) = step else {
        duty.stage = Stage::Done;
        return;
    };
    duty.stage = Stage::Running;
    let count = items.len();
    let mut trace = duty.table.function.bulk(calls, count as u64, closed.name());
    let results = CatchUnwind {
        future: bulk.run(items),
        trace: &trace,
        inside,
    }
    .await;
    let (outcome, ended) = match results {
        Ok(Ok(results)) => {
            debug_assert_eq!(results.len(), count, "counted when they were handed out");
            (Outcome::Returned, Ended::with(results))
        }
        Ok(Err(WrongNumber { items, results })) => {
            let failure = Failure::WrongNumber { items, results };
            (Outcome::WrongNumber, Ended::Failed(failure))
        }
        Err(said) => (Outcome::Panicked, Ended::Failed(Failure::Panic(said))),
    };
    trace.ends(outcome, count as u64);
    if outcome != Outcome::Returned {
        duty.table.panicked(&duty.cell);
    }
    duty.stage = Stage::Done;
    duty.table.ends(&duty.cell, ended);
}

/// Waits until the batch may run.
async fn queue<H, K, T, U, B, R>(duty: &mut Duty<H, R>) -> Step<T, B>
where
    H: Deref<Target = Table<K, T, U, B, R>>,
    U: Eq,
{
    let Stage::Queued(turn) = duty.stage else {
        return Step::Gone;
    };
    // Under load the batch is full by now, or soon, and needs no timer.
    let mut seen = 0;
    loop {
        let step =
            std::future::poll_fn(|cx| Poll::Ready(duty.table.go(&duty.cell, turn, Some(seen), cx)));
        match step.await {
            Step::Fills(items) => seen = items,
            Step::Wait(_) => break,
            step => return step,
        }
        // Only here may time be paused, and be moved on before this task is polled again.
        let exact = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        if exact {
            duty.table.no_longer_fresh(&duty.cell);
        }
        // Lets those come that can be polled in the same tick.
        tokio::task::yield_now().await;
        if exact {
            break;
        }
    }
    // In a box: a task that needs no timer, which under load is each, is the smaller.
    let mut timer = None::<Pin<Box<Sleep>>>;
    std::future::poll_fn(|cx| {
        loop {
            match duty.table.go(&duty.cell, turn, None, cx) {
                Step::Wait(Some(until)) => {
                    let timer = match &mut timer {
                        None => timer.insert(Box::pin(duty.timer(turn, until))),
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

/// What a task owes to the callers of its batch.
pub(super) struct Duty<H, R>
where
    H: Deref<Target: Queue<R>>,
{
    table: H,
    cell: Arc<Cell<R>>,
    stage: Stage,
}

enum Stage {
    Queued(Turn),
    /// It asks for a timer, which panics on a runtime without.
    NeedsTimer(Turn),
    Running,
    Done,
}

impl<H, R> Duty<H, R>
where
    H: Deref<Target: Queue<R>>,
{
    pub(super) fn new(table: H, cell: Arc<Cell<R>>, turn: Turn) -> Self {
        Self {
            table,
            cell,
            stage: Stage::Queued(turn),
        }
    }

    fn timer(&mut self, turn: Turn, until: Instant) -> Sleep {
        self.stage = Stage::NeedsTimer(turn);
        let timer = tokio::time::sleep_until(until);
        self.stage = Stage::Queued(turn);
        timer
    }
}

impl<H, R> Drop for Duty<H, R>
where
    H: Deref<Target: Queue<R>>,
{
    fn drop(&mut self) {
        match self.stage {
            Stage::NeedsTimer(turn) => self.table.fail(&self.cell, turn, Failure::NoTimers),
            Stage::Queued(turn) => {
                if self.table.orphan(&self.cell, turn) {
                    self.table.runtime_gone(&self.cell);
                }
            }
            Stage::Running => {
                self.table.runtime_gone(&self.cell);
                let ended = Ended::Failed(Failure::RuntimeGone);
                self.table.ends(&self.cell, ended);
            }
            Stage::Done => {}
        }
    }
}

pin_project! {
    /// A future whose panic is a value: what it said. What waits for it is polled with it.
    struct CatchUnwind<'a, F> {
        #[pin]
        future: F,
        trace: &'a Trace,
        inside: Vec<Execution>,
    }
}

impl<F: Future> Future for CatchUnwind<'_, F> {
    type Output = Result<F::Output, Box<str>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match catch_unwind(AssertUnwindSafe(|| {
            frames::within_all(this.inside, || this.trace.within(|| this.future.poll(cx)))
        })) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => {
                let said = message(&*payload).into();
                guarded(|| drop(payload));
                Poll::Ready(Err(said))
            }
        }
    }
}

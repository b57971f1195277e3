//! The task of a batch: it waits until the batch may run, runs the bulk call, and hands out the results.
//!
//! Whatever happens to it, its callers learn of it from [`Duty`], whose `Drop` knows how far it got: a queued batch is
//! orphaned and goes off from another caller's runtime; a running one has failed.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::WrongNumber;
use super::cell::{Cell, Ended, Failure};
use super::group::Turn;
use super::results::Bulk;
use super::table::{Queue, Step, Table, wake_callers};
use crate::observe::{Ended as Outcome, Trace};
use crate::sync::Arc;
use crate::wake::message;

pub(super) async fn drive<H, K, T, U, B, R>(table: H, cell: Arc<Cell<R>>, turn: Turn)
where
    H: Deref<Target = Table<K, T, U, B, R>>,
    T: Send + 'static,
    U: Eq,
    B: Bulk<T, R>,
{
    let mut duty = Duty {
        table,
        cell,
        stage: Stage::Queued(turn),
    };
    // Lets those come that can be polled in the same tick. Under load the batch is full then, and needs no timer.
    tokio::task::yield_now().await;
    let step = std::future::poll_fn(|cx| Poll::Ready(duty.table.go(&duty.cell, turn, cx))).await;
    let step = match step {
        Step::Wait(until) => wait(&*duty.table, &duty.cell, turn, until).await,
        step => step,
    };
    let Step::Run(items, bulk, closed, calls) = step else {
        duty.stage = Stage::Done;
        return;
    };
    duty.stage = Stage::Running;
    let count = items.len();
    let function = &duty.table.function;
    let mut trace = duty.cell.trace().take();
    function.runs(&mut trace);
    function.batch(calls, count as u64);
    trace.takes(count as u64, closed.name());
    trace.serves(&duty.cell.callers);
    let bulk = async move { bulk.run(items).await };
    let results = CatchUnwind {
        future: bulk,
        trace: &trace,
    }
    .await;
    let ended = if results.is_ok() {
        Outcome::Returned
    } else {
        Outcome::Panicked
    };
    trace.ends(ended, count as u64);
    duty.stage = Stage::Done;
    // An idle group leaves nothing behind, and is gone before anybody can look.
    duty.table.ended(&duty.cell);
    let failure = match results {
        Ok(Ok(results)) if results.len() == count => {
            return wake_callers(duty.cell.deliver(results.into_iter().map(Some).collect()));
        }
        Ok(Ok(results)) => Failure::WrongNumber {
            items: count,
            results: results.len(),
        },
        Ok(Err(WrongNumber { items, results })) => Failure::WrongNumber { items, results },
        Err(said) => {
            duty.table.panicked();
            Failure::Panic(said)
        }
    };
    wake_callers(duty.cell.fail(Ended::Failed(failure)));
}

/// Waits until the batch may run.
async fn wait<K, T, U: Eq, B, R>(
    table: &Table<K, T, U, B, R>,
    cell: &Arc<Cell<R>>,
    turn: Turn,
    until: Option<Instant>,
) -> Step<T, B> {
    /// For a batch that waits for a slot, not for a time.
    const FAR: Duration = Duration::from_secs(3600);
    let mut sleep = pin!(tokio::time::sleep_until(
        until.unwrap_or_else(|| Instant::now() + FAR)
    ));
    std::future::poll_fn(|cx| {
        loop {
            match table.go(cell, turn, cx) {
                Step::Wait(Some(until)) => {
                    if sleep.deadline() != until {
                        sleep.as_mut().reset(until);
                    }
                    ready!(sleep.as_mut().poll(cx));
                }
                Step::Wait(None) => return Poll::Pending,
                step => return Poll::Ready(step),
            }
        }
    })
    .await
}

/// What a task owes to the callers of its batch.
struct Duty<H, R>
where
    H: Deref<Target: Queue<R>>,
{
    table: H,
    cell: Arc<Cell<R>>,
    stage: Stage,
}

enum Stage {
    Queued(Turn),
    Running,
    Done,
}

impl<H, R> Drop for Duty<H, R>
where
    H: Deref<Target: Queue<R>>,
{
    fn drop(&mut self) {
        match self.stage {
            Stage::Queued(turn) if thread::panicking() => {
                self.table.fail(&self.cell, turn, Failure::NoTimers)
            }
            Stage::Queued(turn) => self.table.orphan(&self.cell, turn),
            Stage::Running => {
                self.table.runtime_gone();
                self.table.ended(&self.cell);
                wake_callers(self.cell.fail(Ended::Failed(Failure::RuntimeGone)));
            }
            Stage::Done => {}
        }
    }
}

pin_project! {
    /// A future whose panic is a value: what it said.
    struct CatchUnwind<'a, F> {
        #[pin]
        future: F,
        trace: &'a Trace,
    }
}

impl<F: Future> Future for CatchUnwind<'_, F> {
    type Output = Result<F::Output, Box<str>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match catch_unwind(AssertUnwindSafe(|| {
            this.trace.within(|| this.future.poll(cx))
        })) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => {
                let said = message(&*payload).into();
                crate::wake::guarded(|| drop(payload));
                Poll::Ready(Err(said))
            }
        }
    }
}

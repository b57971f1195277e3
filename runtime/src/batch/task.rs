//! The task of a batch: it waits until the batch may run, runs the bulk call, and hands out the results. Then it stays
//! for a while, for another batch: see [`askers`](super::askers).
//!
//! Whatever happens to it, its callers learn of it from [`Duty`], whose `Drop` knows how far it got: a queued batch is
//! orphaned and goes off from another caller's runtime; a running one has failed.

use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::{self, Handle, RuntimeFlavor};
use tokio::time::{Instant, Sleep};

use super::askers::Asked;
use super::cell::{Cell, Ended, Failure};
use super::group::{Step, Turn};
use super::results::{Bulk, Results, WrongNumber};
use super::start::Start;
use super::table::{Ready, Table, Taken, Work};
use crate::observe::{Ended as Outcome, Trace};
use crate::reentrancy::frames;
use crate::reentrancy::graph::Execution;
use crate::sync::Arc;
use crate::wake::{guarded, message};
use crate::watch::{self, Watched};

/// Gives a batch a task on this runtime. Returns whether that has ended already.
pub(super) fn spawn<H, K, T, U, B, R>(
    runtime: &Handle,
    table: H,
    cell: Arc<Cell<R>>,
    turn: Turn,
) -> bool
where
    H: Deref<Target = Table<K, T, U, B, R>> + Clone + Send + Sync + 'static,
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    let duty = Duty {
        table,
        cell,
        stage: Stage::Queued(turn),
        runtime: runtime.id(),
    };
    let task = Task {
        doing: Doing::Queues { queue: queue(duty) },
        queue,
        call: B::run,
    };
    runtime.spawn(task).is_finished()
}

/// Waits until a batch may run.
async fn queue<H, K, T, U, B, R>(mut duty: Duty<H, R>) -> (Duty<H, R>, Option<Ready<T, B>>)
where
    H: Deref<Target = Table<K, T, U, B, R>>,
    U: Eq,
    B: Start,
{
    let ready = match duty.queue().await {
        Step::Run(ready) => Some(ready),
        _ => None,
    };
    (duty, ready)
}

pin_project! {
    /// The task. By hand, since a coroutine would keep what it was given and what it has made of that side by side, and a
    /// task is moved several times on its way to its runtime and back.
    struct Task<N, Q, M, F, H, R>
    where
        H: Deref<Target: Work<R>>,
    {
        queue: N,
        call: M,
        #[pin]
        doing: Doing<Q, F, H, R>,
    }
}

pin_project! {
    #[project = Does]
    #[project_replace = Did]
    enum Doing<Q, F, H, R>
    where
        H: Deref<Target: Work<R>>,
    {
        /// Until its batch may run.
        Queues { #[pin] queue: Q },
        Runs { #[pin] bulk: F, duty: Duty<H, R>, running: Running },
        /// For another batch.
        Stays { asker: Asker<H, R> },
        Done,
    }
}

/// What a bulk call has about it.
struct Running {
    /// How many items it was given.
    items: usize,
    trace: Trace,
    execution: Execution,
    /// What it holds.
    held: Vec<Execution>,
}

impl<N, Q, M, F, H, K, T, U, B, R> Future for Task<N, Q, M, F, H, R>
where
    N: Fn(Duty<H, R>) -> Q,
    Q: Future<Output = (Duty<H, R>, Option<Ready<T, B>>)>,
    M: Fn(B, Vec<T>) -> F,
    F: Future<Output = Results<R>>,
    H: Deref<Target = Table<K, T, U, B, R>> + Clone + Send + 'static,
    Table<K, T, U, B, R>: Watched,
    U: Eq,
    B: Start,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let mut doing = this.doing;
        let mut begins = None;
        if let Does::Stays { asker } = doing.as_mut().project() {
            match asker.ask() {
                Asked::SleepsOn => return Poll::Pending,
                Asked::Takes((duty, None)) => doing.set(Doing::Queues {
                    queue: (this.queue)(duty),
                }),
                Asked::Takes((duty, Some(ready))) => begins = Some((duty, ready)),
                Asked::Ends => doing.set(Doing::Done),
            }
        }
        if let Does::Queues { queue } = doing.as_mut().project() {
            match ready!(queue.poll(cx)) {
                (duty, Some(ready)) => begins = Some((duty, ready)),
                (mut duty, None) => {
                    duty.stage = Stage::Done;
                    doing.set(Doing::Done);
                }
            }
        }
        if let Some((mut duty, ready)) = begins {
            let (bulk, items, running) = duty.begins(ready);
            let bulk = (this.call)(bulk, items);
            doing.set(Doing::Runs {
                bulk,
                duty,
                running,
            });
        }
        let results = match doing.as_mut().project() {
            Does::Runs { bulk, running, .. } => ready!(running.poll(bulk, cx)),
            _ => return Poll::Ready(()),
        };
        if let Did::Runs { duty, running, .. } = doing.as_mut().project_replace(Doing::Done) {
            let (table, hash, runtime) = (duty.table.clone(), duty.cell.hash, duty.runtime);
            duty.ends(results, running);
            // At last, when nothing is left of the batch whose drop may panic, and this task is about to sleep.
            if let Some(asker) = Asker::stay(table, hash, runtime, cx) {
                doing.set(Doing::Stays { asker });
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl Running {
    /// Polls the bulk call. Its panic is a value: what it said.
    fn poll<F: Future>(
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
                guarded(|| drop(payload));
                Poll::Ready(Err(said))
            }
        }
    }
}

/// What a task owes to the callers of its batch.
struct Duty<H, R>
where
    H: Deref<Target: Work<R>>,
{
    table: H,
    cell: Arc<Cell<R>>,
    stage: Stage,
    /// Where the task is.
    runtime: runtime::Id,
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
    H: Deref<Target: Work<R>>,
{
    fn timer(&mut self, turn: Turn, until: Instant) -> Sleep {
        self.stage = Stage::NeedsTimer(turn);
        let timer = tokio::time::sleep_until(until);
        self.stage = Stage::Queued(turn);
        timer
    }
}

impl<H, K, T, U, B, R> Duty<H, R>
where
    H: Deref<Target = Table<K, T, U, B, R>>,
    U: Eq,
    B: Start,
{
    /// Waits until the batch may run.
    async fn queue(&mut self) -> Step<Ready<T, B>> {
        let Stage::Queued(turn) = self.stage else {
            return Step::Gone;
        };
        // Under load the batch is full by now, or soon, and needs no timer.
        let mut seen = 0;
        loop {
            let step = std::future::poll_fn(|cx| {
                Poll::Ready(self.table.go(&self.cell, turn, Some(seen), cx))
            });
            match step.await {
                Step::Fills(items) => seen = items,
                Step::Wait(_) => break,
                step => return step,
            }
            // Only here may time be paused, and be moved on before this task is polled again.
            let exact = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
            if exact {
                self.table.no_longer_fresh(&self.cell);
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
                match self.table.go(&self.cell, turn, None, cx) {
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

impl<H, K, T, U, B, R> Duty<H, R>
where
    H: Deref<Target = Table<K, T, U, B, R>>,
    U: Eq,
    B: Start,
{
    /// The bulk call is about to be made.
    fn begins(&mut self, ready: Ready<T, B>) -> (B, Vec<T>, Running) {
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
            execution: self.cell.execution(),
            held,
        };
        (bulk, items, running)
    }
}

impl<H, R> Duty<H, R>
where
    H: Deref<Target: Work<R>>,
{
    /// The bulk call has ended.
    fn ends(mut self, results: Result<Results<R>, Box<str>>, running: Running) {
        let (outcome, ended) = match results {
            Ok(Ok(results)) => {
                debug_assert_eq!(results.len(), running.items, "counted when handed out");
                (Outcome::Returned, Ended::with(results))
            }
            Ok(Err(WrongNumber { items, results })) => {
                let failure = Failure::WrongNumber { items, results };
                (Outcome::WrongNumber, Ended::Failed(failure))
            }
            Err(said) => (Outcome::Panicked, Ended::Failed(Failure::Panic(said))),
        };
        let Running {
            mut trace, items, ..
        } = running;
        guarded(|| trace.ends(outcome, items as u64));
        if outcome != Outcome::Returned {
            self.table.panicked(&self.cell);
        }
        self.stage = Stage::Done;
        self.table.ends(&self.cell, ended);
    }
}

impl<H, R> Drop for Duty<H, R>
where
    H: Deref<Target: Work<R>>,
{
    fn drop(&mut self) {
        match self.stage {
            Stage::NeedsTimer(turn) => self.table.fail(&self.cell, turn, Failure::NoTimers),
            Stage::Queued(turn) => self.table.task_gone(&self.cell, turn),
            Stage::Running => {
                // A subscriber is user code, which may panic or block: it is told last.
                self.table.count_lost(&self.cell);
                let ended = Ended::Failed(Failure::RuntimeGone);
                self.table.ends(&self.cell, ended);
                self.table.warn_lost(&self.cell);
            }
            Stage::Done => {}
        }
    }
}

/// A task that stays, for another batch of its function.
struct Asker<H, R>
where
    H: Deref<Target: Work<R>>,
{
    table: H,
    /// It asks in the shard of the batch that it had.
    hash: u64,
    number: u64,
    runtime: runtime::Id,
    /// It has asked: there is nothing of it in the shard any more.
    has_asked: bool,
    results: PhantomData<fn() -> R>,
}

impl<H, K, T, U, B, R> Asker<H, R>
where
    H: Deref<Target = Table<K, T, U, B, R>> + Clone + Send + 'static,
    Table<K, T, U, B, R>: Watched,
    U: Eq,
    B: Start,
{
    fn stay(table: H, hash: u64, runtime: runtime::Id, cx: &mut Context<'_>) -> Option<Self> {
        let number = table.stay(hash, runtime, cx.waker().clone())?;
        let asker = Self {
            table,
            hash,
            number,
            runtime,
            has_asked: false,
            results: PhantomData,
        };
        // It ends when the watch has come by and found it asleep.
        watch::arm(&asker.table);
        Some(asker)
    }

    /// It is polled.
    fn ask(&mut self) -> Asked<(Duty<H, R>, Option<Ready<T, B>>)> {
        let asked = self.table.ask(self.hash, self.number);
        if let Asked::SleepsOn = asked {
            return Asked::SleepsOn;
        }
        self.has_asked = true;
        let Asked::Takes(Taken { cell, turn, ready }) = asked else {
            return Asked::Ends;
        };
        let duty = Duty {
            table: self.table.clone(),
            cell,
            stage: Stage::Queued(turn),
            runtime: self.runtime,
        };
        Asked::Takes((duty, ready))
    }
}

impl<H, R> Drop for Asker<H, R>
where
    H: Deref<Target: Work<R>>,
{
    fn drop(&mut self) {
        if !self.has_asked {
            self.table.lost(self.hash, self.number);
        }
    }
}

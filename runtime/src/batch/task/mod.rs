//! The task of a batch: it waits until the batch may run, runs the bulk call, and hands out the results. Then it stays
//! for a while, for another batch: see [`idle`](super::idle).
//!
//! If the task is dropped, the `Drop` of [`Duty`] informs the callers. It knows how far the task got: a queued batch is orphaned and
//! adopted by one of its callers, a running one has failed.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use self::duty::{Duty, Running, Stage};
use self::stay::IdleTask;
use super::group::{Step, Turn};
use super::idle::Asked;
use super::results::{Bulk, Results};
use super::shared::Batch;
use super::start::Start;
use super::table::{Ready, Table, Work};
use crate::fixed::InScope;
use crate::sync::Arc;
use crate::watch::Watched;

mod duty;
mod stay;

/// Gives a batch a task on this runtime. Returns whether that task has ended already.
pub(super) fn spawn<K, T, U, B, R>(
    runtime: &Handle,
    table: InScope<Table<K, T, U, B, R>>,
    batch: Arc<Batch<R>>,
    turn: Turn,
) -> bool
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    let duty = Duty {
        table,
        batch,
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

/// A duty, and what it has to run, unless its batch has gone.
type Begins<K, T, U, B, R> = (Duty<InScope<Table<K, T, U, B, R>>, R>, Option<Ready<T, B>>);

/// Waits until a batch may run.
async fn queue<K, T, U, B, R>(
    mut duty: Duty<InScope<Table<K, T, U, B, R>>, R>,
) -> Begins<K, T, U, B, R>
where
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
    /// The task. Written by hand, since a coroutine would hold its input and the state made from it side by side, and a task is
    /// moved several times on its way to its runtime and back.
    struct Task<N, Q, M, F, H: Deref<Target: Work<R>>, R> {
        queue: N,
        call: M,
        #[pin]
        doing: Doing<Q, F, H, R>,
    }
}

pin_project! {
    #[project = Does]
    #[project_replace = Did]
    enum Doing<Q, F, H: Deref<Target: Work<R>>, R> {
        /// Until its batch may run.
        Queues { #[pin] queue: Q },
        Runs { #[pin] bulk: F, duty: Duty<H, R>, running: Running },
        /// For another batch.
        Stays { idle: IdleTask<H, R> },
        Done,
    }
}

impl<N, Q, M, F, K, T, U, B, R> Future for Task<N, Q, M, F, InScope<Table<K, T, U, B, R>>, R>
where
    N: Fn(Duty<InScope<Table<K, T, U, B, R>>, R>) -> Q,
    Q: Future<Output = Begins<K, T, U, B, R>>,
    M: Fn(B, Vec<T>) -> F,
    F: Future<Output = Results<R>>,
    Table<K, T, U, B, R>: Watched,
    U: Eq,
    B: Start,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let mut doing = this.doing;
        let mut begins = None;
        if let Does::Stays { idle } = doing.as_mut().project() {
            match idle.ask() {
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
            let (table, hash, runtime) = (duty.table.clone(), duty.batch.hash, duty.runtime);
            duty.ends(results, running);
            // Last, when nothing of the batch is left whose drop may panic, and the task has nothing to do but sleep.
            if let Some(idle) = IdleTask::stay(table, hash, runtime, cx) {
                doing.set(Doing::Stays { idle });
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

//! `spawn`: the execution is a task, and every caller, the opener too, is a follower.
//!
//! A caller that finds the flight vacant (the task's runtime was shut down, or stands still) starts the next task and
//! goes on waiting. When the last caller leaves, the flight is closed and its task woken, finds that it leads no more,
//! and ends, which drops the body. A caller that runs by itself does so in place.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use super::call::{Call, Next, Role, follows};
use super::flight::Flight;
use super::state::{Body, Deposed, Term};
use super::table::{Table, TableRef};
use crate::observe::{Caller, Ended, Trace};
use crate::reentrancy::frames;
use crate::sharing::Share;
use crate::sync::Arc;
use crate::wake::{drop_guarded, guarded, message};

pin_project! {
    /// A call whose execution is a task.
    pub struct Spawned<T: Deref<Target = Table<K, V>>, K, V, S, B, F> {
        #[pin]
        alone: Option<F>,
        body: Option<B>,
        call: Call<T, K, V, S>,
    }
}

impl<T: TableRef<K, V>, K, V, S: Share<Stored = V>> Call<T, K, V, S> {
    /// Runs the body in a task, or waits for one that does. `body` is called at most once, by a call that starts one.
    // The compiler shows the line of the second bound, with its end, if a body does not meet it.
    pub fn spawn<B, F>(self, body: B) -> Spawned<T, K, V, S, B, F>
    where
        B: FnOnce() -> F,
        F: Future<Output = S::Output> + Send + 'static, // since `spawn` runs it in its own task
    {
        if let Role::Free = self.role {
            self.table.function.begins(self.began);
        }
        Spawned {
            alone: None,
            body: Some(body),
            call: self,
        }
    }
}

impl<T, K, V, S, B, F> Future for Spawned<T, K, V, S, B, F>
where
    T: TableRef<K, V>,
    K: 'static,
    V: Send + Sync + 'static,
    S: Share<Stored = V, Output: 'static>,
    B: FnOnce() -> F,
    F: Future<Output = S::Output> + Send + 'static,
{
    type Output = S::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<S::Output> {
        let mut this = self.project();
        let call = this.call;
        if let Role::LeadsAlone { hash, id, .. } = call.role {
            match call.table.share(hash, id) {
                Some(following) => {
                    let flight = following.flight.clone();
                    // Should its task be lost, it is one of the callers of the next.
                    let _ = flight.callers.add(Caller::current());
                    let trace = mem::replace(&mut call.trace, Trace::NONE);
                    call.role = follows(&call.table, following, true);
                    call.start(this.body, &flight, 0, trace);
                }
                // It was stalled since it began, and a successor has landed.
                None => call.role = Role::Free,
            }
        }
        loop {
            let body = match this.body {
                Some(_) => Body::ForTask,
                None => Body::Given,
            };
            match ready!(call.follow(body, cx)) {
                Next::Return(output) => return Poll::Ready(output),
                Next::Start(term) => {
                    let Role::Follows { flight, given, .. } = &mut call.role else {
                        unreachable!("a follower starts a task");
                    };
                    *given = true;
                    let flight = flight.clone();
                    let trace = call.table.function.execution();
                    call.start(this.body, &flight, term, trace);
                }
                Next::Run => break,
            }
        }
        if this.alone.is_none() {
            let body = this
                .body
                .take()
                .expect("a caller that runs by itself has not started a task");
            this.alone.set(Some(body()));
        }
        this.alone.as_pin_mut().expect("set above").poll(cx)
    }
}

impl<T, K, V, S> Call<T, K, V, S>
where
    T: TableRef<K, V>,
    K: 'static,
    V: Send + Sync + 'static,
    S: Share<Stored = V, Output: 'static>,
{
    /// Gives the body to a task that leads the flight.
    fn start<B, F>(&self, body: &mut Option<B>, flight: &Arc<Flight<V>>, term: Term, trace: Trace)
    where
        B: FnOnce() -> F,
        F: Future<Output = S::Output> + Send + 'static,
    {
        // Made first: if anything below panics, its drop tells the other callers.
        let lead = Lead {
            table: self.table.clone(),
            flight: flight.clone(),
            term,
            trace: trace.of_task(self.began),
        };
        let body = body.take().expect("a caller starts one task");
        runtime(&self.table.function).spawn(Execution {
            body: body(),
            lead,
            store: S::store,
        });
    }
}

fn runtime(path: &str) -> Handle {
    match Handle::try_current() {
        Ok(runtime) => runtime,
        Err(_) => panic!("`{path}` was called outside of a tokio runtime: `spawn` needs one"),
    }
}

pin_project! {
    /// The task: it polls the body and lands the flight. The body is dropped before leadership is given up.
    pub(super) struct Execution<T: Deref<Target = Table<K, V>>, K, V, F: Future> {
        #[pin]
        pub(super) body: F,
        pub(super) lead: Lead<T, K, V>,
        pub(super) store: fn(F::Output) -> V,
    }
}

/// Leadership of a flight. Dropped before it has landed, the flight is vacant.
pub(super) struct Lead<T: Deref<Target = Table<K, V>>, K, V> {
    pub(super) table: T,
    pub(super) flight: Arc<Flight<V>>,
    pub(super) term: Term,
    pub(super) trace: Trace,
}

impl<T: Deref<Target = Table<K, V>>, K, V> Drop for Lead<T, K, V> {
    fn drop(&mut self) {
        // Finds nothing to leave if the flight has landed, or is another's.
        if self
            .table
            .leader_leaves(self.flight.hash, self.flight.id, self.term, true)
        {
            let warned = self.flight.callers.warned();
            guarded(|| warned.runtime_gone(&self.table.function));
        }
    }
}

impl<T: Deref<Target = Table<K, V>>, K, V, F: Future> Future for Execution<T, K, V, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let Lead {
            table,
            flight,
            term,
            trace,
        } = this.lead;
        if table.retires(flight, *term) {
            return Poll::Ready(());
        }
        trace.begins(&table.function);
        let polled = frames::within(table.execution(flight.id), || {
            catch_unwind(AssertUnwindSafe(|| trace.within(|| this.body.poll(cx))))
        });
        match polled {
            Ok(Poll::Pending) => {
                while let Err(Deposed) = table.rest(flight, *term, cx) {
                    // Closed or deposed while it was polled.
                    if table.retires(flight, *term) {
                        return Poll::Ready(());
                    }
                }
                Poll::Pending
            }
            Ok(Poll::Ready(output)) => {
                let callers = table.land_task(flight, *term, output, *this.store);
                if callers > 0 {
                    trace.serves(&flight.callers);
                }
                trace.ends(Ended::Returned, callers.into());
                Poll::Ready(())
            }
            Err(payload) => {
                let callers =
                    table.land_panic(flight.hash, flight.id, *term, message(&*payload), trace);
                trace.ends(Ended::Panicked, callers.into());
                drop_guarded(payload);
                Poll::Ready(())
            }
        }
    }
}

impl<T: Deref<Target = Table<K, V>>, K, V, S, B, F> fmt::Debug for Spawned<T, K, V, S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned")
            .field("function", &self.call.table.function.path())
            .finish_non_exhaustive()
    }
}

//! `spawn`: the execution is a task, and every caller, the opener too, is a follower.
//!
//! A caller that finds the flight vacant (the task's runtime was shut down, or stands still) starts the next task and
//! stays a follower. When the last caller leaves, the flight is closed and its task woken, finds that it leads no more,
//! and ends, which drops the body. A caller that runs by itself does so in place.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use super::flight::Flight;
use super::run::{Call, Role};
use super::share::Share;
use super::state::{Deposed, Relaunch, Turn};
use super::table::Table;
use crate::frames;
use crate::observe::{Caller, Ended, Trace};
use crate::sync::Arc;
use crate::wake::{guarded, message};
use crate::watch;

pin_project! {
    /// A call whose execution is a task.
    pub struct Spawned<T, K, V, S, B, F>
    where
        T: Deref<Target = Table<K, V>>,
    {
        #[pin]
        alone: Option<F>,
        body: Option<B>,
        call: Call<T, K, V, S>,
    }
}

impl<T, K, V, S> Call<T, K, V, S>
where
    T: Deref<Target = Table<K, V>> + Clone + Send + 'static,
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: Share<Stored = V>,
{
    /// Runs the body in a task, or waits for one that does. `body` is called at most once, by a call that starts one.
    pub fn spawn<B, F>(self, body: B) -> Spawned<T, K, V, S, B, F>
    where
        B: FnOnce() -> F,
        F: Future<Output = S::Output> + Send + 'static,
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
    T: Deref<Target = Table<K, V>> + Clone + Send + 'static,
    K: Send + Sync + 'static,
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
            let runtime = runtime(&call.table.function);
            match call.table.share(hash, id) {
                Some((flight, first)) => {
                    let lead = Lead {
                        table: call.table.clone(),
                        flight: flight.clone(),
                        turn: 0,
                        trace: mem::replace(&mut call.trace, Trace::NONE).of_task(call.began),
                    };
                    // Should its task be lost, it is one of the callers of the next.
                    let _ = flight.callers.add(Caller::current());
                    call.role = Role::Follows {
                        flight,
                        slot: None,
                        joined: false,
                        noted: 0,
                    };
                    if first {
                        watch::arm(&call.table);
                    }
                    let body = this.body.take().expect("a caller starts one task");
                    runtime.spawn(Execution {
                        body: body(),
                        lead,
                        store: S::store,
                    });
                }
                // It was stalled since it began, and a successor has landed.
                None => call.role = Role::Free,
            }
        }
        if let Role::Follows { flight, joined, .. } = &mut call.role {
            match flight.relaunch(this.body.is_some()) {
                Relaunch::No => {}
                Relaunch::Start(turn) => {
                    let lead = Lead {
                        table: call.table.clone(),
                        flight: flight.clone(),
                        turn,
                        trace: call.table.function.execution().of_task(call.began),
                    };
                    if mem::replace(joined, false) {
                        call.table.rare.unshared.fetch_add(1, Relaxed);
                        flight.give_to_task();
                    }
                    let runtime = runtime(&call.table.function);
                    call.table.rare.executions.fetch_add(1, Relaxed);
                    let body = this.body.take().expect("a caller starts one task");
                    runtime.spawn(Execution {
                        body: body(),
                        lead,
                        store: S::store,
                    });
                }
                Relaunch::Lost => panic!(
                    "the runtime on which `{}` ran the execution that this call shares was shut down",
                    call.table.function.path()
                ),
            }
        }
        if let Some(output) = ready!(call.follow(cx)) {
            return Poll::Ready(output);
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

fn runtime(path: &str) -> Handle {
    match Handle::try_current() {
        Ok(runtime) => runtime,
        Err(_) => panic!("`{path}` was called outside of a tokio runtime: `spawn` needs one"),
    }
}

pin_project! {
    /// The task: it polls the body and lands the flight. The body is dropped before leadership is given up.
    pub(super) struct Execution<T, K, V, F: Future>
    where
        T: Deref<Target = Table<K, V>>,
    {
        #[pin]
        pub(super) body: F,
        pub(super) lead: Lead<T, K, V>,
        pub(super) store: fn(F::Output) -> V,
    }
}

/// Leadership of a flight. Dropped before it has landed, the flight is vacant.
pub(super) struct Lead<T, K, V>
where
    T: Deref<Target = Table<K, V>>,
{
    pub(super) table: T,
    pub(super) flight: Arc<Flight<V>>,
    pub(super) turn: Turn,
    pub(super) trace: Trace,
}

impl<T, K, V> Drop for Lead<T, K, V>
where
    T: Deref<Target = Table<K, V>>,
{
    fn drop(&mut self) {
        // Finds nothing to leave if the flight has landed, or is another's.
        if self
            .table
            .leader_leaves(self.flight.hash, self.flight.id, self.turn)
        {
            self.flight
                .callers
                .warned()
                .runtime_gone(&self.table.function);
        }
    }
}

impl<T, K, V, F> Future for Execution<T, K, V, F>
where
    T: Deref<Target = Table<K, V>>,
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    F: Future,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let Lead {
            table,
            flight,
            turn,
            trace,
        } = this.lead;
        if flight.retires(*turn) {
            return Poll::Ready(());
        }
        trace.begins(&table.function);
        let polled = frames::within(table.execution(flight.id), || {
            catch_unwind(AssertUnwindSafe(|| trace.within(|| this.body.poll(cx))))
        });
        match polled {
            Ok(Poll::Pending) => {
                while let Err(Deposed) = flight.rest(*turn, cx) {
                    // Closed or deposed while it was polled.
                    if flight.retires(*turn) {
                        return Poll::Ready(());
                    }
                }
                Poll::Pending
            }
            Ok(Poll::Ready(output)) => {
                let callers = table.land_task(flight, *turn, output, *this.store);
                if callers > 0 {
                    trace.serves(&flight.callers);
                }
                trace.ends(Ended::Returned, callers.into());
                Poll::Ready(())
            }
            Err(payload) => {
                let callers =
                    table.land_panic(flight.hash, flight.id, *turn, message(&*payload), trace);
                trace.ends(Ended::Panicked, callers.into());
                guarded(|| drop(payload));
                Poll::Ready(())
            }
        }
    }
}

impl<T, K, V, S, B, F> fmt::Debug for Spawned<T, K, V, S, B, F>
where
    T: Deref<Target = Table<K, V>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned")
            .field("function", &self.call.table.function.path())
            .finish_non_exhaustive()
    }
}

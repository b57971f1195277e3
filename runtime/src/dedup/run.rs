//! The future that a call is, from its first poll on.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Joining;
use super::flight::{Flight, Outcome};
use super::places::Slot;
use super::share::Share;
use super::state::{Body, Deposed, Followed, Turn};
use super::table::{Entered, Following, Landed, Rested, Table};
use crate::batch::Heir;
use crate::batch::inherit;
use crate::failure::{Failure, Shared, Why};
use crate::key::Key;
use crate::observe::{Began, Caller, Ended, Noted, Trace};
use crate::reentrancy::frames;
use crate::reentrancy::graph::Circle;
use crate::reentrancy::waits::{self, Ticket};
use crate::sync::Arc;
use crate::wake::{discard, guarded, message};
use crate::watch;

/// A call that has begun.
///
/// No bounds but those that `Drop` needs: the compiler has to find the future `Send` without proving any `'static`.
pub struct Call<T, K, V, S>
where
    T: Deref<Target = Table<K, V>>,
{
    pub(super) table: T,
    share: S,
    pub(super) role: Role<V>,
    /// What is to be seen of it, while it runs the body.
    pub(super) trace: Trace,
    /// When it began, for those who measure.
    pub(super) began: Began,
    /// As a follower whom the flight has noted.
    pub(super) noted: Noted,
    key: PhantomData<fn() -> K>,
}

/// What a call is at the moment. A lone leader is on its way to have, a shared one has met, followers.
pub(super) enum Role<V> {
    LeadsAlone {
        hash: u64,
        id: u64,
        bucket: u32,
        rested: bool,
    },
    /// `begun`: its body has. One that took over begins with its next poll.
    Leads {
        flight: Arc<Flight<V>>,
        turn: Turn,
        begun: bool,
    },
    /// `given`: it has given its body to a task, and waits for nobody else's execution. `noted`: as one that waits inside of
    /// another execution.
    Follows {
        flight: Arc<Flight<V>>,
        slot: Option<Slot>,
        given: bool,
        noted: Ticket,
    },
    /// It stood still as a leader and lost that place: it runs by itself.
    Deposed { id: u64 },
    /// It runs by itself, or it has its result.
    Free,
    /// It gets the error of `busy`.
    Refused,
}

/// What a follower that was polled has to do.
pub(super) enum Next<O> {
    Return(O),
    /// Run the body, in its new role.
    Run,
    /// Start the task that leads from now on.
    Start(Turn),
}

impl<T, K, V, S> Call<T, K, V, S>
where
    T: Deref<Target = Table<K, V>> + Clone + Send + 'static,
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: Share<Stored = V>,
{
    /// Begins a call. Always inlined: the call is then made where the caller's future has it, and not moved there.
    #[inline(always)]
    pub(super) fn enter(table: T, key: &impl Key<Owned = K>, share: S, joining: Joining) -> Self {
        let hash = table.hash(key);
        table.function.called();
        let caller = Caller::current();
        let noted = caller.noted();
        let role = match table.enter(hash, key, joining, caller) {
            Entered::Leads(id, bucket) => Role::LeadsAlone {
                hash,
                id,
                bucket,
                rested: false,
            },
            Entered::Follows(following) => follows(&table, following, false),
            Entered::Alone => Role::Free,
            Entered::Refused => {
                table.function.refused();
                Role::Refused
            }
        };
        let trace = if let Role::Follows { .. } | Role::Refused = role {
            Trace::NONE
        } else {
            table.function.execution()
        };
        Self {
            table,
            share,
            role,
            trace,
            began: Began::now(),
            noted,
            key: PhantomData,
        }
    }

    /// Whether it gets the error of `busy`, and is not to be run.
    #[inline]
    pub fn is_refused(&self) -> bool {
        matches!(self.role, Role::Refused)
    }

    /// Runs the body, or waits for another call that does.
    #[inline(always)]
    pub fn run<F: Future<Output = S::Output>>(self, body: F) -> Run<T, K, V, S, F> {
        if !matches!(self.role, Role::Follows { .. }) {
            self.table.function.begins(self.began);
        }
        Run { body, call: self }
    }

    /// What a loader's body needs to go on with the place that the last leader has left.
    pub fn heir(&self) -> Heir {
        let flight = match &self.role {
            Role::LeadsAlone { id, .. } | Role::Deposed { id } => Some(*id),
            Role::Leads { flight, .. } | Role::Follows { flight, .. } => Some(flight.id),
            Role::Free | Role::Refused => None,
        };
        Heir(flight.map(|id| self.table.execution(id)))
    }

    /// What the fleet around its body has to know of it.
    #[cfg(feature = "fleet")]
    pub(crate) fn around(&self) -> Box<dyn crate::fleet::Around>
    where
        T: Sync,
    {
        let flight = match &self.role {
            Role::LeadsAlone { hash, id, .. } => Some((*hash, *id)),
            Role::Leads { flight, .. } | Role::Follows { flight, .. } => {
                Some((flight.hash, flight.id))
            }
            Role::Deposed { .. } | Role::Free | Role::Refused => None,
        };
        Box::new(crate::fleet::Local {
            table: self.table.clone(),
            flight,
        })
    }

    /// Polls a follower. `body` is what it could do about a vacant flight.
    #[inline(always)]
    pub(super) fn follow(&mut self, body: Body, cx: &mut Context<'_>) -> Poll<Next<S::Output>> {
        match &self.role {
            Role::Follows { flight, .. } if flight.outcome().is_none() => self.wait(body, cx),
            Role::Follows { .. } => Poll::Ready(Next::Return(self.landed())),
            _ => Poll::Ready(Next::Run),
        }
    }

    /// A follower that has no result yet. By itself, lest one that has pays for all that this needs.
    #[inline(never)]
    fn wait(&mut self, body: Body, cx: &mut Context<'_>) -> Poll<Next<S::Output>> {
        let Role::Follows {
            flight,
            slot,
            noted,
            ..
        } = &mut self.role
        else {
            unreachable!("asked by a follower");
        };
        if frames::inside(self.table.execution(flight.id)) {
            // This call is made from inside the execution that it would wait for.
            self.runs_beside();
            return Poll::Ready(Next::Run);
        }
        let waits = match slot {
            None => self.table.wait(flight, cx),
            Some(_) => None,
        };
        if waits.is_some() {
            *slot = waits;
        } else {
            match self.table.follow(flight, *slot, body, cx) {
                Followed::Waits(place, old) => {
                    *slot = Some(place);
                    discard(old);
                }
                Followed::Leads(turn) => {
                    if body == Body::ForTask {
                        self.table.rare.executions.fetch_add(1, Relaxed);
                        return Poll::Ready(Next::Start(turn));
                    }
                    waits::end(*noted);
                    flight.callers.remove(&mut self.noted);
                    self.role = Role::Leads {
                        flight: flight.clone(),
                        turn,
                        begun: false,
                    };
                    // A deadline that has passed ends this call before its body has begun, and not after. Otherwise the
                    // callers of a body that is too slow for their deadlines would each begin it once.
                    self.rest(cx);
                    guarded(|| cx.waker().wake_by_ref());
                    return Poll::Pending;
                }
                Followed::Landed => return Poll::Ready(Next::Return(self.landed())),
                Followed::Lost => {
                    return Poll::Ready(Next::Return(self.failed(Why::RuntimeShutDown)));
                }
            }
        }
        if waits::has_moved(*noted) {
            // Noted after it has its place: of two that close a circle at once, one at least sees the other.
            match waits::begin(self.table.execution(flight.id), &[]) {
                Ok(ticket) => waits::end(mem::replace(noted, ticket)),
                Err(Circle) => {
                    self.runs_beside();
                    return Poll::Ready(Next::Run);
                }
            }
        }
        Poll::Pending
    }

    /// A follower whose flight waits for it runs the body by itself.
    fn runs_beside(&mut self) {
        self.table.rare.reentrant.fetch_add(1, Relaxed);
        self.table.rare.executions.fetch_add(1, Relaxed);
        self.leave();
        self.runs();
    }

    /// A follower that took over begins its body.
    #[cold]
    fn begins(&mut self) {
        if let Role::Leads { begun, .. } = &mut self.role {
            *begun = true;
        }
        self.table.rare.executions.fetch_add(1, Relaxed);
        self.runs();
    }

    /// A follower has to run the body after all.
    fn runs(&mut self) {
        self.table.function.begins(self.began);
        self.trace = self.table.function.execution();
    }

    /// A follower's flight has landed.
    #[inline]
    fn landed(&mut self) -> S::Output {
        match mem::replace(&mut self.role, Role::Free) {
            Role::Follows {
                flight,
                given,
                noted,
                ..
            } => {
                waits::end(noted);
                if !given {
                    self.table.function.shared(1);
                }
                self.hand(&flight)
            }
            _ => unreachable!("asked by a follower"),
        }
    }

    /// This caller's own result of a flight that has landed.
    #[inline(always)]
    pub(super) fn hand(&self, flight: &Flight<V>) -> S::Output {
        match flight.outcome() {
            Some(Outcome::Value(stored)) => self.share.hand(stored),
            outcome => self.hand_alone(outcome),
        }
    }

    /// The result of a task's only caller; or there is none, but a panic.
    #[inline(never)]
    fn hand_alone(&self, outcome: Option<&Outcome<V>>) -> S::Output {
        match outcome {
            Some(Outcome::Value(stored)) => self.share.hand(stored),
            Some(Outcome::Sole(stored)) => {
                let stored = stored.lock().take();
                self.share
                    .sole(stored.expect("a single caller takes it once"))
            }
            Some(Outcome::Panic(said)) => self.failed(Why::Panicked(said.clone())),
            None => unreachable!("a flight with followers lands with a result"),
        }
    }

    /// There is no result: an `Err`, with `failed`, or a panic.
    #[cold]
    fn failed(&self, why: Why) -> S::Output {
        let function = self.table.function.path();
        self.share
            .failed(Failure::new(function, Shared::Execution, why))
    }

    /// One poll of the body by a leader.
    #[inline]
    fn lead<F: Future<Output = S::Output>>(
        &mut self,
        body: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<S::Output> {
        let id = match &self.role {
            Role::LeadsAlone { id, .. } => *id,
            Role::Leads { flight, .. } => flight.id,
            Role::Follows { .. } | Role::Deposed { .. } | Role::Free | Role::Refused => {
                return self.run_alone(body, cx);
            }
        };
        if let Role::Leads { begun: false, .. } = &self.role {
            self.begins();
        }
        let trace = &self.trace;
        let polled = frames::within(self.table.execution(id), || {
            catch_unwind(AssertUnwindSafe(|| trace.within(|| body.poll(cx))))
        });
        match polled {
            Ok(Poll::Ready(output)) => {
                if let Role::LeadsAlone {
                    hash, id, bucket, ..
                } = self.role
                {
                    if self.table.lands_alone(hash, id, bucket) {
                        self.role = Role::Free;
                        self.trace.ends(Ended::Returned, 1);
                        return Poll::Ready(output);
                    }
                }
                Poll::Ready(self.land(output))
            }
            Ok(Poll::Pending) => {
                self.rest(cx);
                Poll::Pending
            }
            Err(payload) => {
                if let Some((hash, id, turn)) = self.leads() {
                    let waiting =
                        self.table
                            .land_panic(hash, id, turn, message(&*payload), &self.trace);
                    self.trace.ends(Ended::Panicked, 1 + u64::from(waiting));
                }
                resume_unwind(payload)
            }
        }
    }

    /// One poll of the body by a call that has no flight.
    fn run_alone<F: Future<Output = S::Output>>(
        &mut self,
        body: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<S::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.trace.within(|| body.poll(cx)))) {
            Ok(polled) => {
                if polled.is_ready() {
                    self.trace.ends(Ended::Returned, 1);
                }
                polled
            }
            Err(payload) => {
                self.table.rare.panics.fetch_add(1, Relaxed);
                self.trace.ends(Ended::Panicked, 1);
                resume_unwind(payload)
            }
        }
    }

    /// A leader that has, or may have, followers has a result.
    #[inline(never)]
    fn land(&mut self, output: S::Output) -> S::Output {
        let Some((hash, id, turn)) = self.leads() else {
            return output;
        };
        match self.table.land::<S>(hash, id, turn, output) {
            Landed::Alone(output) => {
                self.trace.ends(Ended::Returned, 1);
                output
            }
            Landed::Shared(flight, waiting) => {
                self.trace.serves(&flight.callers);
                self.trace.ends(Ended::Returned, 1 + u64::from(waiting));
                self.hand(&flight)
            }
        }
    }

    /// Gives the role up: what was led, if anything.
    fn leads(&mut self) -> Option<(u64, u64, Turn)> {
        match mem::replace(&mut self.role, Role::Free) {
            Role::LeadsAlone { hash, id, .. } => Some((hash, id, 0)),
            Role::Leads { flight, turn, .. } => Some((flight.hash, flight.id, turn)),
            Role::Follows { .. } | Role::Deposed { .. } | Role::Free | Role::Refused => None,
        }
    }

    /// A leader goes on waiting: it leaves its waker, and learns of followers or of its deposition.
    fn rest(&mut self, cx: &mut Context<'_>) {
        if let Role::LeadsAlone {
            hash, id, rested, ..
        } = &mut self.role
        {
            let first = !mem::replace(rested, true);
            match self.table.rest_alone(*hash, *id, first, cx) {
                Rested::Lone => return,
                Rested::Shared(flight) => {
                    self.role = Role::Leads {
                        flight,
                        turn: 0,
                        begun: true,
                    };
                }
                Rested::Gone => self.role = Role::Deposed { id: *id },
            }
        }
        if let Role::Leads { flight, turn, .. } = &self.role {
            if let Err(Deposed) = self.table.rest(flight, *turn, cx) {
                self.role = Role::Deposed { id: flight.id };
            }
        }
    }
}

impl<T, K, V, S> Call<T, K, V, S>
where
    T: Deref<Target = Table<K, V>>,
{
    /// The call goes without a result.
    fn leave(&mut self) {
        match mem::replace(&mut self.role, Role::Free) {
            Role::LeadsAlone { hash, id, .. } => {
                self.table.leader_leaves(hash, id, 0);
            }
            Role::Leads { flight, turn, .. } => {
                self.table.leader_leaves(flight.hash, flight.id, turn);
            }
            Role::Follows {
                flight,
                slot,
                given,
                noted,
                ..
            } => {
                waits::end(noted);
                flight.callers.remove(&mut self.noted);
                self.table.follower_leaves(&flight, slot, given);
            }
            Role::Deposed { id } => inherit::forget(self.table.execution(id)),
            Role::Free | Role::Refused => {}
        }
    }
}

/// The role of a call that follows.
pub(super) fn follows<T, K, V>(table: &T, following: Following<V>, given: bool) -> Role<V>
where
    T: Deref<Target = Table<K, V>> + Clone + Send + 'static,
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    let Following { flight, first } = following;
    if first {
        watch::arm(table);
    }
    Role::Follows {
        flight,
        slot: None,
        given,
        noted: 0,
    }
}

impl<T, K, V, S> Drop for Call<T, K, V, S>
where
    T: Deref<Target = Table<K, V>>,
{
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.role, Role::Free) {
            self.leave();
        }
    }
}

pin_project! {
    /// A call that runs the body, or waits for another that does.
    ///
    /// The body is dropped before the call: no other execution begins while one that was given up still holds something.
    pub struct Run<T, K, V, S, F>
    where
        T: Deref<Target = Table<K, V>>,
    {
        #[pin]
        body: F,
        call: Call<T, K, V, S>,
    }
}

#[cfg(test)]
impl<T, K, V, S, F> Run<T, K, V, S, F>
where
    T: Deref<Target = Table<K, V>>,
{
    pub(super) fn role(&self) -> &Role<V> {
        &self.call.role
    }
}

impl<T, K, V, S, F> Future for Run<T, K, V, S, F>
where
    T: Deref<Target = Table<K, V>> + Clone + Send + 'static,
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: Share<Stored = V>,
    F: Future<Output = S::Output>,
{
    type Output = S::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<S::Output> {
        let this = self.project();
        if let Role::Follows { .. } = this.call.role {
            if let Next::Return(output) = std::task::ready!(this.call.follow(Body::Mine, cx)) {
                return Poll::Ready(output);
            }
        }
        this.call.lead(this.body, cx)
    }
}

impl<T, K, V, S> fmt::Debug for Call<T, K, V, S>
where
    T: Deref<Target = Table<K, V>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("function", self.table.function.path())
            .finish_non_exhaustive()
    }
}

impl<T, K, V, S, F> fmt::Debug for Run<T, K, V, S, F>
where
    T: Deref<Target = Table<K, V>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

//! A call that waits for another call's execution, and takes over if there is no leader.

use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::{Call, Next, Role};
use crate::dedup::flight::{Flight, Outcome};
use crate::dedup::state::{Body, Followed, Term};
use crate::dedup::table::TableRef;
use crate::failure::{Failure, Shared, Why};
use crate::reentrancy::frames;
use crate::reentrancy::waits;
use crate::reentrancy::waits::Circle;
use crate::sharing::Share;
use crate::wake::{discard, guarded};

impl<T: TableRef<K, V>, K, V, S: Share<Stored = V>> Call<T, K, V, S> {
    /// Polls a follower. `body` is what it could do about a vacant flight.
    #[inline(always)]
    pub(crate) fn follow(&mut self, body: Body, cx: &mut Context<'_>) -> Poll<Next<S::Output>> {
        match &self.role {
            Role::Follows { flight, .. } if flight.outcome().is_none() => self.wait(body, cx),
            Role::Follows { .. } => Poll::Ready(Next::Return(self.landed())),
            _ => Poll::Ready(Next::Run),
        }
    }

    /// A follower that has no result yet. A function of its own, so that a follower with a result does not pay for the
    /// registers and the stack that this needs.
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
                Followed::Leads(term) if body == Body::ForTask => {
                    self.table.rare.executions.fetch_add(1, Relaxed);
                    return Poll::Ready(Next::Start(term));
                }
                Followed::Leads(term) => {
                    self.takes_over(term, cx);
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
                Ok(wait) => waits::end(mem::replace(noted, wait)),
                Err(Circle) => {
                    self.runs_beside();
                    return Poll::Ready(Next::Run);
                }
            }
        }
        Poll::Pending
    }

    /// A follower leads from now on. Its body begins with the next poll, so that a deadline that has passed ends this
    /// call before its body has begun, and not after. Otherwise the callers of a body that is too slow for their deadlines
    /// would each begin it once.
    fn takes_over(&mut self, term: Term, cx: &mut Context<'_>) {
        if let Role::Follows { flight, noted, .. } = &mut self.role {
            waits::end(*noted);
            flight.callers.remove(&mut self.noted);
            self.role = Role::Leads {
                flight: flight.clone(),
                term,
                begun: false,
            };
        }
        self.rest(cx);
        guarded(|| cx.waker().wake_by_ref());
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
    pub(super) fn begins(&mut self) {
        if let Role::Leads { begun, .. } = &mut self.role {
            *begun = true;
        }
        self.table.rare.executions.fetch_add(1, Relaxed);
        self.runs();
    }

    /// A follower has to run the body after all.
    pub(super) fn runs(&mut self) {
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
    pub(crate) fn hand(&self, flight: &Flight<V>) -> S::Output {
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
}

//! A call that runs the body: as a leader, or by itself.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use super::{Call, Role};
use crate::dedup::state::{Deposed, Term};
use crate::dedup::table::{Landed, Rested, TableRef};
use crate::observe::Ended;
use crate::reentrancy::frames;
use crate::sharing::Share;
use crate::wake::message;

impl<T: TableRef<K, V>, K, V, S: Share<Stored = V>> Call<T, K, V, S> {
    /// One poll of the body by a leader.
    #[inline]
    pub(super) fn lead<F: Future<Output = S::Output>>(
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
                if let Some((hash, id, term)) = self.leads() {
                    let waiting =
                        self.table
                            .land_panic(hash, id, term, message(&*payload), &self.trace);
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

    /// Publishes the result of a leader that has, or may have, followers.
    #[inline(never)]
    fn land(&mut self, output: S::Output) -> S::Output {
        let Some((hash, id, term)) = self.leads() else {
            return output;
        };
        match self.table.land::<S>(hash, id, term, output) {
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

    /// Gives up the role. Returns the flight that this call led, if any.
    fn leads(&mut self) -> Option<(u64, u64, Term)> {
        match mem::replace(&mut self.role, Role::Free) {
            Role::LeadsAlone { hash, id, .. } => Some((hash, id, 0)),
            Role::Leads { flight, term, .. } => Some((flight.hash, flight.id, term)),
            Role::Follows { .. } | Role::Deposed { .. } | Role::Free | Role::Refused => None,
        }
    }

    /// A leader goes on waiting: it leaves its waker, and learns of followers or of its deposition.
    pub(super) fn rest(&mut self, cx: &mut Context<'_>) {
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
                        term: 0,
                        begun: true,
                    };
                }
                Rested::Gone => self.role = Role::Deposed { id: *id },
            }
        }
        if let Role::Leads { flight, term, .. } = &self.role {
            if let Err(Deposed) = self.table.rest(flight, *term, cx) {
                self.role = Role::Deposed { id: flight.id };
            }
        }
    }
}

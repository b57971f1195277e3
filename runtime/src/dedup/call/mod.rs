//! A call of a function with `#[dedup]`, from its first poll on, and the role that it has.

mod follower;
mod leader;
mod run;

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;

pub use self::run::Run;
use super::Joining;
use super::flight::Flight;
use super::places::Slot;
use super::state::Term;
use super::table::{Entered, Following, Table, TableRef};
use crate::batch::{Heir, inherit};
use crate::key::Key;
use crate::observe::{Began, Caller, Noted, Trace};
use crate::reentrancy::waits::{self, WaitId};
use crate::sharing::Share;
use crate::sync::Arc;

/// A call that has begun.
///
/// No bounds but those that `Drop` needs: the compiler has to find the future `Send` without proving any `'static`.
pub struct Call<T: Deref<Target = Table<K, V>>, K, V, S> {
    pub(super) table: T,
    share: S,
    pub(super) role: Role<V>,
    /// Its span and its place in the gauge, while it runs the body.
    pub(super) trace: Trace,
    /// When it began, for the metrics.
    pub(super) began: Began,
    /// As a follower whom the flight has noted.
    pub(super) noted: Noted,
    key: PhantomData<fn() -> K>,
}

/// The current role of a call. `LeadsAlone` does not know of any followers yet; `Leads` does.
pub(crate) enum Role<V> {
    LeadsAlone {
        hash: u64,
        id: u64,
        bucket: u32,
        rested: bool,
    },
    /// `begun`: its body has. One that took over begins with its next poll.
    Leads {
        flight: Arc<Flight<V>>,
        term: Term,
        begun: bool,
    },
    /// `given`: it has given its body to a task, and waits for nobody else's execution. `noted`: as one that waits inside of
    /// another execution.
    Follows {
        flight: Arc<Flight<V>>,
        slot: Option<Slot>,
        given: bool,
        noted: WaitId,
    },
    /// It stood still as a leader and lost that place: it runs by itself.
    Deposed { id: u64 },
    /// It runs by itself, or it has its result.
    Free,
    /// It gets the error of `busy`.
    Refused,
}

/// The next step of a follower that was polled.
pub(crate) enum Next<O> {
    Return(O),
    /// Run the body, in its new role.
    Run,
    /// Start the task that leads from now on.
    Start(Term),
}

impl<T: TableRef<K, V>, K, V, S: Share<Stored = V>> Call<T, K, V, S> {
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

    /// Lets a loader's body continue with the place that the last leader has left.
    pub fn heir(&self) -> Heir {
        let flight = match &self.role {
            Role::LeadsAlone { id, .. } | Role::Deposed { id } => Some(*id),
            Role::Leads { flight, .. } | Role::Follows { flight, .. } => Some(flight.id),
            Role::Free | Role::Refused => None,
        };
        Heir(flight.map(|id| self.table.execution(id)))
    }

    /// The view of this call for the fleet around its body.
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
}

impl<T: Deref<Target = Table<K, V>>, K, V, S> Call<T, K, V, S> {
    /// The call goes without a result.
    fn leave(&mut self) {
        match mem::replace(&mut self.role, Role::Free) {
            Role::LeadsAlone { hash, id, .. } => {
                self.table.leader_leaves(hash, id, 0, true);
            }
            Role::Leads {
                flight,
                term,
                begun,
            } => {
                self.table
                    .leader_leaves(flight.hash, flight.id, term, begun);
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
pub(super) fn follows<T: TableRef<K, V>, K, V>(
    table: &T,
    following: Following<V>,
    given: bool,
) -> Role<V> {
    let Following { flight, first } = following;
    if first {
        table.arm();
    }
    Role::Follows {
        flight,
        slot: None,
        given,
        noted: 0,
    }
}

impl<T: Deref<Target = Table<K, V>>, K, V, S> Drop for Call<T, K, V, S> {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.role, Role::Free) {
            self.leave();
        }
    }
}

impl<T: Deref<Target = Table<K, V>>, K, V, S> fmt::Debug for Call<T, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("function", self.table.function.path())
            .finish_non_exhaustive()
    }
}

//! `#[dedup]`: overlapping calls with equal arguments share one execution.
//!
//! A call passes through these files in this order. [`Flights`] is the static beside the annotated function. It finds the
//! [`table`] of this monomorphisation, where the call either opens a flight and becomes its leader, or joins one and becomes a
//! follower. From then on it is the future [`call`]: a leader polls the body in place, a follower waits. The [`state`]
//! of a flight that has followers decides who leads, its [`places`] hold the followers' wakers, and its [`flight`] holds the
//! result, from which [`share`] makes each caller's own.

mod call;
mod flight;
mod forget;
mod joining;
#[cfg(test)]
mod models;
mod places;
mod share;
mod spawned;
mod state;
mod stats;
mod table;

use std::any::TypeId;
use std::fmt;

pub use self::call::{Call, Run};
pub use self::forget::{Forgets, forget};
pub use self::joining::Joining;
pub use self::share::{CloneWith, Cloned, Failed, IsResult, Share, ShareErr};
pub use self::spawned::Spawned;
pub use self::table::Table;
use crate::fixed::Fixed;
use crate::key::Key;
use crate::path::Path;
use crate::scope::Scope;
use crate::slots::Slots;
use crate::sync::Arc;

/// The static beside an annotated function.
pub struct Flights {
    path: Path,
    slots: Slots,
}

impl Flights {
    /// One a function.
    pub const fn new(path: Path) -> Self {
        Self {
            path,
            slots: Slots::new(),
        }
    }

    /// Begins a call in the global scope.
    #[inline(always)]
    pub fn enter<M, K, S>(
        &'static self,
        _marker: M,
        key: K,
        share: S,
        joining: Joining,
    ) -> Call<Fixed<Table<K::Owned, S::Stored>>, K::Owned, S::Stored, S>
    where
        M: Fn() + 'static,
        K: Key,
        S: Share,
    {
        let table = Fixed(self.fixed::<M, K, S>());
        Call::enter(table, &key, share, joining)
    }

    /// Begins a call in a scope.
    pub fn enter_in<M, K, S>(
        &'static self,
        scope: &Scope,
        _marker: M,
        key: K,
        share: S,
        joining: Joining,
    ) -> Call<Arc<Table<K::Owned, S::Stored>>, K::Owned, S::Stored, S>
    where
        M: Fn() + 'static,
        K: Key,
        S: Share,
    {
        let table = self.scoped::<M, K, S>(scope);
        Call::enter(table, &key, share, joining)
    }

    /// Calls that begin from now on do not join the flight that is up now.
    pub(crate) fn forget<M: 'static, K: Key, S: Share>(&'static self, key: &K) {
        self.fixed::<M, K, S>().forget(key);
    }

    /// The same in a scope.
    pub(crate) fn forget_in<M: 'static, K: Key, S: Share>(&'static self, scope: &Scope, key: &K) {
        self.scoped::<M, K, S>(scope).forget(key);
    }

    /// What it is called.
    #[cfg(feature = "fleet")]
    pub(crate) fn path(&self) -> Path {
        self.path
    }

    #[inline]
    fn fixed<M: 'static, K: Key, S: Share>(&'static self) -> &'static Table<K::Owned, S::Stored> {
        let make = || Table::new(self.path.of::<M>(), crate::shards());
        let (table, made) = self.slots.get::<M, _>(make);
        if made {
            Scope::global().list(table);
        }
        table
    }

    fn scoped<M: 'static, K: Key, S: Share>(
        &'static self,
        scope: &Scope,
    ) -> Arc<Table<K::Owned, S::Stored>> {
        scope.table(TypeId::of::<M>(), || {
            Table::new(self.path.of::<M>(), crate::SCOPED_SHARDS)
        })
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("path", &self.path).finish()
    }
}

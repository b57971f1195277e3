//! `#[dedup]`: overlapping calls with equal arguments share one execution.
//!
//! A call goes through these files in this order. [`Flights`] is the static beside the annotated function; it finds the
//! [`table`] of this monomorphisation, in which the call either opens an entry and leads, or finds one and follows.
//! [`run`] is the future that the call then is: a leader polls the body where it stands, a follower waits. The [`state`] of
//! a followed entry says who leads, in its [`places`] the followers leave their wakers, its [`flight`] holds the result, which
//! is handed to each caller by [`share`].

mod flight;
mod forget;
#[cfg(test)]
mod models;
mod places;
mod run;
mod share;
mod spawned;
mod state;
mod stats;
mod table;

use std::any::TypeId;
use std::fmt;

pub use self::forget::{Forgets, forget};
pub use self::run::{Call, Run};
pub use self::share::{CloneWith, Cloned, Failed, IsResult, Share, ShareErr};
pub use self::spawned::Spawned;
pub use self::table::Table;
use crate::fixed::Fixed;
use crate::key::Key;
use crate::path::Path;
use crate::scope::{Listed, Scope, UnderWay};
use crate::slots::Slots;
use crate::stats::{Kind, Row};
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

/// Which flights a call joins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Joining {
    max_age_ms: Option<u64>,
    max_followers: Option<usize>,
    /// A call beyond them is refused.
    refuses: bool,
}

impl Joining {
    /// Any with its key.
    pub const fn new() -> Self {
        Self {
            max_age_ms: None,
            max_followers: None,
            refuses: false,
        }
    }

    /// Only flights that began at most so many milliseconds ago.
    pub const fn max_age_ms(mut self, ms: u64) -> Self {
        self.max_age_ms = Some(ms);
        self
    }

    /// Only flights with fewer followers.
    pub const fn max_followers(mut self, n: usize) -> Self {
        self.max_followers = Some(n);
        self
    }

    /// A call that finds such a flight full is refused, and does not run the body itself.
    pub const fn or_busy(mut self) -> Self {
        self.refuses = true;
        self
    }

    /// The age, if there is one.
    #[cfg(feature = "fleet")]
    pub(crate) fn max_age(self) -> Option<std::time::Duration> {
        self.max_age_ms.map(std::time::Duration::from_millis)
    }

    /// Whether a flight is young enough; both in microseconds. Clocks are tokio's, so that a test with a paused clock decides
    /// how old a flight is. If that of the flight is ahead of the caller's, they are not the same clock, and nothing is known
    /// of the flight's age; unless it is by less than a call takes to get from the clock to the lock.
    #[inline]
    fn joins(self, born: u64, now: u64) -> bool {
        const LATE: u64 = 1_000_000;
        self.max_age_ms.is_none_or(|ms| {
            now.saturating_sub(born) <= ms.saturating_mul(1000) && born.saturating_sub(now) <= LATE
        })
    }

    #[inline]
    fn is_full(self, waiting: impl FnOnce() -> u32) -> bool {
        self.max_followers
            .is_some_and(|most| waiting() as usize >= most)
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Listed for Table<K, V> {
    fn row(&self) -> Row {
        use std::sync::atomic::Ordering::Relaxed;
        let counts = self.counts();
        let rare = &self.rare;
        Row {
            function: self.function.path().clone(),
            calls: counts.opened + counts.alone + counts.joined + counts.refused,
            refused: counts.refused,
            executions: counts.opened + counts.alone + rare.executions.load(Relaxed),
            shared: counts
                .joined
                .saturating_sub(counts.unshared)
                .saturating_sub(counts.waiting),
            in_flight: counts.up,
            waiting: counts.waiting,
            panics: rare.panics.load(Relaxed),
            kind: Kind::Dedup {
                leaders_dropped: rare.left.load(Relaxed),
                leaders_stalled: rare.stalled.load(Relaxed),
                reentrant: rare.reentrant.load(Relaxed),
            },
            #[cfg(feature = "fleet")]
            fleet: rare.fleet.get().map(crate::fleet::OfFunction::stats),
        }
    }

    /// Flights wait for nothing but their body.
    fn flush_fixed(&'static self) -> Vec<Box<dyn UnderWay>> {
        Vec::new()
    }

    fn flush_owned(self: Arc<Self>) -> Vec<Box<dyn UnderWay>> {
        Vec::new()
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("path", &self.path).finish()
    }
}

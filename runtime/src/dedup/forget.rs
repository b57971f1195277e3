//! Calls that forget the flight with their key, and run nothing.
//!
//! The function that `forget` adds has the annotated function's arguments, and nothing else in common with it: what the
//! key is, and where the flights are, is written in the latter's body. So it calls that function, polls the call once, and
//! says beforehand what it wants of it.

use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Waker};

use super::{Call, Joining, Table};
use crate::fixed::Fixed;
use crate::key::Key;
use crate::scope::Scope;
use crate::sharing::Share;
use crate::site::Site;
use crate::sync::Arc;

thread_local! {
    /// Whether the call that is polled next only forgets.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a call only forgets.
#[derive(Debug)]
pub struct Forgets(bool);

impl Forgets {
    /// The first thing that a call does, so that no other one takes it for itself.
    #[inline]
    pub fn take() -> Self {
        Self(ASKED.take())
    }

    /// Whether it only forgets.
    #[cfg(feature = "fleet")]
    pub(crate) fn only(&self) -> bool {
        self.0
    }

    /// Begins a call in the global scope, or forgets.
    #[inline(always)]
    pub fn enter<M, K, S>(
        self,
        site: &'static Site,
        marker: M,
        key: K,
        share: S,
        joining: Joining,
    ) -> Option<Call<Fixed<Table<K::Owned, S::Stored>>, K::Owned, S::Stored, S>>
    where
        M: Fn() + 'static,
        K: Key,
        S: Share,
    {
        if self.0 {
            now::<M, K, S>(site, &key);
            return None;
        }
        Some(super::enter(site, marker, key, share, joining))
    }

    /// The same in a scope.
    pub fn enter_in<M, K, S>(
        self,
        site: &'static Site,
        scope: &Scope,
        marker: M,
        key: K,
        share: S,
        joining: Joining,
    ) -> Option<Call<Arc<Table<K::Owned, S::Stored>>, K::Owned, S::Stored, S>>
    where
        M: Fn() + 'static,
        K: Key,
        S: Share,
    {
        if self.0 {
            now_in::<M, K, S>(site, scope, &key);
            return None;
        }
        Some(super::enter_in(site, scope, marker, key, share, joining))
    }
}

/// Calls in the global scope that begin from now on do not join the flight that is up now.
pub(crate) fn now<M: 'static, K: Key, S: Share>(site: &'static Site, key: &K) {
    let table: &Table<K::Owned, S::Stored> = site.table::<M, _>(Table::new);
    table.forget(key);
}

/// The same in another scope.
pub(crate) fn now_in<M: 'static, K: Key, S: Share>(site: &Site, scope: &Scope, key: &K) {
    let table: Arc<Table<K::Owned, S::Stored>> = site.table_in::<M, _>(scope, Table::new);
    table.forget(key);
}

/// Has a call forget the flight with its key, instead of running.
pub fn forget<F: Future>(call: F) {
    let call = pin!(call);
    ASKED.set(true);
    // It is never ready, and panics only where the key is made.
    let _ = call.poll(&mut Context::from_waker(Waker::noop()));
    ASKED.set(false);
}

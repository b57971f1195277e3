//! Calls that forget the flight with their key, and run nothing.
//!
//! The function that `forget` adds has the annotated function's arguments, and nothing else in common with it: what the
//! key is, and where the flights are, is written in the latter's body. So it calls that function, polls the call once, and
//! says beforehand what it wants of it.

use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Waker};

use super::{Call, Flights, Joining, Share, Table};
use crate::fixed::Fixed;
use crate::key::Key;
use crate::scope::Scope;
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
        flights: &'static Flights,
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
            flights.forget::<M, K, S>(&key);
            return None;
        }
        Some(flights.enter(marker, key, share, joining))
    }

    /// The same in a scope.
    pub fn enter_in<M, K, S>(
        self,
        flights: &'static Flights,
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
            flights.forget_in::<M, K, S>(scope, &key);
            return None;
        }
        Some(flights.enter_in(scope, marker, key, share, joining))
    }
}

/// Has a call forget the flight with its key, instead of running.
pub fn forget<F: Future>(call: F) {
    let call = pin!(call);
    ASKED.set(true);
    // It is never ready, and panics only where the key is made.
    let _ = call.poll(&mut Context::from_waker(Waker::noop()));
    ASKED.set(false);
}

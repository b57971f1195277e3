//! `#[dedup]`: overlapping calls with equal arguments share one execution.
//!
//! A call passes through these files in this order. The [`Site`] beside the annotated function finds the [`table`]
//! of this monomorphisation, where the call either opens a flight and becomes its leader, or joins one and becomes a
//! follower. From then on it is the future [`call`]: a leader polls the body in place, a follower waits. The [`state`]
//! of a flight that has followers decides who leads, its [`places`] hold the followers' wakers, and its [`flight`] holds the
//! result, from which [`sharing`](crate::sharing) makes each caller's own.
//!
//! Beside this way: [`joining`] are the options that say which flights a call joins, [`spawned`] is the option `spawn`, [`forget`]
//! the option `forget`, and [`listed`] and [`stats`] are a table as a scope sees it.

mod call;
mod flight;
pub(crate) mod forget;
mod joining;
mod listed;
#[cfg(test)]
mod models;
mod places;
mod spawned;
mod state;
mod stats;
mod table;

pub use self::call::{Call, Run};
pub use self::forget::{Forgets, forget};
pub use self::joining::Joining;
pub use self::spawned::Spawned;
pub use self::table::Table;
#[cfg(feature = "fleet")]
pub(crate) use self::table::TableRef;
use crate::fixed::Fixed;
use crate::key::Key;
use crate::scope::Scope;
use crate::sharing::Share;
use crate::site::Site;
use crate::sync::Arc;

/// Begins a call in the global scope.
#[inline(always)]
pub fn enter<M, K, S>(
    site: &'static Site,
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
    let table = Fixed(site.table::<M, _>(Table::new));
    Call::enter(table, &key, share, joining)
}

/// Begins a call in another scope.
pub fn enter_in<M, K, S>(
    site: &'static Site,
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
    let table = site.table_in::<M, _>(scope, Table::new);
    Call::enter(table, &key, share, joining)
}

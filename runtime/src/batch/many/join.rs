//! How a call with a list of items joins its batches.

use std::hash::Hash;
use std::ops::Deref;
use std::task::Waker;

use super::seats::Seats;
use super::several::Several;
use crate::batch::item::{Item, Lazy};
use crate::batch::join::{Tasks, handle, handle_in, opens, sit, table, table_in};
use crate::batch::limits::Limits;
use crate::batch::results::Bulk;
use crate::batch::seat::{Seat, Spawn};
use crate::batch::start::Start;
use crate::batch::table::{Queue, Table, TableRef};
use crate::fixed::Fixed;
use crate::key::Key;
use crate::scope::Scope;
use crate::site::Site;
use crate::sync::Arc;

impl<F> Lazy<F> {
    /// Joins as the first of several items. Either all of them get places, or all are refused.
    pub fn __piggyback_join_many<I, M, K: Key, T, U, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        several: &mut Several<I, R, M>,
        waker: Waker,
        key: K,
        open: impl FnMut() -> (Limits, B),
    ) -> Option<Seat<Fixed<dyn Tasks<R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        M: FnMut(I) -> Item<T, U>,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        let table = Fixed(table::<K, T, U, B, R>(site));
        sit_many(&table, handle(table.0), several, waker, &key, self, open)
    }

    /// The same in another scope.
    pub fn __piggyback_join_in_many<I, M, K: Key, T, U, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        several: &mut Several<I, R, M>,
        scope: &Scope,
        waker: Waker,
        key: K,
        open: impl FnMut() -> (Limits, B),
    ) -> Option<Seat<Arc<Table<K::Owned, T, U, B, R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        M: FnMut(I) -> Item<T, U>,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        let table = table_in::<K, T, U, B, R>(site, scope);
        sit_many(
            &table,
            handle_in(table.clone()),
            several,
            waker,
            &key,
            self,
            open,
        )
    }
}

/// Joins a batch of a function with `many`. The item is the first of a list, or the only one.
#[inline(never)]
fn sit_many<H, G, K, T, U, B, R, I, M>(
    table: &H,
    (handle, spawn): (G, Spawn<G, R>),
    several: &mut Several<I, R, M>,
    waker: Waker,
    key: &K,
    item: Lazy<impl FnOnce() -> Item<T, U>>,
    mut open: impl FnMut() -> (Limits, B),
) -> Option<Seat<G, R>>
where
    H: TableRef<K::Owned, T, U, B, R>,
    G: Deref<Target: Queue<R>> + Clone + Send + 'static,
    K: Key,
    U: Hash + Eq,
    B: Start,
    R: Send + 'static,
    M: FnMut(I) -> Item<T, U>,
{
    let Lazy { max_waiting, item } = item;
    let all = several.len() + 1;
    let function = &table.function;
    if max_waiting < usize::MAX && table.refuses(key, all, max_waiting) {
        (0..all).for_each(|_| function.called());
        (0..all).for_each(|_| function.refused());
        return None;
    }
    if all == 1 {
        let seated = sit(table, waker, key, item(), max_waiting, open);
        if seated.is_none() {
            function.refused();
        }
        return Some(Seat::take((handle, spawn), seated?));
    }
    let first = item();
    let items = std::iter::once(first).chain(several.make()).collect();
    (0..all).for_each(|_| function.called());
    let open = || opens(open());
    let mut first = None;
    let mut others = Seats::new(handle.clone(), spawn);
    let mut opened = false;
    let sits = table.join_many(&waker, key, items, max_waiting, open, |seated| {
        opened |= seated.opened;
        match first {
            None => first = Some(Seat::take((handle.clone(), spawn), seated)),
            Some(_) => others.add(seated),
        }
    });
    if !sits {
        several.refused(all - 1);
        (0..all).for_each(|_| function.refused());
        return None;
    }
    if opened {
        table.arm();
    }
    several.sits(others);
    first
}

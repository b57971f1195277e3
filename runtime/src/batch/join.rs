//! How a call joins a batch: from the item that an expansion made to the call's [`Seat`].

use std::hash::Hash;
use std::task::Waker;

use tokio::runtime::Handle;

use super::group::Turn;
use super::inherit::{Heir, Inherited};
use super::item::{Item, Lazy};
use super::limits::Limits;
use super::results::Bulk;
use super::seat::{Seat, Spawn};
use super::shared::Batch;
use super::start::Start;
use super::table::{Opens, Queue, Seated, Table, TableRef};
use super::task;
use crate::fixed::{Fixed, InScope};
use crate::key::Key;
use crate::scope::Scope;
use crate::site::Site;
use crate::sync::Arc;

// These are methods so that an item that is an error already causes no further error. In the global scope their return types
// name no type but `R`, and the bounds are few, since the compiler checks them for each annotated function.
impl<T, U> Item<T, U> {
    /// Joins the batch that is open for `key`, or opens one. To open one it calls `open`, once and outside of any lock. Each
    /// monomorphisation has its own type of bulk call, by which its table is found.
    #[inline]
    pub fn __piggyback_join<K: Key, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Seat<Fixed<dyn Tasks<R>>, R>
    where
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        let table = Fixed(table::<K, T, U, B, R>(site));
        let seated = sit(&table, waker, &key, self, usize::MAX, open);
        let seated = seated.expect("without a limit, there is a place");
        Seat::take(handle(table.0), seated)
    }

    /// The same in another scope.
    pub fn __piggyback_join_in<K: Key, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        scope: &Scope,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Seat<Arc<Table<K::Owned, T, U, B, R>>, R>
    where
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        let table = table_in::<K, T, U, B, R>(site, scope);
        let seated = sit(&table, waker, &key, self, usize::MAX, open);
        let seated = seated.expect("without a limit, there is a place");
        Seat::take(handle_in(table), seated)
    }

    /// Does the same for a loader, which continues with the seat that the last leader of its flight has left, if there is one.
    pub fn __piggyback_join_as<K: Key, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        heir: Heir,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Inherited<Fixed<dyn Tasks<R>>, R>
    where
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        heir.take_or(|| self.__piggyback_join(site, waker, key, open))
    }

    /// The same in another scope.
    pub fn __piggyback_join_in_as<K: Key, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        heir: Heir,
        scope: &Scope,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Inherited<Arc<Table<K::Owned, T, U, B, R>>, R>
    where
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        heir.take_or(|| self.__piggyback_join_in(site, scope, waker, key, open))
    }
}

impl<F> Lazy<F> {
    /// Joins a batch, unless `max_waiting` items of the group are waiting. The item is made after a first check of that number,
    /// so that nothing is copied for a call that is refused.
    pub fn __piggyback_try_join<K: Key, T, U, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Option<Seat<Fixed<dyn Tasks<R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        let table = Fixed(table::<K, T, U, B, R>(site));
        let seated = try_sit(&table, waker, &key, self, open)?;
        Some(Seat::take(handle(table.0), seated))
    }

    /// The same in another scope.
    pub fn __piggyback_try_join_in<K: Key, T, U, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        scope: &Scope,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Option<Seat<Arc<Table<K::Owned, T, U, B, R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        let table = table_in::<K, T, U, B, R>(site, scope);
        let seated = try_sit(&table, waker, &key, self, open)?;
        Some(Seat::take(handle_in(table), seated))
    }

    /// Does the same for a loader. A seat that the last leader of its flight has left is never refused.
    pub fn __piggyback_try_join_as<K: Key, T, U, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        heir: Heir,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Option<Inherited<Fixed<dyn Tasks<R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        heir.take_or_try(|| self.__piggyback_try_join(site, waker, key, open))
    }

    /// The same in another scope.
    pub fn __piggyback_try_join_in_as<K: Key, T, U, B: Bulk<T, R>, R: Send + 'static>(
        self,
        site: &'static Site,
        heir: Heir,
        scope: &Scope,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Option<Inherited<Arc<Table<K::Owned, T, U, B, R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
    {
        heir.take_or_try(|| self.__piggyback_try_join_in(site, scope, waker, key, open))
    }
}

/// The table of the global scope.
pub(super) fn table<K, T, U, B, R>(site: &'static Site) -> &'static Table<K::Owned, T, U, B, R>
where
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    site.table::<B::Body, _>(Table::new)
}

/// The table of another scope.
pub(super) fn table_in<K, T, U, B, R>(
    site: &Site,
    scope: &Scope,
) -> Arc<Table<K::Owned, T, U, B, R>>
where
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    site.table_in::<B::Body, _>(scope, Table::new)
}

/// A seat's handle of a table of the global scope, and how it gives a batch a task.
#[inline]
pub(super) fn handle<R: 'static>(
    table: &'static dyn Tasks<R>,
) -> (Fixed<dyn Tasks<R>>, Spawn<Fixed<dyn Tasks<R>>, R>) {
    (Fixed(table), |runtime, Fixed(table), batch, turn| {
        table.give_task(runtime, batch, turn)
    })
}

/// The same for a table of another scope.
pub(super) fn handle_in<K, T, U, B, R>(
    table: Arc<Table<K, T, U, B, R>>,
) -> (
    Arc<Table<K, T, U, B, R>>,
    Spawn<Arc<Table<K, T, U, B, R>>, R>,
)
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    (table, |runtime, table, batch, turn| {
        task::spawn(runtime, InScope::Scoped(table), batch, turn)
    })
}

/// Joins a batch of a function with `max_waiting`.
fn try_sit<H, K, T, U, B, R>(
    table: &H,
    waker: Waker,
    key: &K,
    item: Lazy<impl FnOnce() -> Item<T, U>>,
    open: impl FnOnce() -> (Limits, B),
) -> Option<Seated<R>>
where
    H: TableRef<K::Owned, T, U, B, R>,
    K: Key,
    U: Hash + Eq,
    B: Start,
{
    let Lazy { max_waiting, item } = item;
    if table.refuses(key, 1, max_waiting) {
        table.function.called();
        table.function.refused();
        return None;
    }
    let seated = sit(table, waker, key, item(), max_waiting, open);
    if seated.is_none() {
        table.function.refused();
    }
    seated
}

/// Joins a batch, unless `max_waiting` items of the group are waiting.
pub(super) fn sit<H, K, T, U, B, R>(
    table: &H,
    waker: Waker,
    key: &K,
    item: Item<T, U>,
    max_waiting: usize,
    open: impl FnOnce() -> (Limits, B),
) -> Option<Seated<R>>
where
    H: TableRef<K::Owned, T, U, B, R>,
    K: Key,
    U: Hash + Eq,
    B: Start,
{
    table.function.called();
    let seated = table.join(waker, key, item, max_waiting, || opens(open()))?;
    if seated.opened {
        table.arm();
    }
    Some(seated)
}

/// Notes the runtime of the call that opens a batch.
pub(super) fn opens<B>((limits, bulk): (Limits, B)) -> Opens<B> {
    Opens {
        limits,
        bulk,
        runtime: Handle::try_current().ok().map(|runtime| runtime.id()),
    }
}

/// A table of the global scope, without the types of its items and bulk calls.
pub trait Tasks<R>: Queue<R> + Send + Sync {
    /// Gives a batch its task. Returns whether that task has ended already.
    fn give_task(&'static self, runtime: &Handle, batch: Arc<Batch<R>>, turn: Turn) -> bool;
}

impl<K, T, U, B, R> Tasks<R> for Table<K, T, U, B, R>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    fn give_task(&'static self, runtime: &Handle, batch: Arc<Batch<R>>, turn: Turn) -> bool {
        task::spawn(runtime, InScope::Fixed(Fixed(self)), batch, turn)
    }
}

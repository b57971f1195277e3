//! `#[batch]`: a function written as a bulk call is called with one item.
//!
//! A call goes through these files in this order. The [`Site`] beside the annotated function finds the [`table`] of this
//! monomorphisation, and there the [`group`] of the call's key, in whose open batch the item gets a place. The call then is
//! a [`seat`]. Whoever opened the batch gave it a [`task`], a new one or one of the [`askers`], which runs the bulk call; its
//! [`results`] are handed out through the batch's [`cell`].

mod askers;
mod cell;
mod flushed;
mod group;
pub(crate) mod inherit;
pub(crate) mod many;
pub(crate) mod matched;
#[cfg(test)]
mod models;
pub(crate) mod permit;
pub(crate) mod results;
mod seat;
mod table;
mod task;

use std::hash::Hash;
use std::ops::Deref;
use std::task::Waker;

use tokio::runtime::Handle;

pub use self::inherit::{Heir, Inherited};
use self::many::{Seats, Several};
use self::permit::Start;
use self::results::Bulk;
use self::seat::Spawn;
pub use self::seat::{OrFailed, Place, Seat, or_failed};
pub use self::table::Table as Groups;
use self::table::{Opens, Queue, Seated, Table};
use crate::bounds::{Always, Never, Nothing};
use crate::fixed::Fixed;
use crate::key::Key;
use crate::scope::{Listed, Scope, UnderWay};
use crate::site::Site;
use crate::stats::{Kind, Row};
use crate::sync::Arc;
use crate::watch;

/// What a caller hands in.
#[derive(Debug)]
pub struct Item<T, U = ()> {
    item: T,
    weight: u64,
    unique: Option<U>,
}

impl<T> Item<T> {
    /// An item that weighs nothing.
    pub fn new(item: T) -> Self {
        Self {
            item,
            weight: 0,
            unique: None,
        }
    }
}

/// What a caller of a batch hands in.
#[diagnostic::on_unimplemented(
    message = "`{T}`, the item type of this batch, must be `Send + 'static`, since the bulk call runs in its own task",
    label = "`{T}` is not `Send + 'static`",
    note = "use types that may be sent to other threads, for example `Arc` instead of `Rc`; for a type parameter, add the bounds `Send + 'static`"
)]
pub trait SendableOf<T, M> {
    /// The item.
    type Item;
    /// The item.
    fn item(self) -> Self::Item;
}

/// An item. An expansion calls it with the argument's span, so that errors point there.
pub fn item<T, M>(item: T) -> <Item<T> as SendableOf<T, M>>::Item
where
    Item<T>: SendableOf<T, M>,
{
    SendableOf::item(Item::new(item))
}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> SendableOf<T, Always> for Item<T> {
    type Item = Self;
    fn item(self) -> Self {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<T: Nothing> SendableOf<T, Never> for Item<T> {
    type Item = Self;
    fn item(self) -> Self {
        self
    }
}

// A method, so that of an item that can't be one nothing more is said.
impl<T, U> Item<T, U> {
    /// Joins a batch.
    #[inline]
    pub fn __piggyback_join<K, B, R>(
        self,
        site: &'static Site,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Seat<Fixed<dyn Tasks<R>>, R>
    where
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        join(site, waker, key, self, open)
    }

    /// The same in a scope.
    pub fn __piggyback_join_in<K, B, R>(
        self,
        site: &'static Site,
        scope: &Scope,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Seat<Arc<Table<K::Owned, T, U, B, R>>, R>
    where
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        join_in(site, scope, waker, key, self, open)
    }

    /// Does the same for a loader: goes on with the place that the last leader of its flight has left, if it has.
    pub fn __piggyback_join_as<K, B, R>(
        self,
        site: &'static Site,
        heir: Heir,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Inherited<Fixed<dyn Tasks<R>>, R>
    where
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        heir.take_or(|| join(site, waker, key, self, open))
    }

    /// The same in a scope.
    pub fn __piggyback_join_in_as<K, B, R>(
        self,
        site: &'static Site,
        heir: Heir,
        scope: &Scope,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Inherited<Arc<Table<K::Owned, T, U, B, R>>, R>
    where
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        heir.take_or(|| join_in(site, scope, waker, key, self, open))
    }
}

/// An item that is made when it is known to have a place.
#[derive(Debug)]
pub struct Lazy<F> {
    max_waiting: usize,
    item: F,
}

/// An item of a function with `max_waiting`. Of a limit of 0, nobody could ever have a place: it counts as 1.
pub fn lazily<T, U, F: FnOnce() -> Item<T, U>>(max_waiting: usize, item: F) -> Lazy<F> {
    Lazy {
        max_waiting: max_waiting.max(1),
        item,
    }
}

impl<F> Lazy<F> {
    /// Joins a batch, or is refused.
    pub fn __piggyback_try_join<K, T, U, B, R>(
        self,
        site: &'static Site,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Option<Seat<Fixed<dyn Tasks<R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        try_join(site, waker, key, self, open)
    }

    /// The same in a scope.
    pub fn __piggyback_try_join_in<K, T, U, B, R>(
        self,
        site: &'static Site,
        scope: &Scope,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Option<Seat<Arc<Table<K::Owned, T, U, B, R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        try_join_in(site, scope, waker, key, self, open)
    }

    /// Does the same for a loader: the place that the last leader of its flight has left is never refused.
    pub fn __piggyback_try_join_as<K, T, U, B, R>(
        self,
        site: &'static Site,
        heir: Heir,
        waker: Waker,
        key: K,
        open: impl FnOnce() -> (Limits, B),
    ) -> Option<Inherited<Fixed<dyn Tasks<R>>, R>>
    where
        F: FnOnce() -> Item<T, U>,
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        heir.take_or_try(|| try_join(site, waker, key, self, open))
    }

    /// The same in a scope.
    pub fn __piggyback_try_join_in_as<K, T, U, B, R>(
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
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        heir.take_or_try(|| try_join_in(site, scope, waker, key, self, open))
    }
}

impl<F> Lazy<F> {
    /// Joins a batch as the first of several items, or all are refused.
    pub fn __piggyback_join_many<I, M, K, T, U, B, R>(
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
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        let table = Fixed(table::<K, T, U, B, R>(site));
        let spawn: Spawn<Fixed<dyn Tasks<R>>, R> =
            |runtime, Fixed(table), cell, turn| table.give_task(runtime, cell, turn);
        let handle = (Fixed(table.0 as _), spawn);
        sit_many(&table, handle, several, waker, &key, self, open)
    }

    /// The same in a scope.
    pub fn __piggyback_join_in_many<I, M, K, T, U, B, R>(
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
        K: Key,
        T: Send + 'static,
        U: Hash + Eq + Send + 'static,
        B: Bulk<T, R>,
        R: Send + 'static,
    {
        let table = table_in::<K, T, U, B, R>(site, scope);
        let spawn: Spawn<Arc<Table<K::Owned, T, U, B, R>>, R> =
            |runtime, table, cell, turn| task::spawn(runtime, table, cell, turn);
        let handle = (table.clone(), spawn);
        sit_many(&table, handle, several, waker, &key, self, open)
    }
}

impl<T, U> Item<T, U> {
    /// What counts towards `max_weight`.
    pub fn weight(mut self, weight: u64) -> Self {
        self.weight = weight;
        self
    }

    /// What the items of a bulk call are sorted by.
    pub fn sort_by<O: Ord + Send + 'static>(self, order: O) -> Item<(O, T), U> {
        Item {
            item: (order, self.item),
            weight: self.weight,
            unique: self.unique,
        }
    }

    /// What no two items of a batch have in common.
    pub fn unique<V: Hash + Eq + Send + 'static>(self, unique: V) -> Item<T, V> {
        Item {
            item: self.item,
            weight: self.weight,
            unique: Some(unique),
        }
    }
}

/// The limits of one batch, read when it opens.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    size: usize,
    /// `None`: only `eager` says when a batch runs that is not full.
    delay_ms: Option<u64>,
    max_weight: Option<u64>,
    concurrency: Option<usize>,
    eager: bool,
}

impl Limits {
    /// At most so many items, and so long a wait. A size of 0 counts as 1: a bulk call is never given an empty list.
    pub fn new(size: usize, delay_ms: u64) -> Self {
        Self {
            size: size.max(1),
            delay_ms: Some(delay_ms),
            max_weight: None,
            concurrency: None,
            eager: false,
        }
    }

    /// Has no delay: only `eager` says when a batch runs that is not full.
    pub fn without_delay(size: usize) -> Self {
        Self {
            delay_ms: None,
            ..Self::new(size, 0)
        }
    }

    /// The most that the items of a batch may weigh together.
    pub fn max_weight(mut self, most: u64) -> Self {
        self.max_weight = Some(most);
        self
    }

    /// The most bulk calls of a group at a time. 0 counts as 1.
    pub fn concurrency(mut self, most: usize) -> Self {
        self.concurrency = Some(most.max(1));
        self
    }

    /// A call does not wait when nothing of its group is running.
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }
}

/// Each item's own result, in the order of the items.
pub type Results<R> = Result<Vec<R>, WrongNumber>;

/// A bulk call gave another number of results than it got items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongNumber {
    /// What it got.
    pub items: usize,
    /// What it gave.
    pub results: usize,
}

/// Takes a seat in the batch that is open for `key`, or opens one: then `open` is called, once, outside of any lock.
/// The type of the bulk call that it gives tells monomorphisations apart.
///
/// What it returns names nothing but `R`, and the bounds are few: the compiler goes through them for each function.
#[inline]
fn join<K, T, U, B, R>(
    site: &'static Site,
    waker: Waker,
    key: K,
    item: Item<T, U>,
    open: impl FnOnce() -> (Limits, B),
) -> Seat<Fixed<dyn Tasks<R>>, R>
where
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    let table = Fixed(table::<K, T, U, B, R>(site));
    let seated = sit(&table, waker, &key, item, usize::MAX, open);
    take(table, seated.expect("without a limit, there is a place"))
}

/// Does the same, unless `max_waiting` items of the group wait. The item is made after a first look at their number, so
/// that nothing is copied for a call that is refused.
fn try_join<K, T, U, B, R>(
    site: &'static Site,
    waker: Waker,
    key: K,
    item: Lazy<impl FnOnce() -> Item<T, U>>,
    open: impl FnOnce() -> (Limits, B),
) -> Option<Seat<Fixed<dyn Tasks<R>>, R>>
where
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    let table = Fixed(table::<K, T, U, B, R>(site));
    let seated = try_sit(&table, waker, &key, item, open)?;
    Some(take(table, seated))
}

fn table<K, T, U, B, R>(site: &'static Site) -> &'static Table<K::Owned, T, U, B, R>
where
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    site.table::<B::Body, _>(Table::new)
}

/// The same in a scope.
fn join_in<K, T, U, B, R>(
    site: &'static Site,
    scope: &Scope,
    waker: Waker,
    key: K,
    item: Item<T, U>,
    open: impl FnOnce() -> (Limits, B),
) -> Seat<Arc<Table<K::Owned, T, U, B, R>>, R>
where
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    let table = table_in::<K, T, U, B, R>(site, scope);
    let seated = sit(&table, waker, &key, item, usize::MAX, open);
    take_scoped(table, seated.expect("without a limit, there is a place"))
}

/// The same as [`try_join`], in a scope.
fn try_join_in<K, T, U, B, R>(
    site: &'static Site,
    scope: &Scope,
    waker: Waker,
    key: K,
    item: Lazy<impl FnOnce() -> Item<T, U>>,
    open: impl FnOnce() -> (Limits, B),
) -> Option<Seat<Arc<Table<K::Owned, T, U, B, R>>, R>>
where
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    let table = table_in::<K, T, U, B, R>(site, scope);
    let seated = try_sit(&table, waker, &key, item, open)?;
    Some(take_scoped(table, seated))
}

fn table_in<K, T, U, B, R>(site: &'static Site, scope: &Scope) -> Arc<Table<K::Owned, T, U, B, R>>
where
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    site.table_in::<B::Body, _>(scope, Table::new)
}

#[inline]
fn take<K, T, U, B, R>(
    table: Fixed<Table<K, T, U, B, R>>,
    seated: Seated<R>,
) -> Seat<Fixed<dyn Tasks<R>>, R>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    Seat::take(
        Fixed(table.0 as _),
        seated,
        |runtime, Fixed(table), cell, turn| table.give_task(runtime, cell, turn),
    )
}

fn take_scoped<K, T, U, B, R>(
    table: Arc<Table<K, T, U, B, R>>,
    seated: Seated<R>,
) -> Seat<Arc<Table<K, T, U, B, R>>, R>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    Seat::take(table, seated, |runtime, table, cell, turn| {
        task::spawn(runtime, table, cell, turn)
    })
}

/// A call of a function with `max_waiting`.
fn try_sit<H, K, T, U, B, R>(
    table: &H,
    waker: Waker,
    key: &K,
    item: Lazy<impl FnOnce() -> Item<T, U>>,
    open: impl FnOnce() -> (Limits, B),
) -> Option<Seated<R>>
where
    H: Deref<Target = Table<K::Owned, T, U, B, R>> + Clone + Send + Sync + 'static,
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Start + Send + 'static,
    R: Send + 'static,
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

fn sit<H, K, T, U, B, R>(
    table: &H,
    waker: Waker,
    key: &K,
    item: Item<T, U>,
    max_waiting: usize,
    open: impl FnOnce() -> (Limits, B),
) -> Option<Seated<R>>
where
    H: Deref<Target = Table<K::Owned, T, U, B, R>> + Clone + Send + Sync + 'static,
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Start + Send + 'static,
    R: Send + 'static,
{
    table.function.called();
    let seated = table.join(waker, key, item, max_waiting, || {
        let (limits, bulk) = open();
        Opens {
            limits,
            bulk,
            runtime: Handle::try_current().ok().map(|runtime| runtime.id()),
        }
    })?;
    if seated.opened {
        watch::arm(table);
    }
    Some(seated)
}

/// A call of a function with `many`. The item is the first of a list, or the only one.
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
    H: Deref<Target = Table<K::Owned, T, U, B, R>> + Clone + Send + Sync + 'static,
    G: Deref<Target: Queue<R>> + Clone + Send + 'static,
    K: Key,
    T: Send + 'static,
    U: Hash + Eq + Send + 'static,
    B: Start + Send + 'static,
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
        return Some(Seat::take(handle, seated?, spawn));
    }
    let first = item();
    let items = std::iter::once(first).chain(several.make()).collect();
    (0..all).for_each(|_| function.called());
    let open = || {
        let (limits, bulk) = open();
        Opens {
            limits,
            bulk,
            runtime: Handle::try_current().ok().map(|runtime| runtime.id()),
        }
    };
    let mut first = None;
    let mut others = Seats::new(handle.clone(), spawn);
    let mut opened = false;
    let sits = table.join_many(&waker, key, items, max_waiting, open, |seated| {
        opened |= seated.opened;
        match first {
            None => first = Some(Seat::take(handle.clone(), seated, spawn)),
            Some(_) => others.add(seated),
        }
    });
    if !sits {
        several.refused(all - 1);
        (0..all).for_each(|_| function.refused());
        return None;
    }
    if opened {
        watch::arm(table);
    }
    several.sits(others);
    first
}

/// A table of the global scope, by whatever its items and bulk calls are.
pub trait Tasks<R>: Queue<R> + Send + Sync {
    /// Gives a batch its task. Returns whether that has ended already.
    fn give_task(
        &'static self,
        runtime: &Handle,
        cell: Arc<cell::Cell<R>>,
        turn: group::Turn,
    ) -> bool;
}

impl<K, T, U, B, R> Tasks<R> for Table<K, T, U, B, R>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    fn give_task(
        &'static self,
        runtime: &Handle,
        cell: Arc<cell::Cell<R>>,
        turn: group::Turn,
    ) -> bool {
        task::spawn(runtime, Fixed(self), cell, turn)
    }
}

impl<K, T, U, B, R> Listed for Table<K, T, U, B, R>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    fn row(&self) -> Row {
        let census = self.census();
        let counts = census.counts;
        Row {
            function: self.function.path().clone(),
            calls: counts.calls,
            refused: counts.refused,
            executions: counts.executions,
            shared: counts.items.saturating_sub(counts.executions),
            in_flight: census.running,
            waiting: census.waiting,
            panics: counts.panics,
            kind: Kind::Batch {
                items: counts.items,
                largest: counts.largest,
                tasks_lost: counts.lost,
                tasks_stalled: counts.stalled,
                closed: counts.closed,
            },
            #[cfg(feature = "fleet")]
            fleet: None,
        }
    }

    fn flush_fixed(&'static self) -> Vec<Box<dyn UnderWay>> {
        flushed::flush(&Fixed(self))
    }

    fn flush_owned(self: Arc<Self>) -> Vec<Box<dyn UnderWay>> {
        flushed::flush(&self)
    }
}

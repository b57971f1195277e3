//! Scopes: where flights and batches are kept, process-wide or in a field of a service.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::task::{Poll, Waker};

use crate::reentrancy::Execution;
use crate::reentrancy::waits::{self, WaitId};
use crate::stats::{Row, Stats};

/// Where flights and batches live.
///
/// Functions without `scope = …` share the process-wide [`Scope::global`]. A scope that is a field of a service makes the
/// service's functions independent of every other instance: per tenant, or per test. Clones of a scope are the same scope.
///
/// ```
/// use piggyback::{Scope, dedup};
///
/// struct Users {
///     tenant: String,
///     scope: Scope,
/// }
///
/// impl Users {
///     #[dedup(scope = self.scope)]
///     async fn name(&self, id: u64) -> String {
///         format!("{} {id}", self.tenant)
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let [a, b] = ["a", "b"].map(|tenant| Users { tenant: tenant.into(), scope: Scope::new() });
/// let names = tokio::join!(a.name(1), b.name(1));
/// assert_eq!(names, ("a 1".into(), "b 1".into()));
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Scope(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Its name in all processes of a fleet.
    #[cfg(feature = "fleet")]
    name: Option<Box<str>>,
    /// Tables of functions with `scope = …`, by marker. A marker has more than one if only the type tells them apart.
    tables: RwLock<HashMap<TypeId, Vec<Owned>, foldhash::fast::RandomState>>,
    /// Tables of functions without `scope = …`: only in the global scope.
    fixed: Mutex<Vec<&'static dyn Listed>>,
    /// Whether it is in [`LIVE`]: since its first table was made, if it is not the global scope.
    live: AtomicBool,
}

/// The scopes that have tables, by the address of their [`Inner`], except the global one.
///
/// No scope is dropped while this is locked, because the drop locks it.
static LIVE: Mutex<BTreeMap<usize, Weak<Inner>>> = Mutex::new(BTreeMap::new());

struct Owned {
    table: Arc<dyn Any + Send + Sync>,
    listed: Arc<dyn Listed>,
}

/// A table, as a scope sees it.
pub(crate) trait Listed: Send + Sync + 'static {
    fn row(&self) -> Row;
    /// Closes every open batch, so that it runs now. Returns all batches that are queued or running.
    fn flush_fixed(&'static self) -> Vec<Box<dyn UnderWay>>;
    /// The same for a table that is not static.
    fn flush_owned(self: Arc<Self>) -> Vec<Box<dyn UnderWay>>;
}

/// A batch, as a flush sees it.
pub(crate) trait UnderWay: Send + Sync {
    /// Whether it has ended. If it has not, the waker is woken when it has. A batch that has lost its task, and whose callers
    /// may never be polled, is given another.
    fn has_ended(&self, waker: &Waker) -> bool;
    /// Itself as an execution.
    fn execution(&self) -> Execution;
    /// The batches for which a flush may have to wait.
    fn limiters(&self) -> [Execution; 2];
}

/// A flush's wait for one batch, if the flush is polled inside an execution.
struct Wait(WaitId);

impl Wait {
    /// The flush goes on waiting. Returns whether it may: the batch must not wait for the flush.
    fn may_go_on(&mut self, batch: &dyn UnderWay) -> bool {
        if waits::has_moved(self.0) {
            match waits::begin(batch.execution(), &batch.limiters()) {
                Ok(wait) => waits::end(std::mem::replace(&mut self.0, wait)),
                Err(_) => return false,
            }
        }
        true
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        waits::end(self.0);
    }
}

impl Scope {
    /// Creates a scope that shares nothing with any other.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a scope that has the same name in other processes: calls in scopes of one name share across a
    /// [`Fleet`](crate::fleet::Fleet). What is done in any other scope but the global one stays in this process.
    ///
    /// Within a process, it shares nothing with any other scope, not even with one of the same name: clone it. The name must tell
    /// apart what must not mix, such as tenants.
    ///
    /// ```
    /// use piggyback::Scope;
    ///
    /// let tenant = 7;
    /// let scope = Scope::named(format!("tenant-{tenant}"));
    /// # drop(scope);
    /// ```
    #[cfg(feature = "fleet")]
    pub fn named(name: impl Into<String>) -> Self {
        let mut inner = Inner::default();
        inner.name = Some(name.into().into());
        Self(Arc::new(inner))
    }

    /// The name of the scope for calls in a fleet, if they take part in one.
    #[cfg(feature = "fleet")]
    pub(crate) fn name_in_fleet(&self) -> Option<String> {
        match &self.0.name {
            Some(name) => Some(format!("scope {name}")),
            None => Arc::ptr_eq(&self.0, &Self::global().0).then(String::new),
        }
    }

    /// Returns the scope of all functions without `scope = …`.
    pub fn global() -> Self {
        static GLOBAL: OnceLock<Scope> = OnceLock::new();
        GLOBAL.get_or_init(Self::new).clone()
    }

    /// Returns what was counted so far: one row per function that was called, sorted by name.
    ///
    /// Counting has no measurable cost. Reading the counts locks one table after another, so call this for a status page or a
    /// log line every now and then; the rows are not all from the same instant. See [`observing`](crate::observing).
    ///
    /// ```
    /// use piggyback::{Scope, dedup};
    ///
    /// #[dedup(scope = scope)]
    /// async fn user(scope: &Scope, id: u64) -> u64 {
    ///     tokio::task::yield_now().await;
    ///     id
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let scope = Scope::new();
    /// tokio::join!(user(&scope, 1), user(&scope, 1));
    /// let row = &scope.stats().rows[0];
    /// assert_eq!((row.calls, row.executions, row.shared), (2, 1, 1));
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        self.listed().iter().map(|table| table.row()).collect()
    }

    /// Returns the counts of every scope of the process that is still alive, the global scope included: one row per function,
    /// with the sums over all scopes.
    ///
    /// The counts of a scope are gone when its last clone is dropped.
    ///
    /// ```
    /// use piggyback::{Scope, dedup};
    ///
    /// #[dedup(name = "tenant.user", scope = scope)]
    /// async fn user(scope: &Scope, id: u64) -> u64 {
    ///     id
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let tenants = [Scope::new(), Scope::new()];
    /// for tenant in &tenants {
    ///     user(tenant, 1).await;
    /// }
    /// let stats = Scope::stats_all();
    /// let row = stats.rows.iter().find(|row| row.function == "tenant.user").unwrap();
    /// assert_eq!((row.calls, row.executions), (2, 2));
    /// # }
    /// ```
    pub fn stats_all() -> Stats {
        let scopes = Self::live();
        let tables = scopes.iter().flat_map(Self::listed);
        tables.map(|table| table.row()).collect()
    }

    /// Runs every open batch of this scope now, and returns when all batches that were open or running at the call have
    /// ended.
    ///
    /// Flights are not affected: they wait for nothing but their body. Use it when a service shuts down: stop accepting
    /// requests, flush, then stop the runtime. Later calls open new batches, which this flush neither runs nor waits for.
    ///
    /// A flush knows only calls that were polled. A task that was spawned and not polled yet, or that makes a second call later,
    /// is not covered: wait for such tasks, too. [`guide::choosing`](crate::guide::choosing#fire-and-forget) shows how.
    ///
    /// Inside a bulk call, or inside an execution that a batch waits for, a flush does not wait for that batch, nor for
    /// batches that are queued behind it.
    ///
    /// Cancel safe: if a flush is dropped after it was polled, the batches still run.
    ///
    /// ```
    /// use piggyback::{Scope, batch};
    ///
    /// #[batch(size = 100, delay_ms = 60_000)]
    /// async fn record(events: Vec<String>) {
    /// #   drop(events);
    ///     // INSERT …
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let call = tokio::spawn(record("the last one".into()));
    /// tokio::task::yield_now().await;
    /// Scope::global().flush().await; // does not wait for a minute
    /// assert!(call.await.is_ok());
    /// # }
    /// ```
    pub async fn flush(&self) {
        flush(std::slice::from_ref(self)).await;
    }

    /// Does what [`flush`](Self::flush) does, for every scope of the process that is still alive, the global scope included.
    ///
    /// ```
    /// use piggyback::{Scope, batch};
    ///
    /// #[derive(Clone)]
    /// struct Journal {
    ///     scope: Scope,
    /// }
    ///
    /// impl Journal {
    ///     #[batch(size = 100, delay_ms = 60_000, scope = self.scope)]
    ///     async fn record(&self, events: Vec<String>) {
    /// #       drop(events);
    ///         // INSERT …
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let journal = Journal { scope: Scope::new() };
    /// let call = tokio::spawn({
    ///     let journal = journal.clone();
    ///     async move { journal.record("the last one".into()).await }
    /// });
    /// tokio::task::yield_now().await;
    /// Scope::flush_all().await; // does not wait for a minute
    /// assert!(call.await.is_ok());
    /// # }
    /// ```
    pub async fn flush_all() {
        flush(&Self::live()).await;
    }

    /// All scopes that have something to show.
    fn live() -> Vec<Self> {
        let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes = live.values().filter_map(Weak::upgrade).map(Self);
        let mut scopes: Vec<Self> = scopes.collect();
        drop(live);
        scopes.push(Self::global());
        scopes
    }

    fn listed(&self) -> Vec<Held> {
        let fixed = self
            .0
            .fixed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let tables = self.0.tables.read().unwrap_or_else(PoisonError::into_inner);
        let owned = tables
            .values()
            .flatten()
            .map(|owned| Held::Owned(owned.listed.clone()));
        fixed.into_iter().map(Held::Fixed).chain(owned).collect()
    }

    /// Lists a function's static table.
    pub(crate) fn list(&self, table: &'static dyn Listed) {
        self.0
            .fixed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(table);
    }

    /// The table of a function with `scope = …`.
    pub(crate) fn table<T: Listed>(&self, marker: TypeId, make: impl FnOnce() -> T) -> Arc<T> {
        let find = |tables: &[Owned]| {
            tables
                .iter()
                .find_map(|owned| owned.table.clone().downcast().ok())
        };
        let tables = self.0.tables.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(&marker).and_then(|tables| find(tables)) {
            return table;
        }
        drop(tables);
        self.register();
        // Made before the lock is taken: with metrics, a new function is described to the user's recorder. If another thread
        // is faster, this table is dropped, after unlocking.
        let made = Arc::new(make());
        let mut tables = self
            .0
            .tables
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let tables = tables.entry(marker).or_default();
        find(tables).unwrap_or_else(|| {
            tables.push(Owned {
                table: made.clone(),
                listed: made.clone(),
            });
            made.clone()
        })
    }

    /// Adds it to [`LIVE`]. A scope that no function was called in costs nothing there.
    fn register(&self) {
        if self.0.live.load(SeqCst) || Arc::ptr_eq(&self.0, &Self::global().0) {
            return;
        }
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        live.insert(self.0.address(), Arc::downgrade(&self.0));
        self.0.live.store(true, SeqCst);
    }
}

impl Inner {
    fn address(&self) -> usize {
        (&raw const *self).addr()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if *self.live.get_mut() {
            let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
            let weak = live.remove(&self.address());
            drop(live);
            drop(weak);
        }
    }
}

/// Runs the open batches of all these scopes, and waits for those that are queued or running.
async fn flush(scopes: &[Scope]) {
    let tables = scopes.iter().flat_map(Scope::listed);
    let under_way: Vec<_> = tables.flat_map(Held::flush).collect();
    for batch in under_way {
        let mut wait = Wait(0);
        poll_fn(|cx| {
            if batch.has_ended(cx.waker()) || !wait.may_go_on(&*batch) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

enum Held {
    Fixed(&'static dyn Listed),
    Owned(Arc<dyn Listed>),
}

impl Held {
    fn flush(self) -> Vec<Box<dyn UnderWay>> {
        match self {
            Self::Fixed(table) => table.flush_fixed(),
            Self::Owned(table) => table.flush_owned(),
        }
    }
}

impl Deref for Held {
    type Target = dyn Listed;
    fn deref(&self) -> &dyn Listed {
        match self {
            Self::Fixed(table) => *table,
            Self::Owned(table) => &**table,
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.stats().rows.iter().map(|row| &row.function))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Listed for Nothing {
        fn row(&self) -> Row {
            unreachable!("nobody asks")
        }
        fn flush_fixed(&'static self) -> Vec<Box<dyn UnderWay>> {
            Vec::new()
        }
        fn flush_owned(self: Arc<Self>) -> Vec<Box<dyn UnderWay>> {
            Vec::new()
        }
    }

    fn knows(scope: &Scope) -> bool {
        let live = LIVE.lock().unwrap();
        live.contains_key(&scope.0.address())
    }

    #[test]
    fn a_scope_is_known_from_its_first_table_to_its_last_clone() {
        let scope = Scope::new();
        assert!(!knows(&scope), "it has no table");
        scope.table(TypeId::of::<Nothing>(), || Nothing);
        assert!(knows(&scope));
        let clone = scope.clone();
        drop(scope);
        assert!(knows(&clone));
        let address = clone.0.address();
        let before = LIVE.lock().unwrap().len();
        drop(clone);
        let live = LIVE.lock().unwrap();
        assert!(live.len() < before || !live.contains_key(&address));
    }

    #[test]
    fn the_global_scope_is_covered_once() {
        Scope::global().table(TypeId::of::<Nothing>(), || Nothing);
        let global = Scope::global();
        let live = Scope::live();
        let globals = live.iter().filter(|it| Arc::ptr_eq(&it.0, &global.0));
        assert_eq!(globals.count(), 1);
    }
}

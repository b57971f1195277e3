//! Where flights and batches live: process-wide, or in a field of a service.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::task::{Poll, Waker};

use crate::stats::{Row, Stats};

/// Where flights and batches live.
///
/// Without `scope = …`, functions share the process-wide [`Scope::global`]. A scope that is a field of a service makes its
/// functions independent of every other instance: per tenant, per test. The clones of a scope are the same scope.
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
    /// Tables of functions with `scope = …`, by marker; more than one where only the type tells them apart.
    tables: RwLock<HashMap<TypeId, Vec<Owned>, foldhash::fast::RandomState>>,
    /// Tables of functions without: only in the global scope.
    fixed: Mutex<Vec<&'static dyn Listed>>,
}

struct Owned {
    table: Arc<dyn Any + Send + Sync>,
    listed: Arc<dyn Listed>,
}

/// A table, as a scope sees it.
pub(crate) trait Listed: Send + Sync + 'static {
    fn row(&self) -> Row;
    /// Sends every open batch off. Returns all that is under way.
    fn flush(&self) -> Vec<Arc<dyn UnderWay>>;
}

/// A batch, as a flush sees it.
pub(crate) trait UnderWay: Send + Sync {
    /// Whether it has ended; if not, the waker is woken when it has.
    fn has_ended(&self, waker: &Waker) -> bool;
}

impl Scope {
    /// A scope of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// The scope of all functions that name none.
    pub fn global() -> Self {
        static GLOBAL: OnceLock<Scope> = OnceLock::new();
        GLOBAL.get_or_init(Self::new).clone()
    }

    /// What was counted so far: one row a function that was called, in the order of their paths.
    ///
    /// Counting costs nothing that could be measured; this looks at all tables, one lock at a time, so it is for a page or a
    /// log line now and then, and its numbers are not all of the same instant. See [`observing`](crate::observing).
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
        let mut rows: Vec<Row> = Vec::new();
        for table in self.listed() {
            let row = table.row();
            match rows.iter_mut().find(|known| {
                known.function == row.function
                    && std::mem::discriminant(&known.kind) == std::mem::discriminant(&row.kind)
            }) {
                Some(known) => known.merge(&row),
                None => rows.push(row),
            }
        }
        rows.sort_by(|a, b| {
            a.function
                .cmp(&b.function)
                .then(a.kind.name().cmp(b.kind.name()))
        });
        Stats { rows }
    }

    /// Sends every open batch of this scope off now, and returns once what was open or running at the call has ended.
    ///
    /// Flights are not touched: they wait for nothing but their body. For the end of a service: stop taking requests, flush,
    /// then stop the runtime. Calls that come later open new batches, which this flush neither sends nor waits for.
    ///
    /// Cancel safe: a flush that is dropped has sent the batches off all the same, if it was polled.
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
    /// Scope::global().flush().await; // not after a minute
    /// assert!(call.await.is_ok());
    /// # }
    /// ```
    pub async fn flush(&self) {
        let under_way: Vec<_> = self
            .listed()
            .iter()
            .flat_map(|table| table.flush())
            .collect();
        for batch in under_way {
            poll_fn(|cx| {
                if batch.has_ended(cx.waker()) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
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
        let mut tables = self
            .0
            .tables
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let tables = tables.entry(marker).or_default();
        find(tables).unwrap_or_else(|| {
            let table = Arc::new(make());
            tables.push(Owned {
                table: table.clone(),
                listed: table.clone(),
            });
            table
        })
    }
}

enum Held {
    Fixed(&'static dyn Listed),
    Owned(Arc<dyn Listed>),
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

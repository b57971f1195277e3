//! What a scope can tell of its functions.

use std::borrow::Cow;
use std::fmt;

/// One row a function, in the order of their paths: see [`Scope::stats`](crate::Scope::stats).
///
/// `Display` shows them as a table.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The rows.
    pub rows: Vec<Row>,
}

/// What was counted of one function, since the scope began.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Row {
    /// The function's path, or what `name = "…"` calls it.
    pub function: Cow<'static, str>,
    /// Calls.
    pub calls: u64,
    /// Executions: runs of the body of a `#[dedup]` function, bulk calls of a `#[batch]` function.
    pub executions: u64,
    /// Callers that were served by another's execution.
    pub shared: u64,
    /// Executions under way.
    pub in_flight: u64,
    /// Callers that wait for another's execution, or for their batch.
    pub waiting: u64,
    /// Executions that panicked.
    pub panics: u64,
    /// What only one of the attributes has.
    pub kind: Kind,
}

/// What only one of the attributes has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A `#[dedup]` function.
    #[non_exhaustive]
    Dedup {
        /// Leaders that went while others waited.
        leaders_dropped: u64,
        /// Leaders that were not polled although they could have gone on.
        leaders_stalled: u64,
        /// Calls from inside their own execution.
        reentrant: u64,
    },
    /// A `#[batch]` function.
    #[non_exhaustive]
    Batch {
        /// Items that bulk calls were given.
        items: u64,
        /// The most items that a bulk call was given.
        largest: u64,
        /// How batches were closed.
        closed: Closed,
    },
}

/// How batches were closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Full.
    pub size: u64,
    /// The delay was over.
    pub delay: u64,
    /// Another item would have been too heavy.
    pub weight: u64,
    /// An equal item came.
    pub unique: u64,
    /// Nothing of the group was running.
    pub eager: u64,
    /// [`Scope::flush`](crate::Scope::flush).
    pub flush: u64,
}

impl Row {
    /// The mean number of items a bulk call; of calls an execution, for a `#[dedup]` function.
    pub fn mean_size(&self) -> f64 {
        let served = match &self.kind {
            Kind::Batch { items, .. } => *items,
            Kind::Dedup { .. } => self.executions + self.shared,
        };
        if self.executions == 0 {
            0.0
        } else {
            served as f64 / self.executions as f64
        }
    }

    /// Counts another monomorphisation of the same function in.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.executions += other.executions;
        self.shared += other.shared;
        self.in_flight += other.in_flight;
        self.waiting += other.waiting;
        self.panics += other.panics;
        match (&mut self.kind, &other.kind) {
            (
                Kind::Dedup {
                    leaders_dropped,
                    leaders_stalled,
                    reentrant,
                },
                Kind::Dedup {
                    leaders_dropped: dropped,
                    leaders_stalled: stalled,
                    reentrant: inside,
                },
            ) => {
                *leaders_dropped += dropped;
                *leaders_stalled += stalled;
                *reentrant += inside;
            }
            (
                Kind::Batch {
                    items,
                    largest,
                    closed,
                },
                Kind::Batch {
                    items: more,
                    largest: other,
                    closed: others,
                },
            ) => {
                *items += more;
                *largest = (*largest).max(*other);
                closed.merge(others);
            }
            _ => {}
        }
    }
}

impl Closed {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.size += other.size;
        self.delay += other.delay;
        self.weight += other.weight;
        self.unique += other.unique;
        self.eager += other.eager;
        self.flush += other.flush;
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .rows
            .iter()
            .map(|row| row.function.chars().count())
            .max()
            .unwrap_or(0)
            .max("function".len());
        writeln!(
            f,
            "{:width$} {:>6} {:>10} {:>10} {:>10} {:>9} {:>7} {:>6}  notes",
            "function", "kind", "calls", "executions", "shared", "in flight", "waiting", "mean"
        )?;
        for row in &self.rows {
            write!(
                f,
                "{:width$} {:>6} {:>10} {:>10} {:>10} {:>9} {:>7} {:>6.1}  ",
                row.function,
                match row.kind {
                    Kind::Dedup { .. } => "dedup",
                    Kind::Batch { .. } => "batch",
                },
                row.calls,
                row.executions,
                row.shared,
                row.in_flight,
                row.waiting,
                row.mean_size(),
            )?;
            let mut notes = Notes { f, any: false };
            match &row.kind {
                Kind::Dedup {
                    leaders_dropped,
                    leaders_stalled,
                    reentrant,
                } => {
                    notes.add("leaders dropped", *leaders_dropped)?;
                    notes.add("leaders stalled", *leaders_stalled)?;
                    notes.add("re-entrant", *reentrant)?;
                }
                Kind::Batch {
                    largest, closed, ..
                } => {
                    notes.add("largest", *largest)?;
                    notes.add("by size", closed.size)?;
                    notes.add("by delay", closed.delay)?;
                    notes.add("by weight", closed.weight)?;
                    notes.add("by unique", closed.unique)?;
                    notes.add("eager", closed.eager)?;
                    notes.add("flushed", closed.flush)?;
                }
            }
            notes.add("panics", row.panics)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The last column: only what is not zero.
struct Notes<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    any: bool,
}

impl Notes<'_, '_> {
    fn add(&mut self, what: &str, count: u64) -> fmt::Result {
        if count == 0 {
            return Ok(());
        }
        let comma = if std::mem::replace(&mut self.any, true) {
            ", "
        } else {
            ""
        };
        write!(self.f, "{comma}{what} {count}")
    }
}

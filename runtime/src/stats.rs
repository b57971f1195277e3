//! The counts of a scope's functions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::{self, Write};
use std::ops::Range;

/// The counts of functions, one row per function, sorted by name: see [`Scope::stats`](crate::Scope::stats).
///
/// `Display` formats them as a table. [`observing`](crate::observing) explains the numbers.
///
/// ```
/// use piggyback::{Kind, Scope, dedup};
///
/// #[dedup(name = "users.find")]
/// async fn user(id: u64) -> u64 {
///     id
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// user(1).await;
/// for row in Scope::global().stats().rows {
///     if let Kind::Dedup { leaders_stalled, .. } = row.kind {
///         println!("{}: {} calls, {leaders_stalled} stalled", row.function, row.calls);
/// #       assert_eq!((&*row.function, row.calls, leaders_stalled), ("users.find", 1, 0));
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The rows.
    pub rows: Vec<Row>,
}

/// The counts of one function, since the scope was created.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Row {
    /// The path of the function, or its `name = "…"`.
    pub function: Cow<'static, str>,
    /// Calls.
    pub calls: u64,
    /// Calls that got the error of `busy` instead of an execution. They count as calls, too.
    pub refused: u64,
    /// Executions: runs of the body of a `#[dedup]` function, bulk calls of a `#[batch]` function. In the `#[dedup]` row of a
    /// function with both attributes, the items that joined a batch.
    pub executions: u64,
    /// Calls that got the result of another call's execution. Of the items of a bulk call, all but one.
    pub shared: u64,
    /// Executions that are running: flights that can be joined, and bulk calls. A call that runs the body itself beside a flight
    /// is not counted here.
    pub in_flight: u64,
    /// Calls that wait for another call's execution, or for their batch to run.
    pub waiting: u64,
    /// Executions that panicked, and bulk calls that returned the wrong number of results.
    pub panics: u64,
    /// The counts that only one of the attributes has.
    pub kind: Kind,
    /// The counts of the executions of a function with `across` in the fleet.
    #[cfg(feature = "fleet")]
    pub fleet: Option<crate::fleet::FleetStats>,
}

/// The counts that only one of the attributes has.
///
/// ```
/// use piggyback::{Kind, Scope, batch};
///
/// #[batch(size = 100, delay_ms = 1, scope = scope)]
/// async fn save(scope: &Scope, rows: Vec<u64>) {
/// #   let _ = (scope, rows);
///     // INSERT …
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let scope = Scope::new();
/// tokio::join!(save(&scope, 1), save(&scope, 2));
/// match scope.stats().rows[0].kind {
///     Kind::Batch { items, largest, closed, .. } => {
///         assert_eq!((items, largest, closed.delay), (2, 2, 1));
///     }
///     _ => unreachable!("a batch"),
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A `#[dedup]` function.
    #[non_exhaustive]
    Dedup {
        /// Leaders that were dropped while they ran the body and other calls waited.
        leaders_dropped: u64,
        /// Leaders that were not polled although they could make progress, so that a follower took over.
        leaders_stalled: u64,
        /// Calls that were made from inside their own execution.
        reentrant: u64,
    },
    /// A `#[batch]` function.
    #[non_exhaustive]
    Batch {
        /// Items that were passed to bulk calls.
        items: u64,
        /// The largest number of items in a bulk call.
        largest: u64,
        /// Batches whose runtime was shut down while callers waited. If the bulk call had not started, the batch runs on another
        /// caller's runtime; if it had, its callers panic.
        tasks_lost: u64,
        /// Batches that were due on a runtime that was not driven, so that another caller's runtime took over.
        tasks_stalled: u64,
        /// Why batches were closed.
        closed: Closed,
    },
}

/// Why batches were closed. Each batch that ran counts once. See [`Kind`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// It had `size` items.
    pub size: u64,
    /// The delay had passed.
    pub delay: u64,
    /// The next item would have exceeded `max_weight`.
    pub weight: u64,
    /// The next item had an equal `unique` value.
    pub unique: u64,
    /// No bulk call of the group was running.
    pub eager: u64,
    /// [`Scope::flush`](crate::Scope::flush) was called.
    pub flush: u64,
}

/// Adds up the rows of one function, and sorts them by name.
impl FromIterator<Row> for Stats {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut known: HashMap<(&'static str, Cow<'static, str>), Row> = HashMap::new();
        for row in rows {
            match known.entry((row.kind.name(), row.function.clone())) {
                Entry::Occupied(known) => known.into_mut().merge(&row),
                Entry::Vacant(place) => _ = place.insert(row),
            }
        }
        let mut rows: Vec<Row> = known.into_values().collect();
        rows.sort_by(|a, b| {
            let kinds = || a.kind.name().cmp(b.kind.name());
            a.function.cmp(&b.function).then_with(kinds)
        });
        Self { rows }
    }
}

impl Row {
    /// The mean number of items of a bulk call. For a `#[dedup]` function, the mean number of calls that an execution served:
    /// its leader, and those that shared it.
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
        self.refused += other.refused;
        self.executions += other.executions;
        self.shared += other.shared;
        self.in_flight += other.in_flight;
        self.waiting += other.waiting;
        self.panics += other.panics;
        #[cfg(feature = "fleet")]
        match (&mut self.fleet, &other.fleet) {
            (Some(fleet), Some(other)) => fleet.merge(other),
            (fleet, other) => *fleet = fleet.or(*other),
        }
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
                    tasks_lost,
                    tasks_stalled,
                    closed,
                },
                Kind::Batch {
                    items: more,
                    largest: other,
                    tasks_lost: lost,
                    tasks_stalled: stalled,
                    closed: others,
                },
            ) => {
                *items += more;
                *largest = (*largest).max(*other);
                *tasks_lost += lost;
                *tasks_stalled += stalled;
                closed.merge(others);
            }
            _ => {}
        }
    }
}

impl Kind {
    /// The attribute.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Dedup { .. } => "dedup",
            Self::Batch { .. } => "batch",
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
        let table: Vec<[String; COLUMNS]> = std::iter::once(HEAD.map(str::to_owned))
            .chain(self.rows.iter().map(Row::cells))
            .collect();
        let mut widths = [0; COLUMNS];
        for cells in &table {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        for cells in &table {
            let mut line = String::new();
            for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                if NUMBERS.contains(&column) {
                    write!(line, "{gap}{cell:>width$}")?;
                } else {
                    write!(line, "{gap}{cell:width$}")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

const COLUMNS: usize = 9;

const HEAD: [&str; COLUMNS] = [
    "function",
    "kind",
    "calls",
    "executions",
    "shared",
    "in flight",
    "waiting",
    "mean",
    "notes",
];

/// The columns that are aligned on the right.
const NUMBERS: Range<usize> = 2..8;

impl Row {
    fn cells(&self) -> [String; COLUMNS] {
        [
            self.function.clone().into_owned(),
            self.kind.name().to_owned(),
            self.calls.to_string(),
            self.executions.to_string(),
            self.shared.to_string(),
            self.in_flight.to_string(),
            self.waiting.to_string(),
            format!("{:.1}", self.mean_size()),
            self.notes(),
        ]
    }

    /// The counts that have no column, if they are not zero.
    fn notes(&self) -> String {
        let counts = match &self.kind {
            Kind::Dedup {
                leaders_dropped,
                leaders_stalled,
                reentrant,
            } => vec![
                ("leaders dropped", *leaders_dropped),
                ("leaders stalled", *leaders_stalled),
                ("re-entrant", *reentrant),
            ],
            Kind::Batch {
                items,
                largest,
                tasks_lost,
                tasks_stalled,
                closed,
            } => vec![
                ("items", *items),
                ("largest", *largest),
                ("by size", closed.size),
                ("by delay", closed.delay),
                ("by weight", closed.weight),
                ("by unique", closed.unique),
                ("eager", closed.eager),
                ("flushed", closed.flush),
                ("tasks lost", *tasks_lost),
                ("tasks stalled", *tasks_stalled),
            ],
        };
        let notes: Vec<String> = counts
            .into_iter()
            .chain([("refused", self.refused), ("panics", self.panics)])
            .filter(|&(_, count)| count > 0)
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        notes.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row in which each number is another one.
    fn row(base: u64, kind: Kind) -> Row {
        Row {
            function: "f".into(),
            calls: base + 1,
            refused: base + 17,
            executions: base + 2,
            shared: base + 3,
            in_flight: base + 4,
            waiting: base + 5,
            panics: base + 6,
            kind,
            #[cfg(feature = "fleet")]
            fleet: None,
        }
    }

    fn dedup(base: u64) -> Row {
        let kind = Kind::Dedup {
            leaders_dropped: base + 7,
            leaders_stalled: base + 8,
            reentrant: base + 9,
        };
        row(base, kind)
    }

    fn batch(base: u64) -> Row {
        let kind = Kind::Batch {
            items: base + 7,
            largest: base + 8,
            tasks_lost: base + 9,
            tasks_stalled: base + 10,
            closed: Closed {
                size: base + 11,
                delay: base + 12,
                weight: base + 13,
                unique: base + 14,
                eager: base + 15,
                flush: base + 16,
            },
        };
        row(base, kind)
    }

    #[test]
    fn the_documentation_explains_each_word_of_the_table() {
        let page = include_str!("../docs/observe.md");
        let notes = [dedup(1), batch(1)].map(|row| row.notes()).join(", ");
        let words = notes
            .split(", ")
            .map(|note| note.trim_end_matches(char::is_numeric));
        let mut count = 0;
        for word in HEAD.into_iter().chain(words) {
            let row = format!("\n| *{}* |", word.trim_end());
            assert!(page.contains(&row), "{row}");
            count += 1;
        }
        assert_eq!(count, HEAD.len() + 17);
    }

    #[test]
    fn the_rows_of_one_function_add_up() {
        for of in [dedup, batch] {
            let mut row = of(100);
            row.merge(&of(1000));
            let sum = |n: u64| 1100 + 2 * n;
            assert_eq!([row.calls, row.executions, row.shared], [1, 2, 3].map(sum));
            assert_eq!(row.refused, sum(17));
            assert_eq!([row.in_flight, row.waiting, row.panics], [4, 5, 6].map(sum));
            match row.kind {
                Kind::Dedup {
                    leaders_dropped,
                    leaders_stalled,
                    reentrant,
                } => assert_eq!(
                    [leaders_dropped, leaders_stalled, reentrant],
                    [7, 8, 9].map(sum)
                ),
                Kind::Batch {
                    items,
                    largest,
                    tasks_lost,
                    tasks_stalled,
                    closed,
                } => {
                    assert_eq!(largest, 1008, "the largest of all");
                    assert_eq!([items, tasks_lost, tasks_stalled], [7, 9, 10].map(sum));
                    let Closed {
                        size,
                        delay,
                        weight,
                        unique,
                        eager,
                        flush,
                    } = closed;
                    assert_eq!(
                        [size, delay, weight, unique, eager, flush],
                        [11, 12, 13, 14, 15, 16].map(sum)
                    );
                }
            }
        }
    }
}

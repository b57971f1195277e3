//! A table as stats and flushes see it: its row, and its batches, for which a flush waits.

use std::task::Waker;

use tokio::runtime::Handle;

use super::results::Bulk;
use super::shared::Batch;
use super::table::Table;
use super::task;
use crate::fixed::{Fixed, InScope};
use crate::reentrancy::Execution;
use crate::scope::{Listed, UnderWay};
use crate::stats::{Kind, Row};
use crate::sync::Arc;

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
        flush(&InScope::Fixed(Fixed(self)))
    }

    fn flush_owned(self: Arc<Self>) -> Vec<Box<dyn UnderWay>> {
        flush(&InScope::Scoped(self))
    }
}

/// A batch for which a flush waits.
struct Flushed<K: 'static, T: 'static, U: 'static, B: 'static, R: 'static> {
    table: InScope<Table<K, T, U, B, R>>,
    batch: Arc<Batch<R>>,
}

/// Closes every open batch of a table. Returns all batches that are queued or running.
fn flush<K, T, U, B, R>(table: &InScope<Table<K, T, U, B, R>>) -> Vec<Box<dyn UnderWay>>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    let mut under_way = Vec::<Box<dyn UnderWay>>::new();
    for batch in table.flush() {
        let table = table.clone();
        under_way.push(Box::new(Flushed { table, batch }));
    }
    under_way
}

impl<K, T, U, B, R> UnderWay for Flushed<K, T, U, B, R>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Bulk<T, R>,
    R: Send + 'static,
{
    fn has_ended(&self, waker: &Waker) -> bool {
        if self.batch.has_ended(waker) {
            return true;
        }
        // If the batch has lost its task, the flush adopts it. Otherwise the flush would wait for callers that may never be polled.
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        match self.table.adopt(&self.batch) {
            // A runtime that was shut down drops the task at once. Then this flush can't do anything for the batch.
            Some(turn) => task::spawn(&runtime, self.table.clone(), self.batch.clone(), turn),
            None => false,
        }
    }

    fn execution(&self) -> Execution {
        self.batch.execution()
    }

    fn limiters(&self) -> [Execution; 2] {
        self.batch.limiters()
    }
}

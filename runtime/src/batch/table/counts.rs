//! What stats and flushes ask of a table: its counts, and all batches that are queued or running.

use super::Table;
use crate::batch::group::Closing;
use crate::batch::shared::Batch;
use crate::batch::start::Start;
use crate::stats::Closed;
use crate::sync::Arc;
use crate::wake::wake_all;

/// Counts under a shard's lock, which every call takes anyway.
#[derive(Debug, Default, Clone, Copy)]
#[repr(C)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    /// Calls that `max_waiting` refused.
    pub(crate) refused: u64,
    pub(crate) executions: u64,
    pub(crate) items: u64,
    pub(crate) largest: u64,
    /// Bulk calls that panicked, or returned a wrong number of results.
    pub(crate) panics: u64,
    /// Batches whose task was lost with its runtime.
    pub(crate) lost: u64,
    /// Batches whose task was not polled although it could run.
    pub(crate) stalled: u64,
    pub(crate) closed: Closed,
}

/// What a table holds at the moment.
#[derive(Debug, Default)]
pub(crate) struct Census {
    pub(crate) counts: Counts,
    pub(crate) running: u64,
    pub(crate) waiting: u64,
}

impl Counts {
    /// Counts calls that are refused and not counted yet.
    pub(super) fn refuse(&mut self, calls: usize) {
        self.calls += calls as u64;
        self.refused += calls as u64;
    }

    pub(super) fn ran(&mut self, items: usize, closed: Closing) {
        let items = items as u64;
        self.executions += 1;
        self.items += items;
        self.largest = self.largest.max(items);
        match closed {
            Closing::Size => self.closed.size += 1,
            Closing::Delay => self.closed.delay += 1,
            Closing::Weight => self.closed.weight += 1,
            Closing::Unique => self.closed.unique += 1,
            Closing::Eager => self.closed.eager += 1,
            Closing::Flush => self.closed.flush += 1,
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.refused += other.refused;
        self.executions += other.executions;
        self.items += other.items;
        self.largest = self.largest.max(other.largest);
        self.panics += other.panics;
        self.lost += other.lost;
        self.stalled += other.stalled;
        self.closed.merge(&other.closed);
    }
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    /// Closes every open batch. Returns all batches that are queued or running.
    pub(crate) fn flush(&self) -> Vec<Arc<Batch<R>>> {
        let mut under_way = Vec::new();
        for shard in self.shards.iter() {
            let mut tasks = Vec::new();
            let mut shard = shard.lock();
            for entry in &mut shard.groups {
                let (task, mut batches) = entry.group.flush();
                tasks.extend(task);
                under_way.append(&mut batches);
            }
            drop(shard);
            wake_all(tasks);
        }
        under_way
    }

    pub(crate) fn census(&self) -> Census {
        let mut census = Census::default();
        for shard in self.shards.iter() {
            let shard = shard.lock();
            census.counts.add(&shard.counts);
            for entry in &shard.groups {
                census.running += entry.group.running() as u64;
                census.waiting += entry.group.waiting() as u64;
            }
        }
        census
    }
}

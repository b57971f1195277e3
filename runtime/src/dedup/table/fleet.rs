//! A flight waits for the execution of another process.

use std::time::Duration;

use super::{CLOSED, EPOCH, Table};
use crate::fleet::{OfFunction, Outcome};

impl<K, V> Table<K, V> {
    /// The counts of its executions in a fleet.
    pub(crate) fn of_function(&self) -> &OfFunction {
        self.rare.fleet.get_or_init(Default::default)
    }

    /// Counts what an execution did in a fleet.
    pub(crate) fn counts_in_fleet(&self, outcome: Outcome) {
        self.of_function().count(outcome);
        self.function.in_fleet(outcome);
    }

    /// Calls that begin from now on do not join this flight.
    pub(crate) fn close(&self, hash: u64, id: u64) {
        let mut shard = self.shard(hash).lock();
        if let Some(entry) = shard.entries.find_mut(hash, |entry| entry.id == id) {
            entry.born = CLOSED;
        }
    }

    /// This flight waits for an execution that began so much earlier.
    pub(crate) fn began_before(&self, hash: u64, id: u64, age: Duration) {
        let micros = u64::try_from(age.as_micros()).unwrap_or(EPOCH);
        let mut shard = self.shard(hash).lock();
        if let Some(entry) = shard.entries.find_mut(hash, |entry| entry.id == id) {
            if entry.born != CLOSED {
                entry.born = entry.born.saturating_sub(micros);
            }
        }
    }
}

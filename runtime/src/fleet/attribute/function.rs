//! A function, as the fleet around its bodies sees it.

use std::ops::Deref;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::dedup::Table;
use crate::fleet::call::Around;
use crate::fleet::stats::{Counters, FleetStats, Outcome};

/// What the executions of one function did, in one scope.
#[derive(Debug, Default)]
pub(crate) struct OfFunction {
    counters: Counters,
    up: AtomicBool,
}

impl OfFunction {
    pub(crate) fn count(&self, outcome: Outcome) {
        self.counters.count(outcome);
    }

    pub(crate) fn sees(&self, up: bool) {
        self.up.store(up, Relaxed);
    }

    pub(crate) fn stats(&self) -> FleetStats {
        self.counters.stats(self.up.load(Relaxed))
    }
}

/// The flight of a call, and what is counted of its function.
pub(crate) struct Local<T> {
    pub(crate) table: T,
    /// Its hash and its number, if the call has one.
    pub(crate) flight: Option<(u64, u64)>,
}

impl<T: Deref<Target = Table<K, V>> + Send + Sync, K, V> Around for Local<T> {
    fn close(&self) {
        if let Some((hash, id)) = self.flight {
            self.table.close(hash, id);
        }
    }

    fn began_before(&self, age: Duration) {
        if let Some((hash, id)) = self.flight {
            self.table.began_before(hash, id, age);
        }
    }

    fn count(&self, outcome: Outcome) {
        self.table.counts_in_fleet(outcome);
    }

    fn sees(&self, up: bool) {
        self.table.of_function().sees(up);
    }
}

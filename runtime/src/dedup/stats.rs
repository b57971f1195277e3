//! The counts of a function's flights.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::table::Table;
use crate::scope::{Listed, UnderWay};
use crate::stats::{Kind, Row};
use crate::sync::Arc;

/// Counts that ride in the shards' locks.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Flights that were opened.
    pub(crate) opened: u64,
    /// Calls that ran by themselves, beside a flight.
    pub(crate) alone: u64,
    /// Calls that found a full flight, and were refused.
    pub(crate) refused: u64,
    /// Calls that joined a flight.
    pub(crate) joined: u64,
    /// Calls among these that got no shared result: they left, took over, or ran by themselves.
    pub(crate) unshared: u64,
    /// Flights that are up.
    pub(crate) up: u64,
    /// Followers that wait.
    pub(crate) waiting: u64,
}

/// Counts of what seldom happens.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// Executions beyond those that opened a flight or ran beside one: by takeover or re-entrancy.
    pub(crate) executions: AtomicU64,
    /// Leaders that were dropped while others waited.
    pub(crate) left: AtomicU64,
    /// Leaders that were not polled although they could go on.
    pub(crate) stalled: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) reentrant: AtomicU64,
    /// If the function has ever been called with `across`.
    #[cfg(feature = "fleet")]
    pub(crate) fleet: std::sync::OnceLock<crate::fleet::OfFunction>,
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Listed for Table<K, V> {
    fn row(&self) -> Row {
        let counts = self.counts();
        let rare = &self.rare;
        Row {
            function: self.function.path().clone(),
            calls: counts.opened + counts.alone + counts.joined + counts.refused,
            refused: counts.refused,
            executions: counts.opened + counts.alone + rare.executions.load(Relaxed),
            shared: counts
                .joined
                .saturating_sub(counts.unshared)
                .saturating_sub(counts.waiting),
            in_flight: counts.up,
            waiting: counts.waiting,
            panics: rare.panics.load(Relaxed),
            kind: Kind::Dedup {
                leaders_dropped: rare.left.load(Relaxed),
                leaders_stalled: rare.stalled.load(Relaxed),
                reentrant: rare.reentrant.load(Relaxed),
            },
            #[cfg(feature = "fleet")]
            fleet: rare.fleet.get().map(crate::fleet::OfFunction::stats),
        }
    }

    /// Flights wait for nothing but their body.
    fn flush_fixed(&'static self) -> Vec<Box<dyn UnderWay>> {
        Vec::new()
    }

    fn flush_owned(self: Arc<Self>) -> Vec<Box<dyn UnderWay>> {
        Vec::new()
    }
}

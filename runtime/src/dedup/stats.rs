//! The counts of a function's flights.

use std::sync::atomic::AtomicU64;

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

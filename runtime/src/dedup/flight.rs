//! The part of a flight that its callers share: its result, once it has landed.
//!
//! A lone leader has no flight, only an entry in the map. The first follower makes the flight. The entry's
//! [`state`](super::state), behind the lock of its shard, knows which call leads and which calls wait. The result is written
//! once, under that lock, when the entry is removed. It is read and cloned without a lock.

use std::sync::OnceLock;

use crate::observe::{Callers, Function};
use crate::sync::Mutex;
use crate::watch::Stalled;

#[derive(Debug)]
pub(crate) struct Flight<V> {
    pub(super) hash: u64,
    pub(super) id: u64,
    /// The place of its entry in the shard, unless the shard has grown or shrunk since.
    pub(super) bucket: u32,
    outcome: OnceLock<Outcome<V>>,
    pub(super) callers: Callers,
}

/// The end of an execution.
#[derive(Debug)]
pub(crate) enum Outcome<V> {
    Value(V),
    /// For a single caller, which takes it.
    Sole(Mutex<Option<V>>),
    /// The body panicked, and said this.
    Panic(Box<str>),
}

impl<V> Flight<V> {
    /// The flight of an entry that gets its first follower.
    pub(super) fn of(hash: u64, id: u64, bucket: u32) -> Self {
        Self {
            hash,
            id,
            bucket,
            outcome: OnceLock::new(),
            callers: Callers::default(),
        }
    }

    /// The result, if there is one.
    #[inline]
    pub(crate) fn outcome(&self) -> Option<&Outcome<V>> {
        self.outcome.get()
    }

    /// Writes the result, under the shard's lock. The key has left the map, so no call joins any more.
    pub(super) fn publish(&self, outcome: Outcome<V>) {
        let first = self.outcome.set(outcome).is_ok();
        debug_assert!(first, "a flight lands once");
    }
}

impl<V: Send + Sync> Stalled for Flight<V> {
    fn warn(&self, function: &Function) {
        self.callers.warned().stalled(function);
    }

    fn warn_long(&self, function: &Function) {
        self.callers.warned().long(function);
    }
}

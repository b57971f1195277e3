//! The map of one function's flights, and its locks.
//!
//! The map is sharded by the key's hash. A shard's lock protects its entries, the [`state`](super::state) of each flight and
//! some counts, and is held for a look-up and a few plain stores. The opening of `sync.rs` says which user code may run under
//! it; that runs before anything is changed.
//!
//! A flight with a lone leader is an entry by value, and allocates nothing but its key. The first follower adds what a
//! shared flight needs. The result is published under the lock that removes the entry, so a caller that found an entry,
//! and later finds it gone, finds the result.
//!
//! The methods are split into files by the side that calls them: a [`caller`] that begins, a [`leader`], a [`follower`],
//! the [`watch`].

mod caller;
#[cfg(feature = "fleet")]
mod fleet;
mod follower;
mod leader;
#[cfg(test)]
mod tests;
mod watch;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::task::Waker;

use hashbrown::HashTable;
use tokio::time::Instant;

pub(super) use self::caller::{Entered, Following};
pub(super) use self::leader::{Landed, Rested};
use super::flight::Flight;
use super::places::Places;
use super::state::{State, Wakers};
use super::stats;
use crate::key::Key;
use crate::observe::{Function, Kind};
use crate::reentrancy::Execution;
use crate::shards::{KEPT, Sharded, give_back};
use crate::sync::{Arc, Mutex};
use crate::wake::{self, discard, drop_guarded, wake_all};
use crate::watch::Watch;

/// The flights of one function.
pub struct Table<K, V> {
    pub(super) function: Function,
    shards: Sharded<Shard<K, V>>,
    watch: Watch,
    /// When it was made.
    base: Instant,
    pub(super) rare: stats::Rare,
}

struct Shard<K, V> {
    entries: HashTable<Entry<K, V>>,
    next_id: u64,
    /// Calls that joined a flight.
    joined: u64,
    /// Calls that ran by themselves, beside a flight.
    alone: u64,
    /// Calls that were refused, since a flight was full.
    refused: u64,
    /// Calls that joined and got no shared result: they left, took over, or ran by themselves.
    unshared: u64,
    /// Flights that got a follower, in that order, for the watch. Some have landed since.
    followed: VecDeque<(u64, u64)>,
}

struct Entry<K, V> {
    hash: u64,
    id: u64,
    key: K,
    /// When it began, if the function has a `max_age_ms`: see [`Table::age`]. Or [`CLOSED`].
    born: u64,
    flight: Form<V>,
}

/// The flight was forgotten, or is too old: no call joins it any more.
const CLOSED: u64 = u64::MAX;

/// The age of a new table. Half of the range, so that clocks that are behind can be expressed, too.
const EPOCH: u64 = u64::MAX / 2;

/// How a flight is in the map.
enum Form<V> {
    /// The leader alone. Its waker is there once it waits.
    Lone(Option<Waker>),
    Shared(Arc<Flight<V>>, Box<State<Waker>>),
}

/// A call's handle of a table: a [`Fixed`](crate::fixed::Fixed) or an `Arc`.
pub trait TableRef<K, V>: Deref<Target = Table<K, V>> + Clone + Send + 'static {
    /// A flight has its first follower, so the watch looks at the table from now on.
    fn arm(&self);
}

impl<T, K, V> TableRef<K, V> for T
where
    T: Deref<Target = Table<K, V>> + Clone + Send + 'static,
    K: Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    #[inline]
    fn arm(&self) {
        crate::watch::arm(self);
    }
}

impl<K, V> Table<K, V> {
    pub(super) fn new(path: Cow<'static, str>, shards: usize) -> Self {
        Self {
            function: Function::new(path, Kind::Dedup),
            shards: Sharded::new(shards, Shard::new),
            watch: Watch::new(),
            base: Instant::now(),
            rare: stats::Rare::default(),
        }
    }

    #[inline]
    pub(super) fn hash(&self, key: &impl Key<Owned = K>) -> u64 {
        self.shards.hash(key)
    }

    pub(super) fn execution(&self, id: u64) -> Execution {
        Execution {
            table: (&raw const *self).addr(),
            id,
        }
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<Shard<K, V>> {
        self.shards.of(hash)
    }

    pub(super) fn counts(&self) -> stats::Counts {
        let mut counts = stats::Counts::default();
        for (first_id, shard) in self.shards.iter().enumerate() {
            let shard = shard.lock();
            counts.opened += (shard.next_id - first_id as u64) / self.shards.len() as u64;
            counts.joined += shard.joined;
            counts.unshared += shard.unshared;
            counts.alone += shard.alone;
            counts.refused += shard.refused;
            counts.up += shard.entries.len() as u64;
            for entry in &shard.entries {
                counts.waiting += u64::from(entry.followers());
            }
        }
        counts
    }
}

impl<K, V> Shard<K, V> {
    fn new(first_id: u64) -> Self {
        Self {
            entries: HashTable::new(),
            next_id: first_id,
            joined: 0,
            alone: 0,
            refused: 0,
            unshared: 0,
            followed: VecDeque::new(),
        }
    }

    /// The place of a flight's entry while it is in the map. It has not moved unless the table has grown or shrunk.
    #[inline]
    fn bucket(&self, flight: &Flight<V>) -> Option<usize> {
        let bucket = flight.bucket as usize;
        match self.entries.get_bucket(bucket) {
            Some(entry) if entry.id == flight.id => Some(bucket),
            _ => self
                .entries
                .find_bucket_index(flight.hash, |entry| entry.id == flight.id),
        }
    }

    /// The state of a flight that is up.
    #[inline]
    fn state(&mut self, flight: &Flight<V>) -> Option<&mut State<Waker>> {
        let bucket = self.bucket(flight)?;
        match &mut self.entries.get_bucket_mut(bucket)?.flight {
            Form::Shared(_, state) => Some(state),
            Form::Lone(_) => None,
        }
    }

    /// Removes an abandoned flight from the map.
    #[cold]
    fn remove(&mut self, flight: &Flight<V>) -> Option<Entry<K, V>> {
        let bucket = self.bucket(flight)?;
        let entry = self.entries.get_bucket_entry(bucket).ok()?.remove().0;
        self.removed(flight.hash, flight.id);
        Some(entry)
    }

    /// After an entry was removed: gives memory back.
    #[inline]
    fn removed(&mut self, hash: u64, id: u64) {
        if self.entries.capacity() > KEPT || self.followed.capacity() > 0 {
            self.tidy(hash, id);
        }
    }

    #[inline(never)]
    fn tidy(&mut self, hash: u64, id: u64) {
        if self.followed.back() == Some(&(hash, id)) {
            self.followed.pop_back();
        }
        give_back(&mut self.entries, |entry| entry.hash);
        if self.entries.is_empty() {
            self.followed.clear();
            self.followed.shrink_to(KEPT);
        }
    }
}

impl<K, V> Entry<K, V> {
    #[inline]
    fn is_open(&self, hash: u64, key: &impl Key<Owned = K>) -> bool {
        self.hash == hash && self.born != CLOSED && key.is(&self.key)
    }

    /// The number of callers that wait for another call's execution.
    fn followers(&self) -> u32 {
        match &self.flight {
            Form::Lone(_) => 0,
            Form::Shared(_, state) => state.followers(),
        }
    }

    /// The flight of an entry, made if there is none, and whether it was made: then the watch must learn of it.
    fn shared(
        &mut self,
        bucket: u32,
        watched: &mut VecDeque<(u64, u64)>,
    ) -> (&mut Arc<Flight<V>>, &mut State<Waker>, bool) {
        let mut first = false;
        if let Form::Lone(leader) = &mut self.flight {
            let flight = Arc::new(Flight::of(self.hash, self.id, bucket));
            let state = Box::new(State::led(leader.take()));
            self.flight = Form::Shared(flight, state);
            watched.push_back((self.hash, self.id));
            first = true;
        }
        match &mut self.flight {
            Form::Shared(flight, state) => (flight, state, first),
            Form::Lone(_) => unreachable!("made one above"),
        }
    }

    /// Drops what an entry held, a key and a leader's waker, and wakes the followers: all of that is user code.
    #[inline]
    fn discard(self) {
        let Self { key, flight, .. } = self;
        if mem::needs_drop::<K>() {
            drop_guarded(key);
        }
        match flight {
            Form::Lone(waker) => discard(waker),
            Form::Shared(_, state) => state.into_wakers().wake(),
        }
    }

    /// The same for an abandoned flight. Its task is woken, finds that it no longer leads, and ends.
    #[cold]
    fn abandon(self) {
        let Self { key, flight, .. } = self;
        drop_guarded(key);
        if let Form::Shared(_, state) = flight {
            wake_all(state.into_wakers().leader);
        }
    }
}

impl Wakers<Waker> {
    /// Wakes the followers; the leader is not needed any more.
    fn wake(self) {
        discard(self.leader);
        wake(self.followers);
    }
}

/// Wakes the followers that may take a vacancy, the newest first: as a rule, it has the most time left.
fn wake_newest_first(followers: Places<Waker>) {
    wake_all(followers.newest_first());
}

/// Wakes all followers, even if a waker panics.
fn wake(followers: Places<Waker>) {
    followers.for_each(wake::wake);
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("function", self.function.path())
            .finish_non_exhaustive()
    }
}

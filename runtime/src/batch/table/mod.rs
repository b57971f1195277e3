//! The groups of one function, and what comes to them: callers that [`join`] (with one item, or with a [`list`]), [`caller`]s
//! that have joined, [`task`]s, the [`watch`], and stats, which read the [`counts`].
//!
//! The table is sharded by the hash of the group's key. A shard's lock protects its groups, whose queues hold the items, so a call
//! takes one lock to get its place. The opening of `sync.rs` says which user code may run under it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::task::Waker;

use hashbrown::{HashTable, hash_table};
use tokio::time::Instant;

use self::clock::Clock;
use self::counts::Counts;
use super::group::{Caller, Group, Turn};
use super::idle::IdleTasks;
use super::shared::Batch;
use super::start::Start;
use crate::key::Key;
use crate::observe::{Function, Kind};
use crate::shards::{Sharded, give_back};
use crate::sync::{Arc, Mutex};
use crate::wake::wake_all;
use crate::watch::{Watch, Watched};

mod caller;
mod clock;
mod counts;
mod join;
mod list;
mod task;
#[cfg(test)]
mod tests;
mod watch;

pub(super) use self::caller::{Polled, Queue};
pub(super) use self::join::{Opens, Seated};
pub(super) use self::task::Work;
pub(super) use self::task::{Given, Ready};

/// The groups of one function.
pub struct Table<K, T, U, B, R> {
    pub(super) function: Function,
    shards: Sharded<Shard<K, T, U, B, R>>,
    watch: Watch,
}

/// In this order, so that the fields that every call touches are in the cache line of the lock.
#[repr(C)]
struct Shard<K, T, U, B, R> {
    groups: HashTable<Entry<K, T, U, B, R>>,
    counts: Counts,
    next_id: u64,
    idle: IdleTasks<(Arc<Batch<R>>, Turn), Waker>,
    spare: Spare<T, U, B, R>,
}

/// A group that has become idle, kept for the next one: its buffers have the size that was needed a moment ago. A tick of the
/// watch that finds no groups drops it.
struct Spare<T, U, B, R> {
    group: Option<Group<T, U, B, Waker, Arc<Batch<R>>>>,
    /// The hash of the key that it served.
    hash: u64,
}

impl<T, U: Eq, B: Start, R> Spare<T, U, B, R> {
    /// The number of items for which a batch of this key should have room, if known.
    fn room(&self, hash: u64) -> usize {
        match &self.group {
            Some(group) if self.hash == hash => group.room(),
            _ => 0,
        }
    }

    /// A group for this key.
    fn take(&mut self, hash: u64) -> Group<T, U, B, Waker, Arc<Batch<R>>> {
        let mut group = self.group.take().unwrap_or_else(Group::new);
        if self.hash != hash {
            group.forget_room();
        }
        group
    }

    /// A group that served this key is idle. Returns the one that it replaces.
    fn put(
        &mut self,
        hash: u64,
        group: Group<T, U, B, Waker, Arc<Batch<R>>>,
    ) -> Option<Group<T, U, B, Waker, Arc<Batch<R>>>> {
        self.hash = hash;
        self.group.replace(group)
    }
}

/// A handle of a table: a [`Fixed`](crate::fixed::Fixed), an `Arc`, or one of both in an [`InScope`](crate::fixed::InScope).
pub(crate) trait TableRef<K, T, U, B, R>:
    Deref<Target = Table<K, T, U, B, R>> + Clone + Send + Sync + 'static
{
    /// There is something in the table that the watch has to look at from now on.
    fn arm(&self);
}

impl<H, K, T, U, B, R> TableRef<K, T, U, B, R> for H
where
    H: Deref<Target = Table<K, T, U, B, R>> + Clone + Send + Sync + 'static,
    Table<K, T, U, B, R>: Watched,
{
    #[inline]
    fn arm(&self) {
        crate::watch::arm(self);
    }
}

/// What an idle group leaves: its key, and an older spare.
type Idle<K, T, U, B, R> = (K, Option<Group<T, U, B, Waker, Arc<Batch<R>>>>);

struct Entry<K, T, U, B, R> {
    hash: u64,
    id: u64,
    key: K,
    group: Group<T, U, B, Waker, Arc<Batch<R>>>,
    clock: Clock,
}

impl<K, T, U: Eq, B: Start, R> Shard<K, T, U, B, R> {
    /// Takes something out of a group with `go`. Returns its result, and, if the group is idle then, the group's key and the spare
    /// that the group replaces, to be dropped after unlocking. `None`: there is no such group any more.
    fn gone<X>(
        &mut self,
        batch: &Batch<R>,
        go: impl FnOnce(&mut Group<T, U, B, Waker, Arc<Batch<R>>>) -> X,
    ) -> Option<(X, Option<Idle<K, T, U, B, R>>)> {
        let mut found = self
            .groups
            .find_entry(batch.hash, |entry| entry.id == batch.group)
            .ok()?;
        let result = go(&mut found.get_mut().group);
        let idle = if found.get().group.is_idle() {
            let Entry { key, group, .. } = found.remove().0;
            Some((key, self.spare.put(batch.hash, group)))
        } else {
            None
        };
        give_back(&mut self.groups, |entry| entry.hash);
        Some((result, idle))
    }

    /// The group of a batch, while there is one.
    fn group(&mut self, batch: &Batch<R>) -> Option<&mut Group<T, U, B, Waker, Arc<Batch<R>>>> {
        Some(&mut self.entry(batch)?.group)
    }

    /// The group of a key, or a new one.
    fn entry_or_new(
        &mut self,
        hash: u64,
        id: u64,
        key: &impl Key<Owned = K>,
        copied: Option<K>,
        now: Instant,
    ) -> &mut Entry<K, T, U, B, R> {
        match self.groups.entry(
            hash,
            |entry| entry.hash == hash && key.is(&entry.key),
            |entry| entry.hash,
        ) {
            hash_table::Entry::Occupied(entry) => entry.into_mut(),
            hash_table::Entry::Vacant(place) => {
                let entry = Entry {
                    hash,
                    id,
                    key: copied.unwrap_or_else(|| key.to_owned()),
                    group: self.spare.take(hash),
                    clock: Clock::of(now),
                };
                place.insert(entry).into_mut()
            }
        }
    }

    fn entry(&mut self, batch: &Batch<R>) -> Option<&mut Entry<K, T, U, B, R>> {
        self.groups
            .find_mut(batch.hash, |entry| entry.id == batch.group)
    }
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    pub(super) fn new(path: Cow<'static, str>, shards: usize) -> Self {
        let shard = |first_id| Shard {
            groups: HashTable::new(),
            counts: Counts::default(),
            next_id: first_id,
            idle: IdleTasks::new(),
            spare: Spare {
                group: None,
                hash: 0,
            },
        };
        Self {
            function: Function::new(path, Kind::Batch),
            shards: Sharded::new(shards, shard),
            watch: Watch::new(),
        }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard<K, T, U, B, R>> {
        self.shards.of(hash)
    }

    fn hash(&self, key: &impl Key<Owned = K>) -> u64 {
        self.shards.hash(key)
    }

    /// The address by which executions know the table.
    fn address(&self) -> usize {
        (&raw const *self).addr()
    }
}

/// Wakes all callers and flushes that waited for a batch's end.
fn wake_callers((callers, observers): (Vec<Caller<Waker>>, Vec<Waker>)) {
    wake_all(
        callers
            .into_iter()
            .filter_map(|caller| caller.waker)
            .chain(observers),
    );
}

impl<K, T, U, B, R> fmt::Debug for Table<K, T, U, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("function", self.function.path())
            .finish_non_exhaustive()
    }
}

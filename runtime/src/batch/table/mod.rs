//! The groups of one function.
//!
//! The map is sharded by the hash of the group's key. A shard's lock protects its groups, whose queues hold the items: a call
//! whose batch has room takes this one lock. The opening of `sync.rs` says which user code may run under it.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::task::Waker;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use self::clock::Clock;
use self::counts::Counts;
use super::askers::Askers;
use super::cell::Cell;
use super::group::{Caller, Group, Turn};
use super::start::Start;
use crate::key::Key;
use crate::observe::{Function, Kind};
use crate::shards::{Padded, give_back};
use crate::sync::{Arc, Mutex};
use crate::wake::wake_all;
use crate::watch::Watch;

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
pub(super) use self::task::{Ready, Taken};

/// The groups of one function.
pub struct Table<K, T, U, B, R> {
    pub(super) function: Function,
    hasher: RandomState,
    shards: Shards<K, T, U, B, R>,
    watch: Watch,
}

type Shards<K, T, U, B, R> = Box<[Padded<Mutex<Shard<K, T, U, B, R>>>]>;

/// In this order, since what every call touches is in one cache line then, that of the lock.
#[repr(C)]
struct Shard<K, T, U, B, R> {
    groups: HashTable<Entry<K, T, U, B, R>>,
    counts: Counts,
    next_id: u64,
    askers: Askers<(Arc<Cell<R>>, Turn), Waker>,
    spare: Spare<T, U, B, R>,
}

/// A group that has become idle, for the next: what it has room for was needed a moment ago. Dropped by the tick that finds
/// nothing to look at.
struct Spare<T, U, B, R> {
    group: Option<Group<T, U, B, Waker, Arc<Cell<R>>>>,
    /// The hash of the key that it served.
    hash: u64,
}

impl<T, U: Eq, B: Start, R> Spare<T, U, B, R> {
    /// For how many items a batch of this key had better have room, as far as is known.
    fn room(&self, hash: u64) -> usize {
        match &self.group {
            Some(group) if self.hash == hash => group.room(),
            _ => 0,
        }
    }

    /// A group for this key.
    fn take(&mut self, hash: u64) -> Group<T, U, B, Waker, Arc<Cell<R>>> {
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
        group: Group<T, U, B, Waker, Arc<Cell<R>>>,
    ) -> Option<Group<T, U, B, Waker, Arc<Cell<R>>>> {
        self.hash = hash;
        self.group.replace(group)
    }
}

/// What an idle group leaves: its key, and an older spare.
type Idle<K, T, U, B, R> = (K, Option<Group<T, U, B, Waker, Arc<Cell<R>>>>);

struct Entry<K, T, U, B, R> {
    hash: u64,
    id: u64,
    key: K,
    group: Group<T, U, B, Waker, Arc<Cell<R>>>,
    clock: Clock,
}

impl<K, T, U: Eq, B: Start, R> Shard<K, T, U, B, R> {
    /// Something has gone from a group. Returns its result, and, if nothing is left of the group, its key and the spare that
    /// it replaces: to be dropped after unlocking. `None`: there is no such group any more.
    fn gone<X>(
        &mut self,
        cell: &Cell<R>,
        go: impl FnOnce(&mut Group<T, U, B, Waker, Arc<Cell<R>>>) -> X,
    ) -> Option<(X, Option<Idle<K, T, U, B, R>>)> {
        let mut found = self
            .groups
            .find_entry(cell.hash, |entry| entry.id == cell.group)
            .ok()?;
        let result = go(&mut found.get_mut().group);
        let idle = if found.get().group.is_idle() {
            let Entry { key, group, .. } = found.remove().0;
            Some((key, self.spare.put(cell.hash, group)))
        } else {
            None
        };
        give_back(&mut self.groups, |entry| entry.hash);
        Some((result, idle))
    }

    /// The group of a batch, while there is one.
    fn group(&mut self, cell: &Cell<R>) -> Option<&mut Group<T, U, B, Waker, Arc<Cell<R>>>> {
        Some(&mut self.entry(cell)?.group)
    }

    fn entry(&mut self, cell: &Cell<R>) -> Option<&mut Entry<K, T, U, B, R>> {
        self.groups
            .find_mut(cell.hash, |entry| entry.id == cell.group)
    }
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    pub(super) fn new(path: Cow<'static, str>, shards: usize) -> Self {
        let shards = shards.next_power_of_two();
        let shard = |first_id| Shard {
            groups: HashTable::new(),
            counts: Counts::default(),
            next_id: first_id,
            askers: Askers::new(),
            spare: Spare {
                group: None,
                hash: 0,
            },
        };
        Self {
            function: Function::new(path, Kind::Batch),
            hasher: RandomState::default(),
            shards: (0..shards as u64)
                .map(|first_id| Padded(Mutex::new(shard(first_id))))
                .collect(),
            watch: Watch::new(),
        }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard<K, T, U, B, R>> {
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)].0
    }

    /// By which executions know it.
    fn address(&self) -> usize {
        (&raw const *self).addr()
    }

    fn hash(&self, key: &impl Key<Owned = K>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        hasher.finish()
    }
}

/// Wakes all that waited for a batch's end.
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

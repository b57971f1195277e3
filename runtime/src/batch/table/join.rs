//! How a call's item comes into a batch, which is opened if there is none with room.

use std::hash::{BuildHasher, Hash};
use std::task::Waker;

use hashbrown::hash_table;
use tokio::runtime;
use tokio::time::Instant;

use super::clock::Clock;
use super::{Entry, Table};
use crate::batch::cell::Cell;
use crate::batch::group::{Added, Coming, Id, Opened, Opening, Placed, Ticket, Turn};
use crate::batch::item::Item;
use crate::batch::limits::Limits;
use crate::batch::start::Start;
use crate::key::Key;
use crate::observe;
use crate::reentrancy::graph::Execution;
use crate::reentrancy::{frames, waits};
use crate::sync::Arc;
use crate::wake::{guarded, wake_all};

/// A batch about to be opened, as its first caller has it.
pub(crate) struct Opens<B> {
    pub(crate) limits: Limits,
    pub(crate) bulk: B,
    /// Where the caller is: a task of it that has stayed may be given the batch.
    pub(crate) runtime: Option<runtime::Id>,
}

/// What a batch that is opened needs, as the first look at its group has found.
pub(super) struct Needs<K> {
    /// For how many items there should be room.
    pub(super) room: usize,
    /// The key, if there is no such group: one that may be large is not copied under the lock.
    pub(super) key: Option<K>,
}

/// A place in a batch.
pub(crate) struct Seated<R> {
    pub(crate) cell: Arc<Cell<R>>,
    pub(crate) ticket: Ticket,
    pub(crate) nests: Nests,
    pub(crate) opened: bool,
    /// The caller has to give the batch a task with this turn.
    pub(crate) task: Option<Turn>,
}

/// What came of a call that is made inside an execution.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Nests {
    /// Of its wait.
    pub(crate) ticket: waits::Ticket,
    /// Its batch may have to wait for a bulk call of its group.
    pub(crate) is_limited: bool,
}

/// What is left to do after unlocking when an item has a place.
pub(super) struct Leftover<U> {
    /// A task to wake.
    pub(super) wake: Option<Waker>,
    /// To be dropped.
    pub(super) unique: Option<U>,
}

impl<U> Leftover<U> {
    #[inline(always)]
    pub(super) fn finish(self) {
        let Self { wake, unique } = self;
        wake_all(wake);
        if unique.is_some() {
            guarded(|| drop(unique));
        }
    }
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    /// Whether the items that wait leave no room for this many more. If so, the refusal is counted.
    pub(crate) fn refuses(
        &self,
        key: &impl Key<Owned = K>,
        items: usize,
        max_waiting: usize,
    ) -> bool {
        let hash = self.hash(key);
        let mut shard = self.shard(hash).lock();
        let found = shard
            .groups
            .find(hash, |entry| entry.hash == hash && key.is(&entry.key));
        let waiting = found.map_or(0, |entry| entry.group.waiting());
        // A list could exceed the limit even if the limit is not reached yet, so the list is counted, too.
        let refuses = waiting.saturating_add(items) > max_waiting;
        if refuses {
            shard.counts.refuse(items);
        }
        refuses
    }

    #[inline(always)]
    pub(super) fn coming(&self, item: Item<T, U>, waker: Option<Waker>) -> Coming<T, U, Waker>
    where
        U: Hash,
    {
        let Item {
            item,
            weight,
            unique,
        } = item;
        Coming {
            item,
            waker,
            seen: observe::Caller::current(),
            weight,
            unique: unique.map(|unique| (self.hasher.hash_one(&unique), unique)),
        }
    }

    /// An item comes, and gets a place, unless `max_waiting` items of its group wait.
    #[inline]
    pub(crate) fn join(
        &self,
        waker: Waker,
        key: &impl Key<Owned = K>,
        item: Item<T, U>,
        max_waiting: usize,
        open: impl FnOnce() -> Opens<B>,
    ) -> Option<Seated<R>>
    where
        U: Hash,
    {
        let hash = self.hash(key);
        let coming = self.coming(item, Some(waker));

        let mut shard = self.shard(hash).lock();
        shard.counts.calls += 1;
        let found = shard
            .groups
            .find_mut(hash, |entry| entry.hash == hash && key.is(&entry.key));
        let mut needs = Needs { room: 0, key: None };
        let coming = match found {
            None => {
                needs.room = shard.spare.room(hash);
                drop(shard);
                needs.key = (!key.is_little()).then(|| key.to_owned());
                coming
            }
            Some(entry) if entry.group.is_busy(max_waiting) => {
                shard.counts.refused += 1;
                drop(shard);
                guarded(|| drop(coming));
                return None;
            }
            Some(entry) => match entry.group.add(coming, Instant::now) {
                Added::Placed(placed) => {
                    let (seated, leftover) = entry.seat(self.address(), placed);
                    drop(shard);
                    leftover.finish();
                    return Some(seated);
                }
                Added::NoRoom { coming, wake } => {
                    needs.room = entry.group.room();
                    drop(shard);
                    wake_all(wake);
                    coming
                }
            },
        };
        self.open(hash, key, coming, max_waiting, open(), needs)
    }

    /// Opens a batch, unless another call did in the meantime.
    #[inline(never)]
    pub(super) fn open(
        &self,
        hash: u64,
        key: &impl Key<Owned = K>,
        coming: Coming<T, U, Waker>,
        max_waiting: usize,
        opens: Opens<B>,
        needs: Needs<K>,
    ) -> Option<Seated<R>> {
        let Opens {
            limits,
            bulk,
            runtime,
        } = opens;
        let Needs { room, key: copied } = needs;
        let room = limits.size.min(room).max(1);
        let cell = Arc::new(Cell::new(self.address(), hash));
        let opening = Opening {
            cell,
            limits,
            bulk,
            items: Vec::with_capacity(room),
            callers: Vec::with_capacity(room),
            now: Instant::now(),
        };
        let now = opening.now;

        let mut guard = self.shard(hash).lock();
        let mut copied = copied;
        let is = |entry: &Entry<K, T, U, B, R>| entry.hash == hash && key.is(&entry.key);
        if copied.is_none() && !key.is_little() && guard.groups.find(hash, is).is_none() {
            // Its group has ended since this call looked at it. A large key is copied without the lock.
            drop(guard);
            copied = Some(key.to_owned());
            guard = self.shard(hash).lock();
        }
        let shard = &mut *guard;
        let id = shard.next_id;
        shard.next_id += self.shards.len() as u64;
        let entry = match shard.groups.entry(hash, is, |entry| entry.hash) {
            hash_table::Entry::Occupied(entry) => entry.into_mut(),
            hash_table::Entry::Vacant(place) => {
                let key = copied.unwrap_or_else(|| key.to_owned());
                let (group, clock) = (shard.spare.take(hash), Clock::of(now));
                let entry = Entry {
                    hash,
                    id,
                    key,
                    group,
                    clock,
                };
                place.insert(entry).into_mut()
            }
        };
        if entry.group.is_busy(max_waiting) {
            // Other items came while this call was about to open a batch.
            shard.counts.refused += 1;
            drop(guard);
            guarded(|| drop(coming));
            guarded(|| drop(opening));
            return None;
        }
        let (coming, closed) = match entry.group.add(coming, || now) {
            Added::Placed(placed) => {
                let (seated, leftover) = entry.seat(self.address(), placed);
                drop(guard);
                leftover.finish();
                return Some(seated);
            }
            Added::NoRoom { coming, wake } => (coming, wake),
        };
        let (mut seated, Opened { wake, unique, .. }) =
            entry.open(self.address(), id, opening, coming);
        let batch = || (seated.cell.clone(), 0);
        let takes = runtime.and_then(|runtime| shard.askers.give(runtime, batch));
        drop(guard);
        seated.task = takes.is_none().then_some(0);
        wake_all(closed.into_iter().chain(wake).chain(takes));
        if unique.is_some() {
            guarded(|| drop(unique));
        }
        Some(seated)
    }
}

impl<K, T, U: Eq, B: Start, R> Entry<K, T, U, B, R> {
    /// A caller has come into a batch. If it is polled inside an execution, that waits for the batch, which must not start
    /// before it could see that: so this is noted under the shard's lock.
    #[inline]
    fn nests(&mut self, table: usize, batch: Id) -> Nests {
        if frames::inside_any() {
            self.nests_inside(table, batch)
        } else {
            Nests::default()
        }
    }

    #[cold]
    fn nests_inside(&mut self, table: usize, batch: Id) -> Nests {
        Nests {
            is_limited: self.group.nests(batch),
            ticket: waits::join(Execution { table, id: batch }),
        }
    }

    /// An item has its place: what its caller needs to know, and what is left to do after unlocking.
    #[inline(always)]
    pub(super) fn seat(
        &mut self,
        table: usize,
        placed: Placed<U, Waker, Arc<Cell<R>>>,
    ) -> (Seated<R>, Leftover<U>) {
        let Placed {
            cell,
            ticket,
            adopts,
            wake,
            unique,
        } = placed;
        let nests = self.nests(table, cell.id);
        let seated = Seated {
            cell,
            ticket,
            nests,
            opened: false,
            task: adopts,
        };
        (seated, Leftover { wake, unique })
    }

    /// Opens a batch with its first item.
    #[inline]
    fn open(
        &mut self,
        table: usize,
        id: Id,
        mut opening: Opening<T, B, Waker, Arc<Cell<R>>>,
        coming: Coming<T, U, Waker>,
    ) -> (Seated<R>, Opened<U, Waker>) {
        let cell = Arc::get_mut(&mut opening.cell).expect("nobody else has it yet");
        (cell.group, cell.id) = (self.id, id);
        cell.semaphore = opening.bulk.semaphore();
        let cell = opening.cell.clone();
        self.clock = Clock::of(opening.now);
        let opened = self.group.open(id, opening, coming);
        let seated = Seated {
            cell,
            ticket: opened.ticket,
            nests: self.nests(table, id),
            opened: true,
            task: None,
        };
        (seated, opened)
    }
}

//! Callers that join: an item gets a place in the open batch, or opens a batch.

use std::hash::Hash;
use std::task::Waker;

use tokio::runtime;
use tokio::time::Instant;

use super::clock::Clock;
use super::{Entry, Shard, Table};
use crate::batch::group::{Added, Coming, Id, Opened, Opening, Placed, Ticket, Turn};
use crate::batch::item::Item;
use crate::batch::limits::Limits;
use crate::batch::shared::Batch;
use crate::batch::start::Start;
use crate::key::Key;
use crate::observe;
use crate::reentrancy::Execution;
use crate::reentrancy::{frames, waits};
use crate::sync::{Arc, MutexGuard};
use crate::wake::{drop_guarded, wake_all};

/// What the first caller of a batch brings along.
pub(crate) struct Opens<B> {
    pub(crate) limits: Limits,
    pub(crate) bulk: B,
    /// The caller's runtime, whose idle tasks may be given the batch.
    pub(crate) runtime: Option<runtime::Id>,
}

/// What the first look at a group has found out for a batch that is to be opened.
pub(super) struct Needs<K> {
    /// The number of items for which there should be room.
    pub(super) room: usize,
    /// The key, if there is no such group. A key that may be large is copied before the lock is taken.
    pub(super) key: Option<K>,
}

/// A place in a batch.
pub(crate) struct Seated<R> {
    pub(crate) batch: Arc<Batch<R>>,
    pub(crate) ticket: Ticket,
    pub(crate) nests: Nests,
    pub(crate) opened: bool,
    /// The caller has to give the batch a task with this turn.
    pub(crate) task: Option<Turn>,
}

/// What is known of a call that is made inside an execution.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Nests {
    /// The number of its wait.
    pub(crate) wait: waits::WaitId,
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
            drop_guarded(unique);
        }
    }
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    /// Whether a call with so many items is refused since too many items of the group are waiting. If so, it is counted.
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
        // A list counts as a whole: it is refused if its items and those that wait are more than the limit together.
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
            unique: unique.map(|unique| (self.shards.hash_one(&unique), unique)),
        }
    }

    /// Gives an item a place, unless `max_waiting` items of its group are waiting.
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
                drop_guarded(coming);
                return None;
            }
            Some(entry) => match entry.group.add(coming, None) {
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
        self.open(hash, key, coming, max_waiting, open(), needs, |_, _| 0)
    }

    /// Locks a shard in which a large key either has a group or comes copied.
    fn lock_with_key(
        &self,
        hash: u64,
        key: &impl Key<Owned = K>,
        copied: Option<K>,
    ) -> (MutexGuard<'_, Shard<K, T, U, B, R>>, Option<K>) {
        let guard = self.shard(hash).lock();
        let is = |entry: &Entry<K, T, U, B, R>| entry.hash == hash && key.is(&entry.key);
        if copied.is_some() || key.is_little() || guard.groups.find(hash, is).is_some() {
            return (guard, copied);
        }
        // Its group has ended since this call looked at it. A large key is copied without the lock.
        drop(guard);
        let copied = Some(key.to_owned());
        (self.shard(hash).lock(), copied)
    }

    /// Opens a batch, unless another call has opened one since the first look. `fill` gives places in the new batch to further
    /// items, before its task can start, and returns their number.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are those of a call that joins"
    )]
    #[inline(never)]
    pub(super) fn open(
        &self,
        hash: u64,
        key: &impl Key<Owned = K>,
        coming: Coming<T, U, Waker>,
        max_waiting: usize,
        opens: Opens<B>,
        needs: Needs<K>,
        fill: impl FnOnce(&mut Entry<K, T, U, B, R>, &Seated<R>) -> u64,
    ) -> Option<Seated<R>> {
        let Opens {
            limits,
            bulk,
            runtime,
        } = opens;
        let Needs { room, key: copied } = needs;
        let room = limits.size.min(room).max(1);
        let opening = Opening {
            shared: Arc::new(Batch::new(self.address(), hash)),
            limits,
            bulk,
            items: Vec::with_capacity(room),
            callers: Vec::with_capacity(room),
            now: Instant::now(),
        };
        let now = opening.now;

        let (mut guard, copied) = self.lock_with_key(hash, key, copied);
        let shard = &mut *guard;
        let id = shard.next_id;
        shard.next_id += self.shards.len() as u64;
        let entry = shard.entry_or_new(hash, id, key, copied, now);
        if entry.group.is_busy(max_waiting) {
            // Other calls have joined since the first look.
            shard.counts.refused += 1;
            drop(guard);
            drop_guarded(coming);
            drop_guarded(opening);
            return None;
        }
        let (coming, closed) = match entry.group.add(coming, Some(now)) {
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
        shard.counts.calls += fill(entry, &seated);
        let first_turn = || (seated.batch.clone(), 0);
        let takes = runtime.and_then(|runtime| shard.idle.give(runtime, first_turn));
        drop(guard);
        seated.task = takes.is_none().then_some(0);
        wake_all(closed.into_iter().chain(wake).chain(takes));
        if unique.is_some() {
            drop_guarded(unique);
        }
        Some(seated)
    }
}

impl<K, T, U: Eq, B: Start, R> Entry<K, T, U, B, R> {
    /// A caller has joined a batch. If it is polled inside an execution, that execution waits for the batch. The wait is noted
    /// under the shard's lock, since the batch must not start before its bulk call could see who waits for it.
    #[inline]
    fn nests(&mut self, table: usize, id: Id) -> Nests {
        if frames::inside_any() {
            self.nests_inside(table, id)
        } else {
            Nests::default()
        }
    }

    #[cold]
    fn nests_inside(&mut self, table: usize, id: Id) -> Nests {
        Nests {
            is_limited: self.group.nests(id),
            wait: waits::join(Execution { table, id }),
        }
    }

    /// Returns what the caller of an item that has a place needs to know, and what is left to do after unlocking.
    #[inline(always)]
    pub(super) fn seat(
        &mut self,
        table: usize,
        placed: Placed<U, Waker, Arc<Batch<R>>>,
    ) -> (Seated<R>, Leftover<U>) {
        let Placed {
            shared: batch,
            ticket,
            adopts,
            wake,
            unique,
        } = placed;
        let nests = self.nests(table, batch.id);
        let seated = Seated {
            batch,
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
        mut opening: Opening<T, B, Waker, Arc<Batch<R>>>,
        coming: Coming<T, U, Waker>,
    ) -> (Seated<R>, Opened<U, Waker>) {
        let batch = Arc::get_mut(&mut opening.shared).expect("nobody else has it yet");
        (batch.group, batch.id) = (self.id, id);
        batch.semaphore = opening.bulk.semaphore();
        let batch = opening.shared.clone();
        self.clock = Clock::of(opening.now);
        let opened = self.group.open(id, opening, coming);
        let seated = Seated {
            batch,
            ticket: opened.ticket,
            nests: self.nests(table, id),
            opened: true,
            task: None,
        };
        (seated, opened)
    }
}

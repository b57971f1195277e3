//! The groups of one function.
//!
//! Sharded by the hash of the group's key. A shard's lock protects its groups, whose queues hold the items: a call with a
//! place in a batch takes this one lock. User code runs under it only as a key's `Eq` and `to_owned` and as a unique
//! value's `Eq`, before anything is changed; items, keys, wakers and bulk calls are dropped after unlocking.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::task::{Context, Waker};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use tokio::runtime;
use tokio::time::Instant;

use super::askers::{Asked, Askers};
use super::cell::{Cell, Ended, Failure, Found, Leaves};
use super::group::{
    Added, Caller, Closing, Coming, Ends, Go, Group, Id, Left, Moved, Opened, Opening, Orphaned,
    Queued, Queuing, Run, Ticket, Turn,
};
use super::item::Item;
use super::limits::Limits;
use super::start::{self, Start};
use crate::key::Key;
use crate::observe::{self, Calls, Function, Kind};
use crate::reentrancy::graph::Execution;
use crate::reentrancy::{frames, waits};
use crate::shards::{Padded, give_back};
use crate::stats::Closed;
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::wake::{discard, guarded, wake_all};
use crate::watch::{Actions, Budget, Pass, STALL, Stalled, Watch, Watched};

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
    /// One that has become idle, for the next: what it has room for was needed a moment ago. Dropped by the tick that finds
    /// nothing to look at.
    spare: Option<Group<T, U, B, Waker, Arc<Cell<R>>>>,
    /// The hash of the key that it served.
    spare_hash: u64,
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
}

/// What came of a call that is made inside an execution.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Nests {
    /// Of its wait.
    pub(super) ticket: waits::Ticket,
    /// Its batch may have to wait for a bulk call of its group.
    pub(super) is_limited: bool,
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
            self.spare_hash = cell.hash;
            Some((key, self.spare.replace(group)))
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

/// Counts that ride in a shard's lock.
#[derive(Debug, Default, Clone, Copy)]
#[repr(C)]
pub(super) struct Counts {
    pub(super) calls: u64,
    /// Calls beyond `max_waiting`.
    pub(super) refused: u64,
    pub(super) executions: u64,
    pub(super) items: u64,
    pub(super) largest: u64,
    /// Bulk calls that panicked, or gave a wrong number of results.
    pub(super) panics: u64,
    /// Batches whose task was lost with its runtime.
    pub(super) lost: u64,
    /// Batches whose task was not polled although it could go on.
    pub(super) stalled: u64,
    pub(super) closed: Closed,
}

/// What a table holds at the moment.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) counts: Counts,
    pub(super) running: u64,
    pub(super) waiting: u64,
}

/// A batch about to be opened, as its first caller has it.
pub(super) struct Opens<B> {
    pub(super) limits: Limits,
    pub(super) bulk: B,
    /// Where the caller is: a task of it that has stayed may be given the batch.
    pub(super) runtime: Option<runtime::Id>,
}

/// What a batch that is opened needs, as the first look at its group has found.
struct Needs<K> {
    /// For how many items there should be room.
    room: usize,
    /// The key, if there is no such group: one that may be large is not copied under the lock.
    key: Option<K>,
}

/// A place in a batch.
pub(super) struct Seated<R> {
    pub(super) cell: Arc<Cell<R>>,
    pub(super) ticket: Ticket,
    pub(super) nests: Nests,
    pub(super) opened: bool,
    /// The caller has to give the batch a task with this turn.
    pub(super) task: Option<Turn>,
}

impl<K, T, U: Eq, B: Start, R> Table<K, T, U, B, R> {
    pub(super) fn new(path: Cow<'static, str>, shards: usize) -> Self {
        let shards = shards.next_power_of_two();
        let shard = |first_id| Shard {
            groups: HashTable::new(),
            counts: Counts::default(),
            next_id: first_id,
            askers: Askers::new(),
            spare: None,
            spare_hash: 0,
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

    /// Whether so many items of the group wait that a further call with so many is refused, which is counted.
    pub(super) fn refuses(
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
        // An item at a time, a limit is kept by looking at those who wait.
        let refuses = waiting.saturating_add(items) > max_waiting;
        if refuses {
            shard.counts.refuse(items);
        }
        refuses
    }

    #[inline(always)]
    fn coming(&self, item: Item<T, U>, waker: Option<Waker>) -> Coming<T, U, Waker>
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
    pub(super) fn join(
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
                if shard.spare_hash == hash {
                    needs.room = shard.spare.as_ref().map_or(0, Group::room);
                }
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
                Added::Placed {
                    cell,
                    ticket,
                    adopts,
                    wake,
                    unique,
                } => {
                    let nests = entry.nests(self.address(), cell.id);
                    drop(shard);
                    wake_all(wake);
                    if unique.is_some() {
                        guarded(|| drop(unique));
                    }
                    return Some(Seated {
                        cell,
                        ticket,
                        nests,
                        opened: false,
                        task: adopts,
                    });
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

    /// A list of items comes. All of them get places, in as many batches as they need, or none. Those that fit in the batch
    /// that is open get theirs under one lock. Returns whether they have places.
    pub(super) fn join_many(
        &self,
        waker: &Waker,
        key: &impl Key<Owned = K>,
        items: Vec<Item<T, U>>,
        max_waiting: usize,
        mut open: impl FnMut() -> Opens<B>,
        mut seated: impl FnMut(Seated<R>),
    ) -> bool
    where
        U: Hash,
    {
        let hash = self.hash(key);
        let coming = |item| self.coming(item, None);
        // Outside of the lock: the values' `Hash` is user code.
        let mut list = items
            .into_iter()
            .map(coming)
            .collect::<Vec<_>>()
            .into_iter();
        let all = list.len();
        let mut last: Option<Id> = None;
        while let Some(coming) = list.next() {
            // Of a list, only the first item in a batch has a waker; and one batch at most is open under one lock.
            let mut spare = Some(waker.clone());
            let (mut places, mut wakes, mut surplus) = (Vec::new(), Vec::new(), Vec::new());
            let mut room = 0;
            let mut guard = self.shard(hash).lock();
            let shard = &mut *guard;
            let mut coming = Some(coming);
            let found = shard
                .groups
                .find_mut(hash, |entry| entry.hash == hash && key.is(&entry.key));
            let is_new = found.is_none();
            if let Some(entry) = found {
                if last.is_none() && entry.group.waiting().saturating_add(all) > max_waiting {
                    shard.counts.refuse(all);
                    drop(guard);
                    guarded(|| drop(coming));
                    list.for_each(|coming| guarded(|| drop(coming)));
                    discard(spare);
                    return false;
                }
                while let Some(mut next) = coming.take() {
                    if last.is_none_or(|last| !entry.group.is_open(last)) {
                        next.waker = spare.take();
                    }
                    match entry.group.add(next, Instant::now) {
                        Added::Placed {
                            cell,
                            ticket,
                            adopts,
                            wake,
                            unique,
                        } => {
                            let nests = entry.nests(self.address(), cell.id);
                            wakes.extend(wake);
                            surplus.extend(unique);
                            last = Some(cell.id);
                            places.push(Seated {
                                cell,
                                ticket,
                                nests,
                                opened: false,
                                task: adopts,
                            });
                            coming = list.next();
                        }
                        Added::NoRoom { coming: next, wake } => {
                            wakes.extend(wake);
                            room = entry.group.room();
                            coming = Some(next);
                            break;
                        }
                    }
                }
            }
            shard.counts.calls += places.len() as u64 + u64::from(coming.is_some());
            drop(guard);
            wake_all(wakes);
            surplus
                .into_iter()
                .for_each(|unique| guarded(|| drop(unique)));
            discard(spare);
            places.into_iter().for_each(&mut seated);
            let Some(mut coming) = coming else { continue };
            coming.waker = Some(waker.clone());
            let needs = Needs {
                room: room.max(list.len() + 1),
                key: (is_new && !key.is_little()).then(|| key.to_owned()),
            };
            let place = self.open(hash, key, coming, usize::MAX, open(), needs);
            let place = place.expect("without a limit, there is a place");
            last = Some(place.cell.id);
            seated(place);
        }
        true
    }

    /// Opens a batch, unless somebody else did in the meantime.
    #[inline(never)]
    fn open(
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
        let mut opening = Opening {
            cell,
            limits,
            bulk,
            items: Vec::with_capacity(room),
            callers: Vec::with_capacity(room),
            now: Instant::now(),
        };
        let now = opening.now;

        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        let id = shard.next_id;
        shard.next_id += self.shards.len() as u64;
        let entry = shard.groups.entry(
            hash,
            |entry| entry.hash == hash && key.is(&entry.key),
            |entry| entry.hash,
        );
        let entry = match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => entry.into_mut(),
            hashbrown::hash_table::Entry::Vacant(place) => {
                let key = copied.unwrap_or_else(|| key.to_owned());
                let mut group = shard.spare.take().unwrap_or_else(Group::new);
                if shard.spare_hash != hash {
                    group.forget_room();
                }
                let entry = Entry {
                    hash,
                    id,
                    key,
                    group,
                    clock: Clock::of(now),
                };
                place.insert(entry).into_mut()
            }
        };
        if entry.group.is_busy(max_waiting) {
            // Others came while this call was about to open a batch.
            shard.counts.refused += 1;
            drop(guard);
            guarded(|| drop(coming));
            guarded(|| drop(opening));
            return None;
        }
        let (coming, closed) = match entry.group.add(coming, || now) {
            Added::Placed {
                cell,
                ticket,
                adopts,
                wake,
                unique,
            } => {
                let nests = entry.nests(self.address(), cell.id);
                drop(guard);
                wake_all(wake);
                guarded(|| drop(unique));
                return Some(Seated {
                    cell,
                    ticket,
                    nests,
                    opened: false,
                    task: adopts,
                });
            }
            Added::NoRoom { coming, wake } => (coming, wake),
        };
        let cell = Arc::get_mut(&mut opening.cell).expect("nobody else has it yet");
        (cell.group, cell.id) = (entry.id, id);
        cell.semaphore = opening.bulk.semaphore();
        let cell = opening.cell.clone();
        entry.clock = Clock::of(now);
        let Opened {
            ticket,
            wake,
            unique,
        } = entry.group.open(id, opening, coming);
        let nests = entry.nests(self.address(), id);
        let batch = || (cell.clone(), 0);
        let takes = runtime.and_then(|runtime| shard.askers.give(runtime, batch));
        drop(guard);
        let task = takes.is_none().then_some(0);
        wake_all(closed.into_iter().chain(wake).chain(takes));
        if unique.is_some() {
            guarded(|| drop(unique));
        }
        Some(Seated {
            cell,
            ticket,
            nests,
            opened: true,
            task,
        })
    }

    /// A batch's task is polled for the first time.
    pub(super) fn no_longer_fresh(&self, cell: &Cell<R>) {
        if let Some(group) = self.shard(cell.hash).lock().group(cell) {
            group.no_longer_fresh(cell.id);
        }
    }

    /// A batch's task is polled, and has `seen` so many items, if it would rather ask again than wait while these get more.
    pub(super) fn go(
        &self,
        cell: &Arc<Cell<R>>,
        turn: Turn,
        seen: Option<usize>,
        cx: &mut Context<'_>,
    ) -> Step<T, B> {
        let mut waker = None;
        loop {
            let mut guard = self.shard(cell.hash).lock();
            let shard = &mut *guard;
            let Some(Entry { group, clock, .. }) = shard.entry(cell) else {
                return Step::Gone;
            };
            match group.go(
                cell.id,
                turn,
                seen,
                || clock.of_task(turn),
                |old| old.will_wake(cx.waker()),
                &mut waker,
            ) {
                None => {
                    drop(guard);
                    waker = Some(cx.waker().clone());
                }
                Some(Go::Gone) => return Step::Gone,
                Some(Go::Fills(items)) => {
                    drop(guard);
                    discard(waker);
                    return Step::Fills(items);
                }
                Some(Go::Wait(until, old)) => {
                    let grant = if B::MAY_NEED_PERMIT {
                        group.grant(cell.id)
                    } else {
                        None
                    };
                    drop(guard);
                    discard(old);
                    let is_granted = |grant: Arc<start::Grant>| grant.wakes(cx.waker().clone());
                    if !grant.is_some_and(is_granted) {
                        return Step::Wait(until);
                    }
                }
                Some(Go::GivesUp(permit)) => {
                    drop(guard);
                    drop(permit);
                }
                Some(Go::Run(run)) => {
                    let ready = self.run(guard, cell, run);
                    discard(waker);
                    return Step::Run(ready);
                }
            }
        }
    }

    /// A batch leaves the queue, to run.
    fn run(
        &self,
        mut shard: MutexGuard<'_, Shard<K, T, U, B, R>>,
        cell: &Arc<Cell<R>>,
        run: Run<T, B, Waker, Arc<Cell<R>>>,
    ) -> Ready<T, B> {
        let Run {
            items,
            mut callers,
            bulk,
            closed,
            wake,
            limited,
            semaphore,
            moved,
        } = run;
        shard.counts.ran(items.len(), closed);
        let calls = Calls::of(
            callers
                .iter_mut()
                .map(|caller| (caller.came, &mut caller.seen)),
        );
        // Under the shard's lock, too: a caller always finds its batch queued or running.
        cell.run(callers);
        let emptied: Vec<_> = moved
            .into_iter()
            .filter_map(|moved| moves(moved, cell))
            .collect();
        drop(shard);
        wake_all(wake);
        emptied.into_iter().for_each(Emptied::ends);
        let held = [
            limited.then(|| cell.limiter()),
            (semaphore != 0).then(|| start::limiter(semaphore)),
        ];
        Ready {
            items,
            bulk,
            closed,
            calls,
            held: held.into_iter().flatten().collect(),
        }
    }

    /// A task has ended its bulk call, of a batch with this hash. Returns its number if it may stay for another.
    pub(super) fn stay(&self, hash: u64, runtime: runtime::Id, waker: Waker) -> Option<u64> {
        let stays = self.shard(hash).lock().askers.stay(runtime, waker);
        stays.map_err(|waker| discard(Some(waker))).ok()
    }

    /// A task that stayed is polled. The batch that it takes may run at once, if it is full by now.
    pub(super) fn ask(&self, hash: u64, number: u64) -> Asked<Taken<T, B, R>> {
        let mut shard = self.shard(hash).lock();
        let (cell, turn) = match shard.askers.ask(number) {
            Asked::Takes(batch) => batch,
            Asked::SleepsOn => return Asked::SleepsOn,
            Asked::Ends => return Asked::Ends,
        };
        let go = shard
            .group(&cell)
            .and_then(|group| group.go(cell.id, turn, Some(0), Instant::now, |_| false, &mut None));
        let ready = match go {
            Some(Go::Run(run)) => Some(self.run(shard, &cell, run)),
            _ => None,
        };
        Asked::Takes(Taken { cell, turn, ready })
    }

    /// Sends every open batch off. Returns all that is under way.
    pub(super) fn flush(&self) -> Vec<Arc<Cell<R>>> {
        let mut under_way = Vec::new();
        for shard in &self.shards {
            let mut tasks = Vec::new();
            let mut shard = shard.0.lock();
            for entry in &mut shard.groups {
                let (task, mut cells) = entry.group.flush();
                tasks.extend(task);
                under_way.append(&mut cells);
            }
            drop(shard);
            wake_all(tasks);
        }
        under_way
    }

    /// A batch gets a new task, if it needs one. Returns the turn of that.
    pub(super) fn adopt(&self, cell: &Cell<R>) -> Option<Turn> {
        self.shard(cell.hash).lock().group(cell)?.adopt(cell.id)
    }

    fn ended(&self, cell: &Cell<R>) {
        let mut shard = self.shard(cell.hash).lock();
        let Some((ends, idle)) = shard.gone(cell, |group| group.ended(cell.id)) else {
            return;
        };
        drop(shard);
        let Ends {
            next,
            unblocked,
            values,
        } = ends;
        guarded(|| drop(idle));
        wake_all(next.into_iter().chain(unblocked));
        values.into_iter().for_each(|value| guarded(|| drop(value)));
    }

    pub(super) fn census(&self) -> Census {
        let mut census = Census::default();
        for shard in &self.shards {
            let shard = shard.0.lock();
            census.counts.add(&shard.counts);
            for entry in &shard.groups {
                census.running += entry.group.running() as u64;
                census.waiting += entry.group.waiting() as u64;
            }
        }
        census
    }
}

/// A table, as those see it who need not know what its items and bulk calls are.
pub trait Queue<R> {
    /// The function's path.
    fn path(&self) -> &str;
    /// A batch that left the queue has ended, one way or the other. Its group learns of it first: if it is idle, nothing
    /// is left of it before anybody can look.
    fn ends(&self, cell: &Cell<R>, ended: Ended<R>);
    /// A bulk call panicked, or gave a wrong number of results.
    fn panicked(&self, cell: &Cell<R>);
    /// A runtime was shut down under a batch: it is counted.
    fn count_lost(&self, cell: &Cell<R>);
    /// The same, for subscribers.
    fn warn_lost(&self, cell: &Cell<R>);
    /// A task is lost: another caller's runtime has to do its work. Returns whether there are callers to do it.
    fn orphan(&self, cell: &Cell<R>, turn: Turn) -> bool;
    /// The same where it is lost with its runtime.
    fn task_gone(&self, cell: &Cell<R>, turn: Turn) {
        if self.orphan(cell, turn) {
            self.count_lost(cell);
            self.warn_lost(cell);
        }
    }
    /// A task can't do its work: its callers are told.
    fn fail(&self, cell: &Arc<Cell<R>>, turn: Turn, failure: Failure);
    /// A caller is polled.
    fn poll(&self, cell: &Cell<R>, ticket: Ticket, cx: &mut Context<'_>) -> Polled<R>;
    /// A caller goes without its result.
    fn leave(&self, cell: &Cell<R>, ticket: Ticket);
    /// A task that stayed is lost.
    fn lost(&self, hash: u64, number: u64);
    /// A bulk call waits for a batch, which must not wait for the bulk call.
    fn hurry(&self, cell: &Cell<R>);
}

impl<K, T, U: Eq, B: Start, R> Queue<R> for Table<K, T, U, B, R> {
    fn path(&self) -> &str {
        &self.function
    }

    fn panicked(&self, cell: &Cell<R>) {
        self.shard(cell.hash).lock().counts.panics += 1;
    }

    fn count_lost(&self, cell: &Cell<R>) {
        self.shard(cell.hash).lock().counts.lost += 1;
    }

    fn warn_lost(&self, cell: &Cell<R>) {
        guarded(|| cell.warned.runtime_gone(&self.function));
    }

    fn ends(&self, cell: &Cell<R>, ended: Ended<R>) {
        self.ended(cell);
        wake_callers(cell.end(ended));
    }

    fn orphan(&self, cell: &Cell<R>, turn: Turn) -> bool {
        let mut shard = self.shard(cell.hash).lock();
        let Some(group) = shard.group(cell) else {
            return false;
        };
        let Orphaned { wake, place } = group.orphan(cell.id, turn);
        drop(shard);
        drop(place);
        let any = !wake.is_empty();
        wake_all(wake.into_iter().chain(cell.observers()));
        any
    }

    fn lost(&self, hash: u64, number: u64) {
        let (waker, batch) = self.shard(hash).lock().askers.lost(number);
        discard(waker);
        if let Some((cell, turn)) = batch {
            self.task_gone(&cell, turn);
        }
    }

    fn fail(&self, cell: &Arc<Cell<R>>, turn: Turn, failure: Failure) {
        let mut shard = self.shard(cell.hash).lock();
        let Some(group) = shard.group(cell) else {
            return;
        };
        let Some(Run {
            items,
            callers,
            bulk,
            wake,
            ..
        }) = group.fail(cell.id, turn)
        else {
            return;
        };
        cell.run(callers);
        drop(shard);
        guarded(|| drop((items, bulk)));
        wake_all(wake);
        self.ends(cell, Ended::Failed(failure));
    }

    fn poll(&self, cell: &Cell<R>, ticket: Ticket, cx: &mut Context<'_>) -> Polled<R> {
        let mut waker = None;
        loop {
            match cell.poll(ticket, |old| old.will_wake(cx.waker()), &mut waker) {
                Found::Result(result) => {
                    discard(waker);
                    return Polled::Result(result);
                }
                Found::Failed(failure) => {
                    discard(waker);
                    return Polled::Failed(failure);
                }
                Found::Runs(old) => {
                    discard(old);
                    discard(waker);
                    return Polled::Waits;
                }
                Found::Moved(to, ticket) => {
                    discard(waker);
                    return Polled::Moved(to, ticket);
                }
                Found::NeedsWaker => waker = Some(cx.waker().clone()),
                Found::Queued => {
                    let mut shard = self.shard(cell.hash).lock();
                    let queuing = shard.group(cell).and_then(|group| {
                        group.queuing(cell.id, ticket, |old| old.will_wake(cx.waker()), &mut waker)
                    });
                    drop(shard);
                    match queuing {
                        // It began to run between the two looks.
                        None => {}
                        Some(Queuing::NeedsWaker) => waker = Some(cx.waker().clone()),
                        Some(Queuing::Waits(old)) => {
                            discard(old);
                            discard(waker);
                            return Polled::Waits;
                        }
                        Some(Queuing::Adopts(turn, old)) => {
                            discard(old);
                            discard(waker);
                            return Polled::Adopts(turn);
                        }
                        Some(Queuing::Rescues(other, turn, old)) => {
                            discard(old);
                            discard(waker);
                            return Polled::Rescues(other, turn);
                        }
                    }
                }
            }
        }
    }

    fn leave(&self, cell: &Cell<R>, ticket: Ticket) {
        let mut shard = self.shard(cell.hash).lock();
        let Some((Some(left), idle)) = shard.gone(cell, |group| group.leave(cell.id, ticket))
        else {
            drop(shard);
            return match cell.leave(ticket) {
                Leaves::Waker(waker) => discard(waker),
                Leaves::Moved(to, ticket) => self.leave(&to, ticket),
            };
        };
        drop(shard);
        let Left {
            item,
            unique,
            waker,
            seen,
            emptied,
            wake,
        } = left;
        let ended = emptied.is_some();
        guarded(|| drop((item, unique, seen)));
        guarded(|| drop(emptied));
        guarded(|| drop(idle));
        discard(waker);
        wake_all(wake);
        if ended {
            wake_callers(cell.end(Ended::Empty));
        }
    }

    fn hurry(&self, cell: &Cell<R>) {
        let mut shard = self.shard(cell.hash).lock();
        let task = shard.group(cell).and_then(|group| group.hurry(cell.id));
        drop(shard);
        wake_all(task);
    }
}

/// A batch all of whose items have moved.
struct Emptied<T, B, R> {
    batch: Queued<T, B, Waker, Arc<Cell<R>>>,
    cell: Arc<Cell<R>>,
}

/// Items have moved to this batch, which is about to run. Under the shard's lock: a caller always finds its item.
fn moves<T, B, R>(
    moved: Moved<T, B, Waker, Arc<Cell<R>>>,
    cell: &Arc<Cell<R>>,
) -> Option<Emptied<T, B, R>> {
    let Moved {
        from,
        tickets,
        offset,
        nested,
        emptied,
    } = moved;
    from.moves(tickets, offset, cell.clone());
    if nested {
        waits::follow(from.execution(), cell.execution());
    }
    emptied.map(|batch| Emptied { batch, cell: from })
}

impl<T, B, R> Emptied<T, B, R> {
    /// Its task is woken, to end, and those who wait for its end.
    fn ends(mut self) {
        let task = self.batch.task();
        guarded(|| drop(self.batch));
        wake_all(task);
        wake_callers(self.cell.end(Ended::Empty));
    }
}

/// What a batch's task has to do.
pub(super) enum Step<T, B> {
    Run(Ready<T, B>),
    /// Ask again when others have been polled: so many items are there, and more are coming.
    Fills(usize),
    /// Wait until then, or to be woken.
    Wait(Option<Instant>),
    /// End: the batch is gone, or another task's.
    Gone,
}

/// A batch that was given to a task that had stayed.
pub(super) struct Taken<T, B, R> {
    pub(super) cell: Arc<Cell<R>>,
    pub(super) turn: Turn,
    /// If it may run.
    pub(super) ready: Option<Ready<T, B>>,
}

/// A bulk call that is to be made.
pub(super) struct Ready<T, B> {
    pub(super) items: Vec<T>,
    pub(super) bulk: B,
    /// How the batch was closed.
    pub(super) closed: Closing,
    pub(super) calls: Calls,
    /// What it holds: see [`within_bulk`](frames::within_bulk).
    pub(super) held: Vec<Execution>,
}

/// What a caller that is polled has to do.
#[derive(Debug)]
pub enum Polled<R> {
    Result(R),
    Failed(Failure),
    Waits,
    /// Give the batch a task with this turn, and wait.
    Adopts(Turn),
    /// Give another batch, which is abandoned, a task with this turn, and wait.
    Rescues(Arc<Cell<R>>, Turn),
    /// Its item is in another batch.
    Moved(Arc<Cell<R>>, Ticket),
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

impl<K, T, U, B, R> Watched for Table<K, T, U, B, R>
where
    K: Send + Sync + 'static,
    T: Send + 'static,
    U: Eq + Send + 'static,
    B: Start + Send + 'static,
    R: Send + 'static,
{
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn function(&self) -> &Function {
        &self.function
    }

    fn look(&self, pass: &mut Pass, budget: &mut Budget, actions: &mut Actions) -> Option<bool> {
        while let Some(Padded(shard)) = self.shards.get(pass.shard) {
            if budget.is_spent() {
                return None;
            }
            let now = std::time::Instant::now();
            let (mut tasks, mut wake, mut stalled) = (Vec::new(), Vec::new(), Vec::new());
            let (mut places, mut spare) = (Vec::new(), None);
            let mut shard = shard.lock();
            let first = pass.at.unwrap_or(0);
            let last = shard.groups.num_buckets().min(first + LOOKS);
            if pass.at.is_none() {
                pass.any |= shard.askers.tick(&mut wake);
                if shard.groups.is_empty() {
                    spare = shard.spare.take();
                }
            }
            for bucket in first..last {
                if let Some(entry) = shard.groups.get_bucket_mut(bucket) {
                    budget.spend(Budget::GROUP);
                    let now = entry.clock.now(now);
                    entry
                        .group
                        .tick(now, &mut tasks, &mut places, &mut wake, &mut stalled);
                }
            }
            shard.counts.stalled += stalled.len() as u64;
            pass.at = Some(last);
            if last == shard.groups.num_buckets() {
                pass.next_shard(!shard.groups.is_empty());
            }
            drop(shard);
            guarded(|| drop(spare));
            wake.extend(stalled.iter().flat_map(|cell| cell.observers()));
            actions.places.append(&mut places);
            actions.wake.append(&mut wake);
            actions.drop.append(&mut tasks);
            actions
                .stalled
                .extend(stalled.into_iter().map(|cell| cell as _));
        }
        Some(pass.any)
    }

    fn is_quiet(&self) -> bool {
        self.shards.iter().all(|Padded(shard)| {
            let shard = shard.lock();
            shard.groups.is_empty() && shard.askers.is_empty() && shard.spare.is_none()
        })
    }
}

impl<R: Send> Stalled for Cell<R> {
    fn warn(&self, function: &Function) {
        self.warned.stalled(function);
    }
}

/// How many buckets the watch looks at before it unlocks their shard for a moment. A group that moves to another bucket in such
/// a moment, because the table grows or shrinks, may be looked at twice in that pass, or not until the next.
const LOOKS: usize = 64;

/// The clock by which the batches of a group are due.
///
/// It is tokio's, as the runtime of the call that opened the last batch has it. That clock may be paused, and then be ahead of
/// the real time or behind it. The watch has no runtime and so can't ask that clock. It knows what it was when the batch was
/// opened, and adds the real time since it first saw the batch.
#[derive(Debug)]
struct Clock {
    opened: Instant,
    seen: Option<std::time::Instant>,
}

impl Clock {
    /// What a batch that is opened finds on its clock.
    fn of(opened: Instant) -> Self {
        Self { opened, seen: None }
    }

    /// What it is now, if it is not paused; `now` is the real time.
    fn now(&mut self, now: std::time::Instant) -> Instant {
        let opened = self.opened;
        let seen = *self.seen.get_or_insert_with(|| {
            // A real clock says how long ago that was. One that disagrees by more than a pass or two is paused.
            let ago = now.checked_duration_since(opened.into_std());
            let ago = ago.filter(|&ago| ago <= 2 * STALL);
            now.checked_sub(ago.unwrap_or_default()).unwrap_or(now)
        });
        opened + now.saturating_duration_since(seen)
    }

    /// What it is for a task. The first task of a batch is where the batch was opened. One that has adopted it may be on
    /// another clock, which may be far behind: then the batch is due when the watch thinks so.
    fn of_task(&mut self, turn: Turn) -> Instant {
        let now = Instant::now();
        match turn {
            0 => now,
            _ => now.max(self.now(std::time::Instant::now())),
        }
    }
}

impl Counts {
    /// A call is refused that has not been counted yet.
    fn refuse(&mut self, calls: usize) {
        self.calls += calls as u64;
        self.refused += calls as u64;
    }

    fn ran(&mut self, items: usize, closed: Closing) {
        let items = items as u64;
        self.executions += 1;
        self.items += items;
        self.largest = self.largest.max(items);
        match closed {
            Closing::Size => self.closed.size += 1,
            Closing::Delay => self.closed.delay += 1,
            Closing::Weight => self.closed.weight += 1,
            Closing::Unique => self.closed.unique += 1,
            Closing::Eager => self.closed.eager += 1,
            Closing::Flush => self.closed.flush += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.refused += other.refused;
        self.executions += other.executions;
        self.items += other.items;
        self.largest = self.largest.max(other.largest);
        self.panics += other.panics;
        self.lost += other.lost;
        self.stalled += other.stalled;
        self.closed.merge(&other.closed);
    }
}

impl<K, T, U, B, R> fmt::Debug for Table<K, T, U, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("function", self.function.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{ByRef, ByValue};
    use crate::strangers::{names, numbers, picked, spread};

    fn opens(delay_ms: u64) -> Opens<()> {
        Opens {
            limits: Limits::new(2, delay_ms),
            bulk: (),
            runtime: None,
        }
    }

    #[test]
    fn keys_that_a_stranger_picks_spread_like_random_ones() {
        let ids = Table::<_, (), (), (), ()>::new("ids".into(), 1);
        let by_id = |id: &u64| ids.hash(&(ByValue(id), ()));
        spread(&picked(numbers()), by_id, by_id);
        let by_name = Table::<_, (), (), (), ()>::new("names".into(), 1);
        let name = |name: &String| by_name.hash(&(ByRef(name.as_str()), ()));
        spread(&picked(names()), name, by_id);
    }

    #[test]
    fn what_an_idle_group_had_room_for_is_kept_until_a_tick() {
        let table = Table::<_, (), (), (), ()>::new("spare".into(), 1);
        let key = (ByValue(&1_u64), ());
        let join = || {
            table
                .join(
                    Waker::noop().clone(),
                    &key,
                    Item::new(()),
                    usize::MAX,
                    || opens(1000),
                )
                .unwrap()
        };
        let spare = || table.shards[0].0.lock().spare.is_some();
        let seated = join();
        assert!(!spare(), "nothing is idle");
        table.leave(&seated.cell, seated.ticket);
        assert!(spare());
        let seated = join();
        assert!(!spare(), "it is used again");
        assert!(table.tick(), "a group is there");
        table.leave(&seated.cell, seated.ticket);
        assert!(spare());
        assert!(!table.tick());
        assert!(!spare(), "it is given back");
    }

    #[test]
    fn keys_spread_over_the_shards() {
        let table = Table::<_, (), (), (), ()>::new("spread".into(), 8);
        for id in 0..1000_u64 {
            let key = (ByValue(&id), ());
            table
                .join(
                    Waker::noop().clone(),
                    &key,
                    Item::new(()),
                    usize::MAX,
                    || opens(0),
                )
                .unwrap();
        }
        for shard in &table.shards {
            let len = shard.0.lock().groups.len();
            assert!((60..200).contains(&len), "{len} of 1000 in one of 8");
        }
    }
}

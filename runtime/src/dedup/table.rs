//! The map of flights of one function.
//!
//! Sharded by the key's hash. A shard's lock protects its entries, the [`state`](super::state) of each flight and some
//! counts. It is held for a look-up and a few plain stores. The user code that runs under it is a key's `Eq`, and `Clone` of a
//! small key that owns nothing, before anything is changed. Other keys are copied, and wakers and results are cloned, woken
//! and dropped, without the lock.
//!
//! A flight with a lone leader is an entry by value and allocates nothing but its key. The first follower adds what a shared
//! one needs. As the entry goes, under the lock, the result is there: a caller that found an entry, and then finds it
//! gone, finds the result.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Waker};
use std::time::Duration;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use tokio::time::Instant;

use super::flight::{Flight, Outcome};
use super::places::{Places, Slot};
use super::share::Share;
use super::state::{Body, Deposed, Followed, Rest, State, Tick, Turn, Wakers};
use super::{Joining, stats};
use crate::batch::inherit;
use crate::key::Key;
use crate::observe::{Caller, Function, Kind, Trace};
use crate::reentrancy::frames;
use crate::reentrancy::graph::Execution;
use crate::shards::{KEPT, Padded, give_back};
use crate::sync::{Arc, Mutex};
use crate::wake::{discard, guarded, wake_all};
use crate::watch::{Actions, Budget, Pass, Watch, Watched};

/// The flights of one function.
pub struct Table<K, V> {
    pub(super) function: Function,
    hasher: RandomState,
    shards: Box<[Padded<Mutex<Shard<K, V>>>]>,
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
    /// Of those that joined, how many got no shared result: they left, took over, or ran by themselves.
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
    flight: Stage<V>,
}

/// Nobody joins any more: the flight was forgotten, or is too old.
const CLOSED: u64 = u64::MAX;

/// The age of a table as it is made: half of what there is, so that clocks that are behind have a time, too.
const EPOCH: u64 = u64::MAX / 2;

enum Stage<V> {
    /// The leader alone. Its waker is there once it waits.
    Lone(Option<Waker>),
    Shared(Arc<Flight<V>>, Box<State<Waker>>),
}

/// What a call is to do.
pub(super) enum Entered<V> {
    /// It opened the flight with this number, in this bucket of its shard.
    Leads(u64, u32),
    Follows(Following<V>),
    /// Runs by itself, beside the flight.
    Alone,
    /// Gets the error of `busy`.
    Refused,
}

/// A call that follows.
pub(super) struct Following<V> {
    pub(super) flight: Arc<Flight<V>>,
    /// It is the first that does: the watch has to look at this flight from now on.
    pub(super) first: bool,
}

/// Where a lone leader stands that goes on waiting.
pub(super) enum Rested<V> {
    Lone,
    Shared(Arc<Flight<V>>),
    /// It was deposed, and its successor has landed.
    Gone,
}

/// A landed flight, from its leader's view.
pub(super) enum Landed<V, O> {
    /// Nobody else wanted the result.
    Alone(O),
    /// So many others did.
    Shared(Arc<Flight<V>>, u32),
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Table<K, V> {
    pub(super) fn new(path: Cow<'static, str>, shards: usize) -> Self {
        let shards = shards.next_power_of_two();
        Self {
            function: Function::new(path, Kind::Dedup),
            hasher: RandomState::default(),
            shards: (0..shards)
                .map(|first_id| Padded(Mutex::new(Shard::new(first_id as u64))))
                .collect(),
            watch: Watch::new(),
            base: Instant::now(),
            rare: stats::Rare::default(),
        }
    }

    #[inline]
    pub(super) fn hash(&self, key: &impl Key<Owned = K>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// A call begins.
    pub(super) fn enter(
        &self,
        hash: u64,
        key: &impl Key<Owned = K>,
        joining: Joining,
        caller: Caller,
    ) -> Entered<V> {
        let copy = || key.is_little().then(|| key.to_owned());
        self.try_enter(hash, key, joining, caller, copy)
            .unwrap_or_else(|caller| self.enter_copied(hash, key, joining, caller))
    }

    /// The same for a key that is copied outside of the lock, since others would wait for the copy. They may open a flight with
    /// this key meanwhile: then the copy is not needed.
    #[cold]
    #[inline(never)]
    fn enter_copied(
        &self,
        hash: u64,
        key: &impl Key<Owned = K>,
        joining: Joining,
        caller: Caller,
    ) -> Entered<V> {
        let mut copy = Some(key.to_owned());
        let entered = self.try_enter(hash, key, joining, caller, || copy.take());
        guarded(|| drop(copy));
        entered.unwrap_or_else(|_| unreachable!("it has a copy"))
    }

    /// A call begins. `copy` gives a copy of its key, under the lock. If it gives none, the call has not begun.
    #[inline(always)]
    fn try_enter(
        &self,
        hash: u64,
        key: &impl Key<Owned = K>,
        joining: Joining,
        caller: Caller,
        copy: impl FnOnce() -> Option<K>,
    ) -> Result<Entered<V>, Caller> {
        let now = joining.max_age_ms.map_or(0, |_| self.age());
        // Before the lock, so that it is dropped after unlocking.
        let _left: Caller;
        let mut shard = self.shard(hash).lock();
        let shard = &mut *shard;
        let entry = shard
            .entries
            .entry(hash, |entry| entry.is_open(hash, key), |entry| entry.hash);
        let place = match entry {
            Place::Vacant(place) => place,
            Place::Occupied(mut found) => {
                let bucket = found.bucket_index() as u32;
                let entry = found.get_mut();
                if joining.joins(entry.born, now) {
                    if joining.is_full(|| entry.followers()) {
                        if joining.refuses {
                            shard.refused += 1;
                            return Ok(Entered::Refused);
                        }
                        shard.alone += 1;
                        return Ok(Entered::Alone);
                    }
                    let (flight, state, first) = entry.shared(bucket, &mut shard.followed);
                    state.join();
                    shard.joined += 1;
                    let flight = flight.clone();
                    _left = flight.callers.add(caller);
                    return Ok(Entered::Follows(Following { flight, first }));
                }
                entry.born = CLOSED;
                let entry = shard.entries.entry(hash, |_| false, |entry| entry.hash);
                match entry {
                    Place::Vacant(place) => place,
                    Place::Occupied(_) => unreachable!("nothing is looked for"),
                }
            }
        };
        let Some(key) = copy() else {
            return Err(caller);
        };
        let id = shard.next_id;
        shard.next_id += self.shards.len() as u64;
        // Made where it stays: the place is there already.
        let entry = place.insert(Entry {
            hash,
            id,
            key,
            born: now,
            flight: Stage::Lone(None),
        });
        Ok(Entered::Leads(id, entry.bucket_index() as u32))
    }

    /// The time by the clock of this call's runtime, in microseconds: the table was made at [`EPOCH`]. A paused clock may be
    /// behind the one on which the table was made.
    fn age(&self) -> u64 {
        let now = Instant::now();
        let micros = |age: Duration| u64::try_from(age.as_micros()).unwrap_or(EPOCH).min(EPOCH);
        match now.checked_duration_since(self.base) {
            Some(age) => (EPOCH + micros(age)).min(CLOSED - 1),
            None => EPOCH - micros(self.base - now),
        }
    }

    /// Calls that begin from now on do not join the flight that is up.
    pub(super) fn forget(&self, key: &impl Key<Owned = K>) {
        let hash = self.hash(key);
        let mut shard = self.shard(hash).lock();
        if let Some(entry) = shard
            .entries
            .find_mut(hash, |entry| entry.is_open(hash, key))
        {
            entry.born = CLOSED;
        }
    }

    /// What its executions did in a fleet.
    #[cfg(feature = "fleet")]
    pub(crate) fn of_function(&self) -> &crate::fleet::OfFunction {
        self.rare.fleet.get_or_init(Default::default)
    }

    /// Counts what an execution did in a fleet.
    #[cfg(feature = "fleet")]
    pub(crate) fn counts_in_fleet(&self, outcome: crate::fleet::Outcome) {
        self.of_function().count(outcome);
        self.function.in_fleet(outcome);
    }

    /// Calls that begin from now on do not join this flight.
    #[cfg(feature = "fleet")]
    pub(crate) fn close(&self, hash: u64, id: u64) {
        let mut shard = self.shard(hash).lock();
        if let Some(entry) = shard.entries.find_mut(hash, |entry| entry.id == id) {
            entry.born = CLOSED;
        }
    }

    /// This flight waits for an execution that began so much earlier.
    #[cfg(feature = "fleet")]
    pub(crate) fn began_before(&self, hash: u64, id: u64, age: Duration) {
        let micros = u64::try_from(age.as_micros()).unwrap_or(EPOCH);
        let mut shard = self.shard(hash).lock();
        if let Some(entry) = shard.entries.find_mut(hash, |entry| entry.id == id) {
            if entry.born != CLOSED {
                entry.born = entry.born.saturating_sub(micros);
            }
        }
    }

    /// A leader that was alone when it was last here goes on waiting. `first` says that it was never here.
    pub(super) fn rest_alone(
        &self,
        hash: u64,
        id: u64,
        first: bool,
        cx: &mut Context<'_>,
    ) -> Rested<V> {
        let mut waker = first.then(|| cx.waker().clone());
        loop {
            let mut shard = self.shard(hash).lock();
            let Some(entry) = shard.entries.find_mut(hash, |entry| entry.id == id) else {
                return Rested::Gone;
            };
            match &mut entry.flight {
                Stage::Shared(flight, _) => {
                    let flight = flight.clone();
                    drop(shard);
                    discard(waker);
                    return Rested::Shared(flight);
                }
                Stage::Lone(Some(old)) if old.will_wake(cx.waker()) => return Rested::Lone,
                Stage::Lone(old) => {
                    if let Some(waker) = waker.take() {
                        let old = old.replace(waker);
                        drop(shard);
                        discard(old);
                        return Rested::Lone;
                    }
                }
            }
            drop(shard);
            waker = Some(cx.waker().clone());
        }
    }

    /// The leader of a flight goes on waiting.
    pub(super) fn rest(
        &self,
        flight: &Flight<V>,
        turn: Turn,
        cx: &mut Context<'_>,
    ) -> Result<(), Deposed> {
        let mut waker = None;
        loop {
            let mut shard = self.shard(flight.hash).lock();
            let state = shard.state(flight).ok_or(Deposed)?;
            let rest = state.rest(turn, |old| old.will_wake(cx.waker()), &mut waker)?;
            drop(shard);
            match rest {
                Rest::Done(old) => {
                    discard(old);
                    return Ok(());
                }
                Rest::NeedsWaker => waker = Some(cx.waker().clone()),
            }
        }
    }

    /// A follower is polled for the first time: where there is a leader, it waits. If not, [`follow`](Self::follow) knows.
    #[inline]
    pub(super) fn wait(&self, flight: &Flight<V>, cx: &mut Context<'_>) -> Option<Slot> {
        let waker = cx.waker().clone();
        let mut shard = self.shard(flight.hash).lock();
        let waits = match shard.state(flight) {
            Some(state) => state.wait(waker),
            None => Err(waker),
        };
        drop(shard);
        waits.map_err(|waker| discard(Some(waker))).ok()
    }

    /// A follower is polled.
    #[inline(never)]
    pub(super) fn follow(
        &self,
        flight: &Flight<V>,
        slot: Option<Slot>,
        body: Body,
        cx: &mut Context<'_>,
    ) -> Followed<Waker> {
        let mut waker = None;
        loop {
            let mut shard = self.shard(flight.hash).lock();
            let followed = match shard.state(flight) {
                Some(state) => {
                    state.follow(slot, body, |old| old.will_wake(cx.waker()), &mut waker)
                }
                None => Some(Followed::Landed),
            };
            if let Some(Followed::Leads(_)) = followed {
                shard.unshared += 1;
            }
            drop(shard);
            match followed {
                Some(followed) => {
                    discard(waker);
                    return followed;
                }
                None => waker = Some(cx.waker().clone()),
            }
        }
    }

    /// The opener of a flight gives it to a task, and follows. `None`: it was stalled in between, and its successor has
    /// landed.
    pub(super) fn share(&self, hash: u64, id: u64) -> Option<Following<V>> {
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        let mut found = shard
            .entries
            .find_entry(hash, |entry| entry.id == id)
            .ok()?;
        let bucket = found.bucket_index() as u32;
        let (flight, state, first) = found.get_mut().shared(bucket, &mut shard.followed);
        state.give_to_task();
        let flight = flight.clone();
        Some(Following { flight, first })
    }

    /// A leader that was alone when it was last here has a result. Returns whether it still was, and is gone now; if not,
    /// [`land`](Self::land) knows.
    #[inline]
    pub(super) fn lands_alone(&self, hash: u64, id: u64, bucket: u32) -> bool {
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        // It is where it was put, unless the table has grown or shrunk since.
        match shard.entries.get_bucket_entry(bucket as usize) {
            Ok(found) if found.get().id == id && matches!(found.get().flight, Stage::Lone(_)) => {
                let entry = found.remove().0;
                shard.removed(hash, id);
                drop(guard);
                entry.discard();
                true
            }
            _ => false,
        }
    }

    /// The leader has a result.
    pub(super) fn land<S: Share<Stored = V>>(
        &self,
        hash: u64,
        id: u64,
        turn: Turn,
        output: S::Output,
    ) -> Landed<V, S::Output> {
        self.end(hash, id, turn, output, |output, _| {
            Outcome::Value(S::store(output))
        })
    }

    /// A task has a result. A single caller gets the original. Returns how many it serves.
    pub(super) fn land_task<O>(
        &self,
        flight: &Flight<V>,
        turn: Turn,
        output: O,
        store: fn(O) -> V,
    ) -> u32 {
        let landed = self.end(flight.hash, flight.id, turn, output, |output, sole| {
            let value = store(output);
            if sole {
                Outcome::Sole(Mutex::new(Some(value)))
            } else {
                Outcome::Value(value)
            }
        });
        match landed {
            Landed::Alone(_) => 0,
            Landed::Shared(_, waiting) => waiting,
        }
    }

    /// The body panicked. Returns how many others it was to serve.
    pub(super) fn land_panic(
        &self,
        hash: u64,
        id: u64,
        turn: Turn,
        message: &str,
        trace: &Trace,
    ) -> u32 {
        self.rare.panics.fetch_add(1, Relaxed);
        let landed = self.end(hash, id, turn, message, |message, _| {
            Outcome::Panic(message.into())
        });
        // The panic has dropped the body, which may have left its place in a batch to a leader that never comes.
        inherit::forget(self.execution(id));
        match landed {
            Landed::Alone(_) => 0,
            Landed::Shared(flight, waiting) => {
                trace.serves(&flight.callers);
                waiting
            }
        }
    }

    /// The key leaves the map, then the outcome is published, then everybody is woken.
    fn end<O>(
        &self,
        hash: u64,
        id: u64,
        turn: Turn,
        output: O,
        outcome: impl FnOnce(O, bool) -> Outcome<V>,
    ) -> Landed<V, O> {
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        let Ok(mut found) = shard.entries.find_entry(hash, |entry| entry.id == id) else {
            // A deposed leader, and its successor has landed.
            return Landed::Alone(output);
        };
        let (flight, waiting) = match &mut found.get_mut().flight {
            Stage::Lone(_) => (None, 0),
            Stage::Shared(flight, state) => {
                if !state.leads(turn) {
                    return Landed::Alone(output);
                }
                (Some(flight.clone()), state.waiting())
            }
        };
        let entry = found.remove().0;
        shard.removed(hash, id);
        let landed = match flight.filter(|_| waiting > 0) {
            Some(flight) => {
                flight.publish(outcome(output, waiting == 1));
                Landed::Shared(flight, waiting)
            }
            None => Landed::Alone(output),
        };
        drop(guard);
        entry.discard();
        landed
    }
}

impl<K, V> Table<K, V> {
    pub(super) fn execution(&self, id: u64) -> Execution {
        Execution {
            table: (&raw const *self).addr(),
            id,
        }
    }

    /// By bits that the shard's own table uses neither for its index nor for its tags.
    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<Shard<K, V>> {
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)].0
    }

    /// The leader goes without a result. Returns whether others wait for one.
    pub(super) fn leader_leaves(&self, hash: u64, id: u64, turn: Turn) -> bool {
        let mut guard = self.shard(hash).lock();
        let shard = &mut *guard;
        let Ok(mut found) = shard.entries.find_entry(hash, |entry| entry.id == id) else {
            drop(guard);
            inherit::forget(self.execution(id));
            return false;
        };
        let (wakers, abandoned) = match &mut found.get_mut().flight {
            Stage::Lone(_) => (None, true),
            Stage::Shared(_, state) => match state.vacate(turn) {
                Ok(wakers) => (Some(wakers), state.is_abandoned()),
                Err(Deposed) => {
                    drop(guard);
                    inherit::forget(self.execution(id));
                    return false;
                }
            },
        };
        if abandoned {
            let entry = found.remove().0;
            shard.removed(hash, id);
            drop(guard);
            entry.discard();
            inherit::forget(self.execution(id));
        } else {
            drop(guard);
            self.rare.left.fetch_add(1, Relaxed);
        }
        if let Some(Wakers { leader, followers }) = wakers {
            discard(leader);
            offer(followers);
        }
        !abandoned
    }

    /// A caller that waits goes. `given` says that it has given its body to a task.
    pub(super) fn follower_leaves(&self, flight: &Flight<V>, slot: Option<Slot>, given: bool) {
        let mut guard = self.shard(flight.hash).lock();
        let shard = &mut *guard;
        shard.unshared += u64::from(!given);
        let Some(state) = shard.state(flight) else {
            return;
        };
        let waker = state.leave(slot, given);
        if state.is_abandoned() {
            let abandoned = shard.remove(flight);
            drop(guard);
            if let Some(entry) = abandoned {
                entry.abandon();
            }
            inherit::forget(self.execution(flight.id));
        } else if state.is_lost() {
            let others = state.all_lost();
            drop(guard);
            wake(others);
        } else {
            drop(guard);
        }
        discard(waker);
    }

    /// A task is polled: whether it leads no more, and has to end.
    pub(super) fn retires(&self, flight: &Flight<V>, turn: Turn) -> bool {
        let mut shard = self.shard(flight.hash).lock();
        shard.state(flight).is_none_or(|state| !state.leads(turn))
    }

    pub(super) fn counts(&self) -> stats::Counts {
        let mut counts = stats::Counts::default();
        for (first_id, shard) in self.shards.iter().enumerate() {
            let shard = shard.0.lock();
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

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Watched for Table<K, V> {
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
            let mut deposed = Vec::new();
            let mut shard = shard.lock();
            // Flights that get their first follower meanwhile are behind these, and for the next pass.
            let left = pass.at.unwrap_or(usize::MAX).min(shard.followed.len());
            let looks = left.min(LOOKS);
            for _ in 0..looks {
                self.look_at_next(&mut shard, budget, actions, &mut deposed);
            }
            pass.at = Some(left - looks);
            if left == looks {
                pass.next_shard(!shard.followed.is_empty());
            }
            drop(shard);
            for followers in deposed {
                actions.wake.extend(followers.newest_first());
            }
        }
        Some(pass.any)
    }

    fn is_quiet(&self) -> bool {
        let mut shards = self.shards.iter();
        shards.all(|Padded(shard)| shard.lock().followed.is_empty())
    }
}

/// How many flights the watch looks at before it unlocks their shard for a moment.
const LOOKS: usize = 32;

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Table<K, V> {
    /// Looks for a stalled leader: of the flight that was not looked at for the longest time.
    fn look_at_next(
        &self,
        shard: &mut Shard<K, V>,
        budget: &mut Budget,
        actions: &mut Actions,
        deposed: &mut Vec<Places<Waker>>,
    ) {
        let Some((hash, id)) = shard.followed.pop_front() else {
            return;
        };
        budget.spend(Budget::FLIGHT);
        let Some(Entry {
            flight: Stage::Shared(flight, state),
            ..
        }) = shard.entries.find_mut(hash, |entry| entry.id == id)
        else {
            // It has landed.
            return;
        };
        match state.tick(|| frames::polled_anywhere(self.execution(id))) {
            Tick::Nothing => {}
            Tick::Long => actions.long.push(flight.clone()),
            Tick::Prod(leader) => {
                budget.spend(Budget::PROD);
                actions.wake.push(leader);
            }
            Tick::Deposed { followers, leader } => {
                self.rare.stalled.fetch_add(1, Relaxed);
                deposed.push(followers);
                actions.drop.extend(leader);
                actions.stalled.push(flight.clone());
            }
        }
        shard.followed.push_back((hash, id));
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

    /// Where a flight's entry is, while it is up: where it was, unless the table has grown or shrunk since.
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
            Stage::Shared(_, state) => Some(state),
            Stage::Lone(_) => None,
        }
    }

    /// Takes a flight that nobody waits for any more out of the map.
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

impl<K: Send + Sync + 'static, V> Entry<K, V> {
    #[inline]
    fn is_open(&self, hash: u64, key: &impl Key<Owned = K>) -> bool {
        self.hash == hash && self.born != CLOSED && key.is(&self.key)
    }
}

impl<K, V> Entry<K, V> {
    /// How many callers wait for another's execution.
    fn followers(&self) -> u32 {
        match &self.flight {
            Stage::Lone(_) => 0,
            Stage::Shared(_, state) => state.followers(),
        }
    }

    /// The flight, and whether it was made by this call: then the watch has to know of it.
    fn shared(
        &mut self,
        bucket: u32,
        watched: &mut VecDeque<(u64, u64)>,
    ) -> (&mut Arc<Flight<V>>, &mut State<Waker>, bool) {
        let mut first = false;
        if let Stage::Lone(leader) = &mut self.flight {
            let flight = Arc::new(Flight::of(self.hash, self.id, bucket));
            let state = Box::new(State::led(leader.take()));
            self.flight = Stage::Shared(flight, state);
            watched.push_back((self.hash, self.id));
            first = true;
        }
        match &mut self.flight {
            Stage::Shared(flight, state) => (flight, state, first),
            Stage::Lone(_) => unreachable!("made one above"),
        }
    }

    /// Drops what an entry held, a key and a leader's waker, and wakes the followers: all of that is user code.
    #[inline]
    fn discard(self) {
        let Self { key, flight, .. } = self;
        if mem::needs_drop::<K>() {
            guarded(|| drop(key));
        }
        match flight {
            Stage::Lone(waker) => discard(waker),
            Stage::Shared(_, state) => state.into_wakers().wake(),
        }
    }

    /// The same for a flight that nobody waits for any more: its task is woken, to end.
    #[cold]
    fn abandon(self) {
        let Self { key, flight, .. } = self;
        guarded(|| drop(key));
        if let Stage::Shared(_, state) = flight {
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

/// Wakes those who may claim a vacancy. The newest has the most time left, as a rule, and is the first.
fn offer(followers: Places<Waker>) {
    wake_all(followers.newest_first());
}

/// Wakes those who wait, even if a waker panics.
fn wake(followers: Places<Waker>) {
    followers.for_each(|waker| guarded(|| waker.wake()));
}

impl<K, V> std::fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("function", self.function.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::Cloned;
    use crate::key::{ByRef, ByValue};
    use crate::strangers::{names, numbers, picked, spread, withstands_one_who_watches};

    #[test]
    fn keys_do_not_meet_even_if_a_stranger_sees_how_they_spread() {
        let table = Table::<_, ()>::new("pairs".into(), 1);
        withstands_one_who_watches(|(one, other)| {
            table.hash(&(ByValue(one), (ByValue(other), ())))
        });
    }

    #[test]
    fn keys_that_a_stranger_picks_spread_like_random_ones() {
        let ids = Table::<_, ()>::new("ids".into(), 1);
        let by_id = |id: &u64| ids.hash(&(ByValue(id), ()));
        spread(&picked(numbers()), by_id, by_id);
        let by_name = Table::<_, ()>::new("names".into(), 1);
        let name = |name: &String| by_name.hash(&(ByRef(name.as_str()), ()));
        spread(&picked(names()), name, by_id);
    }

    #[test]
    fn keys_spread_over_the_shards() {
        let table = Table::<_, ()>::new("spread".into(), 8);
        for id in 0..1000_u64 {
            let key = (ByValue(&id), ());
            table.enter(table.hash(&key), &key, Joining::new(), Caller::current());
        }
        for shard in &table.shards {
            let len = shard.0.lock().entries.len();
            assert!((60..200).contains(&len), "{len} of 1000 in one of 8");
        }
    }

    #[test]
    fn the_watch_forgets_flights_as_they_land() {
        let table = Table::<_, ()>::new("watched".into(), 1);
        let (hash, joining) = (table.hash(&()), Joining::new());
        let followed = || {
            let Entered::Leads(id, _) = table.enter(hash, &(), joining, Caller::current()) else {
                panic!("nothing is up that is not forgotten");
            };
            table.enter(hash, &(), joining, Caller::current());
            table.forget(&());
            id
        };
        let lands = |id| match table.land::<Cloned<()>>(hash, id, 0, ()) {
            Landed::Shared(_, 1) => {}
            _ => panic!("it has a follower"),
        };
        let watched = || {
            let shard = table.shards[0].0.lock();
            (shard.followed.len(), shard.followed.capacity() <= KEPT)
        };
        // One after another, beside one that stays.
        let stays = followed();
        for _ in 0..100 {
            lands(followed());
            assert_eq!(watched(), (1, true), "the one that stays");
        }
        // And many at once.
        let many: Vec<_> = (0..1000).map(|_| followed()).collect();
        many.into_iter().for_each(lands);
        lands(stays);
        assert_eq!(watched(), (0, true));
    }
}

//! A call begins: it opens a flight, joins one, or runs by itself. And `forget`, after which no call joins.

use std::time::Duration;

use hashbrown::hash_table::Entry as Place;
use tokio::time::Instant;

use super::{CLOSED, EPOCH, Entry, Form, Table};
use crate::dedup::Joining;
use crate::dedup::flight::Flight;
use crate::key::Key;
use crate::observe::Caller;
use crate::sync::Arc;
use crate::wake::drop_guarded;

/// The role in which a call begins.
pub(crate) enum Entered<V> {
    /// It opened the flight with this number, in this bucket of its shard.
    Leads(u64, u32),
    Follows(Following<V>),
    /// Runs by itself, beside the flight.
    Alone,
    /// Gets the error of `busy`.
    Refused,
}

/// A call that follows.
pub(crate) struct Following<V> {
    pub(crate) flight: Arc<Flight<V>>,
    /// It is the first that does: the watch has to look at this flight from now on.
    pub(crate) first: bool,
}

impl<K, V> Table<K, V> {
    /// A call begins.
    pub(crate) fn enter(
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
        drop_guarded(copy);
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
            flight: Form::Lone(None),
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
    pub(crate) fn forget(&self, key: &impl Key<Owned = K>) {
        let hash = self.hash(key);
        let mut shard = self.shard(hash).lock();
        if let Some(entry) = shard
            .entries
            .find_mut(hash, |entry| entry.is_open(hash, key))
        {
            entry.born = CLOSED;
        }
    }
}

//! Tables in shards, each behind a lock of its own, as flights and groups have them.

use std::hash::{BuildHasher, Hash, Hasher};
use std::num::NonZero;
use std::sync::OnceLock;
use std::thread::available_parallelism;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::key::Key;
use crate::sync::Mutex;

/// Shards of a table in a scope that is not the global one: there may be many such scopes.
pub(crate) const SCOPED: usize = 4;

/// Shards of a table in the global scope.
pub(crate) fn global() -> usize {
    static SHARDS: OnceLock<usize> = OnceLock::new();
    *SHARDS.get_or_init(|| shards_for(available_parallelism().map_or(4, NonZero::get)))
}

/// A few for each thread that may want one at the same time.
fn shards_for(threads: usize) -> usize {
    (threads * 8).next_power_of_two().clamp(16, 128)
}

/// Shards, found by the hash of a key.
pub(crate) struct Sharded<S> {
    hasher: RandomState,
    shards: Box<[Padded<S>]>,
}

/// Alone in its pair of cache lines (x86-64 prefetches them in pairs, some ARM has lines of 128 bytes).
#[repr(align(128))]
struct Padded<S>(Mutex<S>);

impl<S> Sharded<S> {
    /// At least this many shards, a power of two. `shard` gets the number of each.
    pub(crate) fn new(shards: usize, shard: impl Fn(u64) -> S) -> Self {
        let numbers = 0..shards.next_power_of_two() as u64;
        Self {
            hasher: RandomState::default(),
            shards: numbers.map(|n| Padded(Mutex::new(shard(n)))).collect(),
        }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &impl Key) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// The hash of another value.
    #[inline]
    pub(crate) fn hash_one(&self, value: &impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }

    /// By bits of the hash that the shard's own table uses neither for its index nor for its tags.
    #[inline]
    pub(crate) fn of(&self, hash: u64) -> &Mutex<S> {
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)].0
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.shards.len()
    }

    pub(crate) fn get(&self, number: usize) -> Option<&Mutex<S>> {
        self.shards.get(number).map(|shard| &shard.0)
    }

    /// In the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mutex<S>> {
        self.shards.iter().map(|shard| &shard.0)
    }
}

/// Entries for which a shard keeps room while it is idle.
pub(crate) const KEPT: usize = 28;

/// Gives memory back after an entry was removed. The cost is a constant for each removal: a table that is copied was once
/// eight times as full.
pub(crate) fn give_back<T>(entries: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    let (len, capacity) = (entries.len(), entries.capacity());
    if capacity > KEPT && len < capacity / 8 {
        entries.shrink_to(len * 2, hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_finds_a_few_shards() {
        let all = [1, 2, 3, 4, 8, 16, 64].map(shards_for);
        assert_eq!(all, [16, 16, 32, 32, 64, 128, 128]);
        assert!((16..=128).contains(&global()));
    }

    #[test]
    fn room_is_kept_while_it_is_used_and_while_it_is_little() {
        let hash = |n: &u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut entries = HashTable::new();
        for n in 0..1000 {
            entries.insert_unique(hash(&n), n, hash);
        }
        for n in 0..1000 {
            let before = entries.capacity();
            entries
                .find_entry(hash(&n), |&it| it == n)
                .unwrap()
                .remove();
            give_back(&mut entries, hash);
            let (len, after) = (entries.len(), entries.capacity());
            if before <= KEPT || len >= before / 8 {
                assert_eq!(before, after, "{len} left");
            } else {
                assert!(after < before && after >= 2 * len, "{len} left");
            }
        }
        assert!((1..=KEPT).contains(&entries.capacity()));
    }
}

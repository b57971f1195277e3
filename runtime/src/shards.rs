//! What the shards of flights and of groups have in common.

use hashbrown::HashTable;

/// Alone in its pair of cache lines (x86-64 prefetches them in pairs, some ARM has lines of 128 bytes).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

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

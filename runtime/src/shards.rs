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

#[cfg(test)]
mod tests {
    use super::*;

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

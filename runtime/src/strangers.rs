//! Keys that a stranger picks so that they meet in few buckets, and how they spread by our hashers.
//!
//! The stranger knows the hash function, but not its seed, which is random for each table. Found by trying, with a fixed
//! seed: keys that share the lowest bits of their hash, which are those that a table picks a bucket by.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

/// As many as in a table that is about to grow.
const KEYS: usize = 100_000;
const BUCKETS: u64 = 1 << 17;
/// All keys in one of this many parts of the table.
const CROWDED: u64 = 32;

/// The candidates that a stranger picks.
pub(crate) fn picked<K: Hash>(candidates: impl Iterator<Item = K>) -> Vec<K> {
    let fixed = FixedState::with_seed(1);
    candidates
        .filter(|key| fixed.hash_one(key) % CROWDED == 0)
        .take(KEYS)
        .collect()
}

/// Numbers, as they come.
pub(crate) fn numbers() -> impl Iterator<Item = u64> {
    0..
}

/// User names, as they come.
pub(crate) fn names() -> impl Iterator<Item = String> {
    (0..).map(|n| format!("user-{n}"))
}

/// Numbers of no order.
pub(crate) fn at_random() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0x9E37_79B9_7F4A_7C15u64), |&last| {
        let mut next = last;
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        Some(next)
    })
}

/// Pairs of keys that meet in a bucket, and the keys of the fullest shard.
fn crowd(hashes: impl Iterator<Item = u64>) -> (u64, u64) {
    let mut buckets = vec![0u64; BUCKETS as usize];
    let mut shards = [0u64; 16];
    for hash in hashes {
        buckets[(hash % BUCKETS) as usize] += 1;
        shards[(hash >> 40) as usize % 16] += 1;
    }
    let pairs = buckets.iter().map(|n| n * n.saturating_sub(1) / 2).sum();
    (pairs, shards.into_iter().max().unwrap_or(0))
}

/// Compares the picked keys with random ones, by the hash of a table.
pub(crate) fn spread<K: Hash>(picked: &[K], hash: impl Fn(&K) -> u64, of: impl Fn(&u64) -> u64) {
    assert_eq!(picked.len(), KEYS);
    let fixed = FixedState::with_seed(1);
    let (random_pairs, random_shard) = crowd(at_random().take(KEYS).map(|key| of(&key)));
    let (attacked, _) = crowd(picked.iter().map(|key| fixed.hash_one(key)));
    assert!(attacked > 20 * random_pairs, "no attack: {attacked}");
    let (pairs, shard) = crowd(picked.iter().map(hash));
    assert!(pairs < 3 * random_pairs, "{pairs}, random {random_pairs}");
    assert!(shard < 3 * random_shard, "{shard}, random {random_shard}");
}

/// The largest number of pairs of keys that meet in a bucket, for keys of two numbers of which the stranger picks the first.
///
/// The stranger starts with the best of many picks, and keeps each change of one or two bits that makes more pairs. This
/// one sees the pairs themselves, which is more than any timing tells.
fn climb(hash: impl Fn(&(u64, u64)) -> u64) -> u64 {
    const TOGETHER: u64 = 256;
    let pairs = |first: u64| {
        let mut buckets = [0u64; TOGETHER as usize];
        for second in 0..TOGETHER {
            buckets[(hash(&(first, second)) % TOGETHER) as usize] += 1;
        }
        buckets.iter().map(|n| n * n.saturating_sub(1) / 2).sum()
    };
    let picks = at_random().take(2_000);
    let (mut most, mut first) = picks
        .map(|pick| (pairs(pick), pick))
        .max()
        .unwrap_or_default();
    for _ in 0..2 {
        for (one, other) in (0..64).flat_map(|one| (0..=one).map(move |other| (one, other))) {
            // Equal ones change one bit.
            let changed = first ^ (1 << one) ^ ((1 << other) & !(1 << one));
            let found = pairs(changed);
            if found > most {
                (most, first) = (found, changed);
            }
        }
    }
    most
}

/// Asserts that a stranger who sees how the keys of a table spread can't make them meet, as one can with foldhash's faster
/// variant: its hash of two numbers is one product, whose lowest bits are those of the first number, times the second.
pub(crate) fn withstands_one_who_watches(hash: impl Fn(&(u64, u64)) -> u64) {
    // Of random keys, half as many as there are buckets.
    let random = 128;
    let weak = FixedState::with_seed(1);
    let attacked = climb(|key| weak.hash_one(key));
    assert!(attacked > 20 * random, "no attack: {attacked}");
    let found = climb(hash);
    assert!(found < 3 * random, "{found}, random {random}");
}

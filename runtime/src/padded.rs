//! Keeps neighbours out of each other's cache lines.

/// Alone in its pair of cache lines (x86-64 prefetches them in pairs, some ARM has lines of 128 bytes).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

//! Signatures as services have them, annotated with the fewest options that make them fit, and called: overlapping equal
//! reads are one execution, and writes that come together are one.

#![allow(clippy::needless_pass_by_value, clippy::ptr_arg)]

/// Asserts that simultaneous calls make one execution.
macro_rules! together {
    ($pool:expr, $($call:expr),+ $(,)?) => {{
        let before = $pool.executions();
        let all = tokio::join!($($call),+);
        assert_eq!($pool.executions() - before, 1, "{}", stringify!($($call),+));
        all
    }};
}

/// Asserts that simultaneous calls make one execution each.
macro_rules! apart {
    ($pool:expr, $first:expr, $second:expr) => {{
        let before = $pool.executions();
        let both = tokio::join!($first, $second);
        assert_eq!($pool.executions() - before, 2);
        both
    }};
}

mod functions;
mod handlers;
mod loaders;
mod repositories;
mod stand_ins;
mod writes;

#[test]
fn there_are_at_least_eighty() {
    let sources = [
        include_str!("functions.rs"),
        include_str!("handlers.rs"),
        include_str!("loaders.rs"),
        include_str!("repositories.rs"),
        include_str!("writes.rs"),
    ];
    let is_one = |line: &&str| line.starts_with("#[dedup") || line.starts_with("#[batch");
    let lines = sources.iter().flat_map(|source| source.lines());
    let both = sources
        .iter()
        .map(|source| source.matches("#[dedup]\n").count());
    let count = lines.map(str::trim_start).filter(is_one).count() - both.sum::<usize>();
    assert!(count >= 80, "{count}");
}

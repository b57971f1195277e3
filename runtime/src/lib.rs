//! piggyback
#![forbid(unsafe_code)]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod batch;
mod bounds;
mod dedup;
mod fixed;
mod frames;
mod key;
mod padded;
mod path;
mod scope;
mod slots;
mod stats;
mod sync;
mod wake;
mod watch;

pub use piggyback_macros::{batch, dedup};
pub use scope::Scope;
pub use stats::{Closed, Kind, Row, Stats};

/// Shards of a table in the global scope: a few for each thread that may want one at the same time.
fn shards() -> usize {
    static SHARDS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *SHARDS.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(4, std::num::NonZero::get);
        (threads * 8).next_power_of_two().clamp(16, 128)
    })
}

/// Shards of a table in a scope that is not the global one: there may be many such scopes.
const SCOPED_SHARDS: usize = 4;

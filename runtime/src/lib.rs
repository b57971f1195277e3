#![doc = include_str!("../docs/crate.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod batch;
mod bounds;
mod dedup;
mod failure;
mod fixed;
#[cfg(feature = "fleet")]
pub mod fleet;
mod key;
#[cfg(test)]
mod model;
mod observe;
mod path;
mod reentrancy;
mod scope;
mod shards;
mod shared;
mod slots;
mod stats;
#[cfg(test)]
mod strangers;
mod sync;
mod wake;
mod watch;

pub use failure::{Failure, FailureKind};
#[doc = include_str!("../docs/batch.md")]
pub use piggyback_macros::batch;
#[doc = include_str!("../docs/dedup.md")]
pub use piggyback_macros::dedup;
pub use scope::Scope;
#[cfg(feature = "anyhow")]
pub use shared::anyhow;
#[cfg(feature = "eyre")]
pub use shared::eyre;
pub use stats::{Closed, Kind, Row, Stats};

#[doc = include_str!("../docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("../docs/guide.md")]
pub mod guide {
    #[doc = include_str!("../docs/guide/adopting.md")]
    pub mod adopting {}
    #[doc = include_str!("../docs/guide/axum.md")]
    pub mod axum {}
    #[doc = include_str!("../docs/guide/bounds.md")]
    pub mod bounds {}
    #[doc = include_str!("../docs/guide/choosing.md")]
    pub mod choosing {}
    #[doc = include_str!("../docs/guide/comparison.md")]
    pub mod comparison {}
    #[doc = include_str!("../docs/guide/errors.md")]
    pub mod errors {}
    #[doc = include_str!("../docs/guide/faq.md")]
    pub mod faq {}
    #[doc = include_str!("../docs/guide/postgresql.md")]
    pub mod postgresql {}
    #[doc = include_str!("../docs/guide/testing.md")]
    pub mod testing {}
}

#[doc = include_str!("../docs/observe.md")]
pub mod observing {}

/// Shards of a table in the global scope.
fn shards() -> usize {
    static SHARDS: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *SHARDS.get_or_init(|| {
        let threads = std::thread::available_parallelism();
        shards_for(threads.map_or(4, std::num::NonZero::get))
    })
}

/// A few for each thread that may want one at the same time.
fn shards_for(threads: usize) -> usize {
    (threads * 8).next_power_of_two().clamp(16, 128)
}

/// Shards of a table in a scope that is not the global one: there may be many such scopes.
const SCOPED_SHARDS: usize = 4;

#[cfg(test)]
mod tests {
    #[test]
    fn each_thread_finds_a_few_shards() {
        let all = [1, 2, 3, 4, 8, 16, 64].map(super::shards_for);
        assert_eq!(all, [16, 16, 32, 32, 64, 128, 128]);
        assert!((16..=128).contains(&super::shards()));
    }
}

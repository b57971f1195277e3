#![doc = include_str!("../docs/crate.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod batch;
mod bounds;
mod busy;
mod dedup;
mod failure;
mod fixed;
#[cfg(feature = "fleet")]
pub mod fleet;
mod key;
#[cfg(test)]
mod model;
mod observe;
mod reentrancy;
mod scope;
mod shards;
mod sharing;
mod site;
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
pub use sharing::ready_made::anyhow;
#[cfg(feature = "eyre")]
pub use sharing::ready_made::eyre;
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

//! piggyback
#![forbid(unsafe_code)]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod batch;
mod dedup;
mod key;
mod path;
mod scope;

pub use piggyback_macros::{batch, dedup};
pub use scope::Scope;

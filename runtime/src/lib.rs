//! piggyback
#![forbid(unsafe_code)]

mod batch;
mod dedup;
mod key;
mod path;
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod scope;

pub use scope::Scope;

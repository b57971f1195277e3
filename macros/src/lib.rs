//! The attributes of the `piggyback` crate. Depend on `piggyback`, which re-exports and documents them.
//!
//! One way through, for both: the parentheses become `options`, the function becomes a `signature`, `plan` checks
//! that the two fit together, and `batch` and `dedup` write the expansion, which can't fail. Mistakes are collected
//! on the way (`errors`); if there are any, `fallback` emits a function that callers can't tell from the right one.
#![forbid(unsafe_code)]

mod arguments;
mod batch;
mod beside;
mod dedup;
mod errors;
mod fallback;
mod items;
mod known;
mod options;
mod other;
mod outcome;
mod plan;
mod receiver;
mod signature;
#[cfg(test)]
mod snapshots;
mod tokens;
mod validate;

use options::Attribute;

/// Overlapping calls with equal arguments share one execution. Documented in the `piggyback` crate.
#[proc_macro_attribute]
pub fn dedup(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    plan::expand(Attribute::Dedup, options.into(), item.into()).into()
}

/// Not for users: see `other`.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn __piggyback_expanded(
    marker: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    other::expanded(marker.into(), item.into()).into()
}

/// A bulk function that is called with one item. Documented in the `piggyback` crate.
#[proc_macro_attribute]
pub fn batch(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    plan::expand(Attribute::Batch, options.into(), item.into()).into()
}

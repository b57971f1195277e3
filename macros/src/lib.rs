//! The attributes of the `piggyback` crate. Depend on `piggyback`, which re-exports and documents them.
//!
//! Both attributes take the same path (`expand`): the parentheses are read into `options` and the function into a
//! `function`, which are plain data; `check` says whether the two fit together; `batch` and `dedup` write the expansion,
//! which cannot fail. If there were mistakes (`errors`), `fallback` emits a function with the correct signature.
#![forbid(unsafe_code)]

mod batch;
mod call;
mod check;
mod dedup;
mod errors;
mod expand;
mod fallback;
mod function;
mod items;
mod keyparts;
mod lints;
mod marker;
mod options;
mod output;
mod private;
mod receiver;
mod siblings;
#[cfg(test)]
mod snapshots;
mod tokens;
mod types;

use options::Attribute;

/// Overlapping calls with equal arguments share one execution. Documented in the `piggyback` crate.
#[proc_macro_attribute]
pub fn dedup(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand::expand(Attribute::Dedup, options.into(), item.into()).into()
}

/// Not for users: see `marker`.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn __piggyback_expanded(
    marker: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    marker::expanded(marker.into(), item.into()).into()
}

/// A bulk function that is called with one item. Documented in the `piggyback` crate.
#[proc_macro_attribute]
pub fn batch(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand::expand(Attribute::Batch, options.into(), item.into()).into()
}

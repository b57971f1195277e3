//! Whether the options and the function fit together: all that can be seen without knowing types.

mod arguments;
mod options;
mod output;
mod recursion;

use crate::errors::Errors;
use crate::function::Function;
use crate::items::{Items, List};
use crate::options::{Attribute, Options};
use crate::output::HandOut;
use proc_macro2::Ident;

/// What is to be expanded, as far as it could be read.
pub(crate) struct Seen<'a> {
    pub(crate) function: &'a Function,
    pub(crate) dedup: Option<&'a Options>,
    pub(crate) batch: Option<&'a Options>,
    pub(crate) items: Option<&'a Items>,
    pub(crate) hand_out: Option<HandOut>,
}

/// Notes all mistakes, in the order in which a reader meets them.
pub(crate) fn all(seen: &Seen<'_>, errors: &mut Errors) {
    let function = seen.function;
    if function.form.is_none() {
        errors.at(
            function.sig.fn_token,
            format!("this function is not async; write `async fn`, or return `impl Future<Output = …>`; if it is written as `async fn`, another attribute has already rewritten it: move `#[{}]` above that attribute", seen.attribute().name()),
        );
    }
    options::of_both(seen.common(), errors);
    let siblings = [
        seen.common().direct.as_ref(),
        seen.dedup.and_then(|dedup| dedup.forget.as_ref()),
        seen.batch.and_then(|batch| batch.many.as_ref()),
    ];
    options::names(&function.sig.ident, siblings.into_iter().flatten(), errors);
    for (attribute, options) in [
        (Attribute::Dedup, seen.dedup),
        (Attribute::Batch, seen.batch),
    ] {
        if let Some(options) = options {
            options::of_one(attribute, options, errors);
        }
    }
    if let (Some(dedup), Some(batch)) = (seen.dedup, seen.batch) {
        options::together(dedup, batch, errors);
    }
    // Without the items, it is not known what the other arguments are.
    if seen.batch.is_none() || seen.items.is_some() {
        arguments::all(seen, errors);
        recursion::calls_itself(seen, errors);
        output::all(seen, errors);
    }
}

impl<'a> Seen<'a> {
    fn attribute(&self) -> Attribute {
        match self.dedup {
            Some(_) => Attribute::Dedup,
            None => Attribute::Batch,
        }
    }

    /// The options of either, for those that hold for both.
    pub(crate) fn common(&self) -> &'a Options {
        let one = self.dedup.or(self.batch);
        one.expect("an attribute is expanded for its options")
    }

    fn outlives(&self) -> bool {
        self.batch.is_some() || self.dedup.is_some_and(|dedup| dedup.spawn.is_some())
    }

    /// The list of items that an argument is.
    fn list(&self, index: usize) -> Option<&'a List> {
        self.items?.lists.iter().find(|list| list.index == index)
    }

    /// The name of an option, on whichever attribute it stands.
    pub(crate) fn given(&self, name: &str) -> Option<&'a Ident> {
        let all = [self.dedup, self.batch].into_iter().flatten();
        all.into_iter().find_map(|options| options.given(name))
    }

    /// What the arguments belong to by which calls are told apart.
    fn key(&self) -> &'static str {
        match self.attribute() {
            Attribute::Dedup => "key",
            Attribute::Batch => "group",
        }
    }

    fn execution(&self) -> &'static str {
        match self.batch {
            Some(_) => "the bulk call",
            None => "a spawned execution",
        }
    }
}

//! Checks whether the options and the function fit together, as far as tokens show.

mod arguments;
mod options;
mod output;
mod recursion;

use crate::errors::Errors;
use crate::function::Function;
use crate::items::{Items, List};
use crate::options::{Attribute, Given, Options, Sibling};
use crate::output::HandOut;
use proc_macro2::Ident;

/// The function and its attributes, as far as they could be read.
pub(crate) struct Seen<'a> {
    pub(crate) function: &'a Function,
    pub(crate) dedup: Option<&'a Options>,
    pub(crate) batch: Option<&'a Options>,
    pub(crate) items: Option<&'a Items>,
    pub(crate) hand_out: Option<HandOut>,
}

pub(crate) fn all(seen: &Seen<'_>, errors: &mut Errors) {
    let function = seen.function;
    if function.form.is_none() {
        errors.at(
            function.sig.fn_token,
            format!("this function is not async; write `async fn`, or return `impl Future<Output = …>`; if it is written as `async fn`, another attribute has already rewritten it: move `#[{}]` above that attribute", seen.attribute().name()),
        );
    }
    options::of_both(seen.common(), errors);
    let siblings = seen.siblings().into_iter().flatten();
    options::names(&function.sig.ident, siblings, errors);
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
    // Which arguments select the group is known only if the items are.
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

    /// The options of either attribute, for those that hold for both.
    pub(crate) fn common(&self) -> &'a Options {
        let one = self.dedup.or(self.batch);
        one.expect("an attribute is expanded for its options")
    }

    /// The functions that `direct`, `forget` and `many` add.
    pub(crate) fn siblings(&self) -> [Option<&'a Given<Sibling>>; 3] {
        [
            self.common().direct.as_ref(),
            self.dedup.and_then(|dedup| dedup.forget.as_ref()),
            self.batch.and_then(|batch| batch.many.as_ref()),
        ]
    }

    fn outlives(&self) -> bool {
        self.batch.is_some() || self.dedup.is_some_and(|dedup| dedup.spawn.is_some())
    }

    /// The list of items at this argument.
    fn list(&self, index: usize) -> Option<&'a List> {
        self.items?.lists.iter().find(|list| list.index == index)
    }

    /// The name of an option, on whichever attribute it is given.
    pub(crate) fn given(&self, name: &str) -> Option<&'a Ident> {
        let all = [self.dedup, self.batch].into_iter().flatten();
        all.into_iter().find_map(|options| options.given(name))
    }

    /// The name of what the arguments select.
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

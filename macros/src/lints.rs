//! Keeps lints away from added code, and the lint levels of the user on the user's code.

use crate::tokens::mentions;
use proc_macro2::{Ident, Span};
use syn::{Attribute, Meta, parse_quote};

/// Silences all lints in code that a user can't change.
pub(crate) fn none() -> Attribute {
    parse_quote!(#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)])
}

/// `#[allow(…)]`s and the like.
pub(crate) fn levels(attrs: &[Attribute]) -> Vec<Attribute> {
    let is_level = |attr: &&Attribute| {
        let levels = ["allow", "expect", "warn", "deny"];
        levels.iter().any(|level| attr.path().is_ident(level))
    };
    attrs.iter().filter(is_level).cloned().collect()
}

/// Turns `#[expect(…)]` into `#[allow(…)]` on a function that no longer holds the body to which it refers.
pub(crate) fn allow(attrs: &mut [Attribute]) {
    for attr in attrs {
        if let Meta::List(list) = &mut attr.meta {
            if list.path.is_ident("expect") {
                list.path = Ident::new("allow", Span::call_site()).into();
            }
        }
    }
}

/// Does the same if the attribute is about unused variables: the expansion uses every argument.
pub(crate) fn allow_unused<'a>(attrs: impl Iterator<Item = &'a mut Attribute>) {
    for attr in attrs {
        let Meta::List(list) = &attr.meta else {
            continue;
        };
        let says = |name| mentions(&list.tokens, &Ident::new(name, Span::call_site()));
        if says("unused_variables") || says("unused_mut") || says("unused") {
            allow(std::slice::from_mut(attr));
        }
    }
}

//! What is emitted beside errors: a function that callers can't tell from the right one, so that nothing else breaks.

use crate::items::Items;
use crate::outcome::HandOut;
use crate::signature::Function;
use crate::tokens::Private;
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

/// A function for `#[dedup]`: as written, and at least `async`.
pub(crate) fn dedup(mut function: Function) -> TokenStream {
    if function.form().is_none() {
        function.sig.asyncness = Some(parse_quote!(async));
    }
    function.as_written()
}

/// A function for `#[batch]`: with the signature that callers see, as far as it is known, and a body that fits it.
pub(crate) fn batch(
    mut function: Function,
    items: Option<&Items>,
    hand_out: Option<HandOut>,
    private: &Private,
) -> TokenStream {
    if function.form().is_none() {
        function.sig.asyncness = Some(parse_quote!(async));
    }
    if let Some(items) = items {
        if let (Some(output), Some(hand_out)) = (function.output(), hand_out) {
            function.set_output(hand_out.one(&output, &items.item(), private));
        }
        items.singular(&mut function);
    }
    function
        .attrs
        .push(parse_quote!(#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]));
    match function.form() {
        Some(form) => function.with_code(&form, &quote!(::core::unreachable!()), private),
        None => function.as_written(),
    }
}

//! What is emitted beside errors: a function that callers can't tell from the right one, so that nothing else breaks.

use crate::items::Items;
use crate::known;
use crate::options::{Common, Options};
use crate::outcome::HandOut;
use crate::signature::{Form, Function};
use crate::tokens::{Private, mentions, with_static_lifetimes, without_lints};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{FnArg, Pat, ReturnType, parse_quote};

/// A function for `#[dedup]`: as written, and at least `async`.
pub(crate) fn dedup(mut function: Function) -> TokenStream {
    if function.form().is_none() && !is_made_sync(&function) {
        function.sig.asyncness = Some(parse_quote!(async));
    }
    function.as_written()
}

/// Whether it blocks on what it does, as `#[tokio::main]` makes it, so that nobody waits for it.
fn is_made_sync(function: &Function) -> bool {
    mentions(&function.body, &Ident::new("block_on", Span::call_site()))
}

/// A function for `#[batch]`: with the signature that callers see, as far as it is known, and a body that fits it.
pub(crate) fn batch(
    mut function: Function,
    items: Option<&Items>,
    hand_out: Option<HandOut>,
    imported: Option<TokenStream>,
    private: &Private,
) -> TokenStream {
    let form = function.form().unwrap_or_else(|| {
        function.sig.asyncness = Some(parse_quote!(async));
        Form::Async
    });
    // What the user imported for the result stays in use.
    let mentioned = function.output().map(|output| {
        let (traits, output) = (known::traits(&output), known::without_impl(&output));
        quote! {
            #(#[allow(unused_imports)] use #traits as _;)*
            let _: ::core::marker::PhantomData<#output>;
        }
    });
    if let Some(items) = items {
        if let (Some(output), Some(hand_out)) = (function.output(), hand_out) {
            let output = known::without_impl(&output);
            let hand_out = match hand_out {
                HandOut::OneBy | HandOut::ManyBy if known::map(&output).is_some() => HandOut::Each,
                other => other,
            };
            if !hand_out.is_hopeless(&output) {
                let one = hand_out.one(&output, &items.item(), private);
                function.set_output(with_static_lifetimes(one));
            }
        }
        items.singular(&mut function);
    }
    if items.is_none() {
        // It is not known which argument is the items, so callers may give what they like.
        for argument in &mut function.sig.inputs {
            if let FnArg::Typed(argument) = argument {
                // A pattern does not fit that.
                if !matches!(*argument.pat, Pat::Ident(_)) {
                    *argument.pat = parse_quote!(_);
                }
                *argument.ty = parse_quote!(impl ::core::marker::Sized);
            }
        }
    }
    function.attrs.push(without_lints());
    function.with_code(
        &form,
        &quote!(#imported #mentioned ::core::unreachable!()),
        private,
    )
}

/// The function for a list of items.
pub(crate) fn many(
    function: &Function,
    many: &Ident,
    items: &Items,
    hand_out: Option<HandOut>,
    private: &Private,
) -> TokenStream {
    if *many == function.sig.ident {
        return TokenStream::new();
    }
    let form = function.form().unwrap_or(Form::Async);
    let output = function.output().unwrap_or_else(|| parse_quote!(()));
    let output = known::without_impl(&output);
    let one = match hand_out {
        Some(hand_out) if !hand_out.is_hopeless(&output) => {
            hand_out.one(&output, &items.item(), private)
        }
        _ => quote!(()),
    };
    let mut plural = items.plural(function, many, &with_static_lifetimes(one));
    plural.attrs = vec![without_lints()];
    plural.with_code(&form, &quote!(::core::unreachable!()), private)
}

/// The functions that options add.
pub(crate) fn siblings(
    function: &Function,
    common: &Common,
    dedup: Option<&Options>,
    private: &Private,
) -> TokenStream {
    let mut siblings = TokenStream::new();
    let is_new = |name: &Ident| *name != function.sig.ident;
    if let Some(direct) = common
        .direct
        .as_ref()
        .filter(|direct| is_new(&direct.value.ident))
    {
        let mut function = function.clone();
        function.sig.ident = direct.value.ident.clone();
        siblings.extend(self::dedup(function));
    }
    let forget = dedup
        .and_then(|dedup| dedup.forget.as_ref())
        .filter(|forget| is_new(&forget.value.ident));
    let is_direct = |name: &Ident| {
        common
            .direct
            .as_ref()
            .is_some_and(|direct| direct.value.ident == *name)
    };
    if let Some(forget) = forget.filter(|forget| !is_direct(&forget.value.ident)) {
        let mut function = function.clone();
        function.sig.ident = forget.value.ident.clone();
        function.sig.asyncness = None;
        let is_across = dedup.is_some_and(|dedup| dedup.across.is_some());
        let (output, body) = match is_across {
            true => (
                parse_quote!(-> #private::Forgotten),
                quote!(::core::unreachable!()),
            ),
            false => (ReturnType::Default, TokenStream::new()),
        };
        function.sig.output = output;
        function.attrs.push(without_lints());
        siblings.extend(function.with_block(body));
    }
    siblings
}

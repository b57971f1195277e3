//! Emits functions beside the errors whose signatures are those of the correct ones, so that callers still compile.

use crate::check::Seen;
use crate::function::Function;
use crate::items::Items;
use crate::lints;
use crate::output::{HandOut, Output};
use crate::private::Private;
use crate::tokens::{mentions, with_static_lifetimes};
use crate::types::{traits, without_impl};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{FnArg, Pat, ReturnType, parse_quote};

/// The function without its attributes.
pub(crate) fn function(
    seen: &Seen<'_>,
    imported: Option<&TokenStream>,
    private: &Private,
) -> TokenStream {
    let mut function = seen.function.clone();
    function.attrs.clear();
    match seen.batch {
        Some(_) => batch(function, seen, imported, private),
        None => dedup(function),
    }
}

/// The function as written, but always `async`.
fn dedup(mut function: Function) -> TokenStream {
    // `#[tokio::main]` turns a function into one that blocks, which its callers don't await.
    let is_made_sync = mentions(&function.text(), &Ident::new("block_on", Span::call_site()));
    if function.form.is_none() && !is_made_sync {
        function.make_async();
    }
    function.as_written()
}

/// The function with the signature that callers see, as far as it is known.
fn batch(
    mut function: Function,
    seen: &Seen<'_>,
    imported: Option<&TokenStream>,
    private: &Private,
) -> TokenStream {
    if function.form.is_none() {
        function.make_async();
    }
    // Uses the imports for the result, which would otherwise be reported as unused.
    let mentioned = function.writes_output().then(|| {
        let output = &function.output.ty;
        let (traits, output) = (traits(output), without_impl(output));
        quote! {
            #(#[allow(unused_imports)] use #traits as _;)*
            let _: ::core::marker::PhantomData<#output>;
        }
    });
    if let Some(items) = seen.items {
        if let Some(one) = one(&function, items, seen.hand_out, private) {
            function.set_output(one);
        }
        items.singular(&mut function);
    } else {
        // It is not known which argument is the items, so each accepts any type.
        for argument in &mut function.sig.inputs {
            if let FnArg::Typed(argument) = argument {
                // A pattern would restrict the type.
                if !matches!(*argument.pat, Pat::Ident(_)) {
                    *argument.pat = parse_quote!(_);
                }
                *argument.ty = parse_quote!(impl ::core::marker::Sized);
            }
        }
    }
    function.attrs.push(lints::none());
    function.with_code(
        &quote!(#imported #mentioned ::core::unreachable!()),
        private,
    )
}

/// What each caller gets, if it is known.
fn one(
    function: &Function,
    items: &Items,
    hand_out: Option<HandOut>,
    private: &Private,
) -> Option<TokenStream> {
    let output = Output::read(&without_impl(&function.output.ty));
    let by = match hand_out? {
        HandOut::OneBy | HandOut::ManyBy if output.map().is_some() => HandOut::Each,
        by => by,
    };
    let is_known = !output.is_hopeless(by);
    is_known.then(|| with_static_lifetimes(output.one(by, &items.item(), private)))
}

/// The functions that options add, except those whose names are taken.
pub(crate) fn siblings(seen: &Seen<'_>, private: &Private) -> TokenStream {
    let function = seen.function;
    let mut taken = vec![&function.sig.ident];
    let [direct, forget, many] = seen.siblings().map(|sibling| {
        let name = &sibling?.value.ident;
        let is_new = !taken.contains(&name);
        taken.push(name);
        is_new.then_some(name)
    });
    let renamed = |name: &Ident| {
        let mut function = function.clone();
        function.sig.ident = name.clone();
        function
    };
    let mut siblings = TokenStream::new();
    if let Some(direct) = direct {
        siblings.extend(dedup(renamed(direct)));
    }
    if let Some(forget) = forget {
        let mut function = renamed(forget);
        function.sig.asyncness = None;
        function.attrs.push(lints::none());
        let is_across = seen.given("across").is_some();
        let body = is_across.then(|| quote!(::core::unreachable!()));
        function.sig.output = match is_across {
            true => parse_quote!(-> #private::Forgotten),
            false => ReturnType::Default,
        };
        siblings.extend(function.with_block(quote!(#body)));
    }
    if let (Some(many), Some(items)) = (many, seen.items) {
        let one = one(function, items, seen.hand_out, private).unwrap_or_else(|| quote!(()));
        let mut plural = items.plural(function, many, &one);
        plural.attrs = vec![lints::none()];
        siblings.extend(plural.with_code(&quote!(::core::unreachable!()), private));
    }
    siblings
}

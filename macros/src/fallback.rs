//! What is emitted beside errors: functions that callers can't tell from the right ones, so that nothing else breaks.

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

/// The function, without its attributes.
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

/// As written, and at least `async`.
fn dedup(mut function: Function) -> TokenStream {
    // `#[tokio::main]` makes a function that blocks on what it does, so that nobody waits for it.
    let is_made_sync = mentions(&function.text(), &Ident::new("block_on", Span::call_site()));
    if function.form.is_none() && !is_made_sync {
        function.make_async();
    }
    function.as_written()
}

/// With the signature that callers see, as far as it is known, and a body that fits it.
fn batch(
    mut function: Function,
    seen: &Seen<'_>,
    imported: Option<&TokenStream>,
    private: &Private,
) -> TokenStream {
    if function.form.is_none() {
        function.make_async();
    }
    // What the user imported for the result stays in use.
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
    function.attrs.push(lints::none());
    function.with_code(
        &quote!(#imported #mentioned ::core::unreachable!()),
        private,
    )
}

/// What each caller gets, if it can be told.
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

/// The functions that options add, unless their names are mistakes.
pub(crate) fn siblings(seen: &Seen<'_>, private: &Private) -> TokenStream {
    let function = seen.function;
    let mut siblings = TokenStream::new();
    let mut taken = vec![function.sig.ident.clone()];
    let mut is_new = |name: &Ident| {
        let is_new = !taken.contains(name);
        taken.push(name.clone());
        is_new
    };
    let renamed = |name: &Ident| {
        let mut function = function.clone();
        function.sig.ident = name.clone();
        function
    };
    let direct = seen
        .common()
        .direct
        .as_ref()
        .map(|direct| &direct.value.ident);
    if let Some(direct) = direct.filter(|name| is_new(name)) {
        siblings.extend(dedup(renamed(direct)));
    }
    let forget = seen.dedup.and_then(|dedup| dedup.forget.as_ref());
    if let Some(forget) = forget
        .map(|forget| &forget.value.ident)
        .filter(|name| is_new(name))
    {
        let mut function = renamed(forget);
        function.sig.asyncness = None;
        let body = match seen.given("across") {
            Some(_) => {
                function.sig.output = parse_quote!(-> #private::Forgotten);
                quote!(::core::unreachable!())
            }
            None => {
                function.sig.output = ReturnType::Default;
                TokenStream::new()
            }
        };
        function.attrs.push(lints::none());
        siblings.extend(function.with_block(body));
    }
    let many = seen.batch.and_then(|batch| batch.many.as_ref());
    let many = many
        .map(|many| &many.value.ident)
        .filter(|name| is_new(name));
    if let (Some(many), Some(items)) = (many, seen.items) {
        let one = one(function, items, seen.hand_out, private).unwrap_or_else(|| quote!(()));
        let mut plural = items.plural(function, many, &one);
        plural.attrs = vec![lints::none()];
        siblings.extend(plural.with_code(&quote!(::core::unreachable!()), private));
    }
    siblings
}

//! The functions that `direct`, `forget` and `many` add, and how one function passes its arguments to another.
//!
//! The function of `direct` holds the body, and the annotated function calls it, so that the body is compiled once. The
//! function of `forget` polls the annotated one once, which then forgets the flight instead of running. Both need only each
//! other's names, so they can also stand in a trait.
//!
//! An attribute below ours may wrap the function in its own code, through which neither the body nor a call that only
//! forgets should go. Then a third function holds the code between the two.

use crate::function::Function;
use crate::items::Items;
use crate::lints;
use crate::marker;
use crate::options::Sibling;
use crate::private::Private;
use crate::tokens::{local, mentions};
use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute, FnArg, GenericParam, Lifetime, Meta, Pat, ReturnType, Signature, Type, Visibility,
    parse_quote,
};

/// A function beside the annotated one, as it is called.
pub(crate) struct Other {
    name: Ident,
    on_self: bool,
}

impl Other {
    /// Another function of this name. If nothing shows whether the functions belong to a `Self`, `sibling` may say so.
    /// Otherwise the compiler reports it at `sibling`, with what to write.
    fn of(function: &Function, name: &Ident, sibling: &Sibling) -> Self {
        let mut name = name.clone();
        name.set_span(name.span().located_at(sibling.ident.span()));
        Self {
            name,
            on_self: sibling.on_self || function.is_method(),
        }
    }

    /// A link to the annotated function, for the documentation.
    fn link(&self, function: &Ident) -> String {
        let on_self = if self.on_self { "Self::" } else { "" };
        format!("[`{function}`]({on_self}{function})")
    }

    /// Calls the function by its path, with all named generic parameters.
    //
    // Output: Self::user_now::<T>(self, id)
    fn call(&self, function: &Function, arguments: &[TokenStream]) -> TokenStream {
        let Self { name, on_self } = self;
        let on_self = on_self.then(|| quote!(Self::));
        let generics = &function.sig.generics;
        let generics: Vec<&Ident> = generics
            .params
            .iter()
            .filter_map(|param| match param {
                GenericParam::Type(param) => Some(&param.ident),
                GenericParam::Const(param) => Some(&param.ident),
                GenericParam::Lifetime(_) => None,
            })
            .collect();
        let generics = (!generics.is_empty()).then(|| quote!(::<#(#generics),*>));
        quote!(#on_self #name #generics(#(#arguments),*))
    }
}

/// The functions that hold the body, and the call of it with what the arguments bind. If the arguments can't be put
/// together again, there is no call, and the body is compiled twice.
// Input:  async fn user(id: u64) -> User { body }
// Output: async fn user_now(id: u64) -> User { body }
//         user_now(id).await
//
// An argument that options use (`used`) is not unused, even if the body does not mention it.
pub(crate) fn direct(
    function: &Function,
    direct: &Sibling,
    used: &TokenStream,
    private: &Private,
) -> (TokenStream, Option<TokenStream>) {
    let mut written = function.clone();
    written.sig.ident = direct.ident.clone();
    for input in &mut written.sig.inputs {
        if let FnArg::Typed(typed) = input {
            if matches!(&*typed.pat, Pat::Ident(pat) if mentions(used, &pat.ident)) {
                typed.attrs.push(parse_quote!(#[allow(unused_variables)]));
            }
        }
    }
    let Some(arguments) = function.passed_on() else {
        // The annotated function has the same body, and reports its lints.
        written.attrs.push(lints::none());
        return (written.as_written(), None);
    };
    let (name, siblings) = if function.attrs.iter().any(marker::wraps) {
        let mut inner = written.clone();
        inner.sig.ident = inner_name(&direct.ident);
        let other = Other::of(function, &inner.sig.ident, direct);
        let inner = hidden(inner).as_written();
        let called = called(&other, function, &arguments, private);
        lints::allow(&mut written.attrs);
        let written = written.with_code(&called, private);
        (other.name, quote!(#inner #written))
    } else {
        (direct.ident.clone(), written.as_written())
    };
    let other = Other::of(function, &name, direct);
    (
        siblings,
        Some(called(&other, function, &arguments, private)),
    )
}

/// Calls and awaits another function.
//
// In a trait's implementation, the other function is an error itself. So that it is the only error, a blanket trait
// provides a function of this name for every call.
fn called(
    other: &Other,
    function: &Function,
    arguments: &[TokenStream],
    private: &Private,
) -> TokenStream {
    let call = other.call(function, arguments);
    let may_be_in_trait = other.on_self && matches!(function.vis, Visibility::Inherited);
    let otherwise = may_be_in_trait.then(|| {
        let (name, of, no_lints) = (&other.name, local("Otherwise"), lints::none());
        let types: Vec<_> = (0..arguments.len())
            .map(|n| format_ident!("A{n}"))
            .collect();
        quote! {
            #no_lints
            trait #of {
                fn #name<#(#types,)* R>(#(_: #types),*) -> #private::Pending<R> {
                    #private::pending()
                }
            }
            impl<S: ?::core::marker::Sized> #of for S {}
        }
    });
    quote!(#otherwise #call.await)
}

// Output: fn forget_user(id: u64) { private::forget(user(id)) }
pub(crate) fn forget(
    function: &Function,
    called: &Ident,
    forget: &Sibling,
    is_across: bool,
    private: &Private,
) -> TokenStream {
    let other = Other::of(function, called, forget);
    let (mut sig, arguments) = forgetting(function);
    sig.ident = forget.ident.clone();
    // In a trait's implementation, the error about the function points at its name.
    let place = Span::call_site().located_at(forget.ident.span());
    sig.fn_token.span = place;
    let by = match is_across {
        true => {
            sig.output = parse_quote!(-> #private::Forgotten);
            quote!(#private::forget_across)
        }
        false => quote!(#private::forget),
    };
    let calls = combinations(&arguments).into_iter().map(|(on, arguments)| {
        let call = other.call(function, &arguments);
        match &on[..] {
            [] => quote!(#by(#call)),
            on => quote!(#[cfg(all(#(#on),*))] { #by(#call) }),
        }
    });
    let mut body = Group::new(Delimiter::Brace, quote!(#(#calls)*));
    body.set_span(place);
    let doc = format!(
        "Calls of {} that begin after this one don't join a flight that began before it.",
        other.link(&function.sig.ident)
    );
    let attrs = function.attrs.iter();
    let cfgs = attrs.filter(|attr| attr.path().is_ident("cfg"));
    let (vis, no_lints) = (&function.vis, lints::none());
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #no_lints
        #vis #sig #body
    }
}

/// The signature of a plain function with the same arguments, and these arguments, each with the conditions of its `#[cfg]`s.
fn forgetting(function: &Function) -> (Signature, Vec<(Vec<TokenStream>, TokenStream)>) {
    let plain = function.with_plain_names();
    let (names, mut sig) = (plain.forwarded(), plain.sig);
    sig.asyncness = None;
    sig.output = ReturnType::Default;
    let mut lifetimes = Vec::new();
    let arguments = sig.inputs.iter_mut().zip(&names).map(|(input, name)| {
        let mut conditions = Vec::new();
        if let FnArg::Typed(typed) = input {
            if let Some(ty) = named_lifetimes(&typed.ty, &mut lifetimes) {
                *typed.ty = ty;
            }
            typed.attrs.retain(|attr| attr.path().is_ident("cfg"));
            conditions.extend(typed.attrs.iter().filter_map(condition));
        }
        (conditions, quote!(#name))
    });
    let arguments = arguments.collect();
    for lifetime in lifetimes {
        sig.generics.params.insert(0, parse_quote!(#lifetime));
    }
    (sig, arguments)
}

// Input:  async fn save(pool: &Pool, users: Vec<User>) -> Result<(), Error>
// Output: async fn save_all(pool: &Pool, users: Vec<User>) -> Vec<Result<(), Error>> {
//             private::many(users, |users| save(pool, users)).await
//         }
pub(crate) fn many(
    function: &Function,
    many: &Sibling,
    items: &Items,
    one: &TokenStream,
    private: &Private,
) -> TokenStream {
    let name = &function.sig.ident;
    let other = Other::of(function, name, many);
    let mut plural = items.plural(function, &many.ident, one);
    let doc = format!(
        "Calls {} with a list of items, which join its batches together. Returns what each item gets, in order.",
        other.link(name)
    );
    plural.attrs.retain(|attr| attr.path().is_ident("cfg"));
    plural.attrs.push(parse_quote!(#[doc = #doc]));
    plural.attrs.push(lints::none());
    let names = items.names();
    let arguments = plural.forwarded().into_iter().map(|name| {
        let lent = items.by_ref && names.contains(&&name);
        let lent = lent.then(|| quote!(&));
        quote!(#lent #name)
    });
    let call = other.call(function, &arguments.collect::<Vec<_>>());
    // With `by_ref`, the call borrows from the item.
    let call = match items.by_ref {
        true => quote!(async move { #call.await }),
        false => call,
    };
    let item = items.item();
    let (list, one) = match &names[..] {
        [name] => (quote!(#name), quote!(#name)),
        names => (
            quote!(#private::zip::<#private::Vec<#item>>((#(#names),*))),
            quote!((#(#names),*)),
        ),
    };
    let code = quote!(#private::many(#list, |#one| #call).await);
    plural.with_code(&code, private)
}

/// Names each `'_` in an `impl Trait` type, where only an `async fn` may leave the name out.
//
// Input:  impl PgExecutor<'_>
// Output: impl PgExecutor<'__a0>
fn named_lifetimes(ty: &Type, lifetimes: &mut Vec<Lifetime>) -> Option<Type> {
    let before = lifetimes.len();
    let (mut is_impl, mut after_tick, mut types) = (false, false, TokenStream::new());
    for tree in ty.to_token_stream() {
        match tree {
            // In `impl Fn(&T) -> &'_ U`, the lifetime of the result is that of the parameter.
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => return None,
            TokenTree::Ident(ident) if after_tick && ident == "_" => {
                let name = format!("'__a{}", lifetimes.len());
                let lifetime = Lifetime::new(&name, Span::mixed_site());
                types.extend(quote!(#lifetime));
                lifetimes.push(lifetime);
                after_tick = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == '\'' => after_tick = true,
            tree => {
                if after_tick {
                    types.extend([TokenTree::from(Punct::new('\'', Spacing::Joint))]);
                }
                after_tick = false;
                is_impl |= matches!(&tree, TokenTree::Ident(ident) if ident == "impl");
                types.extend([tree]);
            }
        }
    }
    let named = is_impl.then(|| syn::parse2(types).ok()).flatten();
    if named.is_none() {
        lifetimes.truncate(before);
    }
    named
}

/// The condition of a `#[cfg(…)]`.
fn condition(attr: &Attribute) -> Option<TokenStream> {
    match &attr.meta {
        Meta::List(list) => Some(list.tokens.clone()),
        _ => None,
    }
}

/// All sets of arguments that may exist. An argument of a call can't have a `#[cfg]`, but a statement can, so there is one
/// call per set.
fn combinations(
    arguments: &[(Vec<TokenStream>, TokenStream)],
) -> Vec<(Vec<TokenStream>, Vec<TokenStream>)> {
    let mut all = vec![(Vec::new(), Vec::new())];
    for (conditions, argument) in arguments {
        let without = match &conditions[..] {
            [] => Vec::new(),
            _ => all.clone(),
        };
        for (on, arguments) in &mut all {
            on.extend(conditions.iter().cloned());
            arguments.push(argument.clone());
        }
        let without = without.into_iter().map(|(mut on, arguments)| {
            on.push(quote!(not(all(#(#conditions),*))));
            (on, arguments)
        });
        all.extend(without);
    }
    all
}

/// Moves `code` to another function if an attribute would wrap the annotated one. Returns that function's name, the
/// function, and a call of it.
pub(crate) fn inner(
    function: &Function,
    code: &TokenStream,
    forget: &Sibling,
    private: &Private,
) -> Option<(Ident, TokenStream, TokenStream)> {
    if !function.attrs.iter().any(marker::wraps) {
        return None;
    }
    let arguments = function.passed_on()?;
    let mut inner = function.clone();
    inner.sig.ident = inner_name(&function.sig.ident);
    let other = Other::of(function, &inner.sig.ident, forget);
    let called = called(&other, function, &arguments, private);
    let inner = hidden(inner).with_code(code, private);
    Some((other.name, inner, called))
}

fn inner_name(name: &Ident) -> Ident {
    format_ident!("__{}_itself", name.unraw(), span = Span::call_site())
}

/// The function without its documentation and the attributes that wrap it.
fn hidden(mut function: Function) -> Function {
    function
        .attrs
        .retain(|attr| !marker::wraps(attr) && !attr.path().is_ident("doc"));
    function.attrs.push(parse_quote!(#[doc(hidden)]));
    function.vis = Visibility::Inherited;
    function
}

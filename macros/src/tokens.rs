//! Small things that all code generation needs: where the runtime is, and tokens that carry a user's span.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Attribute, Path, parse_quote};

/// Keeps lints away from code that a user can't change.
pub(crate) fn without_lints() -> Attribute {
    parse_quote!(#[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)])
}

/// The path of the runtime's private module, as expansions name it.
#[derive(Clone)]
pub(crate) struct Private(TokenStream);

impl Private {
    pub(crate) fn new(krate: Option<&Path>) -> Self {
        match krate {
            Some(path) => Self(quote!(#path::__private)),
            None => Self(quote!(::piggyback::__private)),
        }
    }

    /// `private::name(arguments)`, shown by the compiler as if it stood where `place` does: an error about the value of
    /// the call then points at `place`.
    pub(crate) fn call_at(&self, place: Place, name: &str, arguments: TokenStream) -> TokenStream {
        let Self(path) = self;
        let name = Ident::new(name, Span::call_site());
        let function = located(quote!(#path::#name), place.start);
        let arguments = group_at(place, arguments);
        quote!(#function #arguments)
    }

    /// `private::name`, shown where `place` is.
    pub(crate) fn value_at(&self, place: Place, name: &str) -> TokenStream {
        let Self(path) = self;
        let name = Ident::new(name, Span::call_site());
        located(quote!(#path::#name), place.start)
    }

    /// `private::ty::<T>()`, which brings a type into calls, shown where `place` is.
    pub(crate) fn output_at(&self, place: Place, ty: impl ToTokens) -> TokenStream {
        self.generic_at(place, "ty", ty)
    }

    /// `private::name::<ty>()`, shown where `place` is.
    pub(crate) fn generic_at(&self, place: Place, name: &str, ty: impl ToTokens) -> TokenStream {
        let Self(path) = self;
        let name = Ident::new(name, Span::call_site());
        let open = located(quote!(#path::#name::<), place.start);
        let close = located(quote!(>), place.end);
        let arguments = group_at(place, TokenStream::new());
        quote!(#open #ty #close #arguments)
    }

    /// The traits by which arguments are told apart, where that is not plain to see.
    pub(crate) fn probing(&self, needed: bool) -> TokenStream {
        let Self(path) = self;
        // What an argument turns out to be may need no trait.
        let imports = needed.then(|| quote!(#[allow(unused_imports)] use #path::probing::*;));
        imports.into_token_stream()
    }
}

/// `&(expr)`, or `&name`, shown where `place` is.
pub(crate) fn borrow_at(place: Place, expr: impl ToTokens) -> TokenStream {
    let and = located(quote!(&), place.start);
    let expr = expr.into_token_stream();
    if expr.clone().into_iter().count() == 1 {
        return quote!(#and #expr);
    }
    let group = group_at(place, expr);
    quote!(#and #group)
}

pub(crate) fn group_at(place: Place, tokens: TokenStream) -> Group {
    let mut group = Group::new(Delimiter::Parenthesis, tokens);
    group.set_span(Span::call_site().located_at(place.end));
    group
}

impl Private {
    /// What the runtime's trait for it says that each caller of a batch gets, shown where `output` stands.
    pub(crate) fn outcome_at(
        &self,
        place: Place,
        output: impl ToTokens,
        item: &TokenStream,
        kind: &str,
    ) -> TokenStream {
        let Self(path) = self;
        let kind = Ident::new(kind, Span::call_site());
        let open = located(quote!(<), place.start);
        let outcome = located(quote!(#path::Outcome), place.start);
        let kind = located(quote!(#path::#kind), place.start);
        let close = located(quote!(>::One), place.end);
        quote!(#open #output as #outcome<#item, #kind> #close)
    }
}

impl ToTokens for Private {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// The first and the last token of something that the user wrote.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    start: Span,
    end: Span,
}

impl Place {
    pub(crate) fn of(tokens: impl ToTokens) -> Self {
        let mut spans = tokens
            .into_token_stream()
            .into_iter()
            .map(|tree| match tree {
                TokenTree::Group(group) => (group.span_open(), group.span_close()),
                other => (other.span(), other.span()),
            });
        let first = spans
            .next()
            .unwrap_or((Span::call_site(), Span::call_site()));
        let last = spans.last().unwrap_or(first);
        Self {
            start: first.0,
            end: last.1,
        }
    }
}

/// `receiver.__piggyback_name(arguments)`, shown where `place` is.
///
/// A trait of the user's that is implemented for every type may have a method of any name, and method resolution may
/// prefer it. So expansions call functions by their paths. The exceptions are the few methods that resolution has to
/// choose by the receiver's type, or that keep the compiler from saying more of a receiver that is wrong already; these
/// have a prefix that no other method has.
pub(crate) fn method_at(
    place: Place,
    receiver: TokenStream,
    name: &str,
    arguments: TokenStream,
) -> TokenStream {
    let name = Ident::new(&format!("__piggyback_{name}"), Span::call_site());
    let method = located(quote!(.#name), place.start);
    let group = group_at(place, arguments);
    quote!(#receiver #method #group)
}

/// The same tokens, resolved as they are, but shown at `span`.
fn located(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut tree| {
            tree.set_span(tree.span().located_at(span));
            tree
        })
        .collect()
}

/// A name for a local of ours. The user's names and those of other macros, even the same, are never mixed up with it:
/// `mixed_site` keeps them apart.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(&format!("__{name}"), Span::mixed_site())
}

/// Whether `ident` occurs anywhere in `tokens`.
pub(crate) fn mentions(tokens: &TokenStream, ident: &Ident) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Group(group) => mentions(&group.stream(), ident),
        TokenTree::Ident(found) => found == *ident,
        _ => false,
    })
}

/// Whether an expression may use the variable `ident`: fields and methods of that name are others.
pub(crate) fn uses(tokens: &TokenStream, ident: &Ident) -> bool {
    let mut dots = 0;
    tokens.clone().into_iter().any(|tree| {
        let of_another = dots == 1;
        dots = match &tree {
            TokenTree::Punct(punct) if punct.as_char() == '.' => dots + 1,
            _ => 0,
        };
        match tree {
            TokenTree::Group(group) => uses(&group.stream(), ident),
            TokenTree::Ident(found) => found == *ident && !of_another,
            _ => false,
        }
    })
}

/// `'a` and `'_` to `'_`, so that a type can be written where its lifetimes are other ones. `'static` stays.
pub(crate) fn without_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut trees = tokens.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                let name = match trees.next() {
                    Some(TokenTree::Ident(name)) if name == "static" => name,
                    Some(name) => Ident::new("_", name.span()),
                    None => break,
                };
                out.extend([TokenTree::Punct(punct), TokenTree::Ident(name)]);
            }
            TokenTree::Group(group) => {
                let mut new = Group::new(group.delimiter(), without_lifetimes(group.stream()));
                new.set_span(group.span());
                out.extend([TokenTree::Group(new)]);
            }
            other => out.extend([other]),
        }
    }
    out
}

/// All references as `&'static`: a type that fits any signature, where nothing is ever returned.
pub(crate) fn with_static_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut trees = tokens.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                out.extend([TokenTree::Punct(punct)]);
                out.extend(quote!('static));
                if matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'') {
                    trees.next();
                    trees.next();
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                trees.next();
                out.extend(quote!('static));
            }
            TokenTree::Group(group) => {
                let mut new = Group::new(group.delimiter(), with_static_lifetimes(group.stream()));
                new.set_span(group.span());
                out.extend([TokenTree::Group(new)]);
            }
            other => out.extend([other]),
        }
    }
    out
}

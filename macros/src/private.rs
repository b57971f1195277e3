//! Calls of the runtime, shown at the place of the code that the user wrote.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Path, Type};

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

    /// `private::name(arguments)`, with spans such that an error about the call points at `place`.
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

    /// The same for a container, with the type in it that messages name.
    pub(crate) fn output_with_at(
        &self,
        place: Place,
        ty: impl ToTokens,
        inside: Option<Type>,
    ) -> TokenStream {
        match inside {
            None => self.output_at(place, ty),
            Some(inside) => self.generic_at(place, "ty_with", quote!(#ty, #inside)),
        }
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

    /// Imports the traits that method resolution chooses among, for arguments whose types don't show what they are.
    pub(crate) fn probing(&self, needed: bool) -> TokenStream {
        let Self(path) = self;
        // For some types, method resolution finds an inherent method.
        let imports = needed.then(|| quote!(#[allow(unused_imports)] use #path::probing::*;));
        imports.into_token_stream()
    }

    /// The type that each caller of a batch gets, as the runtime's trait for the output says.
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

/// The spans of the first and the last token of something that the user wrote.
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

/// The same tokens, shown where `place` starts.
pub(crate) fn located_at(place: Place, tokens: TokenStream) -> TokenStream {
    located(tokens, place.start)
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

/// The same tokens, with the same hygiene, but shown at `span`.
fn located(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut tree| {
            tree.set_span(tree.span().located_at(span));
            tree
        })
        .collect()
}

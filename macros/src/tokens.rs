//! Names and lifetimes in token streams.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

/// A name for a local of ours. `mixed_site` keeps it apart from equal names of the user and of other macros.
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

/// Whether an expression may use the variable `ident`, and not just a field or method of that name.
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

/// A type as a message shows it, without the spaces between tokens.
pub(crate) fn in_words(ty: impl ToTokens) -> String {
    let spaced = ty.to_token_stream().to_string();
    let pairs = [
        (" < ", "<"),
        (" >", ">"),
        (" . ", "."),
        (" :: ", "::"),
        (" (", "("),
        ("& ", "&"),
    ];
    pairs
        .iter()
        .fold(spaced, |text, (wide, tight)| text.replace(wide, tight))
}

/// Replaces lifetimes by `'_`, except `'static`, so that a type can be written in another place.
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

/// Makes all references `&'static`, which fits any signature whose function never returns.
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

/// Words before the arguments of a function type, which borrow nothing.
const CALLABLE: &[&str] = &[
    "for",
    "fn",
    "Fn",
    "FnMut",
    "FnOnce",
    "AsyncFn",
    "AsyncFnMut",
    "AsyncFnOnce",
];

/// Whether a type has a lifetime other than `'static`, or a reference without a lifetime.
pub(crate) fn shows_borrow(tokens: TokenStream) -> bool {
    let mut trees = tokens.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let borrows = match tree {
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                !matches!(trees.next(), Some(TokenTree::Ident(name)) if name == "static")
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                !matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'')
            }
            // The arguments of a function type borrow nothing.
            TokenTree::Ident(name) if CALLABLE.iter().any(|known| name == known) => {
                return false;
            }
            TokenTree::Group(group) => shows_borrow(group.stream()),
            _ => false,
        };
        if borrows {
            return true;
        }
    }
    false
}

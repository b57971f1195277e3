//! Lets two attributes on a function meet under any names.
//!
//! An attribute can't know what a name below it stands for: `#[in_bulk(…)]` may be our `batch` under another name, or
//! anything else. If it is ours, both have to be expanded together. If it is not, we must expand now, since an attribute
//! below ours wraps each call. So the one that comes first expands, and leaves a *marker* behind all attributes that
//! remain: it holds the function as written and the options. If another of ours comes to a marker, it discards that
//! expansion and expands both from the original. If none does, the marker itself is an attribute that expands to the function.

use crate::function::Function;
use crate::options::Attribute;
use crate::private::Private;
use crate::types::is_called;
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;
use std::hash::{DefaultHasher, Hash, Hasher};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{LitInt, Meta, Path, Token, parse_quote};

const MARKER: &str = "__piggyback_expanded";

/// The contents of a marker.
pub(crate) struct Marker {
    /// The attribute that has expanded.
    pub(crate) attribute: Attribute,
    /// Its options.
    pub(crate) options: TokenStream,
    /// The function as it was written, without its attributes.
    pub(crate) original: TokenStream,
    /// The functions that its options added.
    siblings: TokenStream,
    /// The fingerprint of the expansion.
    fingerprint: u64,
}

impl Marker {
    /// Keeps a function as it is before its expansion.
    pub(crate) fn new(attribute: Attribute, options: TokenStream, function: &Function) -> Self {
        let mut function = function.clone();
        function.attrs.clear();
        Self {
            attribute,
            options,
            original: function.as_written(),
            siblings: TokenStream::new(),
            fingerprint: 0,
        }
    }

    /// The expansion with the marker. Errors stand in its body, and the marker emits the added functions, so that both
    /// disappear with a discarded expansion.
    //
    // Output: #[in_bulk(…)] #[private::__piggyback_expanded(dedup {options} {original} {siblings} 123)] async fn user(…) { … }
    pub(crate) fn mark(
        mut self,
        attributes: &[syn::Attribute],
        errors: TokenStream,
        function: TokenStream,
        siblings: TokenStream,
        private: &Private,
    ) -> TokenStream {
        let function = if errors.is_empty() {
            function
        } else {
            in_body(errors, function)
        };
        self.fingerprint = fingerprint(function.clone());
        self.siblings = siblings;
        let Self {
            attribute,
            options,
            original,
            siblings,
            fingerprint,
        } = self;
        let marker = Ident::new(MARKER, Span::call_site());
        let attribute = Ident::new(attribute.name(), Span::call_site());
        quote! {
            #(#attributes)*
            #[#private::#marker(#attribute {#options} {#original} {#siblings} #fingerprint)]
            #function
        }
    }

    /// Removes the marker from a function.
    pub(crate) fn take(function: &mut Function) -> Option<Self> {
        let is_marker = |attr: &syn::Attribute| is_called(attr.path(), MARKER);
        let index = function.attrs.iter().position(is_marker)?;
        match function.attrs.remove(index).meta {
            Meta::List(list) => Self::read(list.tokens),
            _ => None,
        }
    }

    fn read(tokens: TokenStream) -> Option<Self> {
        let mut trees = tokens.into_iter();
        let attribute = match trees.next()? {
            TokenTree::Ident(name) if name == Attribute::Dedup.name() => Attribute::Dedup,
            _ => Attribute::Batch,
        };
        let mut next = || match trees.next()? {
            TokenTree::Group(group) => Some(group.stream()),
            _ => None,
        };
        let (options, original, siblings) = (next()?, next()?, next()?);
        let fingerprint: LitInt = syn::parse2(trees.collect()).ok()?;
        Some(Self {
            attribute,
            options,
            original,
            siblings,
            fingerprint: fingerprint.base10_parse().ok()?,
        })
    }

    /// Whether no attribute has changed the function since its expansion.
    pub(crate) fn is_unchanged(&self, function: &Function) -> bool {
        let mut function = function.clone();
        function.attrs.clear();
        fingerprint(function.as_written()) == self.fingerprint
    }
}

/// Expands a marker that no attribute of ours has removed.
pub(crate) fn expanded(marker: TokenStream, function: TokenStream) -> TokenStream {
    let siblings = Marker::read(marker).map(|expanded| expanded.siblings);
    quote!(#function #siblings)
}

/// Puts `errors` into the body, which is the last group.
fn in_body(errors: TokenStream, function: TokenStream) -> TokenStream {
    let mut trees: Vec<TokenTree> = function.into_iter().collect();
    if let Some(TokenTree::Group(body)) = trees.last_mut() {
        let mut group = Group::new(
            Delimiter::Brace,
            errors.into_iter().chain(body.stream()).collect(),
        );
        group.set_span(body.span());
        *body = group;
    }
    trees.into_iter().collect()
}

/// A hash by which two functions are equal if they differ only in attributes, spaces and invisible groups.
fn fingerprint(function: TokenStream) -> u64 {
    fn feed(tokens: TokenStream, hasher: &mut DefaultHasher) {
        for tree in tokens {
            match tree {
                TokenTree::Group(group) => {
                    let delimiter = format!("{:?}", group.delimiter());
                    let is_visible = group.delimiter() != Delimiter::None;
                    if is_visible {
                        delimiter.hash(hasher);
                    }
                    feed(group.stream(), hasher);
                    if is_visible {
                        delimiter.hash(hasher);
                    }
                }
                TokenTree::Punct(punct) => punct.as_char().hash(hasher),
                other => other.to_string().hash(hasher),
            }
        }
    }
    let mut trees = function.into_iter().peekable();
    while matches!(trees.peek(), Some(TokenTree::Punct(hash)) if hash.as_char() == '#') {
        trees.next();
        trees.next();
    }
    let mut hasher = DefaultHasher::new();
    feed(trees.collect(), &mut hasher);
    hasher.finish()
}

/// Whether an attribute may be one of ours under another name.
pub(crate) fn may_be_ours(attr: &syn::Attribute) -> bool {
    any(attr, |path| !is_known(path))
}

/// Whether an attribute may put code around the function's body.
pub(crate) fn wraps(attr: &syn::Attribute) -> bool {
    any(attr, |path| {
        let first = path.segments.first().map(|first| first.ident.to_string());
        let builtin = match path.segments.len() {
            1 => BUILTIN,
            _ => TOOLS,
        };
        !first.is_some_and(|first| builtin.contains(&first.as_str()))
    })
}

/// Whether a condition holds for the attribute, or for one inside its `cfg_attr`.
fn any(attr: &syn::Attribute, holds: fn(&Path) -> bool) -> bool {
    if attr.path().is_ident("cfg_attr") {
        let Meta::List(list) = &attr.meta else {
            return false;
        };
        let inside = Punctuated::<Meta, Token![,]>::parse_terminated;
        return match inside.parse2(list.tokens.clone()) {
            Ok(metas) => metas
                .into_iter()
                .skip(1)
                .any(|meta| any(&parse_quote!(#[#meta]), holds)),
            Err(_) => true,
        };
    }
    holds(attr.path())
}

/// Whether an attribute is the compiler's, a tool's, or a well-known one.
fn is_known(path: &Path) -> bool {
    let (Some(first), Some(last)) = (path.segments.first(), path.segments.last()) else {
        return false;
    };
    let is_one_of = |names: &[&str], name: &Ident| names.iter().any(|known| name == known);
    if path.segments.len() > 1 {
        return is_one_of(TOOLS, &first.ident) || is_one_of(OTHERS, &last.ident);
    }
    is_one_of(BUILTIN, &first.ident) || is_one_of(OTHERS, &first.ident)
}

const TOOLS: &[&str] = &["clippy", "rustfmt", "rustdoc", "diagnostic"];
const BUILTIN: &[&str] = &[
    "allow",
    "cfg",
    "cold",
    "coverage",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "export_name",
    "forbid",
    "ignore",
    "inline",
    "link_section",
    "must_use",
    "no_mangle",
    "optimize",
    "should_panic",
    "target_feature",
    "track_caller",
    "warn",
];
const OTHERS: &[&str] = &["async_trait", "instrument", "main", "test"];

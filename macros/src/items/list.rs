//! An argument that is a list of items.

use crate::function::Function;
use crate::lints;
use crate::output::{Output, Shape};
use crate::tokens::{local, without_lifetimes};
use crate::types::{self, arguments_of, is_called, item_of, peel};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute, FnArg, Pat, Type, TypeParamBound, TypePath, TypeReference};

#[derive(Clone)]
pub(crate) struct List {
    /// Its place among the arguments.
    pub(crate) index: usize,
    /// The name of a caller's single item.
    pub(crate) name: Ident,
    pub(super) pat: TokenStream,
    /// The lint attributes of the argument.
    pub(super) lints: Vec<Attribute>,
    form: ListForm,
    /// The type of an item.
    pub(crate) item: TokenStream,
    /// The `T` as it is written in the list.
    elem: TokenStream,
    /// The type that a caller lends with `by_ref`: `str` for a `String`.
    pub(super) lent: TokenStream,
}

/// How the function takes its list.
#[derive(Clone, Copy)]
enum ListForm {
    /// `Vec<T>`, or another type that is given a `Vec`
    Vec,
    /// `&[T]`
    Slice,
    /// `&[&T]`
    Refs,
    /// `impl IntoIterator<Item = T>`
    IntoIterator,
    /// `impl Iterator<Item = T>`
    Iterator,
}

impl List {
    /// Reads the argument at `index`, if it is a list.
    pub(super) fn read(function: &Function, index: usize) -> Option<Self> {
        let FnArg::Typed(argument) = function.sig.inputs.iter().nth(index)? else {
            return None;
        };
        let (form, item) = list_of(peel(&argument.ty))?;
        let name = match &*argument.pat {
            Pat::Ident(pat) if pat.subpat.is_none() => pat.ident.clone(),
            _ => local("item"),
        };
        let pat = &argument.pat;
        let elem = without_lifetimes(item.to_token_stream());
        let (item, lent) = owned_and_lent(peel(item), form);
        Some(Self {
            index,
            name,
            pat: quote!(#pat),
            lints: lints::levels(&argument.attrs),
            form,
            item,
            elem,
            lent,
        })
    }

    /// Reads the argument at `index` as a list by another name. The compiler checks in the body that it is a `Vec`.
    pub(super) fn behind_alias(function: &Function, index: usize) -> Option<Self> {
        let FnArg::Typed(argument) = function.sig.inputs.iter().nth(index)? else {
            return None;
        };
        let (Type::Path(path), Pat::Ident(name)) = (peel(&argument.ty), &*argument.pat) else {
            return None;
        };
        if let Shape::Known | Shape::Map(_) = Output::read(&argument.ty).shape {
            return None;
        }
        let item = quote!(<#path as ::core::iter::IntoIterator>::Item);
        let pat = &argument.pat;
        Some(Self {
            index,
            name: name.ident.clone(),
            pat: quote!(#pat),
            lints: lints::levels(&argument.attrs),
            form: ListForm::Vec,
            elem: item.clone(),
            lent: item.clone(),
            item,
        })
    }

    /// Whether the body gets the `Vec` itself.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.form, ListForm::Vec)
    }

    /// A caller's item, as a value.
    pub(super) fn value(&self, by_ref: bool, private: &impl ToTokens) -> TokenStream {
        let Self { name, item, .. } = self;
        let is_str = self.lent.to_string() == "str" && !matches!(self.form, ListForm::Refs);
        match (by_ref, is_str) {
            (false, _) => quote!(#name),
            (true, true) => quote!(#private::lent_str::<#item>(#name)),
            (true, false) => match types::inside_tokens(item) {
                Some(inside) => quote!(#private::lent_with(#private::ty::<#inside>(), #name)),
                None => quote!(#private::lent(#name)),
            },
        }
    }

    /// Binds the list that the body expects to the items called `name`.
    pub(super) fn bind(&self, name: &TokenStream, private: &impl ToTokens) -> TokenStream {
        let (pat, lints, elem) = (&self.pat, &self.lints, &self.elem);
        let value = match self.form {
            ListForm::Vec => return TokenStream::new(),
            ListForm::IntoIterator => quote!(#private::into_iterator(#name)),
            ListForm::Slice => quote!(&#name[..]),
            ListForm::Refs => quote!(&#private::refs::<#elem, _>(&#name)[..]),
            ListForm::Iterator => quote!(#private::IntoIterator::into_iter(#name)),
        };
        quote!(#(#lints)* let #pat = #value;)
    }
}

fn list_of(ty: &Type) -> Option<(ListForm, &Type)> {
    match ty {
        Type::Reference(reference) if reference.mutability.is_none() => match peel(&reference.elem)
        {
            Type::Slice(slice) => Some(match peel(&slice.elem) {
                Type::Reference(item) if item.mutability.is_none() && !is_static(item) => {
                    (ListForm::Refs, &item.elem)
                }
                item => (ListForm::Slice, item),
            }),
            _ => None,
        },
        Type::Path(path) => {
            let item = *arguments_of(path).first()?;
            is_called(&path.path, "Vec").then_some((ListForm::Vec, item))
        }
        Type::ImplTrait(ty) => ty.bounds.iter().find_map(|bound| {
            let TypeParamBound::Trait(bound) = bound else {
                return None;
            };
            let last = bound.path.segments.last()?;
            let form = match last.ident.to_string().as_str() {
                // A `Vec` may meet the other bounds.
                "IntoIterator" if ty.bounds.len() > 1 => ListForm::Vec,
                "IntoIterator" => ListForm::IntoIterator,
                "Iterator" => ListForm::Iterator,
                _ => return None,
            };
            item_of(bound).map(|item| (form, item))
        }),
        _ => None,
    }
}

/// Whether a path may name the `String` of the standard library.
fn is_string(path: &TypePath) -> bool {
    let first = path.path.segments.first();
    let is_of_std = path.path.segments.len() == 1
        || first.is_some_and(|first| first.ident == "std" || first.ident == "alloc");
    is_of_std && is_called(&path.path, "String") && arguments_of(path).is_empty()
}

fn is_static(reference: &TypeReference) -> bool {
    reference
        .lifetime
        .as_ref()
        .is_some_and(|lifetime| lifetime.ident == "static")
}

/// The type of an item, and the type as which it is lent. In a `&[&str]`, the item is a `String`.
fn owned_and_lent(item: &Type, form: ListForm) -> (TokenStream, TokenStream) {
    let lent = without_lifetimes(item.to_token_stream());
    match (form, item) {
        (ListForm::Refs, Type::Slice(slice)) => {
            let elem = &slice.elem;
            (quote!(::std::vec::Vec<#elem>), lent)
        }
        (ListForm::Refs, Type::Path(path)) if path.path.is_ident("str") => {
            (quote!(::std::string::String), lent)
        }
        (_, Type::Path(path)) if is_string(path) => (lent, quote!(str)),
        (_, Type::Path(path)) if is_called(&path.path, "Vec") => match arguments_of(path).first() {
            Some(elem) => (lent, quote!([#elem])),
            None => (lent.clone(), lent),
        },
        _ => (lent.clone(), lent),
    }
}

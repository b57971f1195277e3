//! The names that the patterns of arguments bind.

use super::argument::{Binding, cfgs};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Pat};

/// An expression that rebuilds the value that a pattern matched. None if the pattern does not bind everything.
pub(super) fn as_expr(pat: &Pat) -> Option<TokenStream> {
    match pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            Some(pat.ident.to_token_stream())
        }
        Pat::Paren(pat) => as_expr(&pat.pat),
        Pat::Reference(pat) => {
            let (and, mutability) = (&pat.and_token, &pat.mutability);
            as_expr(&pat.pat).map(|expr| quote!(#and #mutability #expr))
        }
        Pat::Struct(pat) if pat.rest.is_none() && pat.qself.is_none() => {
            let path = &pat.path;
            let fields = pat.fields.iter().map(|field| {
                let (attrs, member) = (&field.attrs, &field.member);
                as_expr(&field.pat).map(|expr| quote!(#(#attrs)* #member: #expr))
            });
            let fields = fields.collect::<Option<Vec<_>>>()?;
            Some(quote!(#path { #(#fields),* }))
        }
        Pat::Tuple(pat) => {
            let elems = pat.elems.iter().map(as_expr).collect::<Option<Vec<_>>>()?;
            Some(quote!((#(#elems,)*)))
        }
        Pat::TupleStruct(pat) if pat.qself.is_none() => {
            let path = &pat.path;
            let elems = pat.elems.iter().map(as_expr).collect::<Option<Vec<_>>>()?;
            Some(quote!(#path(#(#elems),*)))
        }
        _ => None,
    }
}

/// Lists the names that a pattern binds, in order, with the `#[cfg(…)]`s above them.
pub(super) fn bindings_of(pat: &Pat, under: &[Attribute], out: &mut Vec<Binding>) {
    match pat {
        Pat::Ident(pat) => {
            out.push(Binding {
                cfgs: under.to_vec(),
                ident: pat.ident.clone(),
                mutability: pat.mutability,
            });
            if let Some((_, pat)) = &pat.subpat {
                bindings_of(pat, under, out);
            }
        }
        Pat::Guard(pat) => bindings_of(&pat.pat, under, out),
        // All alternatives bind the same names.
        Pat::Or(pat) => pat
            .cases
            .iter()
            .take(1)
            .for_each(|pat| bindings_of(pat, under, out)),
        Pat::Paren(pat) => bindings_of(&pat.pat, under, out),
        Pat::Reference(pat) => bindings_of(&pat.pat, under, out),
        Pat::Slice(pat) => pat
            .elems
            .iter()
            .for_each(|pat| bindings_of(pat, under, out)),
        Pat::Struct(pat) => pat.fields.iter().for_each(|field| {
            let cfgs: Vec<_> = under.iter().cloned().chain(cfgs(&field.attrs)).collect();
            bindings_of(&field.pat, &cfgs, out);
        }),
        Pat::Tuple(pat) => pat
            .elems
            .iter()
            .for_each(|pat| bindings_of(pat, under, out)),
        Pat::TupleStruct(pat) => pat
            .elems
            .iter()
            .for_each(|pat| bindings_of(pat, under, out)),
        Pat::Type(pat) => bindings_of(&pat.pat, under, out),
        _ => {}
    }
}

pub(super) fn without_mut(pat: &mut Pat) {
    match pat {
        Pat::Ident(pat) => {
            if pat.by_ref.is_none() {
                pat.mutability = None;
            }
            if let Some((_, pat)) = &mut pat.subpat {
                without_mut(pat);
            }
        }
        Pat::Or(pat) => pat.cases.iter_mut().for_each(without_mut),
        Pat::Paren(pat) => without_mut(&mut pat.pat),
        Pat::Reference(pat) => without_mut(&mut pat.pat),
        Pat::Slice(pat) => pat.elems.iter_mut().for_each(without_mut),
        Pat::Struct(pat) => pat
            .fields
            .iter_mut()
            .for_each(|field| without_mut(&mut field.pat)),
        Pat::Tuple(pat) => pat.elems.iter_mut().for_each(without_mut),
        Pat::TupleStruct(pat) => pat.elems.iter_mut().for_each(without_mut),
        _ => {}
    }
}

//! The arguments of a function, including the receiver.

use super::async_trait::MovedPat;
use super::pattern::bindings_of;
use crate::lints;
use crate::private::Place;
use crate::tokens::mentions;
use crate::types::{is_called, peel, peel_reference};
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{Attribute, FnArg, Pat, Receiver, ReceiverKind, Token, Type};

/// One argument, or the receiver.
#[derive(Clone)]
pub(crate) struct Argument {
    /// `#[cfg(…)]`s on it.
    pub(crate) cfgs: Vec<Attribute>,
    /// Its lint attributes, which belong to the binding in the body.
    pub(crate) lints: Vec<Attribute>,
    /// The names that it binds, in order: several for a pattern, none for `_`.
    pub(crate) bindings: Vec<Binding>,
    /// The argument as written, for messages and the place of errors.
    pub(crate) written: TokenStream,
    /// Its type; none for `self`, `&self`, `&mut self`.
    pub(crate) ty: Option<Type>,
    pub(crate) receiver: bool,
    /// Whether it is the items of a batch: the list, or the single item that a caller passes.
    pub(crate) is_item: bool,
    /// Whether it is just a name, so that the name has the argument's type.
    pub(crate) is_plain_name: bool,
}

/// A name that an argument brings into the body.
#[derive(Clone)]
pub(crate) struct Binding {
    /// `#[cfg(…)]`s on the argument, or on a part of its pattern.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) ident: Ident,
    pub(crate) mutability: Option<Token![mut]>,
}

impl Argument {
    pub(super) fn read(argument: &FnArg, moved: &[MovedPat]) -> Self {
        let mut argument = Self::as_written(argument);
        if let Some(moved) = moved.iter().find(|moved| argument.binds(&moved.argument)) {
            argument.bindings.clear();
            argument.is_plain_name = false;
            bindings_of(&moved.pat, &argument.cfgs, &mut argument.bindings);
        }
        argument
    }

    fn as_written(argument: &FnArg) -> Self {
        match argument {
            FnArg::Receiver(receiver) => Self::receiver(receiver),
            FnArg::Typed(typed) => {
                let (mut bindings, cfgs) = (Vec::new(), cfgs(&typed.attrs));
                bindings_of(&typed.pat, &cfgs, &mut bindings);
                let (pat, ty) = (&typed.pat, &typed.ty);
                Self {
                    cfgs,
                    lints: lints::levels(&typed.attrs),
                    bindings,
                    written: quote!(#pat: #ty),
                    ty: Some(peel(ty).clone()),
                    receiver: false,
                    is_item: false,
                    is_plain_name: matches!(&**pat, Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none()),
                }
            }
        }
    }

    fn receiver(receiver: &Receiver) -> Self {
        let mut written = receiver.clone();
        written.attrs.clear();
        Self {
            cfgs: cfgs(&receiver.attrs),
            lints: lints::levels(&receiver.attrs),
            bindings: vec![Binding {
                cfgs: Vec::new(),
                ident: Ident::new("self", receiver.self_token.span),
                mutability: receiver.mutability,
            }],
            written: written.into_token_stream(),
            ty: match &receiver.kind {
                ReceiverKind::Typed(_, ty) => Some((**ty).clone()),
                _ => None,
            },
            receiver: true,
            is_item: false,
            is_plain_name: true,
        }
    }

    /// Whether it binds this name.
    pub(crate) fn binds(&self, ident: &Ident) -> bool {
        self.bindings.iter().any(|binding| binding.ident == *ident)
    }

    /// Whether it is `&self`.
    pub(crate) fn is_shared_self(&self) -> bool {
        let mut written = self.written.clone().into_iter();
        let is_ref = matches!(written.next(), Some(TokenTree::Punct(and)) if and.as_char() == '&');
        self.receiver && is_ref && !mentions(&self.written, &format_ident!("mut"))
    }

    /// Whether it is `self: Arc<Self>`, or a reference to that.
    pub(crate) fn is_arc_self(&self) -> bool {
        let ty = self.ty.as_ref().map(peel_reference);
        self.receiver && matches!(ty, Some(Type::Path(path)) if is_called(&path.path, "Arc"))
    }

    pub(crate) fn place(&self) -> Place {
        Place::of(&self.written)
    }
}

pub(super) fn cfgs(attrs: &[Attribute]) -> Vec<Attribute> {
    attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .cloned()
        .collect()
}

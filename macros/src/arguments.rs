//! What becomes of the arguments: parts of the key, and, where an execution outlives its caller, their owned forms.

use crate::options::Common;
use crate::signature::{Argument, Binding};
use crate::tokens::{Place, Private, borrow_at, local, mentions, method_at};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Expr, Type};

/// The arguments of a call, and what the options say of them.
pub(crate) struct Arguments<'a> {
    pub(crate) all: &'a [Argument],
    pub(crate) common: &'a Common,
    pub(crate) private: &'a Private,
}

/// A `let` for an argument's owned form, and one for what the body sees of it.
pub(crate) struct Owned {
    pub(crate) own: TokenStream,
    pub(crate) lend: TokenStream,
}

impl Arguments<'_> {
    /// Whether a binding stays out of the key.
    fn is_skipped(&self, argument: &Argument, binding: &Binding) -> bool {
        let skip = self.common.skip.as_ref();
        let named = skip.is_some_and(|skip| skip.value.contains(&binding.ident));
        named
            || self
                .common
                .scope
                .as_ref()
                .is_some_and(|scope| argument.receiver || is_just(&scope.value, &binding.ident))
    }

    fn key_expr(&self, binding: &Binding) -> Option<&Expr> {
        let parts = self.common.key.as_ref()?;
        parts
            .value
            .iter()
            .find(|part| part.argument == binding.ident)
            .map(|part| &part.expr)
    }

    // Output: (private::part(private::Part(&a).key()), (private::part(private::Part(&b).key()), ()))
    pub(crate) fn key(&self) -> TokenStream {
        let mut key = quote!(());
        for (argument, binding) in self.bindings().rev() {
            let part = match self.key_expr(binding) {
                Some(expr) => self.part("part", Place::of(expr), expr),
                None if self.is_skipped(argument, binding) => continue,
                None if argument.receiver => {
                    self.part("self_part", argument.place(), &binding.ident)
                }
                None => self.part("part", argument.place(), &binding.ident),
            };
            let cfgs = &argument.cfgs;
            key = quote!((#(#cfgs)* #part, #key));
        }
        key
    }

    fn part(&self, function: &str, place: Place, of: impl ToTokens) -> TokenStream {
        let part = self.private.call_at(place, "Part", borrow_at(place, of));
        let part = method_at(place, part, "key", quote!());
        self.private.call_at(place, function, part)
    }

    fn bindings(&self) -> impl DoubleEndedIterator<Item = (&Argument, &Binding)> {
        self.all.iter().flat_map(|argument| {
            argument
                .bindings
                .iter()
                .map(move |binding| (argument, binding))
        })
    }

    /// For executions that outlive their caller. What the key borrows, or an option's expression in `lent`, while the
    /// call is made can't be moved; without `lent`, all can.
    //
    // Output: let pool = private::own(private::arg(pool).part());   // skipped: moved, or the owned form of a reference
    //         let id = private::own(private::Part(&id).key());            // in the key, which borrows it
    //         …
    //         let pool = pool.lend();
    pub(crate) fn owned(&self, lent: Option<&TokenStream>) -> Vec<Owned> {
        let private = self.private;
        let owned = |(argument, binding): (&Argument, &Binding)| {
            let Binding { ident, mutability } = binding;
            let free = lent.is_none_or(|lent| {
                self.is_skipped(argument, binding)
                    && self.key_expr(binding).is_none()
                    && !mentions(lent, ident)
            });
            let place = argument.place();
            let form = if free {
                let arg = private.call_at(place, "arg", quote!(#ident));
                method_at(place, arg, "part", quote!())
            } else {
                let part = private.call_at(place, "Part", quote!(&#ident));
                method_at(place, part, "key", quote!())
            };
            let name = if argument.receiver {
                local("self")
            } else {
                ident.clone()
            };
            let own = if argument.receiver { "own_self" } else { "own" };
            let form = private.call_at(place, own, form);
            let cfgs = &argument.cfgs;
            let slice = argument
                .ty
                .as_ref()
                .is_some_and(is_slice_of_refs)
                .then(|| quote!(let #name = &#name[..];));
            Owned {
                own: quote!(#(#cfgs)* let #name = #form;),
                lend: quote!(#(#cfgs)* let #mutability #name = #name.lend(); #slice),
            }
        };
        self.bindings().map(owned).collect()
    }
}

impl Arguments<'_> {
    /// A copy of each owned form, for a body that runs several times.
    pub(crate) fn copies(&self) -> TokenStream {
        let copy = |(argument, binding): (&Argument, &Binding)| {
            let name = if argument.receiver {
                local("self")
            } else {
                binding.ident.clone()
            };
            let (cfgs, private) = (&argument.cfgs, self.private);
            quote!(#(#cfgs)* let #name = #private::Clone::clone(&#name);)
        };
        self.bindings().map(copy).collect()
    }
}

fn is_just(expr: &Expr, ident: &Ident) -> bool {
    match expr {
        Expr::Reference(reference) => is_just(&reference.expr, ident),
        Expr::Path(path) => path.path.is_ident(ident),
        _ => false,
    }
}

/// `&[&T]`, which needs a list of references made anew.
fn is_slice_of_refs(ty: &Type) -> bool {
    match ty {
        Type::Reference(outer) => {
            matches!(&*outer.elem, Type::Slice(slice) if matches!(&*slice.elem, Type::Reference(_)))
        }
        _ => false,
    }
}

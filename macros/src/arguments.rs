//! What becomes of the arguments: parts of the key, and, where an execution outlives its caller, their owned forms.

use crate::known;
use crate::options::Common;
use crate::signature::{Argument, Binding, peel};
use crate::tokens::{Place, Private, borrow_at, group_at, local, method_at, uses};
use crate::validate::shows_borrow;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Expr, Index, Type};

/// The arguments of a call, and what the options say of them.
pub(crate) struct Arguments<'a> {
    pub(crate) all: &'a [Argument],
    pub(crate) common: &'a Common,
    pub(crate) private: &'a Private,
    /// Whether they select a batch's group, so that messages about them say so.
    pub(crate) in_group: bool,
}

/// What is plain to see of an argument's type. For all others the compiler finds it out, which takes it some time: an
/// alias, a type parameter or a pattern's binding may be anything.
#[derive(Clone, Copy)]
enum Kind {
    /// A type that everybody knows, without a lifetime: a key, and its own owned form.
    Plain,
    /// A reference to a single thing.
    Ref,
    /// A reference to such a reference, which is a key by what both refer to.
    RefRef,
    Unknown,
}

impl Kind {
    fn of(argument: &Argument) -> Self {
        match &argument.ty {
            Some(ty) if argument.is_plain_name => Self::of_type(ty),
            None if argument.is_shared_self() => Self::Ref,
            _ => Self::Unknown,
        }
    }

    fn of_type(ty: &Type) -> Self {
        match ty {
            ty if known::is_plain(ty) => Self::Plain,
            ty if is_ref(ty) => Self::Ref,
            Type::Reference(outer) if outer.mutability.is_none() && is_ref(peel(&outer.elem)) => {
                Self::RefRef
            }
            _ => Self::Unknown,
        }
    }
}

/// The parts of a tuple that borrows: it is a key by the owned forms of these.
fn parts(argument: &Argument) -> Option<Vec<&Type>> {
    match &argument.ty {
        Some(Type::Tuple(tuple)) if argument.is_plain_name => {
            let borrows = shows_borrow(tuple.to_token_stream());
            borrows.then(|| tuple.elems.iter().map(peel).collect())
        }
        _ => None,
    }
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
                .is_some_and(|scope| argument.receiver || holds(&scope.value, &binding.ident))
    }

    fn key_expr(&self, binding: &Binding) -> Option<&Expr> {
        let parts = self.common.key.as_ref()?;
        parts
            .value
            .iter()
            .find(|part| part.argument == binding.ident)
            .map(|part| &part.expr)
    }

    // Output: (private::part(private::Part(&a).__piggyback_key()), (private::part(private::ByRef(b)), (private::ByValue(&c), ())))
    pub(crate) fn key(&self) -> TokenStream {
        self.key_of(|_, part| part)
    }

    /// The same, with each part made another one.
    pub(crate) fn key_of(&self, of: impl Fn(Place, TokenStream) -> TokenStream) -> TokenStream {
        let mut key = quote!(());
        for (argument, binding) in self.bindings().rev() {
            let part = match self.key_expr(binding) {
                Some(expr) => {
                    let (private, place) = (self.private, Place::of(expr));
                    let part = method_at(
                        place,
                        group_at(place, borrow_at(place, expr)).into_token_stream(),
                        "as_part",
                        quote!(),
                    );
                    let key = method_at(place, part, "key", quote!());
                    let part = if self.in_group { "group_part" } else { "part" };
                    of(place, private.call_at(place, part, key))
                }
                None if self.is_skipped(argument, binding) => continue,
                None if parts(argument).is_some() => {
                    let (name, cfgs) = (&binding.ident, &binding.cfgs);
                    let parts = parts(argument).unwrap_or_default().into_iter().enumerate();
                    let mut tuple = quote!(());
                    for (n, ty) in parts.rev() {
                        let part = Index::from(n);
                        let kind = Kind::of_type(ty);
                        let part = self.part(argument, kind, quote!(#name.#part));
                        let part = of(argument.place(), part);
                        tuple = quote!((#part, #tuple));
                    }
                    key = quote!((#(#cfgs)* #tuple, #key));
                    continue;
                }
                None => {
                    let part = self.part(argument, Kind::of(argument), &binding.ident);
                    of(argument.place(), part)
                }
            };
            let cfgs = &binding.cfgs;
            key = quote!((#(#cfgs)* #part, #key));
        }
        key
    }

    fn part(&self, argument: &Argument, kind: Kind, of: impl ToTokens) -> TokenStream {
        let place = argument.place();
        let part = self.borrowed(kind, place, of);
        let function = match (argument.receiver, self.in_group) {
            _ if argument.is_item => "item_part",
            (true, true) => "self_group_part",
            (true, false) => "self_part",
            (false, true) => "group_part",
            (false, false) => "part",
        };
        match kind {
            Kind::Plain => part,
            _ => self.private.call_at(place, function, part),
        }
    }

    fn borrowed(&self, kind: Kind, place: Place, of: impl ToTokens) -> TokenStream {
        let private = self.private;
        match kind {
            Kind::Plain => private.call_at(place, "ByValue", borrow_at(place, of)),
            Kind::Ref => private.call_at(place, "ByRef", of.into_token_stream()),
            Kind::RefRef => private.call_at(place, "ByRef", quote!(*#of)),
            Kind::Unknown => {
                let part = private.call_at(place, "Part", borrow_at(place, of));
                method_at(place, part, "key", quote!())
            }
        }
    }

    /// Whether it takes the compiler to find out what one of the arguments is, or an expression that stands for it.
    pub(crate) fn are_probed(&self, in_owned_form: bool) -> bool {
        self.bindings().any(|(argument, binding)| {
            let in_key = self.key_expr(binding).is_some();
            in_key
                || matches!(Kind::of(argument), Kind::Unknown)
                    && (in_owned_form || !self.is_skipped(argument, binding))
        })
    }

    fn bindings(&self) -> impl DoubleEndedIterator<Item = (&Argument, &Binding)> {
        self.all.iter().flat_map(|argument| {
            argument
                .bindings
                .iter()
                .map(move |binding| (argument, binding))
        })
    }

    /// Whether the expression of an option that all have uses a binding.
    fn is_in_common(&self, binding: &Binding) -> bool {
        let scope = self.common.scope.iter().map(|given| &given.value);
        let key = self.common.key.iter().flat_map(|given| &given.value);
        let key = key.map(|part| &part.expr);
        uses(&quote!(#(#scope;)* #(#key;)*), &binding.ident)
    }

    /// For executions that outlive their caller. What the key borrows, or an option's expression, while the call is made
    /// can't be moved, if that is `while_called`. What `others`, the expressions of its own options, use as well has its
    /// use, whether the body uses it or not.
    //
    // Output: let pool = private::own(private::arg(pool).__piggyback_part());   // skipped: moved, or the owned form of a reference
    //         let id = private::own(private::part(private::Part(&id).__piggyback_key()));   // in the key, which borrows it
    //         let n = private::Clone::clone(&n);                    // the same, of a plain type; else it just goes along
    //         …
    //         let pool = pool.__piggyback_lend();
    /// If they are wanted `again`, none is moved.
    pub(crate) fn owned(
        &self,
        while_called: bool,
        again: bool,
        others: &TokenStream,
    ) -> Vec<Owned> {
        let private = self.private;
        let owned = |(argument, binding): (&Argument, &Binding)| {
            let Binding {
                ident,
                mutability,
                cfgs,
            } = binding;
            let is_in_common = self.is_in_common(binding);
            let free = !while_called
                || !again
                    && self.is_skipped(argument, binding)
                    && self.key_expr(binding).is_none()
                    && !is_in_common;
            let is_used = is_in_common || uses(others, ident);
            let lints = &argument.lints;
            let allow = (is_used && !argument.receiver).then(|| quote!(#[allow(unused_variables)]));
            let allow = quote!(#allow #(#lints)*);
            let (place, kind) = (argument.place(), Kind::of(argument));
            if let Kind::Plain = kind {
                let copy = (!free).then(|| {
                    let allow = mutability.is_none().then_some(&allow);
                    quote!(#allow let #ident = #private::Clone::clone(&#ident);)
                });
                let own = copy.map(|copy| quote!(#(#cfgs)* #copy));
                let lend =
                    mutability.map(|_| quote!(#(#cfgs)* #allow let #mutability #ident = #ident;));
                return Owned {
                    own: own.into_token_stream(),
                    lend: lend.into_token_stream(),
                };
            }
            let in_key = !self.is_skipped(argument, binding) && self.key_expr(binding).is_none();
            let form = |kind, of: TokenStream| match kind {
                Kind::Unknown if free => {
                    let arg = private.call_at(place, "arg", of);
                    method_at(place, arg, "part", quote!())
                }
                // What can't be in the key has an error there, and is not asked for more here.
                _ if in_key => self.part(argument, kind, of),
                _ => self.borrowed(kind, place, of),
            };
            if let Some(parts) = parts(argument) {
                let indices: Vec<Index> = (0..parts.len()).map(Index::from).collect();
                let forms = indices.iter().zip(parts).map(|(n, ty)| {
                    let form = form(Kind::of_type(ty), quote!(#ident.#n));
                    private.call_at(place, "own", form)
                });
                return Owned {
                    own: quote!(#(#cfgs)* let #ident = (#(#forms,)*);),
                    lend: quote!(#(#cfgs)* #allow let #mutability #ident = (#(#ident.#indices.__piggyback_lend(),)*);),
                };
            }
            let form = form(kind, ident.to_token_stream());
            let name = if argument.receiver {
                local("self")
            } else {
                ident.clone()
            };
            let own = if argument.receiver { "own_self" } else { "own" };
            let form = private.call_at(place, own, form);
            let slice = argument
                .ty
                .as_ref()
                .is_some_and(is_slice_of_refs)
                .then(|| quote!(&#name[..]));
            let again = match kind {
                Kind::RefRef => Some(quote!(&#name)),
                _ => slice,
            };
            let lent = quote!(#name.__piggyback_lend());
            let lend = match again {
                None => quote!(#(#cfgs)* #allow let #mutability #name = #lent;),
                Some(again) => quote! {
                    #(#cfgs)* let #name = #lent;
                    #(#cfgs)* #allow let #mutability #name = #again;
                },
            };
            Owned {
                own: quote!(#(#cfgs)* let #name = #form;),
                lend,
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
            let (cfgs, private) = (&binding.cfgs, self.private);
            quote!(#(#cfgs)* let #name = #private::Clone::clone(&#name);)
        };
        self.bindings().map(copy).collect()
    }
}

/// Whether the expression for a scope is an argument, or something in it: `app.scope`, `&app.scope`, `app.scope()`.
pub(crate) fn holds(expr: &Expr, ident: &Ident) -> bool {
    match expr {
        Expr::Reference(reference) => holds(&reference.expr, ident),
        Expr::Paren(paren) => holds(&paren.expr, ident),
        Expr::Group(group) => holds(&group.expr, ident),
        Expr::Unary(unary) => holds(&unary.expr, ident),
        Expr::Field(field) => holds(&field.base, ident),
        Expr::MethodCall(call) => holds(&call.receiver, ident),
        Expr::Path(path) => path.path.is_ident(ident),
        _ => false,
    }
}

/// `&str`, `&Pool`; not `&[…]`, which may be a list of references, whatever its elements are called.
fn is_ref(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => {
            reference.mutability.is_none() && matches!(peel(&reference.elem), Type::Path(_))
        }
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

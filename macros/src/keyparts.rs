//! Turns the arguments of a call into parts of the key, and, if an execution outlives its caller, into owned forms.

use crate::call::Call;
use crate::function::{Argument, Binding};
use crate::private::{Place, borrow_at, group_at, located_at, method_at};
use crate::tokens::{local, shows_borrow, uses};
use crate::types::{hashed_inside, inside, is_plain, is_unordered, peel, peel_reference};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Expr, Index, Type, punctuated};

/// What the tokens of an argument's type show. Knowing it here saves the compiler the work of method resolution, which all
/// other types need: an alias, a type parameter or a pattern's binding may be anything.
#[derive(Clone, Copy)]
enum Kind {
    /// A well-known type without a lifetime, which is its own owned form.
    Plain,
    /// A reference to a single value.
    Ref,
    /// A reference to such a reference, which is compared by the value.
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
            ty if is_plain(ty) => Self::Plain,
            ty if is_ref(ty) => Self::Ref,
            Type::Reference(outer) if outer.mutability.is_none() && is_ref(peel(&outer.elem)) => {
                Self::RefRef
            }
            _ => Self::Unknown,
        }
    }
}

/// The parts of a tuple that borrows. Each has an owned form, although the tuple has none.
fn parts(argument: &Argument) -> Option<Vec<&Type>> {
    match &argument.ty {
        Some(Type::Tuple(tuple)) if argument.is_plain_name => {
            let borrows = shows_borrow(tuple.to_token_stream());
            borrows.then(|| tuple.elems.iter().map(peel).collect())
        }
        _ => None,
    }
}

/// The members of an expression that is a tuple.
fn members(expr: &Expr) -> Option<punctuated::Iter<'_, Expr>> {
    match expr {
        Expr::Tuple(tuple) => Some(tuple.elems.iter()),
        Expr::Paren(paren) => members(&paren.expr),
        Expr::Group(group) => members(&group.expr),
        _ => None,
    }
}

/// A `let` for an argument's owned form, and one for what the body sees.
pub(crate) struct Owned {
    pub(crate) own: TokenStream,
    pub(crate) lend: TokenStream,
}

impl Call<'_> {
    // Output: (private::part(private::Part(&a).__piggyback_key()), (private::part(private::ByRef(b)), (private::ByValue(&c), ())))
    pub(crate) fn key(&self) -> TokenStream {
        self.key_of(|_, part| part)
    }

    /// The same key, with each part mapped by a function.
    pub(crate) fn key_of(&self, of: impl Fn(Place, TokenStream) -> TokenStream) -> TokenStream {
        let mut key = quote!(());
        for (argument, binding) in self.bindings().rev() {
            if let Some(part) = self.key_part(argument, binding, &of) {
                let cfgs = &binding.cfgs;
                key = quote!((#(#cfgs)* #part, #key));
            }
        }
        key
    }

    fn key_part(
        &self,
        argument: &Argument,
        binding: &Binding,
        of: impl Fn(Place, TokenStream) -> TokenStream,
    ) -> Option<TokenStream> {
        let (place, name) = (argument.place(), &binding.ident);
        if let Some(expr) = self.options.key_expr(name) {
            return Some(self.given_part(expr, &of));
        }
        if self.is_skipped(argument, binding) {
            return None;
        }
        let Some(parts) = parts(argument) else {
            let part = self.part(argument, type_of(argument), Kind::of(argument), name);
            return Some(of(place, part));
        };
        let mut tuple = quote!(());
        for (n, ty) in parts.into_iter().enumerate().rev() {
            let n = Index::from(n);
            let part = of(
                place,
                self.part(argument, Some(ty), Kind::of_type(ty), quote!(#name.#n)),
            );
            tuple = quote!((#part, #tuple));
        }
        Some(tuple)
    }

    /// The part that an expression in `key(…)` gives. The members of a tuple are parts of their own, so each may be borrowed.
    fn given_part(
        &self,
        expr: &Expr,
        of: &impl Fn(Place, TokenStream) -> TokenStream,
    ) -> TokenStream {
        if let Some(members) = members(expr) {
            let mut tuple = quote!(());
            for member in members.rev() {
                let part = self.given_part(member, of);
                tuple = quote!((#part, #tuple));
            }
            return tuple;
        }
        let place = Place::of(expr);
        let borrowed = group_at(place, borrow_at(place, expr)).into_token_stream();
        let part = method_at(place, borrowed, "as_part", quote!());
        let key = method_at(place, part, "key", quote!());
        let function = match self.is_group() {
            true => "group_part",
            false => "part",
        };
        of(place, self.private.call_at(place, function, key))
    }

    fn part(
        &self,
        argument: &Argument,
        ty: Option<&Type>,
        kind: Kind,
        of: impl ToTokens,
    ) -> TokenStream {
        let place = argument.place();
        let mut part = self.borrowed(kind, place, of);
        if is_handle(argument) {
            let [_, function] = self.handle_names(argument);
            let function = located_at(place, function.to_token_stream());
            let part_in = group_at(place, part);
            part = quote!(#function #part_in);
        }
        let function = match (argument.receiver, self.is_group()) {
            _ if argument.is_item => "item_part",
            (true, true) => "self_group_part",
            (true, false) => "self_part",
            (false, true) => "group_part",
            (false, false) => "part",
        };
        match (kind, ty.and_then(hashed_inside)) {
            (Kind::Plain, _) => part,
            (_, None) => self.private.call_at(place, function, part),
            (_, Some(inside)) if is_unordered(&inside) && !argument.is_item => {
                self.with(place, &format!("unordered_{function}"), &inside, part)
            }
            (_, Some(inside)) => self.with(place, function, &inside, part),
        }
    }

    /// For each pool or the like in the key, a trait that states that it is `Hash`, with a message that names the argument.
    /// Few functions have one, since pools are not `Hash`.
    //
    // Output: trait __Handle0 …; impl … for K {}; impl … for K {}; fn __handle0…
    pub(crate) fn handles(&self) -> TokenStream {
        let private = self.private;
        let handle = |(argument, binding): (&Argument, &Binding)| {
            let is_replaced = self.options.key_expr(&binding.ident).is_some();
            if is_replaced || self.is_skipped(argument, binding) || !is_handle(argument) {
                return None;
            }
            let [step, function] = self.handle_names(argument);
            let name = &binding.ident;
            let (hash, key) = match self.is_group() {
                true => (quote!(HashInGroup), "group"),
                false => (quote!(HashOf), "key"),
            };
            let message = format!(
                "`{name}` can't be part of the {key}, since `{{A}}` is not `Hash`; if the process has only one `{{A}}`, write `skip({name})`"
            );
            let several = format!(
                "if the process has several, for example one per tenant or per test, write `key({name} = …)` with a value that tells them apart, or `scope = {name}.…` with a field of type `piggyback::Scope`"
            );
            let must_stay = format!(
                "never skip what the result depends on: users, tenants, permissions and locales must stay in the {key}"
            );
            let sized = quote!(?::core::marker::Sized);
            Some(quote! {
                #[diagnostic::on_unimplemented(
                    message = #message, label = "`{A}` is not `Hash`", note = #several, note = #must_stay
                )]
                trait #step<A: #sized, M> {
                    type Part;
                    fn __piggyback_part(self) -> Self::Part;
                }
                #[diagnostic::do_not_recommend]
                impl<A: #sized, K: #private::#hash<A, #private::Always>> #step<A, #private::Always> for K {
                    type Part = K;
                    fn __piggyback_part(self) -> K { self }
                }
                #[diagnostic::do_not_recommend]
                impl<A: #sized, K: #private::Nothing> #step<A, #private::Never> for K {
                    type Part = ();
                    fn __piggyback_part(self) {}
                }
                fn #function<K, M>(part: K) -> <K as #step<K::Argument, M>>::Part
                where
                    K: #private::About + #step<K::Argument, M>,
                {
                    #step::__piggyback_part(part)
                }
            })
        };
        self.bindings().filter_map(handle).collect()
    }

    /// The names of a handle's trait and function, which both attributes of a function have in common.
    fn handle_names(&self, argument: &Argument) -> [Ident; 2] {
        let binds = |other: &Argument| {
            let binding = argument.bindings.first();
            binding.is_some_and(|binding| other.binds(&binding.ident))
        };
        let index = self.function.arguments.iter().position(binds).unwrap_or(0);
        ["Handle", "handle"].map(|name| local(&format!("{name}{index}")))
    }

    /// A call about a container, with the type in it that messages name.
    //
    // Output: private::part_with(private::ty::<User>(), private::Part(&users).__piggyback_key())
    fn with(&self, place: Place, name: &str, inside: &Type, part: TokenStream) -> TokenStream {
        let inside = self.private.output_at(place, inside);
        let name = format!("{name}_with");
        self.private.call_at(place, &name, quote!(#inside, #part))
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

    /// Whether any part needs method resolution.
    pub(crate) fn are_probed(&self, in_owned_form: bool) -> bool {
        self.bindings().any(|(argument, binding)| {
            let in_key = self.options.key_expr(&binding.ident).is_some();
            in_key
                || matches!(Kind::of(argument), Kind::Unknown)
                    && (in_owned_form || !self.is_skipped(argument, binding))
        })
    }

    fn bindings(&self) -> impl DoubleEndedIterator<Item = (&Argument, &Binding)> {
        let arguments = self.function.arguments.iter();
        let arguments = arguments.filter(|argument| self.takes(argument));
        arguments.flat_map(|argument| {
            argument
                .bindings
                .iter()
                .map(move |binding| (argument, binding))
        })
    }

    fn is_skipped(&self, argument: &Argument, binding: &Binding) -> bool {
        self.options.skips(&binding.ident, argument.receiver)
    }

    /// Whether an option of both attributes uses a binding in an expression.
    fn is_in_common(&self, binding: &Binding) -> bool {
        let scope = self.options.scope.iter().map(|given| &given.value);
        let key = self.options.key.iter().flat_map(|given| &given.value);
        let key = key.map(|part| &part.expr);
        uses(&quote!(#(#scope;)* #(#key;)*), &binding.ident)
    }

    /// The owned forms, for executions that outlive their caller. With `while_called`, arguments that the key or the expression
    /// of an option borrows are copied, not moved; with `again`, all arguments are. Arguments that `others` (the expressions of
    /// the attribute's own options) use are never reported as unused.
    //
    // Output: let pool = private::own(private::arg(pool).__piggyback_part());   // skipped: moved, or the owned form of a reference
    //         let id = private::own(private::part(private::Part(&id).__piggyback_key()));   // in the key, which borrows it
    //         let n = private::Clone::clone(&n);                    // the same, of a plain type; if it is moved, the closure captures it
    //         …
    //         let pool = pool.__piggyback_lend();
    pub(crate) fn owned(
        &self,
        while_called: bool,
        again: bool,
        others: &TokenStream,
    ) -> Vec<Owned> {
        let owned = |(argument, binding): (&Argument, &Binding)| {
            let is_in_common = self.is_in_common(binding);
            let is_moved = !while_called
                || !again
                    && self.is_skipped(argument, binding)
                    && self.options.key_expr(&binding.ident).is_none()
                    && !is_in_common;
            let is_used = is_in_common || uses(others, &binding.ident);
            let allow = (is_used && !argument.receiver).then(|| quote!(#[allow(unused_variables)]));
            let lints = &argument.lints;
            let lints = quote!(#allow #(#lints)*);
            match (Kind::of(argument), parts(argument)) {
                (Kind::Plain, _) => self.owned_value(binding, is_moved, &lints),
                (_, Some(parts)) => self.owned_tuple(argument, binding, &parts, is_moved, &lints),
                (kind, None) => self.owned_form(argument, binding, kind, is_moved, &lints),
            }
        };
        self.bindings().map(owned).collect()
    }

    /// A plain type is its own owned form.
    fn owned_value(&self, binding: &Binding, is_moved: bool, lints: &TokenStream) -> Owned {
        let Binding {
            ident,
            mutability,
            cfgs,
        } = binding;
        let private = self.private;
        let own = (!is_moved).then(|| {
            let lints = mutability.is_none().then_some(lints);
            quote!(#(#cfgs)* #lints let #ident = #private::Clone::clone(&#ident);)
        });
        let lend = mutability.map(|_| quote!(#(#cfgs)* #lints let #mutability #ident = #ident;));
        Owned {
            own: own.into_token_stream(),
            lend: lend.into_token_stream(),
        }
    }

    fn owned_tuple(
        &self,
        argument: &Argument,
        binding: &Binding,
        parts: &[&Type],
        is_moved: bool,
        lints: &TokenStream,
    ) -> Owned {
        let Binding {
            ident,
            mutability,
            cfgs,
        } = binding;
        let indices: Vec<Index> = (0..parts.len()).map(Index::from).collect();
        let forms = indices.iter().zip(parts).map(|(n, ty)| {
            let of = quote!(#ident.#n);
            let kind = Kind::of_type(ty);
            let form = self.owned_part(argument, binding, Some(ty), kind, of, is_moved);
            self.own(argument, Some(ty), form)
        });
        Owned {
            own: quote!(#(#cfgs)* let #ident = (#(#forms,)*);),
            lend: quote!(#(#cfgs)* #lints let #mutability #ident = (#(#ident.#indices.__piggyback_lend(),)*);),
        }
    }

    fn owned_form(
        &self,
        argument: &Argument,
        binding: &Binding,
        kind: Kind,
        is_moved: bool,
        lints: &TokenStream,
    ) -> Owned {
        let Binding {
            ident,
            mutability,
            cfgs,
        } = binding;
        let ty = type_of(argument);
        let of = ident.to_token_stream();
        let form = self.owned_part(argument, binding, ty, kind, of, is_moved);
        let name = local_name(argument, binding);
        let form = self.own(argument, ty, form);
        let is_slice = argument.ty.as_ref().is_some_and(is_slice_of_refs);
        let again = match kind {
            Kind::RefRef => Some(quote!(&#name)),
            _ => is_slice.then(|| quote!(&#name[..])),
        };
        let lent = quote!(#name.__piggyback_lend());
        let lend = match again {
            None => quote!(#(#cfgs)* #lints let #mutability #name = #lent;),
            Some(again) => quote! {
                #(#cfgs)* let #name = #lent;
                #(#cfgs)* #lints let #mutability #name = #again;
            },
        };
        Owned {
            own: quote!(#(#cfgs)* let #name = #form;),
            lend,
        }
    }

    /// Makes the owned form of a part.
    fn own(&self, argument: &Argument, ty: Option<&Type>, part: TokenStream) -> TokenStream {
        let (private, place) = (self.private, argument.place());
        match ty.and_then(inside) {
            _ if argument.is_arc_self() => private.call_at(place, "own_arc", part),
            _ if argument.receiver => private.call_at(place, "own_self", part),
            None => private.call_at(place, "own", part),
            Some(inside) => self.with(place, "own", &inside, part),
        }
    }

    /// The part from which an owned form is made.
    fn owned_part(
        &self,
        argument: &Argument,
        binding: &Binding,
        ty: Option<&Type>,
        kind: Kind,
        of: TokenStream,
        is_moved: bool,
    ) -> TokenStream {
        let in_key =
            !self.is_skipped(argument, binding) && self.options.key_expr(&binding.ident).is_none();
        let place = argument.place();
        match kind {
            Kind::Unknown if is_moved => {
                let arg = self.private.call_at(place, "arg", of);
                method_at(place, arg, "part", quote!())
            }
            // An argument that can't be in the key already has an error there, so this repeats the same call.
            _ if in_key => self.part(argument, ty, kind, of),
            _ => self.borrowed(kind, place, of),
        }
    }

    /// Copies each owned form, for a body that runs several times.
    pub(crate) fn copies(&self) -> TokenStream {
        let copy = |(argument, binding): (&Argument, &Binding)| {
            let name = local_name(argument, binding);
            let (cfgs, private) = (&binding.cfgs, self.private);
            quote!(#(#cfgs)* let #name = #private::Clone::clone(&#name);)
        };
        self.bindings().map(copy).collect()
    }
}

/// The type of an argument, if a name stands for all of it.
fn type_of(argument: &Argument) -> Option<&Type> {
    let ty = argument.ty.as_ref();
    ty.filter(|_| argument.is_plain_name && !argument.receiver)
}

/// Names of arguments that stand for a database or a service.
const HANDLES: &[&str] = &["db", "database", "pool", "client", "conn", "connection"];

/// Endings of the names of their types.
const HANDLE_TYPES: &[&str] = &["Pool", "Client", "Database", "Db", "Connection", "Conn"];

/// Whether an argument is likely to be a pool, a client or the like. Only messages depend on it.
fn is_handle(argument: &Argument) -> bool {
    let Some(ty) = type_of(argument) else {
        return false;
    };
    let name = argument.bindings.first().map(|binding| &binding.ident);
    let ty = peel_reference(ty);
    let Type::Path(path) = ty else { return false };
    let last = path.path.segments.last();
    let last = last.map_or_else(String::new, |last| last.ident.to_string());
    let is_named = name.is_some_and(|name| HANDLES.iter().any(|known| name == known));
    !is_plain(ty)
        && !path.path.is_ident("str")
        && !argument.is_item
        && argument.cfgs.is_empty()
        && hashed_inside(ty).is_none()
        && (is_named || HANDLE_TYPES.iter().any(|ending| last.ends_with(ending)))
}

/// The name of an owned form. No local can be called `self`.
fn local_name(argument: &Argument, binding: &Binding) -> Ident {
    match argument.receiver {
        true => local("self"),
        false => binding.ident.clone(),
    }
}

/// Recognises `&str` and `&Pool`, but not `&[T]`: `T` may be an alias of a reference.
fn is_ref(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => {
            reference.mutability.is_none() && matches!(peel(&reference.elem), Type::Path(_))
        }
        _ => false,
    }
}

/// Recognises `&[&T]`, whose owned form must lend a new list of references.
fn is_slice_of_refs(ty: &Type) -> bool {
    match ty {
        Type::Reference(outer) => {
            matches!(&*outer.elem, Type::Slice(slice) if matches!(&*slice.elem, Type::Reference(_)))
        }
        _ => false,
    }
}

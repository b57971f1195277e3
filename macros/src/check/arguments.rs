//! Checks the arguments: those that options name, and whether each can be in the key, or outlive the caller.

use super::Seen;
use crate::errors::{Errors, no_argument};
use crate::function::{Argument, Binding, Function};
use crate::items::List;
use crate::tokens::{in_words, shows_borrow};
use crate::types::{self, arguments_of, holds, is_called, peel};
use proc_macro2::Ident;
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{FnArg, Pat, ReceiverKind, Token, Type, TypeParamBound, WherePredicate};

pub(super) fn all(seen: &Seen<'_>, errors: &mut Errors) {
    ambiguous(seen, errors);
    named(seen, errors);
    for (index, argument) in seen.function.arguments.iter().enumerate() {
        let pat = match seen.function.sig.inputs.iter().nth(index) {
            Some(FnArg::Typed(typed)) => Some(&*typed.pat),
            _ => None,
        };
        let list = seen.list(index);
        if let (Some(Pat::Macro(pat)), None) = (pat, list) {
            errors.at(pat, "an attribute can't see which names a macro binds; use a plain name here, and the macro in the body");
            continue;
        }
        let message = match list {
            Some(list) => of_list(seen, list),
            None => of_argument(seen, index, argument),
        };
        if let Some(message) = message {
            errors.at(&argument.written, message);
        }
    }
    outlives_its_arguments(seen, errors);
}

fn of_list(seen: &Seen<'_>, list: &List) -> Option<String> {
    if shows_borrow(list.item.clone()) {
        return Some(not_owned(list));
    }
    let item = syn::parse2::<Type>(list.item.clone()).ok()?;
    let is_float = seen.dedup.is_some() && types::float(&item, "").is_some();
    is_float.then(|| {
        format!("a float is not `Eq`, and `#[dedup]` compares items; let `{}` be the floats' `to_bits()`, or take `#[dedup]` off", list.name)
    })
}

/// Checks an argument that is not a list of items.
fn of_argument(seen: &Seen<'_>, index: usize, argument: &Argument) -> Option<String> {
    let options = seen.common();
    let (key, execution, outlives) = (seen.key(), seen.execution(), seen.outlives());
    let is_clear = !["skip", "key"].iter().any(|name| options.is_unread(name));
    let is_in_key =
        |name: &Ident| options.key_expr(name).is_none() && !options.skips(name, argument.receiver);
    let mut names = argument.bindings.iter().map(|binding| &binding.ident);
    let in_key = is_clear && names.clone().any(is_in_key);
    // An argument with a `#[cfg]` may not exist.
    let is_one = argument.bindings.len() == 1 && argument.cfgs.is_empty();
    let name = names.next().map_or_else(String::new, Ident::to_string);
    let ty = argument.ty.as_ref();
    if outlives && is_lent_to(seen.function, argument) {
        let ty = ty.map(in_words).unwrap_or_default();
        return Some(format!(
            "{execution} runs in its own task and can outlive its caller, but `{ty}` can be a borrow, for example of a connection; take an owned value, for example the pool"
        ));
    }
    let borrow = borrow_of(seen.function, index, argument);
    let message = match (borrow, ty) {
        (Borrow::No, Some(ty)) if in_key && is_one => return of_value(ty, &name, key),
        (Borrow::Mut, _) if outlives && argument.receiver => format!(
            "{execution} runs in its own task, so it can't borrow `&mut self`; take `&self` or `self: Arc<Self>`"
        ),
        (Borrow::Mut, _) if outlives => format!(
            "{execution} runs in its own task, so it can't borrow `{name}` mutably; take an owned value, for example the pool instead of a connection"
        ),
        (Borrow::Mut, _) if in_key && argument.receiver => format!(
            "`&mut self` can't be part of the {key}; write `key(self = self.…)` with the fields that identify the instance, `scope = self.…` with a field of type `piggyback::Scope`, or `skip(self)` if the result does not depend on the instance"
        ),
        (Borrow::Mut, _) if in_key => format!(
            "`{name}` is a `&mut`, which can't be part of the {key}; if it is a connection, write `skip({name})`, and note that the result then comes from the connection of one of the callers; otherwise write `key({name} = …)` with a value that identifies it"
        ),
        (Borrow::Within, _) if in_key => format!(
            "the type of `{name}` borrows, so it can't be part of the {key}; write `key({name} = …)` with a value that identifies it, or `skip({name})` if the result does not depend on it"
        ),
        (Borrow::Within, _) if outlives => {
            let or_not = match seen.batch {
                Some(_) => "",
                None => ", or remove `spawn`",
            };
            format!(
                "{execution} runs in its own task, so it can't use `{name}`, whose type borrows; take an owned value{or_not}"
            )
        }
        _ => return None,
    };
    Some(message)
}

/// Checks an argument that borrows nothing and is part of the key.
fn of_value(ty: &Type, name: &str, key: &str) -> Option<String> {
    if let Some(bits) = types::float(ty, name) {
        return Some(format!(
            "a float is not `Eq`, so `{name}` can't be part of the {key}; write `key({name} = {bits})`, or `skip({name})` if the result does not depend on it"
        ));
    }
    let instead = types::converted(ty)?;
    Some(format!(
        "`{name}` can't be part of the {key}, since `{}` is not `Hash`; take `{instead}` instead, or write `key({name} = …)` with a value that identifies it",
        in_words(ty)
    ))
}

/// Checks the names in `skip(…)` and `key(…)`.
fn named(seen: &Seen<'_>, errors: &mut Errors) {
    let (arguments, options) = (&seen.function.arguments, seen.common());
    let bindings = arguments.iter().flat_map(|argument| &argument.bindings);
    let known: Vec<String> = bindings.map(|binding| binding.ident.to_string()).collect();
    let skip = options.skip.iter();
    let skip = skip.flat_map(|skip| skip.value.iter().map(|name| (&skip.name, name)));
    let key = options.key.iter();
    let key = key.flat_map(|key| key.value.iter().map(|part| (&key.name, &part.argument)));
    let mut before: Vec<(&Ident, &Ident)> = Vec::new();
    for (option, name) in skip.chain(key) {
        let index = arguments.iter().position(|argument| argument.binds(name));
        let is_list = index.is_some_and(|index| seen.list(index).is_some());
        if index.is_none() {
            errors.at(name, no_argument(&name.to_string(), &known));
        } else if is_list && seen.dedup.is_some() {
            errors.at(name, format!("`{name}` is the list of items, which `#[dedup]` always compares; remove it from `{option}`"));
        } else if is_list {
            errors.at(name, format!("`{name}` is the list of items, which is never part of the group; remove it from `{option}`"));
        } else if let Some((other, _)) = before.iter().find(|(_, other)| *other == name) {
            let message = match *other == option {
                true => format!("`{name}` is in `{option}` twice; remove one of them"),
                false => format!("`{name}` is in both `skip` and `key`; remove one of them"),
            };
            errors.at(name, message);
        }
        before.push((option, name));
    }
}

/// Finds names that two arguments share. If a macro made one of them, the compiler can tell them apart, but an option can't.
fn ambiguous(seen: &Seen<'_>, errors: &mut Errors) {
    let options = seen.common();
    let skip = options.skip.iter().flat_map(|skip| &skip.value);
    let key = options.key.iter().flat_map(|key| &key.value);
    let items = seen.items.iter().flat_map(|items| &items.lists);
    let named: Vec<&Ident> = skip
        .chain(key.map(|part| &part.argument))
        .chain(items.map(|list| &list.name))
        .collect();
    let mut before: Vec<&Ident> = Vec::new();
    // Arguments with a `#[cfg]` may exclude each other.
    let always = seen
        .function
        .arguments
        .iter()
        .filter(|argument| argument.cfgs.is_empty());
    for Binding { ident, .. } in always.flat_map(|argument| &argument.bindings) {
        let scope = options.scope.as_ref();
        let is_named =
            named.contains(&ident) || scope.is_some_and(|scope| holds(&scope.value, ident));
        if is_named && before.contains(&ident) {
            errors.at(
                ident,
                format!("two arguments are called `{ident}`, one of them by a macro, and an option that says `{ident}` can't tell them apart; rename one"),
            );
        }
        before.push(ident);
    }
}

/// How an argument borrows, as far as its type shows.
enum Borrow {
    No,
    Mut,
    /// A struct with a lifetime, or a reference in some other type.
    Within,
}

fn borrow_of(function: &Function, index: usize, argument: &Argument) -> Borrow {
    if let Some(FnArg::Receiver(receiver)) = function.sig.inputs.iter().nth(index) {
        match &receiver.kind {
            ReceiverKind::Reference(_, _, Some(_)) => return Borrow::Mut,
            ReceiverKind::Reference(..) | ReceiverKind::Value => return Borrow::No,
            _ => {}
        }
    }
    argument.ty.as_ref().map_or(Borrow::No, borrow_of_type)
}

fn borrow_of_type(ty: &Type) -> Borrow {
    match peel(ty) {
        Type::Reference(reference) if reference.mutability.is_some() => Borrow::Mut,
        // These are compared by the value to which they refer.
        Type::Reference(reference) => match peel(&reference.elem) {
            Type::Slice(slice) => within(peel_reference(&slice.elem)),
            elem => within(peel_reference(elem)),
        },
        Type::Tuple(tuple) => {
            let parts = tuple.elems.iter().map(|elem| match peel(elem) {
                Type::Tuple(_) => within(elem),
                elem => borrow_of_type(elem),
            });
            parts.fold(Borrow::No, |all, part| match (all, part) {
                (Borrow::Mut, _) | (_, Borrow::Mut) => Borrow::Mut,
                (Borrow::No, part) => part,
                (Borrow::Within, _) => Borrow::Within,
            })
        }
        Type::Path(path) if is_called(&path.path, "Option") => {
            match arguments_of(path).first().map(|inner| peel(inner)) {
                Some(Type::Reference(reference)) if reference.mutability.is_some() => Borrow::Mut,
                Some(inner) => within(peel_reference(inner)),
                None => Borrow::No,
            }
        }
        Type::Path(path) if is_called(&path.path, "Cow") => Borrow::No,
        ty => within(ty),
    }
}

fn not_owned(list: &List) -> String {
    let owned = types::owned(list.item.clone());
    let name = &list.name;
    if shows_borrow(owned.clone()) {
        return "items can wait longer than the call that supplied them, so they must be owned; use a type that doesn't borrow".to_owned();
    }
    let references = match syn::parse2::<Type>(list.item.clone()) {
        Ok(Type::Reference(reference)) => format!(
            "; with `{name}: &[&{}]` the body still gets references",
            in_words(reference.elem)
        ),
        _ => String::new(),
    };
    format!(
        "items can wait longer than the call that supplied them, so they must be owned; write `{}`{references}",
        in_words(owned)
    )
}

/// Whether the argument's type is a parameter whose bounds allow it to borrow, such as `E: PgExecutor<'e>`.
fn is_lent_to(function: &Function, argument: &Argument) -> bool {
    let Some(Type::Path(path)) = argument.ty.as_ref().map(peel) else {
        return matches!(argument.ty.as_ref().map(peel), Some(Type::ImplTrait(ty)) if may_borrow(&ty.bounds));
    };
    let Some(name) = path.path.get_ident() else {
        return false;
    };
    let generics = &function.sig.generics;
    let inline = generics
        .type_params()
        .filter(|param| param.ident == *name)
        .map(|param| &param.bounds);
    let predicates = generics
        .where_clause
        .iter()
        .flat_map(|clause| &clause.predicates);
    let wheres = predicates.filter_map(|predicate| match predicate {
        WherePredicate::Type(bound) if matches!(peel(&bound.bounded_ty), Type::Path(path) if path.path.is_ident(name)) => {
            Some(&bound.bounds)
        }
        _ => None,
    });
    let bounds: Vec<_> = inline.chain(wheres).collect();
    let is_static = |bounds: &&Bounds| {
        bounds
            .iter()
            .any(|bound| bound.to_token_stream().to_string() == "'static")
    };
    !bounds.iter().any(is_static) && bounds.iter().any(|bounds| may_borrow(bounds))
}

type Bounds = Punctuated<TypeParamBound, Token![+]>;

fn may_borrow(bounds: &Bounds) -> bool {
    let is_static = bounds
        .iter()
        .any(|bound| bound.to_token_stream().to_string() == "'static");
    !is_static
        && bounds.iter().any(|bound| {
            matches!(bound, TypeParamBound::Trait(_)) && shows_borrow(bound.to_token_stream())
        })
}

/// Finds a `'static` future with borrowed arguments: the key is read when the future is first polled.
fn outlives_its_arguments(seen: &Seen<'_>, errors: &mut Errors) {
    let function = seen.function;
    let borrows = |argument: &&Argument| match &argument.ty {
        Some(ty) => shows_borrow(ty.to_token_stream()),
        None => shows_borrow(argument.written.clone()),
    };
    let borrowed = function
        .arguments
        .iter()
        .filter(borrows)
        .flat_map(|argument| &argument.bindings);
    let (Some(ty), Some(name)) = (
        function.static_future(),
        borrowed.map(|binding| &binding.ident).next(),
    ) else {
        return;
    };
    errors.at(
        ty,
        format!("the key is read when the future is first polled, so the future must borrow `{name}` until then, and can't be `'static`; make it an `async fn`, use the lifetime of `{name}` instead of `'static`, or take owned arguments"),
    );
}

fn peel_reference(ty: &Type) -> &Type {
    match peel(ty) {
        Type::Reference(reference) if reference.mutability.is_none() => &reference.elem,
        other => other,
    }
}

fn within(ty: &Type) -> Borrow {
    let borrows = !matches!(ty, Type::ImplTrait(_)) && shows_borrow(ty.to_token_stream());
    if borrows { Borrow::Within } else { Borrow::No }
}

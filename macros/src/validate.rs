//! Whether the options and the function fit together: all that can be seen without knowing types.

use crate::arguments::holds;
use crate::errors::{Errors, no_argument};
use crate::items::{Items, List};
use crate::known;
use crate::options::{Attribute, Common, Given, Options, Sibling};
use crate::outcome::HandOut;
use crate::signature::{Argument, Function, peel};
use crate::tokens::mentions;
use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::{
    Expr, GenericArgument, PathArguments, ReceiverKind, Token, Type, TypeParamBound, WherePredicate,
};

/// What both attributes have, by itself; and the names of the functions that are made.
pub(crate) fn common(
    common: &Common,
    forget: Option<&Given<Sibling>>,
    function: &Function,
    errors: &mut Errors,
) {
    if let (Some(_), Some(clone)) = (&common.share_err, &common.clone_with) {
        errors.at(
            &clone.name,
            "`share_err` and `clone_with` both decide how an error is shared; remove one of them",
        );
    }
    functions(
        [
            (&common.share_err, "share_err = AppError::Shared"),
            (&common.clone_with, "clone_with = copy_of"),
            (&common.failed, "failed = AppError::Failed"),
        ],
        errors,
    );
    if let Some(scope) = common
        .scope
        .as_ref()
        .filter(|scope| is_new_scope(&scope.value))
    {
        errors.at(
            &scope.value,
            "this creates a new scope for every call, so no two calls would ever share anything; store a `Scope` in a field and write `scope = self.scope`, or in a `static SCOPE: LazyLock<Scope>` and write `scope = SCOPE`",
        );
    }
    for named in [common.direct.as_ref(), forget].into_iter().flatten() {
        let ident = &named.value.ident;
        if *ident == function.sig.ident {
            errors.at(
                ident,
                format!(
                    "`{ident}` is the name of the function itself; choose another name for `{}`",
                    named.name
                ),
            );
        }
    }
    if let (Some(direct), Some(forget)) = (&common.direct, forget) {
        if direct.value.ident == forget.value.ident {
            errors.at(
                &forget.value.ident,
                "`direct` and `forget` each generate a function; choose two different names",
            );
        }
    }
}

/// The function for a list of items.
pub(crate) fn many(
    many: &Given<Sibling>,
    common: &Common,
    function: &Function,
    is_dedup: bool,
    errors: &mut Errors,
) {
    let taken = [
        Some(&function.sig.ident),
        common.direct.as_ref().map(|it| &it.value.ident),
    ];
    if taken.contains(&Some(&many.value.ident)) {
        errors.at(
            &many.value.ident,
            format!(
                "another function is called `{}`; choose another name for `many`",
                many.value.ident
            ),
        );
    }
    if is_dedup {
        errors.at(
            &many.name,
            "`many` can't be combined with `#[dedup]`, which shares the calls of single items; remove `many` and await the single calls together, for example with `join_all`",
        );
    }
}

/// The fleet, by itself and beside `#[batch]`.
pub(crate) fn across(across: &Given<Expr>, is_batch: bool, errors: &mut Errors) {
    if is_batch {
        errors.at(
            &across.name,
            "`across` can't be combined with `#[batch]`, since a bulk call serves the items of one process; remove `across`, or write it on a `#[dedup]` function around this one",
        );
    }
    if matches!(across.value, Expr::Lit(_)) {
        errors.at(
            &across.value,
            "`across` takes a `piggyback::fleet::Fleet`, for example `across = FLEET` or `across = self.fleet`",
        );
    }
    if is_new_fleet(&across.value) {
        errors.at(
            &across.value,
            "this creates a new fleet, with a connection of its own, for every call; store a `Fleet` in a field and write `across = self.fleet`, or in a `static FLEET: LazyLock<Fleet>` and write `across = FLEET`",
        );
    }
}

/// `Fleet::new(…)` or `piggyback_redis::fleet(…)`, by whatever path; perhaps with settings behind it.
fn is_new_fleet(expr: &Expr) -> bool {
    match expr {
        Expr::Reference(reference) => is_new_fleet(&reference.expr),
        Expr::Paren(paren) => is_new_fleet(&paren.expr),
        Expr::MethodCall(call) if call.method.to_string().starts_with("with_") => {
            is_new_fleet(&call.receiver)
        }
        Expr::Call(call) => match &*call.func {
            Expr::Path(function) => {
                let mut names = function.path.segments.iter().rev().map(|name| &name.ident);
                let (last, owner) = (names.next(), names.next());
                let [new, fleet] = ["new", "fleet"].map(|name| last.is_some_and(|it| it == name));
                let of = |name| owner.is_some_and(|owner| owner == name);
                new && of("Fleet") || fleet && of("piggyback_redis")
            }
            _ => false,
        },
        _ => false,
    }
}

/// `Scope::new()` or `Scope::default()`, by whatever path.
fn is_new_scope(expr: &Expr) -> bool {
    match expr {
        Expr::Reference(reference) => is_new_scope(&reference.expr),
        Expr::Paren(paren) => is_new_scope(&paren.expr),
        Expr::Call(call) => match &*call.func {
            Expr::Path(function) if call.args.is_empty() => {
                let mut names = function.path.segments.iter().rev().map(|name| &name.ident);
                names
                    .next()
                    .is_some_and(|name| name == "new" || name == "default")
                    && names.next().is_some_and(|name| name == "Scope")
            }
            _ => false,
        },
        _ => false,
    }
}

/// Options that take a closure or the path of a function; a literal is neither.
fn functions<const N: usize>(options: [(&Option<Given<Expr>>, &str); N], errors: &mut Errors) {
    for (option, example) in options {
        if let Some(Given {
            name,
            value: literal @ Expr::Lit(_),
        }) = option
        {
            errors.at(
                literal,
                format!("`{name}` takes a function or a closure, for example `{example}`"),
            );
        }
    }
}

/// The options that only `attribute` has, by themselves.
pub(crate) fn options(attribute: Attribute, options: &Options, errors: &mut Errors) {
    match attribute {
        Attribute::Dedup => dedup(options, errors),
        Attribute::Batch => batch(options, errors),
    }
}

fn dedup(options: &Options, errors: &mut Errors) {
    if let (Some(across_err), None) = (&options.across_err, &options.across) {
        if !options.common.is_unread("across") {
            errors.at(
                &across_err.name,
                "`across_err` sends errors to the processes of a fleet, and this function has none; add `across = …`",
            );
        }
    }
    if let (Some(busy), None) = (&options.busy, &options.max_followers) {
        if !options.common.is_unread("max_followers") {
            errors.at(
                &busy.name,
                "`busy` is the error of calls beyond `max_followers`, and there is no such limit; add `max_followers = 100`",
            );
        }
    }
}

fn batch(options: &Options, errors: &mut Errors) {
    functions(
        [
            (&options.one_by, "one_by = |user| user.id"),
            (&options.many_by, "many_by = |post| post.author"),
            (&options.item_by, "item_by = |new| new.email"),
            (&options.weight, "weight = |row| row.len()"),
            (&options.unique, "unique = |row| row.id"),
            (&options.sort_by, "sort_by = |row| row.id"),
        ],
        errors,
    );
    // An eager batch has the end of a bulk call to run at, and needs no delay.
    let runs = options.delay_ms.as_ref().map(|given| &given.name);
    let runs = runs.or(options.eager.as_ref().map(|given| &given.name));
    let missing = match (&options.size, runs) {
        (None, None) => Some(
            "`#[batch]` needs a size, and `eager` or a delay; write `#[batch(size = 100, eager)]`, or `#[batch(size = 100, delay_ms = 10)]`",
        ),
        (None, Some(_)) => Some(
            "`#[batch]` needs `size`, the maximum number of items in one bulk call; add `size = 100`",
        ),
        (Some(_), None) => Some(
            "`#[batch]` needs `eager`, with which items wait only while a bulk call is running, or `delay_ms`, how long the first item waits for others; add `eager`, or `delay_ms = 10`",
        ),
        (Some(_), Some(_)) => None,
    };
    // A mistake within `size` or `delay_ms` has been said already, and they aren't missing then.
    if let (Some(message), true) = (missing, errors.is_empty()) {
        errors.push(syn::Error::new(Span::call_site(), message));
    }
    let mut hand_out = options
        .one_by
        .iter()
        .chain(&options.many_by)
        .map(|given| &given.name);
    let mut hand_out: Vec<&Ident> = hand_out
        .by_ref()
        .chain(options.shared.iter().map(|given| &given.name))
        .collect();
    if let (2.., Some(second)) = (hand_out.len(), hand_out.pop()) {
        let first = hand_out[0];
        errors.at(
            second,
            format!(
                "`{first}` and `{second}` both decide what each caller gets; remove one of them"
            ),
        );
    }
    if let (Some(item_by), Some(shared)) = (&options.item_by, &options.shared) {
        errors.at(
            &item_by.name,
            format!("`item_by` finds each caller's result, but with `{}` every caller gets the whole; keep one of them", shared.name),
        );
    }
    match (&options.weight, &options.max_weight) {
        (Some(weight), None) if !options.common.is_unread("max_weight") => errors.at(
            &weight.name,
            "`weight` needs a limit; add `max_weight = 65_535`",
        ),
        (None, Some(max)) if !options.common.is_unread("weight") => errors.at(
            &max.name,
            "`max_weight` needs the weight of an item; add `weight = |item| …`",
        ),
        _ => {}
    }
    match (&options.max_waiting, &options.busy) {
        (Some(max), None) if !options.common.is_unread("busy") => errors.at(
            &max.name,
            "`max_waiting` needs the error that further calls get; add `busy = …`, a value of the error type or a function that returns one",
        ),
        (None, Some(busy)) if !options.common.is_unread("max_waiting") => errors.at(
            &busy.name,
            "`busy` is the error of calls beyond `max_waiting`, and there is no such limit; add `max_waiting = 1_000`",
        ),
        _ => {}
    }
    if let (Some(max), Some(size)) = (&options.max_waiting, &options.size) {
        if let (Some(most), Some(size)) = (literal(&max.value), literal(&size.value)) {
            if most < size {
                errors.at(
                    &max.value,
                    format!("`max_waiting` is below `size`, so no batch could ever be full; write `max_waiting = {size}` or more"),
                );
            }
        }
    }
    if let Some(Given {
        name,
        value: number @ Expr::Lit(_),
    }) = &options.limit
    {
        errors.at(
            number,
            format!("`{name}` takes an `Arc<tokio::sync::Semaphore>`, for example `{name} = self.permits`; to limit the bulk calls of each group to a number, write `concurrency = {}`, and for the number of items `size`", number.to_token_stream()),
        );
    }
    if let (Some(split), Some(_)) = (&options.split_on_err, &options.shared) {
        errors.at(&split.name, "`shared` gives all callers one result, but `split_on_err` runs the batch in parts that have a result each; remove one of them");
    }
}

/// The number that an expression is, if it is a literal.
fn literal(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Int(int),
            ..
        }) => int.base10_parse().ok(),
        _ => None,
    }
}

/// What the options say of arguments, and whether the arguments can be what they are then.
pub(crate) fn arguments(plan: &Seen<'_>, errors: &mut Errors) {
    let Seen {
        function, common, ..
    } = plan;
    let arguments = function.arguments();
    let options_are_clear = !["skip", "key"].iter().any(|name| common.is_unread(name));
    let key = plan.key();
    ambiguous(plan, &arguments, errors);
    named(plan, &arguments, errors);

    for (index, argument) in arguments.iter().enumerate() {
        let list = plan
            .items
            .and_then(|items| items.lists.iter().find(|list| list.index == index));
        if let Some(list) = list {
            if shows_borrow(list.item.clone()) {
                errors.at(&argument.written, not_owned(list));
            }
            continue;
        }
        let in_key = options_are_clear
            && argument
                .bindings
                .iter()
                .any(|binding| is_in_key(common, argument, &binding.ident));
        if let Some(syn::FnArg::Typed(typed)) = function.sig.inputs.iter().nth(index) {
            if let syn::Pat::Macro(pat) = &*typed.pat {
                errors.at(pat, "an attribute can't see which names a macro binds; use a plain name here, and the macro in the body");
                continue;
            }
        }
        // With a `#[cfg]`, it may not be there.
        let is_plain = argument.bindings.len() == 1 && argument.cfgs.is_empty();
        let name = argument
            .bindings
            .first()
            .map_or_else(String::new, |binding| binding.ident.to_string());
        if plan.outlives() && is_lent_to(function, argument) {
            let ty = argument
                .ty
                .as_ref()
                .map(known::in_words)
                .unwrap_or_default();
            errors.at(
                &argument.written,
                format!("{} runs in its own task and can outlive its caller, but `{ty}` can be a borrow, for example of a connection; take an owned value, for example the pool", plan.execution()),
            );
            continue;
        }
        match borrow_of(function, index, argument) {
            Borrow::No => {
                if let (Some(ty), true) = (&argument.ty, in_key && is_plain) {
                    if let Some(bits) = known::float(ty, &name) {
                        errors.at(
                            &argument.written,
                            format!("a float is not `Eq`, so `{name}` can't be part of the {key}; write `key({name} = {bits})`, or `skip({name})` if the result does not depend on it"),
                        );
                    } else if let Some(instead) = known::converted(ty) {
                        errors.at(
                            &argument.written,
                            format!("`{name}` can't be part of the {key}, since `{}` is not `Hash`; take `{instead}` instead, or write `key({name} = …)` with a value that identifies it", known::in_words(ty)),
                        );
                    }
                }
            }
            Borrow::Mut if plan.outlives() && argument.receiver => errors.at(
                &argument.written,
                format!("{} runs in its own task, so it can't borrow `&mut self`; take `&self` or `self: Arc<Self>`", plan.execution()),
            ),
            Borrow::Mut if plan.outlives() => errors.at(
                &argument.written,
                format!("{} runs in its own task, so it can't borrow `{name}` mutably; take an owned value, for example the pool instead of a connection", plan.execution()),
            ),
            Borrow::Mut if in_key && argument.receiver => errors.at(
                &argument.written,
                format!("`&mut self` can't be part of the {key}; write `key(self = self.…)` with the fields that identify the instance, `scope = self.…` with a field of type `piggyback::Scope`, or `skip(self)` if the result does not depend on the instance"),
            ),
            Borrow::Mut if in_key => errors.at(
                &argument.written,
                format!("`{name}` is a `&mut`, which can't be part of the {key}; if it is a connection, write `skip({name})`, and note that the result then comes from the connection of one of the callers; otherwise write `key({name} = …)` with a value that identifies it"),
            ),
            Borrow::Within if in_key => errors.at(
                &argument.written,
                format!("the type of `{name}` borrows, so it can't be part of the {key}; write `key({name} = …)` with a value that identifies it, or `skip({name})` if the result does not depend on it"),
            ),
            Borrow::Within if plan.outlives() => errors.at(
                &argument.written,
                format!("{} runs in its own task, so it can't use `{name}`, whose type borrows; take an owned value", plan.execution()),
            ),
            Borrow::Mut | Borrow::Within => {}
        }
    }
    calls_itself(plan, errors);
    outlives_its_arguments(plan, &arguments, errors);
    output(plan, errors);
}

/// What is to be expanded, as far as it is known.
pub(crate) struct Seen<'a> {
    pub(crate) function: &'a Function,
    pub(crate) common: &'a Common,
    pub(crate) items: Option<&'a Items>,
    pub(crate) hand_out: Option<HandOut>,
    pub(crate) item_by: Option<&'a Given<Expr>>,
    pub(crate) split_on_err: Option<&'a Given<Option<Expr>>>,
    /// The name of `busy`, on either attribute.
    pub(crate) busy: Option<&'a Ident>,
    pub(crate) is_across: bool,
    pub(crate) across_err: Option<&'a Given<()>>,
    pub(crate) is_batch: bool,
    pub(crate) is_dedup: bool,
    pub(crate) spawns: bool,
}

impl Seen<'_> {
    fn outlives(&self) -> bool {
        self.is_batch || self.spawns
    }

    /// Whether one error becomes several by `Clone`.
    fn shares_errors(&self) -> bool {
        let said = self.common.share_err.is_some() || self.common.clone_with.is_some();
        let splits = self.split_on_err.is_some_and(|split| split.value.is_none());
        !said && (!splits || self.is_dedup)
    }

    /// Whether it is plain to see that what each caller gets is no `Result`.
    fn has_plainly_no_error(&self, output: Option<&Type>) -> bool {
        let Some(output) = output else {
            return true;
        };
        match (self.hand_out, known::list(output)) {
            (Some(HandOut::Each), Some(one)) => known::is_no_result(one),
            _ => known::is_no_result(output),
        }
    }

    /// What the arguments belong to by which calls are told apart.
    fn key(&self) -> &'static str {
        if self.is_dedup { "key" } else { "group" }
    }

    fn execution(&self) -> &'static str {
        if self.is_batch {
            "the bulk call"
        } else {
            "a spawned execution"
        }
    }
}

fn is_in_key(common: &Common, argument: &Argument, binding: &Ident) -> bool {
    let stands_in = common
        .key
        .as_ref()
        .is_some_and(|key| key.value.iter().any(|part| part.argument == *binding));
    let skipped = common
        .skip
        .as_ref()
        .is_some_and(|skip| skip.value.contains(binding));
    let holds_scope = common
        .scope
        .as_ref()
        .is_some_and(|scope| argument.receiver || holds(&scope.value, binding));
    !(stands_in || skipped || holds_scope)
}

/// The names in `skip(…)` and `key(…)`.
fn named(plan: &Seen<'_>, arguments: &[Argument], errors: &mut Errors) {
    let Seen { common, items, .. } = plan;
    let known: Vec<String> = arguments
        .iter()
        .flat_map(|argument| &argument.bindings)
        .map(|binding| binding.ident.to_string())
        .collect();
    let skip = common
        .skip
        .iter()
        .flat_map(|skip| skip.value.iter().map(|name| (&skip.name, name)));
    let key = common
        .key
        .iter()
        .flat_map(|key| key.value.iter().map(|part| (&key.name, &part.argument)));
    let mut seen: Vec<(&Ident, &Ident)> = Vec::new();
    for (option, name) in skip.chain(key) {
        if !arguments.iter().any(|argument| argument.binds(name)) {
            let message = no_argument(&name.to_string(), &known);
            errors.at(name, message);
        } else if items.is_some_and(|items| {
            items
                .lists
                .iter()
                .any(|list| arguments[list.index].binds(name))
        }) {
            errors.at(name, format!("`{name}` is the list of items, which is never part of the group; remove it from `{option}`"));
        } else if let Some((before, _)) = seen.iter().find(|(_, other)| *other == name) {
            let message = if *before == option {
                format!("`{name}` is in `{option}` twice; remove one of them")
            } else {
                format!("`{name}` is in both `skip` and `key`; remove one of them")
            };
            errors.at(name, message);
        }
        seen.push((option, name));
    }
}

/// Names that two arguments have. The compiler tells them apart, if a macro made one of them; an option can't.
fn ambiguous(plan: &Seen<'_>, arguments: &[Argument], errors: &mut Errors) {
    let Common {
        skip, key, scope, ..
    } = plan.common;
    let skip = skip.iter().flat_map(|skip| skip.value.clone());
    let key = key.iter().flat_map(|key| &key.value);
    let items = plan.items.iter().flat_map(|items| &items.lists);
    let named: Vec<Ident> = skip
        .chain(key.map(|part| part.argument.clone()))
        .chain(items.map(|list| list.name.clone()))
        .collect();
    let mut seen: Vec<&Ident> = Vec::new();
    // Arguments with a `#[cfg]` may exclude each other.
    let always = arguments.iter().filter(|argument| argument.cfgs.is_empty());
    for binding in always.flat_map(|argument| &argument.bindings) {
        let ident = &binding.ident;
        let is_named = named.contains(ident)
            || scope
                .as_ref()
                .is_some_and(|scope| holds(&scope.value, ident));
        if is_named && seen.contains(&ident) {
            errors.at(
                ident,
                format!("two arguments are called `{ident}`, one of them by a macro, and an option that says `{ident}` can't tell them apart; rename one"),
            );
        }
        seen.push(ident);
    }
}

/// In which way an argument borrows, as far as its type shows.
enum Borrow {
    No,
    Mut,
    /// A struct with a lifetime, or a reference in some other type.
    Within,
}

fn borrow_of(function: &Function, index: usize, argument: &Argument) -> Borrow {
    if let Some(syn::FnArg::Receiver(receiver)) = function.sig.inputs.iter().nth(index) {
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
        // These are keys by their borrowed contents.
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
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "Option" => match type_argument(&last.arguments) {
                Some(Type::Reference(reference)) if reference.mutability.is_some() => Borrow::Mut,
                Some(inner) => within(peel_reference(inner)),
                None => Borrow::No,
            },
            Some(last) if last.ident == "Cow" => Borrow::No,
            _ => within(ty),
        },
        ty => within(ty),
    }
}

fn not_owned(list: &List) -> String {
    let owned = known::owned(list.item.clone());
    let name = &list.name;
    if shows_borrow(owned.clone()) {
        return "items can wait longer than the call that supplied them, so they must be owned; use a type that doesn't borrow".to_owned();
    }
    let references = match syn::parse2::<Type>(list.item.clone()) {
        Ok(Type::Reference(reference)) => format!(
            "; with `{name}: &[&{}]` the body still gets references",
            known::in_words(reference.elem)
        ),
        _ => String::new(),
    };
    format!(
        "items can wait longer than the call that supplied them, so they must be owned; write `{}`{references}",
        known::in_words(owned)
    )
}

/// Whether the argument's type is a parameter that may borrow by its bounds, such as `E: PgExecutor<'e>`.
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

/// A future that may outlive what the key is made of, which is read when it is first polled.
fn outlives_its_arguments(plan: &Seen<'_>, arguments: &[Argument], errors: &mut Errors) {
    let function = plan.function;
    let borrows = |argument: &&Argument| match &argument.ty {
        Some(ty) => shows_borrow(ty.to_token_stream()),
        None => shows_borrow(argument.written.clone()),
    };
    let borrowed = arguments
        .iter()
        .filter(borrows)
        .flat_map(|argument| &argument.bindings);
    let (Some(ty), Some(name)) = (
        function.is_static_future(),
        borrowed.map(|binding| &binding.ident).next(),
    ) else {
        return;
    };
    errors.at(
        ty,
        format!("the key is read when the future is first polled, so the future must borrow `{name}` until then, and can't be `'static`; make it an `async fn`, use the lifetime of `{name}` instead of `'static`, or take owned arguments"),
    );
}

/// A function that calls itself in a task must know that its future is `Send` before it is made. Only what is plainly
/// such a call is one: a free function's name, without a path.
fn calls_itself(plan: &Seen<'_>, errors: &mut Errors) {
    let function = plan.function;
    let name = &function.sig.ident;
    if !plan.outlives() || function.sig.asyncness.is_none() {
        return;
    }
    let way_out = "a function that runs in its own task can't call itself directly; call it through a plain `fn` that returns `Pin<Box<dyn Future<Output = …> + Send>>`";
    if function.is_method() {
        // Without a visibility, it may be in a trait's implementation, and this a method of the type's own.
        let is_inherent = !matches!(function.vis, syn::Visibility::Inherited);
        if let Some(call) = method_call_of(name, &function.body).filter(|_| is_inherent) {
            errors.at(call, way_out);
        }
    } else if let Some(call) = call_of(name, &function.body) {
        errors.at(
            call,
            format!("{way_out}, or, if this is another function called `{name}`, write its path, `self::{name}(…)`"),
        );
    }
}

/// Where `self.name(…)` or `Self::name(…)` is called.
fn method_call_of(name: &Ident, body: &TokenStream) -> Option<Ident> {
    let trees: Vec<TokenTree> = body.clone().into_iter().collect();
    let is_word = |tree: &TokenTree, word| matches!(tree, TokenTree::Ident(ident) if ident == word);
    let is_called = |at: usize| matches!(trees.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
    let is_own = |at: usize| {
        let dot = at.checked_sub(2).is_some_and(|before| {
            is_word(&trees[before], "self")
                && trees[before + 1].to_string() == "."
                && before
                    .checked_sub(1)
                    .is_none_or(|before| trees[before].to_string() != ".")
        });
        let path = at.checked_sub(3).is_some_and(|before| {
            is_word(&trees[before], "Self") && trees[before + 1].to_string() == ":"
        });
        dot || path
    };
    trees.iter().enumerate().find_map(|(at, tree)| match tree {
        TokenTree::Group(group) => method_call_of(name, &group.stream()),
        TokenTree::Ident(ident) if ident == name && is_called(at) && is_own(at) => {
            Some(ident.clone())
        }
        _ => None,
    })
}

/// Where `name(…)` is called, unless it may be another thing of that name.
fn call_of(name: &Ident, body: &TokenStream) -> Option<Ident> {
    let trees: Vec<TokenTree> = body.clone().into_iter().collect();
    let mut found = None;
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => {
                if let Some(call) = call_of(name, &group.stream()) {
                    found = Some(call);
                }
            }
            TokenTree::Ident(ident) if ident == name => {
                let before = at.checked_sub(1).map(|before| trees[before].to_string());
                let is_call = matches!(trees.get(at + 1), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
                match before.as_deref() {
                    Some("fn" | "let" | "mut" | "|" | "," | "use" | "as") if !is_call => {
                        return None;
                    }
                    Some("fn") => return None,
                    Some("." | ":" | "!") => {}
                    _ if is_call => found = Some(ident.clone()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    found
}

fn peel_reference(ty: &Type) -> &Type {
    match peel(ty) {
        Type::Reference(reference) if reference.mutability.is_none() => &reference.elem,
        other => other,
    }
}

fn type_argument(arguments: &PathArguments) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(peel(ty)),
        _ => None,
    })
}

fn within(ty: &Type) -> Borrow {
    let borrows = !matches!(ty, Type::ImplTrait(_)) && shows_borrow(ty.to_token_stream());
    if borrows { Borrow::Within } else { Borrow::No }
}

/// What is called: the arguments that follow borrow from nobody.
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

/// Whether there is a lifetime other than `'static`, or a reference without one.
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
            // The arguments of a function type borrow from nobody.
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

/// A result that can't be shared or handed out, whatever the types turn out to be.
fn output(plan: &Seen<'_>, errors: &mut Errors) {
    let output = plan.function.output();
    if let (Some(split), true) = (plan.split_on_err, is_plainly_no_result(output.as_ref())) {
        errors.at(
            &split.name,
            "`split_on_err` needs a `Result`, and this function doesn't return one; return a `Result`, or remove `split_on_err`",
        );
        return;
    }
    if let Some(share) = plan
        .common
        .share_err
        .as_ref()
        .filter(|_| plan.has_plainly_no_error(output.as_ref()))
    {
        errors.at(
            &share.name,
            "`share_err` needs a `Result`, and the callers of this function don't get one; remove `share_err`",
        );
        return;
    }
    if let Some(failed) = plan
        .common
        .failed
        .as_ref()
        .filter(|_| plan.has_plainly_no_error(output.as_ref()))
    {
        errors.at(
            &failed.name,
            "`failed` needs a `Result`, and the callers of this function don't get one; return a `Result`, or remove `failed`",
        );
        return;
    }
    if let Some(across_err) = plan
        .across_err
        .filter(|_| plan.has_plainly_no_error(output.as_ref()))
    {
        errors.at(
            &across_err.name,
            "`across_err` needs a `Result`, and the callers of this function don't get one; remove `across_err`, since without it the whole result is sent",
        );
        return;
    }
    if let Some(busy) = plan
        .busy
        .filter(|_| plan.has_plainly_no_error(output.as_ref()))
    {
        errors.at(
            busy,
            "`busy` needs a `Result`, and the callers of this function don't get one; return a `Result`",
        );
        return;
    }
    let Some(output) = output else {
        if let Some(HandOut::OneBy | HandOut::ManyBy) = plan.hand_out {
            let name = &plan.function.sig.ident;
            errors.at(name, "`one_by` and `many_by` distribute the rows that a function returns, and this one returns none; return them as a `Vec`");
        }
        return;
    };
    let received = known::received_reference(&output, plan.across_err.is_some());
    if let Some(reference) = received.filter(|_| plan.is_across) {
        errors.at(
            reference,
            "with `across`, a result comes from another process, so it can't borrow; return an owned type, for example `String` or `Vec<u8>`",
        );
        return;
    }
    let has_rows = known::list(&output).is_some() || known::list_in_result(&output).is_some();
    if let (Some(item_by), Some(HandOut::Each), true) = (plan.item_by, plan.hand_out, has_rows) {
        errors.at(
            &item_by.name,
            "`item_by` says what of an item is compared, and nothing says with what of a row; add `one_by = |row| …`, or `many_by = |row| …`",
        );
        return;
    }
    if let Some((message, at)) = misused_map(plan, &output) {
        errors.at(at, message);
        return;
    }
    if let Some((error, advice)) = known::foreign_error(&output).filter(|_| plan.shares_errors()) {
        errors.at(
            &output,
            format!("{error} is not `Clone`, so several callers can't share it; {advice}"),
        );
        return;
    }
    if plan.common.share_err.is_some() && known::is_unshareable_box(&output) {
        errors.at(
            &output,
            "a shared error can reach other threads; write `Box<dyn Error + Send + Sync>`",
        );
        return;
    }
    let word = if plan.is_batch {
        "divided among several callers"
    } else {
        "shared by several callers"
    };
    let is_impl = mentions_impl(&output);
    let is_lazy = |name| {
        mentions(
            &output.to_token_stream(),
            &Ident::new(name, Span::call_site()),
        )
    };
    let message = if is_impl && (is_lazy("Stream") || is_lazy("Iterator")) {
        format!("a stream or an iterator can't be {word}; collect it, and return a `Vec`")
    } else if is_impl {
        format!("a result of a hidden type can't be {word}; write the type instead of `impl …`")
    } else if plan
        .hand_out
        .is_some_and(|hand_out| hand_out.is_hopeless(&output))
    {
        "this return type can't be split among the callers: return `()`, a `Vec` with one result per item, a `HashMap` or `BTreeMap` keyed by item, or a `Result` of one of these; or add `shared` to give every caller the whole value".to_owned()
    } else if shows_borrow(output.to_token_stream()) {
        format!(
            "a result that borrows can't be {word}; return an owned value, for example a `String` instead of a `&str`, or an `Arc`"
        )
    } else {
        return;
    };
    errors.at(&output, message);
}

/// A map that is not by the items, or that is taken for a list of rows: what to change, and why.
fn misused_map(plan: &Seen<'_>, output: &Type) -> Option<(String, TokenStream)> {
    match plan.hand_out? {
        by @ (HandOut::OneBy | HandOut::ManyBy) => {
            let (map, _) = known::map(output)?;
            let option = if by == HandOut::OneBy {
                "one_by"
            } else {
                "many_by"
            };
            let message = format!(
                "`{option}` is for rows in a `Vec`, and each caller's entry of a `{map}` is already found by its key; remove `{option}`, or return a `Vec`"
            );
            Some((message, output.to_token_stream()))
        }
        HandOut::Each => {
            let [list] = &plan.items?.lists[..] else {
                return None;
            };
            let (map, keys) = known::wrong_keys(output, &list.item)?;
            let item = &list.item;
            let message = format!(
                "the keys of this `{map}` must be the items: write `{}` instead of `{}`",
                quote!(#item),
                quote!(#keys)
            );
            Some((message, keys.to_token_stream()))
        }
        _ => None,
    }
}

fn is_plainly_no_result(output: Option<&Type>) -> bool {
    match output.map(peel) {
        None | Some(Type::Tuple(_)) => true,
        Some(Type::Path(path)) => path.path.segments.last().is_some_and(|last| {
            ["Vec", "HashMap", "BTreeMap"]
                .iter()
                .any(|name| last.ident == name)
        }),
        _ => false,
    }
}

fn mentions_impl(ty: &Type) -> bool {
    mentions(
        &ty.to_token_stream(),
        &Ident::new("impl", Span::call_site()),
    )
}

/// An attribute that stands on the function twice.
pub(crate) fn given_once(attribute: Attribute, again: impl ToTokens, errors: &mut Errors) {
    errors.at(
        again,
        format!(
            "`#[{}]` is on this function twice; remove one of them",
            attribute.name()
        ),
    );
}

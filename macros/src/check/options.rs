//! Checks the options by themselves, whatever the function is.

use crate::errors::Errors;
use crate::options::{Attribute, Given, Options, Sibling};
use crate::types::path_end;
use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Lit, Token};

/// Two options that exclude each other, and the message at the first of them.
const CONTRADICTIONS: &[(&str, &str, &str)] = &[
    (
        "item_by",
        "shared",
        "`item_by` finds each caller's result, but with `shared` every caller gets the whole; keep one of them",
    ),
    (
        "split_on_err",
        "shared",
        "`shared` gives all callers one result, but `split_on_err` runs the batch in parts that have a result each; remove one of them",
    ),
];

/// An option, another one that it needs on the same attribute, and the message if that is missing.
const NEEDS: &[(Attribute, &str, &str, &str)] = &[
    (
        Attribute::Dedup,
        "across_err",
        "across",
        "`across_err` sends errors to the processes of a fleet, and this function has none; add `across = …`",
    ),
    (
        Attribute::Dedup,
        "busy",
        "max_followers",
        "`busy` is the error of calls beyond `max_followers`, and there is no such limit; add `max_followers = 100`",
    ),
    (
        Attribute::Batch,
        "busy",
        "max_waiting",
        "`busy` is the error of calls beyond `max_waiting`, and there is no such limit; add `max_waiting = 1_000`",
    ),
    (
        Attribute::Batch,
        "max_waiting",
        "busy",
        "`max_waiting` needs the error that further calls get; add `busy = …`, a value of the error type or a function that returns one",
    ),
    (
        Attribute::Batch,
        "weight",
        "max_weight",
        "`weight` needs a limit; add `max_weight = 65_535`",
    ),
    (
        Attribute::Batch,
        "max_weight",
        "weight",
        "`max_weight` needs the weight of an item; add `weight = |item| …`",
    ),
];

/// Checks the options that hold for both attributes.
pub(super) fn of_both(options: &Options, errors: &mut Errors) {
    if let (Some(_), Some(clone)) = (&options.share_err, &options.clone_with) {
        errors.at(
            &clone.name,
            "`share_err` and `clone_with` both decide how an error is shared; remove one of them",
        );
    }
    if let Some(scope) = options
        .scope
        .as_ref()
        .filter(|scope| is_new_scope(&scope.value))
    {
        errors.at(
            &scope.value,
            "this creates a new scope for every call, so no two calls would ever share anything; store a `Scope` in a field and write `scope = self.scope`, or in a `static SCOPE: LazyLock<Scope>` and write `scope = SCOPE`",
        );
    }
}

/// Checks that the functions that options add have different names.
pub(super) fn names<'a>(
    function: &Ident,
    siblings: impl Iterator<Item = &'a Given<Sibling>>,
    errors: &mut Errors,
) {
    let mut seen: Vec<&Given<Sibling>> = Vec::new();
    for sibling in siblings {
        let (name, ident) = (&sibling.name, &sibling.value.ident);
        if ident == function {
            errors.at(
                ident,
                format!(
                    "`{ident}` is the name of the function itself; choose another name for `{name}`"
                ),
            );
        } else if let Some(before) = seen.iter().find(|before| before.value.ident == *ident) {
            let before = &before.name;
            errors.at(
                ident,
                format!(
                    "`{before}` and `{name}` each generate a function; choose two different names"
                ),
            );
        }
        seen.push(sibling);
    }
}

/// The options that only `attribute` has.
pub(super) fn of_one(attribute: Attribute, options: &Options, errors: &mut Errors) {
    for (of, name, needed, message) in NEEDS {
        if let (true, Some(name)) = (*of == attribute, options.given(name)) {
            if options.given(needed).is_none() && !options.is_unread(needed) {
                errors.at(name, message);
            }
        }
    }
    for (name, other, message) in CONTRADICTIONS {
        if let (Some(name), Some(_)) = (options.given(name), options.given(other)) {
            errors.at(name, message);
        }
    }
    match attribute {
        Attribute::Dedup => fleet(options, errors),
        Attribute::Batch => {
            hand_out(options, errors);
            time_to_run(options, errors);
            waiting(options, errors);
            permits(options, errors);
        }
    }
}

/// What can't be said on a function with both attributes.
pub(super) fn together(dedup: &Options, batch: &Options, errors: &mut Errors) {
    if let Some(many) = &batch.many {
        errors.at(
            &many.name,
            "`many` can't be combined with `#[dedup]`, which shares the calls of single items; remove `many` and await the single calls together, for example with `join_all`",
        );
    }
    if let Some(across) = &dedup.across {
        errors.at(
            &across.name,
            "`across` can't be combined with `#[batch]`, since a bulk call serves the items of one process; remove `across`, or write it on a `#[dedup]` function around this one",
        );
    }
}

fn fleet(options: &Options, errors: &mut Errors) {
    let Some(Given { value: fleet, .. }) = &options.across else {
        return;
    };
    if matches!(fleet, Expr::Lit(_)) {
        errors.at(
            fleet,
            "`across` takes a `piggyback::fleet::Fleet`, for example `across = FLEET` or `across = self.fleet`",
        );
    }
    if is_new_fleet(fleet) {
        errors.at(
            fleet,
            "this creates a new fleet, with a connection of its own, for every call; store a `Fleet` in a field and write `across = self.fleet`, or in a `static FLEET: LazyLock<Fleet>` and write `across = FLEET`",
        );
    }
}

fn hand_out(options: &Options, errors: &mut Errors) {
    let given = ["one_by", "many_by", "shared"].map(|name| options.given(name));
    let given: Vec<&Ident> = given.into_iter().flatten().collect();
    if let [first, .., second] = given[..] {
        errors.at(
            second,
            format!(
                "`{first}` and `{second}` both decide what each caller gets; remove one of them"
            ),
        );
    }
}

/// A batch needs a size, and a time at which it runs: an eager one has the end of a bulk call.
fn time_to_run(options: &Options, errors: &mut Errors) {
    let runs = options.delay_ms.is_some() || options.eager.is_some();
    let missing = match (&options.size, runs) {
        (None, false) => {
            "`#[batch]` needs a size, and `eager` or a delay; write `#[batch(size = 100, eager)]`, or `#[batch(size = 100, delay_ms = 10)]`"
        }
        (None, true) => {
            "`#[batch]` needs `size`, the maximum number of items in one bulk call; add `size = 100`"
        }
        (Some(_), false) => {
            "`#[batch]` needs `eager`, with which items wait only while a bulk call is running, or `delay_ms`, how long the first item waits for others; add `eager`, or `delay_ms = 10`"
        }
        (Some(_), true) => return,
    };
    // A `size` or `delay_ms` that could not be read is not missing, and neither is one whose name was misspelt.
    if errors.is_empty() {
        errors.push(syn::Error::new(Span::call_site(), missing));
    }
}

fn waiting(options: &Options, errors: &mut Errors) {
    if let (Some(Given { value: max, .. }), Some(size)) = (&options.max_waiting, &options.size) {
        if let (Some(most), Some(size)) = (literal(max), literal(&size.value)) {
            if most < size {
                errors.at(
                    max,
                    format!("`max_waiting` is below `size`, so no batch could ever be full; write `max_waiting = {size}` or more"),
                );
            }
        }
    }
}

fn permits(options: &Options, errors: &mut Errors) {
    let Some(Given { name, value: limit }) = &options.limit else {
        return;
    };
    if matches!(limit, Expr::Lit(_)) {
        errors.at(
            limit,
            format!("`{name}` takes an `Arc<tokio::sync::Semaphore>`, for example `{name} = self.permits`; to limit the bulk calls of each group to a number, write `concurrency = {}`, and for the number of items `size`", limit.to_token_stream()),
        );
    }
    if is_new_semaphore(limit) {
        errors.at(
            limit,
            "this creates a new semaphore for every call, which would limit nothing; store an `Arc<Semaphore>` in a field and write `limit = self.permits`, or in a `static PERMITS: LazyLock<Arc<Semaphore>>` and write `limit = PERMITS`",
        );
    }
}

/// The number that an expression is, if it is a literal.
fn literal(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Int(int), ..
        }) => int.base10_parse().ok(),
        _ => None,
    }
}

/// `Fleet::new(…)` or `piggyback_redis::fleet(…)`, by whatever path; perhaps with settings behind it.
fn is_new_fleet(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::MethodCall(call) if call.method.to_string().starts_with("with_") => {
            is_new_fleet(&call.receiver)
        }
        expr => called(expr).is_some_and(|(path, _)| {
            [["Fleet", "new"], ["piggyback_redis", "fleet"]].contains(&words(&path))
        }),
    }
}

/// `Semaphore::new(…)`, by whatever path, perhaps in an `Arc`.
fn is_new_semaphore(expr: &Expr) -> bool {
    called(expr).is_some_and(|(path, arguments)| match words(&path) {
        ["Arc", "new"] => arguments.iter().any(is_new_semaphore),
        path => path == ["Semaphore", "new"],
    })
}

/// `Scope::new()` or `Scope::default()`, by whatever path.
fn is_new_scope(expr: &Expr) -> bool {
    called(expr).is_some_and(|(path, arguments)| {
        arguments.is_empty() && [["Scope", "new"], ["Scope", "default"]].contains(&words(&path))
    })
}

/// The end of the path of a function that an expression calls, and the arguments.
fn called(expr: &Expr) -> Option<([String; 2], &Punctuated<Expr, Token![,]>)> {
    match bare(expr) {
        Expr::Call(call) => Some((path_end(&call.func)?, &call.args)),
        _ => None,
    }
}

fn words(path: &[String; 2]) -> [&str; 2] {
    path.each_ref().map(String::as_str)
}

/// An expression without references and parentheses around it.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Reference(reference) => bare(&reference.expr),
        Expr::Paren(paren) => bare(&paren.expr),
        expr => expr,
    }
}

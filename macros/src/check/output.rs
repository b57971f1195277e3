//! Finds results that can't be shared or distributed, whatever the types turn out to be.

use super::Seen;
use crate::errors::Errors;
use crate::output::{HandOut, Output, ResultOf, Shape};
use crate::tokens::{mentions, shows_borrow};
use crate::types::{arguments_of, is_called, peel};
use proc_macro2::{Ident, Span};
use quote::{ToTokens, quote};
use syn::{Type, TypeParamBound, TypePath, TypeReference, TypeTraitObject};

/// Reports at most one mistake: a second message about a type that must be changed may not hold for the new type.
pub(super) fn all(seen: &Seen<'_>, errors: &mut Errors) {
    let function = seen.function;
    if let Some((name, message)) = without_result(seen) {
        errors.at(name, message);
    } else if !function.writes_output() {
        if seen.hand_out.is_some_and(HandOut::is_by_rows) {
            let name = &function.sig.ident;
            errors.at(name, "`one_by` and `many_by` distribute the rows that a function returns, and this one returns none; return them as a `Vec`");
        }
    } else if let Some(reference) = received_reference(seen) {
        errors.at(
            reference,
            "with `across`, a result comes from another process, so it can't borrow; return an owned type, for example `String` or `Vec<u8>`",
        );
    } else if let Some(item_by) = seen.given("item_by").filter(|_| finds_nothing(seen)) {
        errors.at(
            item_by,
            "`item_by` says what of an item is compared, and nothing says with what of a row; add `one_by = |row| …`, or `many_by = |row| …`",
        );
    } else if !misuses_map(seen, errors) {
        let message = unshareable(seen).or_else(|| hidden_or_borrowed(seen));
        if let Some(message) = message {
            errors.at(&function.output.ty, message);
        }
    }
}

/// Finds an option that needs a `Result`, on a function that plainly returns none.
fn without_result<'a>(seen: &Seen<'a>) -> Option<(&'a Ident, String)> {
    let output = &seen.function.output;
    let callers_get_none = match (seen.hand_out, &output.shape) {
        (Some(HandOut::Each), Shape::List(one)) => Output::read(one).is_no_result(),
        _ => output.is_no_result(),
    };
    if let Some(split) = seen.given("split_on_err").filter(|_| output.is_no_result()) {
        return Some((split, "`split_on_err` needs a `Result`, and this function doesn't return one; return a `Result`, or remove `split_on_err`".to_owned()));
    }
    let needs = [
        ("share_err", "remove `share_err`"),
        ("failed", "return a `Result`, or remove `failed`"),
        (
            "across_err",
            "remove `across_err`, since without it the whole result is sent",
        ),
        ("busy", "return a `Result`"),
    ];
    needs.into_iter().find_map(|(name, advice)| {
        let given = seen.given(name).filter(|_| callers_get_none)?;
        Some((given, format!("`{name}` needs a `Result`, and the callers of this function don't get one; {advice}")))
    })
}

/// Finds a reference in the type that other processes receive: without `across_err`, only the success of a `Result`.
fn received_reference<'a>(seen: &Seen<'a>) -> Option<&'a TypeReference> {
    fn find(ty: &Type) -> Option<&TypeReference> {
        match peel(ty) {
            Type::Reference(reference) => Some(reference),
            Type::Tuple(tuple) => tuple.elems.iter().find_map(find),
            Type::Array(array) => find(&array.elem),
            Type::Path(path) => arguments_of(path).into_iter().find_map(find),
            _ => None,
        }
    }
    seen.given("across")?;
    match (&seen.function.output.shape, seen.given("across_err")) {
        (Shape::Result(result), None) => find(&result.ok.ty),
        _ => find(&seen.function.output.ty),
    }
}

fn finds_nothing(seen: &Seen<'_>) -> bool {
    seen.hand_out == Some(HandOut::Each) && seen.function.output.is_rows()
}

/// Reports a map that is not keyed by the items, or that is used as a list of rows.
fn misuses_map(seen: &Seen<'_>, errors: &mut Errors) -> bool {
    let output = &seen.function.output;
    let Some(map) = output.map() else {
        return false;
    };
    let name = &map.name;
    match (seen.hand_out, seen.items.map(|items| &items.lists[..])) {
        (Some(by @ (HandOut::OneBy | HandOut::ManyBy)), _) => {
            let option = match by {
                HandOut::OneBy => "one_by",
                _ => "many_by",
            };
            errors.at(&output.ty, format!(
                "`{option}` is for rows in a `Vec`, and each caller's entry of a `{name}` is already found by its key; remove `{option}`, or return a `Vec`"
            ));
            true
        }
        (Some(HandOut::Each), Some([list])) if map.has_wrong_keys(&list.item) => {
            let (item, keys) = (&list.item, &map.keys);
            errors.at(
                keys,
                format!(
                    "the keys of this `{name}` must be the items: write `{item}` instead of `{}`",
                    quote!(#keys)
                ),
            );
            true
        }
        _ => false,
    }
}

/// Finds a well-known error type that can't be shared.
fn unshareable(seen: &Seen<'_>) -> Option<String> {
    let Shape::Result(result) = &seen.function.output.shape else {
        return None;
    };
    let common = seen.common();
    let splits_on_all = seen
        .batch
        .and_then(|batch| batch.split_on_err.as_ref())
        .is_some_and(|split| split.value.is_none());
    if common.share_err.is_some() && is_unshareable_box(result) {
        return Some(
            "a shared error can reach other threads; write `Box<dyn Error + Send + Sync>`"
                .to_owned(),
        );
    }
    let says_sharing = common.share_err.is_some() || common.clone_with.is_some();
    if says_sharing || splits_on_all && seen.dedup.is_none() {
        return None;
    }
    let (error, advice) = foreign(result)?;
    Some(format!(
        "{error} is not `Clone`, so several callers can't share it; {advice}"
    ))
}

fn hidden_or_borrowed(seen: &Seen<'_>) -> Option<String> {
    let output = &seen.function.output;
    let tokens = output.ty.to_token_stream();
    let mentions = |name| mentions(&tokens, &Ident::new(name, Span::call_site()));
    let word = match seen.batch {
        Some(_) => "divided among several callers",
        None => "shared by several callers",
    };
    let is_hidden = mentions("impl");
    if is_hidden && (mentions("Stream") || mentions("Iterator")) {
        Some(format!(
            "a stream or an iterator can't be {word}; collect it, and return a `Vec`"
        ))
    } else if is_hidden {
        Some(format!(
            "a result of a hidden type can't be {word}; write the type instead of `impl …`"
        ))
    } else if seen.hand_out.is_some_and(|by| output.is_hopeless(by)) {
        Some("this return type can't be split among the callers: return `()`, a `Vec` with one result per item, a `HashMap` or `BTreeMap` keyed by item, or a `Result` of one of these; or add `shared` to give every caller the whole value".to_owned())
    } else if shows_borrow(tokens.clone()) {
        Some(format!(
            "a result that borrows can't be {word}; return an owned value, for example a `String` instead of a `&str`, or an `Arc`"
        ))
    } else {
        None
    }
}

/// Advice for an error type that is never `Clone`.
fn foreign(result: &ResultOf) -> Option<(&'static str, String)> {
    match &result.error {
        None => reporter(&result.path),
        Some(Type::Path(error)) => {
            let last = error.path.segments.last()?;
            match last.ident.to_string().as_str() {
                "Error" | "Report" => reporter(error),
                "Box" => boxed(peel(arguments_of(error).first()?)),
                _ => None,
            }
        }
        Some(_) => None,
    }
}

/// `anyhow::…`, `eyre::…`.
fn reporter(path: &TypePath) -> Option<(&'static str, String)> {
    let segments = path.path.segments.iter();
    let names: Vec<String> = segments.map(|segment| segment.ident.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_, modules) = names.split_last()?;
    let (error, advice) = match modules {
        [.., "anyhow"] => (
            "`anyhow::Error`",
            "add `share_err = piggyback::anyhow::shared`, and enable the feature `anyhow` of `piggyback`",
        ),
        [.., "eyre" | "color_eyre"] => (
            "`eyre::Report`",
            "add `share_err = piggyback::eyre::shared`, and enable the feature `eyre` of `piggyback`",
        ),
        ["io"] | ["std", "io"] => {
            let io = modules.join("::");
            return Some((
                "`std::io::Error`",
                format!(
                    "add `share_err = |error| {io}::Error::new(error.kind(), error)`, which keeps the kind, the message and the sources"
                ),
            ));
        }
        ["sqlx"] => (
            "`sqlx::Error`",
            "see the recipe for it in `piggyback::guide::errors`, or return `Arc<sqlx::Error>` as the error",
        ),
        ["diesel", "result"] => (
            "`diesel::result::Error`",
            "see the recipe for it in `piggyback::guide::errors`, or return `Arc<diesel::result::Error>` as the error",
        ),
        _ => return None,
    };
    Some((error, advice.to_owned()))
}

/// `dyn Error`, in its box.
fn boxed(inside: &Type) -> Option<(&'static str, String)> {
    let Type::TraitObject(object) = inside else {
        return None;
    };
    let has = |name| has_bound(object, name);
    has("Error").then(|| {
        let share = if has("Send") && has("Sync") {
            "add `share_err = |error| error.to_string().into()`, which keeps the message"
        } else {
            "write `Box<dyn Error + Send + Sync>`, and add `share_err = |error| error.to_string().into()`, which keeps the message"
        };
        ("`Box<dyn Error>`", share.to_owned())
    })
}

/// Whether the error is a `Box<dyn Error>` that may not be sent to other threads.
fn is_unshareable_box(result: &ResultOf) -> bool {
    let Some(Type::Path(error)) = &result.error else {
        return false;
    };
    let inside = arguments_of(error).first().map(|inside| peel(inside));
    is_called(&error.path, "Box")
        && matches!(inside, Some(Type::TraitObject(object)) if has_bound(object, "Error") && !(has_bound(object, "Send") && has_bound(object, "Sync")))
}

fn has_bound(object: &TypeTraitObject, name: &str) -> bool {
    object.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => is_called(&bound.path, name),
        _ => false,
    })
}

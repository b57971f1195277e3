//! What can be told of types by their names alone, for messages that are better than the compiler's, and for
//! expansions that give it less to find out. A type that is not recognised is left to the compiler.

use crate::signature::{item_of, peel, type_arguments, type_arguments_mut};
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Expr, Path, PathArguments, PathSegment, Type, TypeParamBound, TypePath, TypeTraitObject,
    parse_quote,
};

/// Names that nobody gives to a type of their own.
const PLAIN: &[&str] = &[
    "bool", "char", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128",
    "usize", "String",
];

/// Whether the type is such a one.
pub(crate) fn is_plain(ty: &Type) -> bool {
    plain(ty).is_some()
}

/// Such a name, if the type is one.
fn plain(ty: &Type) -> Option<&Ident> {
    match peel(ty) {
        Type::Path(path) if path.qself.is_none() => {
            let ident = path.path.get_ident()?;
            PLAIN.iter().any(|name| ident == name).then_some(ident)
        }
        _ => None,
    }
}

fn last(path: &TypePath) -> Option<&PathSegment> {
    path.path.segments.last()
}

fn types(segment: &PathSegment) -> Vec<&Type> {
    type_arguments(segment).map(peel).collect()
}

/// What to take instead of an `impl AsRef<str>` or `impl Into<String>`, of which nothing else is known.
pub(crate) fn converted(ty: &Type) -> Option<String> {
    let Type::ImplTrait(ty) = peel(ty) else {
        return None;
    };
    let mut instead = None;
    for bound in &ty.bounds {
        let TypeParamBound::Trait(bound) = bound else {
            continue;
        };
        let last = bound.path.segments.last()?;
        let to = || type_arguments(last).next();
        match last.ident.to_string().as_str() {
            "AsRef" => {
                let to = to()?;
                instead = Some(in_words(quote!(&#to)));
            }
            "Into" => instead = to().map(in_words),
            "Debug" | "Display" | "Send" | "Sync" => {}
            _ => return None,
        }
    }
    instead
}

/// What stands for a float in the key.
pub(crate) fn float(ty: &Type, name: &str) -> Option<String> {
    let is_float = |ty: &Type| match peel(ty) {
        Type::Path(path) => path.path.is_ident("f64") || path.path.is_ident("f32"),
        _ => false,
    };
    let mapped = |ty: &Type| {
        let float = peel(ty).to_token_stream();
        is_float(ty).then(|| format!("{name}.map({float}::to_bits)"))
    };
    match peel(ty) {
        ty if is_float(ty) => Some(format!("{name}.to_bits()")),
        Type::Reference(reference) => float(&reference.elem, name),
        Type::Array(array) => mapped(&array.elem),
        Type::Path(path) => match last(path) {
            Some(segment) if segment.ident == "Option" => mapped(types(segment).first()?),
            _ => None,
        },
        _ => None,
    }
}

/// A map, also in a `Result`: its name and its keys' type.
pub(crate) fn map(output: &Type) -> Option<(&Ident, &Type)> {
    let Type::Path(path) = peel(output) else {
        return None;
    };
    let last = last(path)?;
    let first = *types(last).first()?;
    match last.ident.to_string().as_str() {
        "HashMap" | "BTreeMap" => Some((&last.ident, first)),
        name if name.ends_with("Result") => map(first),
        _ => None,
    }
}

/// Whether the output is a map whose keys are not called what the items are: they may be something else.
pub(crate) fn has_other_keys(output: &Type, item: &TokenStream) -> bool {
    let Some((_, keys)) = map(output) else {
        return false;
    };
    let (keys, item) = (keys.to_token_stream().to_string(), item.to_string());
    let is_in_path = |name: &str, path: &str| {
        path.strip_suffix(name)
            .is_some_and(|path| path.is_empty() || path.ends_with(":: "))
    };
    !is_in_path(&keys, &item) && !is_in_path(&item, &keys)
}

/// The keys' type of a map that is plainly not by `item`.
pub(crate) fn wrong_keys<'a>(
    output: &'a Type,
    item: &TokenStream,
) -> Option<(&'a Ident, &'a Type)> {
    let (name, keys) = map(output)?;
    let item: Type = syn::parse2(item.clone()).ok()?;
    (plain(keys)? != plain(&item)?).then_some((name, keys))
}

/// What to write for an error that is never `Clone`, known by its name.
pub(crate) fn foreign_error(output: &Type) -> Option<(&'static str, String)> {
    let Type::Path(path) = peel(output) else {
        return None;
    };
    let result = last(path)?;
    if !result.ident.to_string().ends_with("Result") {
        return None;
    }
    match types(result)[..] {
        [_] => reporter(path),
        [_, Type::Path(error)] => match last(error)? {
            segment if segment.ident == "Error" || segment.ident == "Report" => reporter(error),
            segment if segment.ident == "Box" => boxed(types(segment).first()?),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the error is a box of what may not go to other threads.
pub(crate) fn is_unshareable_box(output: &Type) -> bool {
    let Type::Path(path) = peel(output) else {
        return false;
    };
    match last(path).map(types).as_deref() {
        Some([_, Type::Path(error)]) => last(error).is_some_and(|last| {
            let inside = (last.ident == "Box").then(|| types(last));
            matches!(inside.as_deref(), Some([Type::TraitObject(object)]) if has_bound(object, "Error") && !(has_bound(object, "Send") && has_bound(object, "Sync")))
        }),
        _ => false,
    }
}

/// The `T` of a `Vec<T>`.
pub(crate) fn list(output: &Type) -> Option<&Type> {
    let Type::Path(path) = peel(output) else {
        return None;
    };
    let last = last(path).filter(|last| last.ident == "Vec")?;
    types(last).first().copied()
}

/// The `T` of a `Result<Vec<T>, …>`.
pub(crate) fn list_in_result(output: &Type) -> Option<&Type> {
    let Type::Path(path) = peel(output) else {
        return None;
    };
    let last = last(path).filter(|last| last.ident.to_string().ends_with("Result"))?;
    list(types(last).first().copied()?)
}

/// A reference in what other processes receive: in the whole, or, if the error stays, in the success of a `Result`.
pub(crate) fn received_reference(output: &Type, with_err: bool) -> Option<&syn::TypeReference> {
    fn find(ty: &Type) -> Option<&syn::TypeReference> {
        match peel(ty) {
            Type::Reference(reference) => Some(reference),
            Type::Tuple(tuple) => tuple.elems.iter().find_map(find),
            Type::Array(array) => find(&array.elem),
            Type::Path(path) => types(last(path)?).into_iter().find_map(find),
            _ => None,
        }
    }
    match peel(output) {
        Type::Path(path) if is_called_result(output) && !with_err => {
            find(types(last(path)?).first()?)
        }
        other => find(other),
    }
}

/// Whether it is a type that everybody knows, and not a `Result`.
pub(crate) fn is_no_result(ty: &Type) -> bool {
    match peel(ty) {
        Type::Tuple(_) | Type::Array(_) => true,
        Type::Path(path) => {
            let is_known = last(path).is_some_and(|last| {
                ["Vec", "Option", "HashMap", "BTreeMap"]
                    .iter()
                    .any(|name| last.ident == name)
            });
            is_known || is_plain(ty)
        }
        _ => false,
    }
}

/// Whether it is a `Result` by its name, such as `io::Result<T>`.
pub(crate) fn is_called_result(ty: &Type) -> bool {
    let name = match peel(ty) {
        Type::Path(path) => last(path).map(|last| last.ident.to_string()),
        // One that was put together of tokens.
        Type::Verbatim(tokens) => tokens
            .clone()
            .into_iter()
            .take_while(|tree| !matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '<'))
            .last()
            .map(|last| last.to_string()),
        _ => None,
    };
    name.is_some_and(|name| name.ends_with("Result"))
}

/// `anyhow::…`, `eyre::…`.
fn reporter(path: &TypePath) -> Option<(&'static str, String)> {
    let names: Vec<String> = path
        .path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let modules = names.split_last()?.1;
    let to = match modules {
        [] => String::new(),
        modules => format!("{}::", modules.join("::")),
    };
    match modules {
        [.., "anyhow"] => Some((
            "`anyhow::Error`",
            "add `share_err = piggyback::anyhow::shared`, and enable the feature `anyhow` of `piggyback`".to_owned(),
        )),
        [.., "eyre" | "color_eyre"] => Some((
            "`eyre::Report`",
            "add `share_err = piggyback::eyre::shared`, and enable the feature `eyre` of `piggyback`".to_owned(),
        )),
        ["io"] | ["std", "io"] => Some((
            "`std::io::Error`",
            format!("add `share_err = |error| {to}Error::new(error.kind(), error)`, which keeps the kind, the message and the sources"),
        )),
        ["sqlx"] => Some((
            "`sqlx::Error`",
            "see the recipe for it under `share_err` in the documentation of `piggyback::dedup`, or return `Arc<sqlx::Error>` as the error".to_owned(),
        )),
        ["diesel", "result"] => Some((
            "`diesel::result::Error`",
            "see the recipe for it under `share_err` in the documentation of `piggyback::dedup`, or return `Arc<diesel::result::Error>` as the error".to_owned(),
        )),
        _ => None,
    }
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

fn has_bound(object: &TypeTraitObject, name: &str) -> bool {
    object.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == name),
        _ => false,
    })
}

/// An output that a bulk function might return instead of one with an `impl`: what is iterated over in a `Vec`, or
/// nothing.
pub(crate) fn without_impl(output: &Type) -> Type {
    match peel(output) {
        Type::ImplTrait(ty) => {
            let item = ty.bounds.iter().find_map(|bound| {
                let TypeParamBound::Trait(bound) = bound else {
                    return None;
                };
                item_of(bound)
            });
            item.map_or_else(
                || parse_quote!(()),
                |item| parse_quote!(::std::vec::Vec<#item>),
            )
        }
        Type::Path(path) => {
            let mut path = path.clone();
            if let Some(last) = path.path.segments.last_mut() {
                type_arguments_mut(last).for_each(|ty| *ty = without_impl(ty));
            }
            Type::Path(path)
        }
        other => other.clone(),
    }
}

/// The traits in the `impl`s of an output, to be named where it isn't.
pub(crate) fn traits(output: &Type) -> Vec<Path> {
    match peel(output) {
        Type::ImplTrait(ty) => {
            let named = ty.bounds.iter().filter_map(|bound| match bound {
                TypeParamBound::Trait(bound) => Some(bound.path.clone()),
                _ => None,
            });
            let without_arguments = named.map(|mut path| {
                if let Some(last) = path.segments.last_mut() {
                    last.arguments = PathArguments::None;
                }
                path
            });
            without_arguments.collect()
        }
        Type::Path(path) => {
            let inside = path.path.segments.last().map(types);
            inside.into_iter().flatten().flat_map(traits).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a closure returns what can be told without knowing what it should: a field of its argument, or a copy of one.
pub(crate) fn is_plain_access(closure: &Expr) -> bool {
    fn is_field(expr: &Expr) -> bool {
        match expr {
            Expr::Field(field) => is_field(&field.base),
            Expr::Path(path) => path.path.get_ident().is_some(),
            _ => false,
        }
    }
    match closure {
        // Some functions give what is wanted of them.
        Expr::Path(path) => {
            let last = path.path.segments.last();
            last.is_some_and(|last| last.ident != "into" && last.ident != "from")
        }
        Expr::Closure(closure) => match &*closure.body {
            Expr::MethodCall(call) => {
                let copies = ["clone", "to_string", "to_owned"];
                call.args.is_empty()
                    && copies.iter().any(|name| call.method == name)
                    && is_field(&call.receiver)
            }
            body => is_field(body),
        },
        _ => false,
    }
}

/// A type as it is written in a message: tokens that no user wrote come with spaces between them.
pub(crate) fn in_words(ty: impl ToTokens) -> String {
    let spaced = ty.to_token_stream().to_string();
    let pairs = [
        (" < ", "<"),
        (" >", ">"),
        (" . ", "."),
        (" :: ", "::"),
        (" (", "("),
        ("& ", "&"),
    ];
    pairs
        .iter()
        .fold(spaced, |text, (wide, tight)| text.replace(wide, tight))
}

/// The type with `String` for `&str`, `Vec<T>` for `&[T]` and `T` for `&T`.
pub(crate) fn owned(ty: TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut trees = ty.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(and) if and.as_char() == '&' => {
                if matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'') {
                    trees.next();
                    trees.next();
                }
                match trees.peek() {
                    Some(TokenTree::Ident(name)) if name == "str" => {
                        trees.next();
                        out.extend(quote!(String));
                    }
                    Some(TokenTree::Group(slice)) if slice.delimiter() == Delimiter::Bracket => {
                        let inside = owned(slice.stream());
                        trees.next();
                        out.extend(quote!(Vec<#inside>));
                    }
                    _ => {}
                }
            }
            TokenTree::Group(group) => {
                let inside = owned(group.stream());
                out.extend([TokenTree::Group(proc_macro2::Group::new(
                    group.delimiter(),
                    inside,
                ))]);
            }
            other => out.extend([other]),
        }
    }
    out
}

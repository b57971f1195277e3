//! Recognises types and expressions by the names in them. All others are left to the compiler.

use crate::tokens::{in_words, mentions};
use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Expr, GenericArgument, Path, PathArguments, PathSegment, TraitBound, Type, TypeParamBound,
    TypePath, parse_quote,
};

/// Types without lifetimes whose names no program redefines.
const PLAIN: &[&str] = &[
    "bool", "char", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128",
    "usize", "String",
];

/// Other well-known types, none of which is a list of results or a `Result`.
const KNOWN: &[&str] = &[
    "f32", "f64", "str", "Option", "Box", "Arc", "Rc", "HashSet", "BTreeSet", "VecDeque",
];

/// A type without the invisible groups and parentheses around it.
pub(crate) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        other => other,
    }
}

/// Whether the type is a plain one.
pub(crate) fn is_plain(ty: &Type) -> bool {
    plain(ty).is_some()
}

/// The name of a plain type.
pub(crate) fn plain(ty: &Type) -> Option<&Ident> {
    match peel(ty) {
        Type::Path(path) if path.qself.is_none() => {
            let ident = path.path.get_ident()?;
            PLAIN.iter().any(|name| ident == name).then_some(ident)
        }
        _ => None,
    }
}

/// Whether the last name of a path is this one.
pub(crate) fn is_called(path: &Path, name: &str) -> bool {
    path.segments.last().is_some_and(|last| last.ident == name)
}

/// Whether the type has the name of a well-known one.
pub(crate) fn is_well_known(path: &TypePath) -> bool {
    let last = path.path.segments.last();
    let is_last = |name: &&str| last.is_some_and(|last| last.ident == **name);
    PLAIN.iter().chain(KNOWN).any(is_last)
}

/// The types in the angle brackets of a path's segment.
pub(crate) fn type_arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    let arguments = arguments.into_iter().flatten();
    arguments.filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// The same types, mutable.
pub(crate) fn type_arguments_mut(segment: &mut PathSegment) -> impl Iterator<Item = &mut Type> {
    let arguments = match &mut segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&mut arguments.args),
        _ => None,
    };
    let arguments = arguments.into_iter().flatten();
    arguments.filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// The types in the angle brackets of a path.
pub(crate) fn arguments_of(path: &TypePath) -> Vec<&Type> {
    let last = path.path.segments.last();
    last.into_iter().flat_map(type_arguments).collect()
}

/// The `T` in a bound `Trait<Item = T>`.
pub(crate) fn item_of(bound: &TraitBound) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &bound.path.segments.last()?.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == "Item" => Some(&assoc.ty),
        _ => None,
    })
}

/// The type to take instead of an `impl AsRef<str>` or `impl Into<String>`, which has no other bounds.
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

/// The expression to write in the key for a float.
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
        Type::Path(path) => match path.path.segments.last() {
            Some(segment) if segment.ident == "Option" => mapped(arguments_of(path).first()?),
            _ => None,
        },
        _ => None,
    }
}

/// Replaces each `impl` in an output: by a `Vec` of the items of an iterator, or by `()`.
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

/// The traits in the `impl`s of an output.
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
        Type::Path(path) => arguments_of(path).into_iter().flat_map(traits).collect(),
        _ => Vec::new(),
    }
}

/// Whether the return type of a closure can be inferred without knowing what is expected: a field of its argument, or a copy
/// of a field.
pub(crate) fn is_plain_access(closure: &Expr) -> bool {
    fn is_field(expr: &Expr) -> bool {
        match expr {
            Expr::Field(field) => is_field(&field.base),
            Expr::Path(path) => path.path.get_ident().is_some(),
            _ => false,
        }
    }
    match closure {
        // Some functions return the type that is expected.
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

/// Whether an expression is an argument, or a part of it: `app.scope`, `&app.scope`, `app.scope()`.
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

/// The last two names of an expression's path.
pub(crate) fn path_end(expr: &Expr) -> Option<[String; 2]> {
    let Expr::Path(path) = expr else {
        return None;
    };
    let mut names = path.path.segments.iter().rev();
    let mut next = || Some(names.next()?.ident.to_string());
    let last = next()?;
    Some([next()?, last])
}

/// Containers that lack a trait if a type in them lacks it.
const CONTAINERS: &[&str] = &[
    "Option", "Result", "Vec", "VecDeque", "Box", "Arc", "BTreeMap", "BTreeSet",
];

/// More of them, which are never `Hash`.
const UNORDERED: &[&str] = &["HashMap", "HashSet"];

/// The type to name in a message about what a container lacks, since nobody can derive a trait for the container: `User` for
/// `Option<Vec<User>>`, and a tuple if there are several. Only messages depend on it, so a name that means another type
/// does no harm.
pub(crate) fn inside(ty: &Type) -> Option<Type> {
    named_inside(ty, |name| {
        CONTAINERS.contains(&name) || UNORDERED.contains(&name)
    })
}

/// The same for a type that is tokens.
pub(crate) fn inside_tokens(ty: &TokenStream) -> Option<Type> {
    inside(&syn::parse2(ty.clone()).ok()?)
}

/// The same for a container that must be `Hash`. A map or a set without an order can't be, whatever is in it.
pub(crate) fn hashed_inside(ty: &Type) -> Option<Type> {
    let inside = named_inside(ty, |name| CONTAINERS.contains(&name));
    inside.or_else(|| is_unordered(ty).then(|| peel_reference(ty).clone()))
}

/// Whether it is a map or a set without an order.
pub(crate) fn is_unordered(ty: &Type) -> bool {
    match peel_reference(ty) {
        Type::Path(path) => UNORDERED.iter().any(|name| is_called(&path.path, name)),
        _ => false,
    }
}

/// A type without the references to it.
pub(crate) fn peel_reference(ty: &Type) -> &Type {
    match peel(ty) {
        Type::Reference(reference) => peel_reference(&reference.elem),
        other => other,
    }
}

fn named_inside(ty: &Type, is_container: fn(&str) -> bool) -> Option<Type> {
    let ty = peel_reference(ty);
    let mut found = Vec::new();
    suspects(ty, is_container, &mut found);
    let named = match &found[..] {
        [] => return None,
        [one] if std::ptr::eq(*one, ty) => return None,
        [one] => (*one).clone(),
        several => parse_quote!((#(#several),*)),
    };
    // An `impl Trait` can't be written in an expression.
    let hidden = Ident::new("impl", Span::call_site());
    (!mentions(&named.to_token_stream(), &hidden)).then_some(named)
}

/// Finds the types in a container that may lack a trait.
fn suspects<'a>(ty: &'a Type, is_container: fn(&str) -> bool, found: &mut Vec<&'a Type>) {
    let ty = peel(ty);
    let parts: Vec<&Type> = match ty {
        Type::Reference(reference) => vec![&*reference.elem],
        Type::Slice(slice) => vec![&*slice.elem],
        Type::Array(array) => vec![&*array.elem],
        Type::Tuple(tuple) => tuple.elems.iter().collect(),
        Type::Path(path) if is_plain(ty) || path.path.is_ident("str") => return,
        Type::Path(path) => {
            let last = path.path.segments.last();
            let container = last.filter(|last| is_container(&last.ident.to_string()));
            container.into_iter().flat_map(type_arguments).collect()
        }
        _ => Vec::new(),
    };
    let is_open = |part: &&Type| {
        matches!(
            peel(part),
            Type::Path(_) | Type::Tuple(_) | Type::Array(_) | Type::Slice(_) | Type::Reference(_)
        )
    };
    let is_unit = matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty());
    if !parts.is_empty() && parts.iter().all(is_open) {
        for part in parts {
            suspects(part, is_container, found);
        }
    } else if !is_unit {
        let is_same =
            |other: &&Type| other.to_token_stream().to_string() == ty.to_token_stream().to_string();
        if !found.iter().any(is_same) {
            found.push(ty);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ty: Type) -> Option<String> {
        inside(&ty).map(in_words)
    }

    #[test]
    fn a_message_names_the_type_in_a_container() {
        let one = |ty| names(ty).unwrap_or_default();
        assert_eq!(one(parse_quote!(Option<Vec<User>>)), "User");
        assert_eq!(
            one(parse_quote!(std::collections::HashMap<String, db::User>)),
            "db::User"
        );
        assert_eq!(one(parse_quote!(&[(u64, User)])), "User");
        assert_eq!(one(parse_quote!(Option<Arc<T>>)), "T");
        assert_eq!(one(parse_quote!(Vec<Arc<dyn Rule>>)), "Arc<dyn Rule>");
        assert_eq!(one(parse_quote!(HashMap<Id, User>)), "(Id , User)");
        assert_eq!(one(parse_quote!(Vec<Result<User, User>>)), "User");
    }

    #[test]
    fn a_map_without_an_order_is_not_hash_whatever_is_in_it() {
        let hashed = |ty| hashed_inside(&ty).map(in_words).unwrap_or_default();
        assert_eq!(
            hashed(parse_quote!(&HashMap<Id, User>)),
            "HashMap<Id , User>"
        );
        assert_eq!(hashed(parse_quote!(Vec<HashSet<Id>>)), "HashSet<Id>");
        assert_eq!(hashed(parse_quote!(BTreeMap<u64, User>)), "User");
    }

    #[test]
    fn a_type_that_can_be_changed_names_itself() {
        assert_eq!(names(parse_quote!(User)), None);
        assert_eq!(names(parse_quote!(&User)), None);
        assert_eq!(names(parse_quote!(Rc<User>)), None);
        assert_eq!(names(parse_quote!(Vec<u64>)), None);
        assert_eq!(names(parse_quote!(Box<dyn Rule>)), None);
        assert_eq!(names(parse_quote!(Option<impl Rule>)), None);
    }
}

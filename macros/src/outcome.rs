//! From what a bulk function returns to what each caller gets. The same table, as traits, is in the runtime
//! (`batch/results.rs`): it is asked only where an alias hides the shape, so that signatures stay readable.

use crate::signature::{peel, type_arguments, type_arguments_mut};
use crate::tokens::{Place, Private};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Type, TypePath};

/// How the output is handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandOut {
    /// By the order of the items, or by looking them up in a map.
    Each,
    /// The same, where each has a `Result` of its own in one for all.
    Flat,
    OneBy,
    ManyBy,
    Shared,
}

impl HandOut {
    /// The runtime's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Each => "Each",
            Self::Flat => "Flat",
            Self::OneBy => "OneBy",
            Self::ManyBy => "ManyBy",
            Self::Shared => "Whole",
        }
    }

    /// Whether results are rows that are found by their item, which two callers may have in common.
    pub(crate) fn finds_rows(self, is_map: bool) -> bool {
        matches!(self, Self::OneBy | Self::ManyBy) || self == Self::Each && is_map
    }

    /// `Each` or `Flat`, by the shape of the output.
    pub(crate) fn by_order(output: &Type) -> Self {
        if flat(output).is_some() {
            Self::Flat
        } else {
            Self::Each
        }
    }

    /// What each caller gets of `output`.
    pub(crate) fn one(self, output: &Type, item: &TokenStream, private: &Private) -> TokenStream {
        match self {
            Self::Shared => output.to_token_stream(),
            Self::Flat => {
                flat(output).map_or_else(|| output.to_token_stream(), ToTokens::to_token_stream)
            }
            _ => self.within(output, item, private),
        }
    }

    fn within(self, output: &Type, item: &TokenStream, private: &Private) -> TokenStream {
        let output = peel(output);
        match (self, output) {
            (Self::Each, Type::Tuple(tuple)) if tuple.elems.is_empty() => return quote!(#tuple),
            (_, Type::Path(path)) => {
                let name = path
                    .path
                    .segments
                    .last()
                    .map(|last| last.ident.to_string())
                    .unwrap_or_default();
                let arguments = arguments_of(path);
                match (self, name.as_str(), &arguments[..]) {
                    (Self::Each, "Vec", [one]) => return one.to_token_stream(),
                    (Self::Each, "HashMap", [_, one, ..])
                    | (Self::Each, "BTreeMap", [_, one])
                    | (Self::OneBy, "Vec", [one]) => {
                        return quote!(::core::option::Option<#one>);
                    }
                    (Self::ManyBy, "Vec", [_]) => return quote!(#path),
                    (_, name, [inner, ..]) if name.ends_with("Result") => {
                        let inner = self.within(inner, item, private);
                        return with_first_argument(path, inner);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        private.outcome_at(Place::of(output), output, item, self.name())
    }

    /// Whether it is plain to see that the output can't be handed out so.
    pub(crate) fn is_hopeless(self, output: &Type) -> bool {
        match (self, peel(output)) {
            (Self::Shared | Self::Flat, _) => false,
            (Self::Each, Type::Tuple(tuple)) => !tuple.elems.is_empty(),
            (_, Type::Path(path)) => {
                let Some(last) = path.path.segments.last() else {
                    return true;
                };
                let name = last.ident.to_string();
                match (
                    arguments_of(path).first(),
                    NO_LISTS.contains(&name.as_str()),
                ) {
                    (Some(inner), _) if name.ends_with("Result") => self.is_hopeless(inner),
                    (_, hopeless) => hopeless,
                }
            }
            (_, Type::Macro(_) | Type::Infer(_) | Type::Verbatim(_)) => false,
            _ => true,
        }
    }
}

/// Types that are known to everybody, and are not one result for each item.
const NO_LISTS: &[&str] = &[
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32",
    "u64", "u128", "usize", "str", "String", "Option", "Box", "Arc", "Rc", "HashSet", "BTreeSet",
    "VecDeque",
];

/// Whether it is plain to see that it is no list.
pub(crate) fn is_no_list(path: &TypePath) -> bool {
    let last = path.path.segments.last();
    let name = last.map(|last| last.ident.to_string()).unwrap_or_default();
    NO_LISTS.contains(&name.as_str()) || name == "HashMap" || name == "BTreeMap"
}

/// `Result<R, E>` in `Result<Vec<Result<R, E>>, E>`, if that is what it is.
fn flat(output: &Type) -> Option<&Type> {
    let (outer, outer_rest) = result(output)?;
    let Type::Path(list) = peel(outer) else {
        return None;
    };
    let one = match (
        list.path.segments.last()?.ident == "Vec",
        &arguments_of(list)[..],
    ) {
        (true, [one]) => *one,
        _ => return None,
    };
    let (_, inner_rest) = result(one)?;
    (outer_rest == inner_rest).then_some(one)
}

/// The first type in `…Result<T, …>`, and as text what makes up the rest: the path, or the other arguments.
fn result(ty: &Type) -> Option<(&Type, String)> {
    let Type::Path(path) = peel(ty) else {
        return None;
    };
    let last = path.path.segments.last()?;
    if !last.ident.to_string().ends_with("Result") {
        return None;
    }
    let arguments = arguments_of(path);
    let rest = match arguments.get(1..)? {
        [] => path
            .path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect::<Vec<_>>()
            .join("::"),
        rest => quote!(#(#rest),*).to_string(),
    };
    Some((*arguments.first()?, rest))
}

fn arguments_of(path: &TypePath) -> Vec<&Type> {
    let last = path.path.segments.last();
    last.into_iter().flat_map(type_arguments).collect()
}

fn with_first_argument(path: &TypePath, ty: TokenStream) -> TokenStream {
    let mut path = path.clone();
    let last = path.path.segments.last_mut();
    if let Some(first) = last.and_then(|last| type_arguments_mut(last).next()) {
        *first = Type::Verbatim(ty);
    }
    quote!(#path)
}

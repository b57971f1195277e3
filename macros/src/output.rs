//! The return type, read once: its shape, as far as the names of its types tell, and what each caller of a batch gets.
//! The runtime has the same table as traits, which an expansion uses only if an alias hides the shape, so that signatures
//! stay readable.

use crate::private::{Place, Private};
use crate::types::{self, arguments_of, is_well_known, peel, plain, type_arguments_mut};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Type, TypePath};

/// The output of a function, or the success type of a `Result`.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) ty: Type,
    pub(crate) shape: Shape,
}

/// What the tokens of a type show.
#[derive(Clone)]
pub(crate) enum Shape {
    /// `()`
    Unit,
    /// `Vec<R>`
    List(Box<Type>),
    /// `HashMap<K, R>` or `BTreeMap<K, R>`
    Map(Box<Map>),
    /// `Result<T, E>`, `io::Result<T>`, or another type whose name ends so
    Result(Box<ResultOf>),
    /// A well-known type that is none of these.
    Known,
    /// A name that may be an alias of anything.
    Unknown,
    /// A type without a name, such as a reference or an `impl Trait`.
    Unnamed,
}

#[derive(Clone)]
pub(crate) struct Map {
    pub(crate) name: Ident,
    pub(crate) keys: Type,
    /// None if the number of type arguments shows that it is another kind of map.
    value: Option<Type>,
}

#[derive(Clone)]
pub(crate) struct ResultOf {
    pub(crate) path: TypePath,
    pub(crate) ok: Output,
    /// None if the path is an alias that fixes the error type.
    pub(crate) error: Option<Type>,
}

/// How the output of a bulk call is distributed among its callers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandOut {
    /// By the order of the items, or by looking them up in a map.
    Each,
    /// The same, if each item has its own `Result` inside the `Result` of the bulk call.
    Flat,
    OneBy,
    ManyBy,
    Shared,
}

impl HandOut {
    /// The name of the strategy in the runtime.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Each => "Each",
            Self::Flat => "Flat",
            Self::OneBy => "OneBy",
            Self::ManyBy => "ManyBy",
            Self::Shared => "Whole",
        }
    }

    /// Whether a closure tells which rows belong to an item.
    pub(crate) fn is_by_rows(self) -> bool {
        matches!(self, Self::OneBy | Self::ManyBy)
    }
}

impl Shape {
    fn of(ty: &Type) -> Self {
        let path = match peel(ty) {
            Type::Tuple(tuple) if tuple.elems.is_empty() => return Self::Unit,
            Type::Tuple(_) | Type::Array(_) => return Self::Known,
            Type::Path(path) => path,
            Type::Macro(_) | Type::Infer(_) | Type::Verbatim(_) => return Self::Unknown,
            _ => return Self::Unnamed,
        };
        let Some(last) = path.path.segments.last() else {
            return Self::Unnamed;
        };
        let name = last.ident.to_string();
        match (name.as_str(), &arguments_of(path)[..]) {
            ("Vec", [one]) => Self::List(Box::new((*one).clone())),
            ("HashMap" | "BTreeMap", [keys, rest @ ..]) => Self::Map(Box::new(Map {
                name: last.ident.clone(),
                keys: peel(keys).clone(),
                value: match (name.as_str(), rest) {
                    ("HashMap", [value, ..]) | (_, [value]) => Some((*value).clone()),
                    _ => None,
                },
            })),
            (name, [ok, rest @ ..]) if name.ends_with("Result") => {
                Self::Result(Box::new(ResultOf {
                    path: path.clone(),
                    ok: Output::read(ok),
                    error: rest.first().map(|error| peel(error).clone()),
                }))
            }
            _ if is_well_known(path) => Self::Known,
            _ => Self::Unknown,
        }
    }
}

impl Output {
    pub(crate) fn read(ty: &Type) -> Self {
        Self {
            ty: ty.clone(),
            shape: Shape::of(ty),
        }
    }

    /// `Each` or `Flat`.
    pub(crate) fn by_order(&self) -> HandOut {
        match self.flat() {
            Some(_) => HandOut::Flat,
            None => HandOut::Each,
        }
    }

    /// The `Result<R, E>` in a `Result<Vec<Result<R, E>>, E>`.
    fn flat(&self) -> Option<&Type> {
        let Shape::Result(outer) = &self.shape else {
            return None;
        };
        let Shape::List(one) = &outer.ok.shape else {
            return None;
        };
        match Shape::of(one) {
            Shape::Result(inner) => (outer.failure() == inner.failure()).then_some(&**one),
            _ => None,
        }
    }

    /// What each caller of a batch gets.
    pub(crate) fn one(&self, by: HandOut, item: &TokenStream, private: &Private) -> TokenStream {
        match (by, self.flat()) {
            (HandOut::Flat, Some(one)) => one.to_token_stream(),
            (HandOut::Shared | HandOut::Flat, _) => self.ty.to_token_stream(),
            _ => self.within(by, item, private),
        }
    }

    fn within(&self, by: HandOut, item: &TokenStream, private: &Private) -> TokenStream {
        let output = peel(&self.ty);
        match (by, &self.shape) {
            (HandOut::Each, Shape::Unit) => quote!(#output),
            (HandOut::Each, Shape::List(one)) => quote!(#one),
            (HandOut::OneBy, Shape::List(one)) => quote!(::core::option::Option<#one>),
            (HandOut::Each, Shape::Map(map)) if map.value.is_some() => {
                let one = &map.value;
                quote!(::core::option::Option<#one>)
            }
            (HandOut::ManyBy, Shape::List(_)) => quote!(#output),
            (_, Shape::Result(result)) => {
                let mut path = result.path.clone();
                let last = path.path.segments.last_mut();
                if let Some(ok) = last.and_then(|last| type_arguments_mut(last).next()) {
                    *ok = Type::Verbatim(result.ok.within(by, item, private));
                }
                quote!(#path)
            }
            _ => private.outcome_at(Place::of(output), output, item, by.name()),
        }
    }

    /// Whether the tokens show that the output can't be distributed this way.
    pub(crate) fn is_hopeless(&self, by: HandOut) -> bool {
        match (by, &self.shape) {
            (HandOut::Shared | HandOut::Flat, _) => false,
            (_, Shape::Result(result)) => result.ok.is_hopeless(by),
            (_, Shape::Unit) => by != HandOut::Each,
            (_, Shape::Known | Shape::Unnamed) => true,
            (_, Shape::List(_) | Shape::Map(_) | Shape::Unknown) => false,
        }
    }

    /// The map, also inside a `Result`.
    pub(crate) fn map(&self) -> Option<&Map> {
        match &self.shape {
            Shape::Map(map) => Some(map),
            Shape::Result(result) => result.ok.map(),
            _ => None,
        }
    }

    /// Whether it is a list of rows, or a `Result` of one.
    pub(crate) fn is_rows(&self) -> bool {
        match &self.shape {
            Shape::List(_) => true,
            Shape::Result(result) => matches!(result.ok.shape, Shape::List(_)),
            _ => false,
        }
    }

    /// The type that messages name in a success, or in an output that is not a `Result`.
    pub(crate) fn inside(&self) -> Option<Type> {
        match &self.shape {
            Shape::Result(result) => result.ok.inside(),
            _ => types::inside(&self.ty),
        }
    }

    /// The same in the row of a caller who gets an `Option` or a `Vec`.
    pub(crate) fn inside_row(&self) -> Option<Type> {
        match (&self.shape, peel(&self.ty)) {
            (Shape::Result(result), _) => result.ok.inside_row(),
            (_, Type::Path(path)) => types::inside(arguments_of(path).first()?),
            _ => None,
        }
    }

    /// Whether the name of the type says that it is a `Result`.
    pub(crate) fn is_called_result(&self) -> bool {
        match peel(&self.ty) {
            Type::Path(path) => {
                let last = path.path.segments.last();
                last.is_some_and(|last| last.ident.to_string().ends_with("Result"))
            }
            _ => false,
        }
    }

    /// Whether the tokens show that it is not a `Result`.
    pub(crate) fn is_no_result(&self) -> bool {
        matches!(
            self.shape,
            Shape::Unit | Shape::List(_) | Shape::Map(_) | Shape::Known
        )
    }
}

impl ResultOf {
    /// Equal for two types with the same error: the error types as written, or the alias that fixes one.
    fn failure(&self) -> String {
        match &arguments_of(&self.path)[1..] {
            [] => {
                let names = self
                    .path
                    .path
                    .segments
                    .iter()
                    .map(|segment| segment.ident.to_string());
                names.collect::<Vec<_>>().join("::")
            }
            rest => quote!(#(#rest),*).to_string(),
        }
    }
}

impl Map {
    /// Whether the keys are named differently from the items, and so may be another type.
    pub(crate) fn has_other_keys(&self, item: &TokenStream) -> bool {
        let (keys, item) = (self.keys.to_token_stream().to_string(), item.to_string());
        let is_in_path = |name: &str, path: &str| {
            let before = path.strip_suffix(name);
            before.is_some_and(|path| path.is_empty() || path.ends_with(":: "))
        };
        !is_in_path(&keys, &item) && !is_in_path(&item, &keys)
    }

    /// Whether the tokens show that the keys are another type than the items.
    pub(crate) fn has_wrong_keys(&self, item: &TokenStream) -> bool {
        let Ok(item) = syn::parse2::<Type>(item.clone()) else {
            return false;
        };
        matches!((plain(&self.keys), plain(&item)), (Some(keys), Some(item)) if keys != item)
    }
}

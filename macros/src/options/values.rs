//! Reads the values of options.

use super::{Given, Reading};
use crate::tokens::in_words;
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, LitStr, Path, Token};

/// The value of an option.
pub(super) trait Value {
    /// The expressions in it.
    fn expressions(&self) -> Vec<&Expr> {
        Vec::new()
    }

    /// What to write instead of giving the option `name` twice, with this value and with `other`.
    fn once(&self, _name: &Ident, _other: &Self) -> String {
        "remove one of them".to_owned()
    }
}

impl Value for () {}
impl Value for Sibling {}
impl Value for LitStr {}
impl Value for Path {}

impl Value for Expr {
    fn expressions(&self) -> Vec<&Expr> {
        vec![self]
    }
}

impl Value for Option<Expr> {
    fn expressions(&self) -> Vec<&Expr> {
        self.iter().collect()
    }
}

impl Value for Ident {}

impl Value for KeyPart {
    fn expressions(&self) -> Vec<&Expr> {
        vec![&self.expr]
    }
}

impl<T: Value + ToTokens> Value for Vec<T> {
    fn expressions(&self) -> Vec<&Expr> {
        self.iter().flat_map(T::expressions).collect()
    }

    fn once(&self, name: &Ident, other: &Self) -> String {
        let mut all: Vec<String> = Vec::new();
        for one in self.iter().chain(other).map(in_words) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        format!("write one list, `{name}({})`", all.join(", "))
    }
}

/// The name of an added function: `user_now`, or `Self::user_now` if nothing else shows that the functions belong to a
/// `Self`.
#[derive(Clone)]
pub(crate) struct Sibling {
    pub(crate) on_self: bool,
    pub(crate) ident: Ident,
}

impl Parse for Sibling {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let on_self = input.peek(Token![Self]);
        if on_self {
            input.parse::<Token![Self]>()?;
            input.parse::<Token![::]>()?;
        }
        let ident = input.parse()?;
        Ok(Self { on_self, ident })
    }
}

/// `key(argument = expression)`.
#[derive(Clone)]
pub(crate) struct KeyPart {
    pub(crate) argument: Ident,
    pub(crate) expr: Expr,
}

impl Parse for KeyPart {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let argument = Ident::parse_any(input)?;
        input.parse::<Token![=]>()?;
        Ok(Self {
            argument,
            expr: input.parse()?,
        })
    }
}

impl ToTokens for KeyPart {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { argument, expr } = self;
        tokens.extend(quote!(#argument = #expr));
    }
}

/// Stores the value of an option. A second value is a mistake.
pub(super) fn set<T: Value>(slot: &mut Option<Given<T>>, name: Ident, value: T) -> syn::Result<()> {
    if let Some(before) = slot {
        let once = before.value.once(&name, &value);
        let message = format!("`{name}` is given twice; {once}");
        return Err(syn::Error::new_spanned(name, message));
    }
    *slot = Some(Given { name, value });
    Ok(())
}

pub(super) fn flag(Reading { input, name, .. }: Reading<'_, '_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    let rest: TokenStream = std::iter::from_fn(|| tree_before_comma(input)).collect();
    Err(syn::Error::new_spanned(
        rest,
        format!("`{name}` takes no value; write `{name}`"),
    ))
}

pub(super) fn flag_or_function(reading: Reading<'_, '_>) -> syn::Result<Option<Expr>> {
    match reading.input.peek(Token![=]) {
        true => function(reading).map(Some),
        false => flag(reading).map(|()| None),
    }
}

fn equals(reading: &Reading<'_, '_>) -> syn::Result<()> {
    let Reading {
        input,
        name,
        example,
        ..
    } = reading;
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if !input.is_empty() && !input.peek(Token![,]) {
            return Ok(());
        }
    }
    Err(syn::Error::new_spanned(
        name,
        format!("`{name}` needs a value, as in `{example}`"),
    ))
}

pub(super) fn value<T: Parse>(reading: Reading<'_, '_>) -> syn::Result<T> {
    equals(&reading)?;
    let Reading {
        input,
        name,
        example,
        ..
    } = reading;
    let start = input.fork();
    input.parse().map_err(|_| {
        let wrong = start
            .parse::<TokenTree>()
            .map_or_else(|_| quote!(#name), |tree| quote!(#tree));
        syn::Error::new_spanned(
            wrong,
            format!("`{name}` can't have this value; write for example `{example}`"),
        )
    })
}

/// Reads a closure or the path of a function. A literal is a mistake, but counts as given.
pub(super) fn function(reading: Reading<'_, '_>) -> syn::Result<Expr> {
    let Reading {
        input,
        name,
        example,
        errors,
    } = reading;
    let function = value(Reading {
        input,
        name,
        example,
        errors,
    })?;
    if let Expr::Lit(literal) = &function {
        let message = format!("`{name}` takes a function or a closure, for example `{example}`");
        errors.at(literal, message);
    }
    Ok(function)
}

pub(super) fn path(reading: Reading<'_, '_>) -> syn::Result<Path> {
    equals(&reading)?;
    let Reading {
        input,
        name,
        example,
        ..
    } = reading;
    input.call(Path::parse_mod_style).map_err(|error| {
        let message = format!("`{name}` takes a path without quotes, as in `{example}`");
        syn::Error::new(error.span(), message)
    })
}

pub(super) fn tree_before_comma(input: ParseStream<'_>) -> Option<TokenTree> {
    if input.is_empty() || input.peek(Token![,]) {
        None
    } else {
        input.parse().ok()
    }
}

/// Skips the rest of an option, and its comma.
pub(super) fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while tree_before_comma(input).is_some() {}
    if input.peek(Token![,]) {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

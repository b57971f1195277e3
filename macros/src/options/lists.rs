//! Reads lists in parentheses, and suggests what to write instead of something else.

use super::Reading;
use super::values::{KeyPart, tree_before_comma};
use crate::tokens::in_words;
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::quote;
use syn::Token;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;

pub(super) fn names(reading: Reading<'_, '_>) -> syn::Result<Vec<Ident>> {
    list(reading, Ident::parse_any)
}

pub(super) fn parts(reading: Reading<'_, '_>) -> syn::Result<Vec<KeyPart>> {
    list(reading, KeyPart::parse)
}

/// Reads `name(a, b)`.
fn list<T>(
    reading: Reading<'_, '_>,
    item: fn(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<Vec<T>> {
    let Reading {
        input,
        name,
        example,
        ..
    } = reading;
    if !input.peek(syn::token::Paren) {
        let rest: Vec<TokenTree> = std::iter::from_fn(|| tree_before_comma(input)).collect();
        // `skip = pool` and `key = user.id` show the intention.
        let example = match &rest[..] {
            [TokenTree::Punct(equals), TokenTree::Ident(one)]
                if equals.as_char() == '=' && name != "key" =>
            {
                format!("{name}({one})")
            }
            [TokenTree::Punct(equals), TokenTree::Ident(one), of @ ..]
                if equals.as_char() == '=' && name == "key" =>
            {
                format!("key({one} = {})", in_words(quote!(#one #(#of)*)))
            }
            _ => example.to_owned(),
        };
        return Err(syn::Error::new_spanned(
            quote!(#name #(#rest)*),
            format!("`{name}` takes a list in parentheses; write `{example}`"),
        ));
    }
    let content;
    syn::parenthesized!(content in input);
    let written: TokenStream = content.fork().parse()?;
    let items = match Punctuated::<T, Token![,]>::parse_terminated_with(&content, item) {
        Ok(items) => items,
        Err(error) => {
            // Otherwise, the rest of the list would be another error.
            content.parse::<TokenStream>()?;
            if let Some((fields, message)) = part_in_list(name, &written) {
                return Err(syn::Error::new_spanned(fields, message));
            }
            return Err(syn::Error::new(
                error.span(),
                not_in_list(name, &written, example),
            ));
        }
    };
    if items.is_empty() {
        return Err(syn::Error::new_spanned(
            name,
            format!("`{name}` is empty; name at least one argument, as in `{example}`"),
        ));
    }
    Ok(items.into_iter().collect())
}

/// Finds a field such as `self.pool` in `skip(…)`. To suggest `skip(self)` would leave out more than the user means.
fn part_in_list(name: &Ident, written: &TokenStream) -> Option<(TokenStream, String)> {
    if name != "skip" {
        return None;
    }
    let trees: Vec<TokenTree> = written.clone().into_iter().collect();
    trees.split(|tree| is_punct(tree, ',')).find_map(|one| {
        let borrows = one.iter().take_while(|tree| is_punct(tree, '&')).count();
        let [TokenTree::Ident(argument), dot, fields @ ..] = &one[borrows..] else {
            return None;
        };
        let is_path = fields
            .iter()
            .all(|tree| is_punct(tree, '.') || !matches!(tree, TokenTree::Punct(_)));
        if !is_punct(dot, '.') || fields.is_empty() || !is_path {
            return None;
        }
        let fields = in_words(quote!(#(#fields)*));
        let kept = match argument == "self" && fields != "tenant" {
            true => "tenant",
            false => "…",
        };
        let message = format!(
            "`skip` takes whole arguments; to compare `{argument}` by some of its fields, write `key({argument} = {argument}.{kept})`; write `skip({argument})` only if the result depends on no field but `{fields}`"
        );
        Some((quote!(#(#one)*), message))
    })
}

/// Suggests what to write instead of the contents of a list.
fn not_in_list(name: &Ident, written: &TokenStream, example: &str) -> String {
    let trees: Vec<TokenTree> = written.clone().into_iter().collect();
    let parts: Vec<&[TokenTree]> = trees
        .split(|tree| is_punct(tree, ','))
        .filter(|part| !part.is_empty())
        .collect();
    if name == "key" && !trees.iter().any(|tree| is_punct(tree, '=')) {
        if let Some(key) = key_with_names(&parts) {
            let others = match parts.len() {
                1 => "",
                _ => "; the other arguments are compared as they are",
            };
            return format!(
                "`key` names the argument that an expression stands for; write `key({key})`{others}"
            );
        }
        if let [[TokenTree::Ident(argument)]] = parts[..] {
            return format!(
                "every argument is compared already; to put an expression in the place of `{argument}`, write `key({argument} = {argument}.…)`"
            );
        }
    }
    match (first_word(&trees), &parts[..]) {
        (Some(argument), [_]) if name != "key" => {
            format!("`{name}` takes names of arguments; write `{name}({argument})`")
        }
        _ => format!("`{name}` is written like this: `{example}`"),
    }
}

/// `user.id` → `user = user.id`, and `user.id, user.name, day` → `user = (user.id, user.name)`. `None`: there are only names.
fn key_with_names(parts: &[&[TokenTree]]) -> Option<String> {
    let mut named: Vec<(&Ident, Vec<String>)> = Vec::new();
    for part in parts.iter().filter(|part| part.len() > 1) {
        let argument = first_word(part)?;
        let expr = in_words(quote!(#(#part)*));
        match named.iter_mut().find(|(known, _)| *known == argument) {
            Some((_, exprs)) => exprs.push(expr),
            None => named.push((argument, vec![expr])),
        }
    }
    let named = named.iter().map(|(argument, exprs)| match &exprs[..] {
        [expr] => format!("{argument} = {expr}"),
        exprs => format!("{argument} = ({})", exprs.join(", ")),
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| named.join(", "))
}

fn first_word(trees: &[TokenTree]) -> Option<&Ident> {
    trees.iter().find_map(|tree| match tree {
        TokenTree::Ident(ident) => Some(ident),
        _ => None,
    })
}

fn is_punct(tree: &TokenTree, char: char) -> bool {
    match tree {
        TokenTree::Punct(punct) => punct.as_char() == char,
        _ => false,
    }
}

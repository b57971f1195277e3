//! Finds functions that call themselves and run in a task.

use super::Seen;
use crate::errors::Errors;
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::Visibility;

/// A task must know that its future is `Send`, which the compiler can't tell for a future that contains itself. Only plain
/// calls are found: a free function by its name without a path, and a method of `self` or `Self`.
pub(super) fn calls_itself(seen: &Seen<'_>, errors: &mut Errors) {
    let function = seen.function;
    let name = &function.sig.ident;
    if !seen.outlives() || function.sig.asyncness.is_none() {
        return;
    }
    let way_out = "a function that runs in its own task can't call itself directly; call it through a plain `fn` that returns `Pin<Box<dyn Future<Output = …> + Send>>`";
    if function.is_method() {
        // A function without a visibility may be in a trait's implementation, and this call may be of an inherent method.
        let is_inherent = !matches!(function.vis, Visibility::Inherited);
        if let Some(call) = method_call_of(name, &function.text()).filter(|_| is_inherent) {
            errors.at(call, way_out);
        }
    } else if let Some(call) = call_of(name, &function.text()) {
        errors.at(
            call,
            format!("{way_out}, or, if this is another function called `{name}`, write its path, `self::{name}(…)`"),
        );
    }
}

/// Finds a call `self.name(…)` or `Self::name(…)`.
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

/// Finds a call `name(…)`, unless the name may be a local or an item of the body.
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

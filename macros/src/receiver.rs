//! Replaces `self` in a body that runs in a task by a local.
//!
//! `self` is a keyword, so no local can have this name. Uses of the receiver are renamed, but a text in which the name
//! would be visible stays as it is:
//!
//! | written | what is made of it |
//! |---|---|
//! | `format!("{self}")`, in any macro | `format!("{self}", self = local)` |
//! | `info!(?self, self.tenant)`, of `tracing` | `info!(self = ?local, self.tenant = local.tenant)` |
//! | `assert!(self.tenant > 3)` | the same of the local, and a message that has the words as written |
//! | `macro_rules!` that says `self` | says the local |
//!
//! Items within the body have a `self` of their own.

use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

/// The body with `self` (the value, not the path) replaced by `local`.
pub(crate) fn without_self(body: TokenStream, local: &Ident) -> TokenStream {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    let mut out = TokenStream::new();
    let mut at_item = false; // after the head of a nested item, up to its braces or semicolon
    for (at, tree) in trees.iter().enumerate() {
        let before = |n| at.checked_sub(n).map(|at| &trees[at]);
        let next = trees.get(at + 1);
        let tree = match tree {
            TokenTree::Ident(ident) if ident == "self" => {
                let is_path = next.is_some_and(|next| is(next, ':'));
                // `$self` is the name of a macro's argument.
                let is_named = before(1).is_some_and(|before| is(before, '$'));
                if at_item || is_path || is_named {
                    tree.clone()
                } else {
                    renamed(ident, local)
                }
            }
            TokenTree::Ident(ident) => {
                at_item |= match ident.to_string().as_str() {
                    "fn" => {
                        let is_name = |next: &TokenTree| matches!(next, TokenTree::Ident(_));
                        next.is_some_and(|next| is_name(next) || is(next, '$'))
                    }
                    "impl" | "trait" | "mod" | "use" => true,
                    _ => false,
                };
                tree.clone()
            }
            TokenTree::Punct(punct) => {
                at_item &= punct.as_char() != ';';
                tree.clone()
            }
            TokenTree::Group(group) if at_item => {
                at_item = group.delimiter() != Delimiter::Brace;
                tree.clone()
            }
            TokenTree::Group(_) if matches!(before(1), Some(TokenTree::Ident(word)) if word == "pub") => {
                tree.clone()
            }
            TokenTree::Group(group) => {
                let inside = match (before(2), before(1)) {
                    (Some(TokenTree::Ident(name)), Some(bang)) if is(bang, '!') => {
                        in_macro(&name.to_string(), group.stream(), local)
                    }
                    _ => without_self(group.stream(), local),
                };
                let mut new = Group::new(group.delimiter(), inside);
                new.set_span(group.span());
                TokenTree::Group(new)
            }
            literal => literal.clone(),
        };
        out.extend([tree]);
    }
    out
}

fn is(tree: &TokenTree, char: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == char)
}

fn renamed(ident: &Ident, local: &Ident) -> TokenTree {
    let span = ident.span().resolved_at(local.span());
    TokenTree::Ident(Ident::new(&local.to_string(), span))
}

/// The macros of `tracing` that take fields, and whether a text comes before these: the name of a span.
const FIELDS: &[(&str, bool)] = &[
    ("trace", false),
    ("debug", false),
    ("info", false),
    ("warn", false),
    ("error", false),
    ("event", false),
    ("span", true),
    ("trace_span", true),
    ("debug_span", true),
    ("info_span", true),
    ("warn_span", true),
    ("error_span", true),
];

/// What stands in the parentheses of the macro `name`.
fn in_macro(name: &str, tokens: TokenStream, local: &Ident) -> TokenStream {
    let mut arguments = split(tokens.clone());
    let ends_with_comma = arguments.len() > 1 && arguments.last().is_some_and(Vec::is_empty);
    if ends_with_comma {
        arguments.pop();
    }
    let has_text = arguments.iter().flatten().any(is_text_of_self);
    let names_it = arguments
        .iter()
        .any(|argument| starts_with_self_equals(argument));
    let fields = FIELDS.iter().find(|(of, _)| *of == name);
    let is_assertion = matches!(name, "assert" | "debug_assert") && arguments.len() == 1;
    if fields.is_none() && !is_assertion && !has_text && !names_it {
        return without_self(tokens, local);
    }
    let mut may_be_field = fields.is_some();
    let mut texts_to_come = fields.is_some_and(|(_, names_span)| *names_span);
    let mut out: Vec<TokenStream> = Vec::new();
    for argument in &arguments {
        let whole: TokenStream = argument.iter().cloned().collect();
        if let [TokenTree::Literal(literal)] = &argument[..] {
            if literal.to_string().ends_with(['"', '#']) {
                may_be_field &= texts_to_come;
                texts_to_come = false;
            }
        }
        out.push(match (may_be_field, &argument[..]) {
            (true, [sigil, path @ ..])
                if (is(sigil, '?') || is(sigil, '%')) && is_path_of_self(path) =>
            {
                field(path, Some(sigil), local)
            }
            (true, path) if is_path_of_self(path) => field(path, None, local),
            (true, argument) if field_name(argument) > 0 => {
                let (name, value) = argument.split_at(field_name(argument));
                let value = without_self(value.iter().cloned().collect(), local);
                quote!(#(#name)* #value)
            }
            (_, argument) if starts_with_self_equals(argument) => {
                let (name, value) = argument.split_at(1);
                let value = without_self(value.iter().cloned().collect(), local);
                quote!(#(#name)* #value)
            }
            _ => without_self(whole, local),
        });
    }
    if is_assertion && out[0].to_string() != tokens.to_string() {
        let condition: TokenStream = arguments[0].iter().cloned().collect();
        let words = quote!(::core::concat!(
            "assertion failed: ",
            ::core::stringify!(#condition)
        ));
        out.extend([quote!("{}"), words]);
    }
    if has_text && !names_it {
        let name = Ident::new("self", Span::call_site());
        out.push(quote!(#name = #local));
    }
    let comma = ends_with_comma.then(|| Punct::new(',', Spacing::Alone));
    quote!(#(#out),* #comma)
}

/// Splits tokens at the commas.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut arguments = vec![Vec::new()];
    for tree in tokens {
        match arguments.last_mut() {
            Some(argument) if !is(&tree, ',') => argument.push(tree),
            _ => arguments.push(Vec::new()),
        }
    }
    arguments
}

/// `self = …`, the name of an argument. `self == …` is none.
fn starts_with_self_equals(argument: &[TokenTree]) -> bool {
    matches!(argument, [TokenTree::Ident(this), TokenTree::Punct(equals), ..]
        if this == "self" && equals.as_char() == '=' && equals.spacing() == Spacing::Alone)
}

/// How many tokens of `self.tenant = …` are a field's name.
fn field_name(argument: &[TokenTree]) -> usize {
    let is_equals = |tree: &TokenTree| matches!(tree, TokenTree::Punct(equals) if equals.as_char() == '=' && equals.spacing() == Spacing::Alone);
    let name = argument.iter().position(is_equals).unwrap_or(0);
    match is_path_of_self(&argument[..name]) {
        true => name,
        false => 0,
    }
}

/// `self`, `self.tenant`, `self.tenant.id`.
fn is_path_of_self(path: &[TokenTree]) -> bool {
    let mut trees = path.iter();
    let starts = matches!(trees.next(), Some(TokenTree::Ident(this)) if this == "self");
    let rest: Vec<&TokenTree> = trees.collect();
    starts
        && rest
            .chunks(2)
            .all(|pair| matches!(pair, [dot, TokenTree::Ident(_)] if is(dot, '.')))
}

// Input:  ?self.tenant
// Output: self.tenant = ?local.tenant
fn field(path: &[TokenTree], sigil: Option<&TokenTree>, local: &Ident) -> TokenStream {
    let name: TokenStream = path.iter().cloned().collect();
    let value = without_self(name.clone(), local);
    let sigil = sigil.map(ToTokens::to_token_stream);
    quote!(#name = #sigil #value)
}

/// Whether it is a text that formats `self`.
fn is_text_of_self(tree: &TokenTree) -> bool {
    let TokenTree::Literal(literal) = tree else {
        return false;
    };
    let text = literal.to_string();
    if !text.ends_with(['"', '#']) {
        return false;
    }
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once('{') {
        // A doubled brace is a literal brace.
        if let Some(literally) = after.strip_prefix('{') {
            rest = literally;
            continue;
        }
        let Some((inside, after)) = after.split_once('}') else {
            break;
        };
        let (name, how) = inside.split_once(':').unwrap_or((inside, ""));
        if name.trim() == "self" || how.contains("self$") {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a body, without spaces.
    fn becomes(body: TokenStream) -> String {
        let local = Ident::new("__self", Span::call_site());
        without_self(body, &local).to_string().replace(' ', "")
    }

    #[test]
    fn texts_keep_the_name() {
        for (body, expected) in [
            (quote!(f!("{self} {id}")), r#"f!("{self}{id}",self=__self)"#),
            (
                quote!(f!("{self:?}", id,)),
                r#"f!("{self:?}",id,self=__self,)"#,
            ),
            (quote!(f!("{id:self$}")), r#"f!("{id:self$}",self=__self)"#),
            (quote!(f!("{{self}}")), r#"f!("{{self}}")"#),
            (
                quote!(f!("{self}", self = self.id)),
                r#"f!("{self}",self=__self.id)"#,
            ),
            (
                quote!(f!("{}", f!("{self}"))),
                r#"f!("{}",f!("{self}",self=__self))"#,
            ),
            (quote!(f(self == other)), "f(__self==other)"),
            (
                quote!(assert!(self.id > 3)),
                r#"assert!(__self.id>3,"{}",::core::concat!("assertionfailed:",::core::stringify!(self.id>3)))"#,
            ),
            (
                quote!(assert!(self.id > 3, "no")),
                r#"assert!(__self.id>3,"no")"#,
            ),
            (quote!(assert!(id > 3)), "assert!(id>3)"),
        ] {
            assert_eq!(becomes(body), expected);
        }
    }

    #[test]
    fn fields_keep_their_names() {
        for (body, expected) in [
            (
                quote!(info!(?self, %self.id, self.id, "{}", self.id)),
                r#"info!(self=?__self,self.id=%__self.id,self.id=__self.id,"{}",__self.id)"#,
            ),
            (
                quote!(tracing::info_span!("name", self.a.b)),
                r#"tracing::info_span!("name",self.a.b=__self.a.b)"#,
            ),
            (
                quote!(info!(target: "t", self.id = self.id, "t {}", self.id)),
                r#"info!(target:"t",self.id=__self.id,"t{}",__self.id)"#,
            ),
            (quote!(info!("{}", self.id)), r#"info!("{}",__self.id)"#),
            (quote!(json!({ "a": self.id })), r#"json!({"a":__self.id})"#),
        ] {
            assert_eq!(becomes(body), expected);
        }
    }

    #[test]
    fn macros_say_it_and_items_have_their_own() {
        let defined = quote! {
            macro_rules! id { ($self:ident) => { self.id + $self.id } }
            id!(self)
        };
        let expected = "macro_rules!id{($self:ident)=>{__self.id+$self.id}}id!(__self)";
        assert_eq!(becomes(defined), expected);
        let items = quote! {
            fn f(&self) { self.id }
            use self::a;
            pub(self) struct S;
            self::f(|| self.id)
        };
        let expected = "fnf(&self){self.id}useself::a;pub(self)structS;self::f(||__self.id)";
        assert_eq!(becomes(items), expected);
    }
}

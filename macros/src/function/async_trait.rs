//! Functions as `#[async_trait]` has rewritten them.

use super::Function;
use super::form::Form;
use crate::tokens::mentions;
use crate::types::peel;
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{
    FnArg, GenericParam, Lifetime, Pat, Signature, Token, Type, WherePredicate, parse_quote,
};

/// `let pat = argument;` at the head of a body, which stands for an argument's pattern.
#[derive(Clone)]
pub(super) struct MovedPat {
    pub(super) argument: Ident,
    pub(super) pat: Pat,
    pub(super) statement: TokenStream,
}

impl MovedPat {
    /// Moves the patterns that `#[async_trait]` put into the body out of it, so that the key sees their bindings.
    //
    // Input:  fn handler(__arg0: Path<u64>) -> Pin<Box<…>> { Box::pin(async move { let Path(id) = __arg0; body }) }
    // Output: the body without the `let`, and the `let`
    pub(super) fn take_from(body: TokenStream) -> (Vec<Self>, TokenStream) {
        let (mut moved, mut out) = (Vec::new(), TokenStream::new());
        let mut trees: Vec<TokenTree> = body.into_iter().collect();
        let is = |tree: &TokenTree, word| matches!(tree, TokenTree::Ident(ident) if ident == word);
        while let Some(start) = (0..trees.len())
            .find(|&at| is(&trees[at], "let") && (at == 0 || !is(&trees[at - 1], "if")))
        {
            let end = trees[start..]
                .iter()
                .position(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ';'));
            let Some(end) = end.map(|end| start + end + 1) else {
                break;
            };
            let rest = trees.split_off(end);
            let statement: TokenStream = trees.split_off(start).into_iter().collect();
            out.extend(trees);
            trees = rest;
            match Self::read(&statement) {
                Some(pat) => moved.push(pat),
                None => out.extend(statement),
            }
        }
        out.extend(trees);
        (moved, out)
    }

    /// Reads `let Path(id) = { let __arg0 = __arg0; __arg0 };`, or `let __arg0 = __arg0;` for what was written `_`.
    fn read(statement: &TokenStream) -> Option<Self> {
        let parse = |input: ParseStream<'_>| {
            input.parse::<Token![let]>()?;
            let pat = Pat::parse_single(input)?;
            input.parse::<Token![=]>()?;
            let value = input.parse::<TokenTree>()?;
            input.parse::<Token![;]>()?;
            Ok((pat, value))
        };
        let (pat, value) = Parser::parse2(parse, statement.clone()).ok()?;
        let argument = match value {
            TokenTree::Ident(argument) => argument,
            TokenTree::Group(group) => match group.stream().into_iter().last()? {
                TokenTree::Ident(argument) => argument,
                _ => return None,
            },
            _ => return None,
        };
        let pat = match pat {
            Pat::Ident(pat) if pat.ident == argument => Pat::Verbatim(TokenStream::new()),
            pat => pat,
        };
        argument.to_string().starts_with("__arg").then(|| Self {
            argument,
            pat,
            statement: statement.clone(),
        })
    }
}

impl Function {
    /// Removes the lifetimes that `#[async_trait]` gave to the reference around a list. The list is now an item, and the
    /// trait's function has no such lifetime.
    //
    // Input:  fn save<'life0, 'life1, 'async_trait>(&'life0 self, users: User) where 'life1: 'async_trait, …
    // Output: fn save<'life0, 'async_trait>(&'life0 self, users: User) where …
    pub(crate) fn without_unused_lifetimes(&mut self) {
        let Signature {
            inputs,
            output,
            generics,
            ..
        } = &mut self.sig;
        let uses = quote!(#inputs #output);
        let is_unused =
            |name: &Ident| name.to_string().starts_with("life") && !mentions(&uses, name);
        let params = std::mem::take(&mut generics.params).into_iter();
        generics.params = params
            .filter(|param| !matches!(param, GenericParam::Lifetime(param) if is_unused(&param.lifetime.ident)))
            .collect();
        if let Some(clause) = &mut generics.where_clause {
            let predicates = std::mem::take(&mut clause.predicates).into_iter();
            clause.predicates = predicates
                .filter(|predicate| !matches!(predicate, WherePredicate::Lifetime(predicate) if is_unused(&predicate.lifetime.ident)))
                .collect();
        }
    }

    /// The lifetime of a reference that replaces the argument at `index`. A boxed future must name it, and `#[async_trait]`
    /// gives each reference its own lifetime, in order.
    //
    // Input:  fn save<'life0, 'async_trait>(&'life0 self, users: Vec<User>) -> Pin<Box<… + 'async_trait>> where 'life0: 'async_trait
    // Output: 'life_users, of fn save<'life0, 'life_users, 'async_trait>(…) … where 'life0: 'async_trait, 'life_users: 'async_trait
    pub(crate) fn lifetime_of_reference(&mut self, index: usize) -> Option<Lifetime> {
        if !matches!(self.form, Some(Form::Boxed)) {
            return None;
        }
        let inputs = &self.sig.inputs;
        if let Some(FnArg::Typed(typed)) = inputs.iter().nth(index) {
            if let Type::Reference(reference) = peel(&typed.ty) {
                return reference.lifetime.clone();
            }
        }
        let params = &mut self.sig.generics.params;
        let is_async_trait = |param: &GenericParam| matches!(param, GenericParam::Lifetime(param) if param.lifetime.ident == "async_trait");
        let Some(bound) = params.iter().position(is_async_trait) else {
            return named_in(&self.sig.output.to_token_stream());
        };
        let before: TokenStream = inputs
            .iter()
            .take(index)
            .map(|input| quote!(#input,))
            .collect();
        let is_before = |param: &GenericParam| matches!(param, GenericParam::Lifetime(param) if mentions(&before, &param.lifetime.ident));
        let at = params
            .iter()
            .rposition(is_before)
            .map_or(0, |last| last + 1);
        let lifetime = Lifetime::new(&format!("'life_{index}"), Span::call_site());
        params.insert(at.min(bound), parse_quote!(#lifetime));
        let clause = self.sig.generics.make_where_clause();
        clause
            .predicates
            .push(parse_quote!(#lifetime: 'async_trait));
        Some(lifetime)
    }
}

/// The first lifetime that has a name.
fn named_in(tokens: &TokenStream) -> Option<Lifetime> {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    trees.windows(2).find_map(|pair| match pair {
        [TokenTree::Punct(quote), TokenTree::Ident(name)]
            if quote.as_char() == '\'' && name != "_" && name != "static" =>
        {
            Some(Lifetime::new(&format!("'{name}"), name.span()))
        }
        _ => None,
    })
}

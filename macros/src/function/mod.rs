//! The annotated function, read once into plain data. Its body stays opaque tokens, of which only the outer form is read.

mod argument;
mod async_trait;
mod form;
mod pattern;

pub(crate) use self::argument::{Argument, Binding};
pub(crate) use self::form::{Body, Form};

use self::argument::cfgs;
use self::async_trait::MovedPat;
use crate::lints;
use crate::output::Output;
use crate::private::Place;
use crate::tokens::mentions;
use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, FnArg, Pat, PatIdent, ReturnType, Signature, Token, Type, Visibility, parse_quote,
};

/// A function with a body.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    default: Option<Ident>,
    pub(crate) sig: Signature,
    /// The body with its braces.
    braces: Group,
    /// Inner attributes, `#![…]`, which stay at the head of the function.
    inner_attrs: TokenStream,
    /// Patterns of arguments that `#[async_trait]` has moved into the body.
    moved: Vec<MovedPat>,
    /// None if it is not asynchronous.
    pub(crate) form: Option<Form>,
    pub(crate) arguments: Vec<Argument>,
    /// What an awaited call returns; `()` if nothing is written.
    pub(crate) output: Output,
    /// The user's code.
    pub(crate) body: Body,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let default = if input.peek(syn::Ident) && input.peek2(Token![async])
            || input.peek(syn::Ident) && input.peek2(Token![fn])
        {
            Some(input.parse()?)
        } else {
            None
        };
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            return Err(syn::Error::new_spanned(
                &sig,
                "this function has no body; put the attribute on its implementations instead",
            ));
        }
        let braces = match input.parse()? {
            TokenTree::Group(group) => peel_group(group),
            other => {
                return Err(syn::Error::new_spanned(
                    other,
                    "expected the function's body",
                ));
            }
        };
        let (inner_attrs, body) = split_inner_attrs(braces.stream());
        let form = Form::of(&sig);
        let (moved, body) = match form.map(|form| (form, form.code(body.clone()))) {
            Some((Form::Boxed, Body::Async(body))) => {
                let (moved, body) = MovedPat::take_from(body);
                (moved, Body::Async(body))
            }
            Some((_, body)) => (Vec::new(), body),
            None => (Vec::new(), Body::Plain(body)),
        };
        Ok(Self {
            arguments: arguments(&sig, &moved),
            output: output(&sig),
            attrs,
            vis,
            default,
            sig,
            braces,
            inner_attrs,
            moved,
            form,
            body,
        })
    }
}

/// Removes the invisible group around a `macro_rules!` fragment.
fn peel_group(group: Group) -> Group {
    let mut inside = group.stream().into_iter();
    match (group.delimiter(), inside.next(), inside.next()) {
        (Delimiter::None, Some(TokenTree::Group(inner)), None) => peel_group(inner),
        _ => group,
    }
}

fn split_inner_attrs(body: TokenStream) -> (TokenStream, TokenStream) {
    let trees: Vec<TokenTree> = body.into_iter().collect();
    let mut end = 0;
    while let [
        TokenTree::Punct(hash),
        TokenTree::Punct(bang),
        TokenTree::Group(group),
        ..,
    ] = &trees[end..]
    {
        if hash.as_char() != '#' || bang.as_char() != '!' || group.delimiter() != Delimiter::Bracket
        {
            break;
        }
        end += 3;
    }
    (
        trees[..end].iter().cloned().collect(),
        trees[end..].iter().cloned().collect(),
    )
}

fn arguments(sig: &Signature, moved: &[MovedPat]) -> Vec<Argument> {
    let inputs = sig.inputs.iter();
    inputs.map(|input| Argument::read(input, moved)).collect()
}

fn output(sig: &Signature) -> Output {
    match form::output_mut(&mut sig.clone()) {
        Some(output) => Output::read(output),
        None => Output::read(&parse_quote!(())),
    }
}

impl Function {
    /// Whether the output is written, even if it is `()`.
    pub(crate) fn writes_output(&self) -> bool {
        form::output_mut(&mut self.sig.clone()).is_some()
    }

    /// The place of errors about the output.
    pub(crate) fn output_place(&self) -> Place {
        match self.writes_output() {
            true => Place::of(&self.output.ty),
            false => Place::of(&self.sig.ident),
        }
    }

    /// Changes the output, in the same form.
    pub(crate) fn set_output(&mut self, output: TokenStream) {
        let is_unit = output.to_string() == "()";
        let output = syn::parse2(output.clone()).unwrap_or(Type::Verbatim(output));
        self.output = Output::read(&output);
        if let ReturnType::Default = self.sig.output {
            if is_unit {
                return;
            }
            self.sig.output = parse_quote!(-> ());
        }
        if let Some(slot) = form::output_mut(&mut self.sig) {
            *slot = output;
        }
    }

    /// Changes the type of the items, and binds them by a plain name.
    pub(crate) fn set_item(&mut self, index: usize, name: &Ident, ty: TokenStream) {
        let Some(input @ FnArg::Typed(_)) = self.sig.inputs.iter_mut().nth(index) else {
            return;
        };
        if let FnArg::Typed(argument) = &mut *input {
            *argument.pat = Pat::Ident(PatIdent {
                attrs: Vec::new(),
                by_ref: None,
                mutability: None,
                ident: name.clone(),
                subpat: None,
            });
            *argument.ty = syn::parse2(ty.clone()).unwrap_or(Type::Verbatim(ty));
        }
        self.arguments[index] = Argument::read(input, &self.moved);
        self.arguments[index].is_item = true;
    }

    /// Makes a function `async` that is not asynchronous in any form.
    pub(crate) fn make_async(&mut self) {
        self.sig.asyncness = Some(parse_quote!(async));
        self.form = Some(Form::Async);
        self.output = output(&self.sig);
    }

    /// All tokens between the braces.
    pub(crate) fn text(&self) -> TokenStream {
        self.braces.stream()
    }

    /// The return type, if it is a future whose type says that it borrows nothing.
    pub(crate) fn static_future(&self) -> Option<&Type> {
        form::static_future(&self.sig)
    }

    /// Whether its body ends in a `macro_rules!` fragment.
    pub(crate) fn ends_in_fragment(&self) -> bool {
        let last = self.text().into_iter().last();
        matches!(last, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::None)
    }

    /// Whether the tokens show that it belongs to a `Self`.
    pub(crate) fn is_method(&self) -> bool {
        let says = |tokens: &TokenStream, word| mentions(tokens, &format_ident!("{word}"));
        let (sig, body) = (self.sig.to_token_stream(), self.text());
        // An item inside the body may have its own `Self`.
        let in_body = || says(&body, "Self") && !says(&body, "impl") && !says(&body, "trait");
        self.sig.receiver().is_some() || says(&sig, "Self") || in_body()
    }

    /// Expressions that rebuild the arguments from what they bind, for a call of a function with the same signature. None if a
    /// pattern does not bind everything.
    pub(crate) fn passed_on(&self) -> Option<Vec<TokenStream>> {
        let passed = |input: &FnArg| match input {
            FnArg::Receiver(receiver) => Some(receiver.self_token.to_token_stream()),
            FnArg::Typed(typed) if !cfgs(&typed.attrs).is_empty() => None,
            FnArg::Typed(typed) => {
                let moved = self.moved.iter().find(|moved| match &*typed.pat {
                    Pat::Ident(pat) => pat.ident == moved.argument,
                    _ => false,
                });
                pattern::as_expr(moved.map_or(&typed.pat, |moved| &moved.pat))
            }
        };
        self.sig.inputs.iter().map(passed).collect()
    }

    /// Removes `mut` from all arguments: only the bindings in the body are mutable.
    pub(crate) fn without_mut(&mut self) {
        for input in &mut self.sig.inputs {
            match input {
                FnArg::Receiver(receiver) => receiver.mutability = None,
                FnArg::Typed(typed) => pattern::without_mut(&mut typed.pat),
            }
        }
        for (argument, input) in self.arguments.iter_mut().zip(&self.sig.inputs) {
            argument.bindings = Argument::read(input, &self.moved).bindings;
        }
    }

    /// Allows unused arguments where the user expects them.
    pub(crate) fn allow_unused(&mut self) {
        let inputs = self.sig.inputs.iter_mut();
        let arguments = inputs.flat_map(|input| match input {
            FnArg::Typed(argument) => &mut argument.attrs[..],
            FnArg::Receiver(receiver) => &mut receiver.attrs[..],
        });
        lints::allow_unused(self.attrs.iter_mut().chain(arguments));
    }

    /// The same function with a name for each argument that is a pattern.
    pub(crate) fn with_plain_names(&self) -> Self {
        let mut function = self.clone();
        function.moved.clear();
        for (n, input) in function.sig.inputs.iter_mut().enumerate() {
            match input {
                FnArg::Receiver(receiver) => receiver.mutability = None,
                FnArg::Typed(typed) => match &mut *typed.pat {
                    Pat::Ident(pat) if pat.subpat.is_none() => {
                        (pat.by_ref, pat.mutability) = (None, None);
                    }
                    pat => {
                        let name = format_ident!("__arg{n}");
                        *pat = syn::parse_quote!(#name);
                    }
                },
            }
        }
        function
    }

    /// The names of all arguments, which must be plain.
    pub(crate) fn forwarded(&self) -> Vec<Ident> {
        let name = |input: &FnArg| match input {
            FnArg::Receiver(receiver) => Some(receiver.self_token.into()),
            FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(pat) => Some(pat.ident.clone()),
                _ => None,
            },
        };
        self.sig.inputs.iter().filter_map(name).collect()
    }

    /// The function with another body: `code` runs in an async context.
    pub(crate) fn with_code(&self, code: &TokenStream, private: &impl ToTokens) -> TokenStream {
        let moved = self.moved.iter().map(|moved| &moved.statement);
        let code = &quote!(#(#moved)* #code);
        let block = match self.form {
            None | Some(Form::Async) => code.clone(),
            Some(Form::Future) => quote!(async move { #code }),
            Some(Form::Boxed) => quote!(#private::Box::pin(async move { #code })),
        };
        let inner_attrs = &self.inner_attrs;
        self.with_block(quote!(#inner_attrs #block))
    }

    /// The function with its original body.
    pub(crate) fn as_written(&self) -> TokenStream {
        self.with_block(self.braces.stream())
    }

    pub(crate) fn with_block(&self, block: TokenStream) -> TokenStream {
        let Self {
            attrs,
            vis,
            default,
            sig,
            ..
        } = self;
        let mut braces = Group::new(Delimiter::Brace, block);
        braces.set_span(self.braces.span());
        quote!(#(#attrs)* #vis #default #sig #braces)
    }
}

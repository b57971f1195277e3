//! The annotated function as plain data. Its body stays opaque tokens; only its outer form is recognised.

use crate::tokens::{Place, mentions};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Lifetime, Pat, PathArguments, PathSegment,
    Receiver, ReceiverKind, ReturnType, Signature, Token, TraitBound, Type, TypeParamBound,
    Visibility, WherePredicate, parse_quote,
};

/// A function with a body.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) default: Option<Ident>,
    pub(crate) sig: Signature,
    /// What stands between the braces, without inner attributes.
    pub(crate) body: TokenStream,
    /// The braces themselves, for their spans.
    pub(crate) braces: Group,
    /// Inner attributes, `#![…]`, which stay at the head of the function.
    pub(crate) inner_attrs: TokenStream,
    /// Patterns of arguments that `#[async_trait]` has moved into the body, by the arguments that stand for them.
    moved: Vec<MovedPat>,
}

/// `let pat = argument;` at the head of a body.
#[derive(Clone)]
struct MovedPat {
    argument: Ident,
    pat: Pat,
    statement: TokenStream,
}

/// In which way a function is asynchronous.
#[derive(Clone)]
pub(crate) enum Form {
    /// `async fn … -> T { body }`
    Async,
    /// `fn … -> impl Future<Output = T> { body }`
    Future,
    /// `fn … -> Pin<Box<dyn Future<Output = T>>> { body }`, as `#[async_trait]` writes it
    Boxed,
}

/// The code that gives an execution its result.
#[derive(Clone)]
pub(crate) enum Body {
    /// Statements that run in an async block, and may `return` a value of the output's type.
    Async(TokenStream),
    /// Statements of a plain function, which give a future.
    Plain(TokenStream),
}

/// One argument, or the receiver.
#[derive(Clone)]
pub(crate) struct Argument {
    /// `#[cfg(…)]`s on it.
    pub(crate) cfgs: Vec<Attribute>,
    /// What it says of lints: of the body's binding, wherever that is.
    pub(crate) lints: Vec<Attribute>,
    /// What it binds, in order: several for a pattern, none for `_`.
    pub(crate) bindings: Vec<Binding>,
    /// As written, for messages and the place of errors.
    pub(crate) written: TokenStream,
    /// Its type; none for `self`, `&self`, `&mut self`.
    pub(crate) ty: Option<Type>,
    pub(crate) receiver: bool,
    /// Whether it is what a caller of a batch gives for its list of items.
    pub(crate) is_item: bool,
    /// Whether it is just a name, which then has the argument's type.
    pub(crate) is_plain_name: bool,
}

/// A name that an argument brings into the body.
#[derive(Clone)]
pub(crate) struct Binding {
    /// `#[cfg(…)]`s on the argument, or on a part of its pattern.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) ident: Ident,
    pub(crate) mutability: Option<Token![mut]>,
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
        Ok(Self {
            attrs,
            vis,
            default,
            sig,
            body,
            braces,
            inner_attrs,
            moved: Vec::new(),
        })
    }
}

/// Out of the invisible parentheses that a `macro_rules!` fragment comes in.
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

impl Function {
    /// In which way it is asynchronous, if it is.
    pub(crate) fn form(&self) -> Option<Form> {
        if self.sig.asyncness.is_some() {
            return Some(Form::Async);
        }
        let mut output = self.sig.output.clone();
        match &mut output {
            ReturnType::Type(_, ty) => output_of(ty).map(|(form, _)| form),
            ReturnType::Default => None,
        }
    }

    /// What a call gives in the end: the `T` of all forms; none for an `async fn` without `->`.
    pub(crate) fn output(&self) -> Option<Type> {
        let mut sig = self.sig.clone();
        output_mut(&mut sig).cloned()
    }

    /// Makes the function return another output, in the same form.
    pub(crate) fn set_output(&mut self, output: TokenStream) {
        if let Some(slot) = output_mut(&mut self.sig) {
            *slot = Type::Verbatim(output);
        }
    }

    /// The receiver and the arguments.
    pub(crate) fn arguments(&self) -> Vec<Argument> {
        let read = |input| {
            let mut argument = Argument::read(input);
            if let Some(moved) = self
                .moved
                .iter()
                .find(|moved| argument.binds(&moved.argument))
            {
                argument.bindings.clear();
                argument.is_plain_name = false;
                bindings_of(&moved.pat, &argument.cfgs, &mut argument.bindings);
            }
            argument
        };
        self.sig.inputs.iter().map(read).collect()
    }

    /// The return type, if it is a future that is written as one that borrows nothing.
    pub(crate) fn is_static_future(&self) -> Option<&Type> {
        fn is_static(ty: &Type) -> bool {
            let last = |path: &syn::TypePath| path.path.segments.last().cloned();
            let says_static = |bounds: &Punctuated<TypeParamBound, Token![+]>| {
                bounds.iter().any(|bound| matches!(bound, TypeParamBound::Lifetime(lifetime) if lifetime.ident == "static"))
            };
            match peel(ty) {
                Type::ImplTrait(ty) => {
                    says_static(&ty.bounds)
                        || ty.bounds.iter().any(|bound| matches!(bound, TypeParamBound::PreciseCapture(capture) if capture.params.is_empty()))
                }
                Type::TraitObject(ty) => {
                    let names_one = |bound: &TypeParamBound| matches!(bound, TypeParamBound::Lifetime(_));
                    says_static(&ty.bounds) || !ty.bounds.iter().any(names_one)
                }
                Type::Path(path) => last(path).is_some_and(|last| {
                    let arguments = match &last.arguments {
                        PathArguments::AngleBracketed(arguments) => arguments.args.first(),
                        _ => None,
                    };
                    match (last.ident.to_string().as_str(), arguments) {
                        ("BoxFuture" | "LocalBoxFuture", Some(GenericArgument::Lifetime(lifetime))) => {
                            lifetime.ident == "static"
                        }
                        ("Pin" | "Box", Some(GenericArgument::Type(inside))) => is_static(inside),
                        _ => false,
                    }
                }),
                _ => false,
            }
        }
        match &self.sig.output {
            ReturnType::Type(_, ty) if self.sig.asyncness.is_none() && is_static(ty) => Some(ty),
            _ => None,
        }
    }

    /// Whether the last thing in its body is the fragment of a `macro_rules!`.
    pub(crate) fn ends_in_fragment(&self) -> bool {
        let last = self.body.clone().into_iter().last();
        matches!(last, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::None)
    }

    /// Whether it is plain to see that it belongs to a `Self`.
    pub(crate) fn is_method(&self) -> bool {
        let sig = self.sig.to_token_stream();
        let says = |tokens, word| mentions(tokens, &format_ident!("{word}"));
        // An item within the body may have a `Self` of its own.
        let in_body =
            || says(&self.body, "Self") && !says(&self.body, "impl") && !says(&self.body, "trait");
        self.sig.receiver().is_some() || says(&sig, "Self") || in_body()
    }

    /// What the arguments bind, put together again as another function with the same arguments takes it; if they bind
    /// all that there is.
    pub(crate) fn passed_on(&self) -> Option<Vec<TokenStream>> {
        let passed = |input: &FnArg| match input {
            FnArg::Receiver(receiver) => Some(receiver.self_token.to_token_stream()),
            FnArg::Typed(typed) if !cfgs(&typed.attrs).is_empty() => None,
            FnArg::Typed(typed) => {
                let moved = self.moved.iter().find(|moved| match &*typed.pat {
                    Pat::Ident(pat) => pat.ident == moved.argument,
                    _ => false,
                });
                as_expr(moved.map_or(&typed.pat, |moved| &moved.pat))
            }
        };
        self.sig.inputs.iter().map(passed).collect()
    }

    /// Puts the patterns that `#[async_trait]` has moved into the body before it, where the key can see their bindings.
    //
    // Input:  fn handler(__arg0: Path<u64>) -> Pin<Box<…>> { Box::pin(async move { let Path(id) = __arg0; body }) }
    // Output: the body without the `let`, which is kept in `moved`
    pub(crate) fn take_moved_patterns(&mut self, body: TokenStream) -> TokenStream {
        let mut out = TokenStream::new();
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
            match MovedPat::read(&statement) {
                Some(moved) => self.moved.push(moved),
                None => out.extend(statement),
            }
        }
        out.extend(trees);
        out
    }

    /// Takes `mut` off all arguments, where it is the body's bindings that are to be mutable, and not these.
    pub(crate) fn without_mut(&mut self) {
        for input in &mut self.sig.inputs {
            match input {
                FnArg::Receiver(receiver) => receiver.mutability = None,
                FnArg::Typed(typed) => without_mut(&mut typed.pat),
            }
        }
    }

    /// Takes those lifetimes out that `#[async_trait]` has given to the reference around a list, which is gone: the
    /// trait's function has none there.
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

    /// The lifetime of a reference that takes the place of argument number `index`. A box has to name it, and
    /// `#[async_trait]` gives each reference one of its own, in their order.
    //
    // Input:  fn save<'life0, 'async_trait>(&'life0 self, users: Vec<User>) -> Pin<Box<… + 'async_trait>> where 'life0: 'async_trait
    // Output: 'life_users, of fn save<'life0, 'life_users, 'async_trait>(…) … where 'life0: 'async_trait, 'life_users: 'async_trait
    pub(crate) fn lifetime_of_reference(&mut self, index: usize) -> Option<Lifetime> {
        if !matches!(self.form(), Some(Form::Boxed)) {
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

    /// The same signature, but that each argument is a name.
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

    /// The names of all arguments, which are plain.
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

    /// Makes the function return another output, also one that returns nothing so far.
    pub(crate) fn set_output_or(&mut self, output: TokenStream) {
        if let ReturnType::Default = self.sig.output {
            self.sig.output = syn::parse_quote!(-> ());
        }
        self.set_output(output);
    }

    /// The user's code.
    pub(crate) fn body(&self, form: &Form) -> Body {
        let block = match form {
            Form::Async => return Body::Async(self.body.clone()),
            Form::Future => async_move_block(&self.body),
            Form::Boxed => in_box_pin(&self.body).and_then(|inside| async_move_block(&inside)),
        };
        block.map_or_else(|| Body::Plain(self.body.clone()), Body::Async)
    }

    /// The whole function, with `code`, which runs in an async context, as its body.
    pub(crate) fn with_code(
        &self,
        form: &Form,
        code: &TokenStream,
        private: &impl ToTokens,
    ) -> TokenStream {
        let moved = self.moved.iter().map(|moved| &moved.statement);
        let code = &quote!(#(#moved)* #code);
        let block = match form {
            Form::Async => code.clone(),
            Form::Future => quote!(async move { #code }),
            Form::Boxed => quote!(#private::Box::pin(async move { #code })),
        };
        let inner_attrs = &self.inner_attrs;
        self.with_block(quote!(#inner_attrs #block))
    }

    /// As it was written, but for what has been changed in its signature.
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

impl MovedPat {
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

fn output_mut(sig: &mut Signature) -> Option<&mut Type> {
    let ReturnType::Type(_, ty) = &mut sig.output else {
        return None;
    };
    if sig.asyncness.is_some() {
        Some(ty)
    } else {
        output_of(ty).map(|(_, output)| output)
    }
}

/// The `T` in `impl Future<Output = T>`, `Pin<Box<dyn Future<Output = T>>>` and `BoxFuture<'_, T>`.
fn output_of(ty: &mut Type) -> Option<(Form, &mut Type)> {
    match ty {
        Type::ImplTrait(ty) => ty
            .bounds
            .iter_mut()
            .find_map(future_output)
            .map(|output| (Form::Future, output)),
        Type::Path(path) => {
            let last = path.path.segments.last_mut()?;
            let name = last.ident.to_string();
            let inside = type_arguments_mut(last).next()?;
            match (name.as_str(), inside) {
                ("BoxFuture" | "LocalBoxFuture", output) => Some((Form::Boxed, output)),
                ("Pin", Type::Path(boxed)) => {
                    let last = boxed.path.segments.last_mut()?;
                    if last.ident != "Box" {
                        return None;
                    }
                    let PathArguments::AngleBracketed(arguments) = &mut last.arguments else {
                        return None;
                    };
                    match arguments.args.first_mut()? {
                        GenericArgument::Type(Type::TraitObject(object)) => object
                            .bounds
                            .iter_mut()
                            .find_map(future_output)
                            .map(|output| (Form::Boxed, output)),
                        _ => None,
                    }
                }
                _ => None,
            }
        }
        Type::Group(group) => output_of(&mut group.elem),
        Type::Paren(paren) => output_of(&mut paren.elem),
        _ => None,
    }
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

/// The same, to be changed.
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

fn future_output(bound: &mut TypeParamBound) -> Option<&mut Type> {
    let TypeParamBound::Trait(bound) = bound else {
        return None;
    };
    let last = bound.path.segments.last_mut()?;
    if last.ident != "Future" {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &mut last.arguments else {
        return None;
    };
    arguments
        .args
        .iter_mut()
        .find_map(|argument| match argument {
            GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(&mut assoc.ty),
            _ => None,
        })
}

/// What stands in the braces of `async move { … }`, if that is all there is.
fn async_move_block(body: &TokenStream) -> Option<TokenStream> {
    let mut trees = body.clone().into_iter();
    match (trees.next()?, trees.next()?, trees.next()?, trees.next()) {
        (TokenTree::Ident(a), TokenTree::Ident(m), TokenTree::Group(block), None)
            if a == "async" && m == "move" && block.delimiter() == Delimiter::Brace =>
        {
            Some(block.stream())
        }
        _ => None,
    }
}

/// What stands in the parentheses of `Box::pin(…)`, if that is all there is.
fn in_box_pin(body: &TokenStream) -> Option<TokenStream> {
    let trees: Vec<TokenTree> = body.clone().into_iter().collect();
    let (TokenTree::Group(arguments), path) = trees.split_last()? else {
        return None;
    };
    let path: TokenStream = path.iter().cloned().collect();
    let path: syn::Path = syn::parse2(path).ok()?;
    let names: Vec<String> = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect();
    let is_box_pin = matches!(
        names.iter().map(String::as_str).collect::<Vec<_>>()[..],
        [.., "Box", "pin"]
    );
    (is_box_pin && arguments.delimiter() == Delimiter::Parenthesis).then(|| arguments.stream())
}

impl Argument {
    fn read(argument: &FnArg) -> Self {
        match argument {
            FnArg::Receiver(receiver) => Self::receiver(receiver),
            FnArg::Typed(typed) => {
                let (mut bindings, cfgs) = (Vec::new(), cfgs(&typed.attrs));
                bindings_of(&typed.pat, &cfgs, &mut bindings);
                let (pat, ty) = (&typed.pat, &typed.ty);
                Self {
                    cfgs,
                    lints: lints(&typed.attrs),
                    bindings,
                    written: quote!(#pat: #ty),
                    ty: Some(peel(ty).clone()),
                    receiver: false,
                    is_item: false,
                    is_plain_name: matches!(&**pat, Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none()),
                }
            }
        }
    }

    fn receiver(receiver: &Receiver) -> Self {
        let mut written = receiver.clone();
        written.attrs.clear();
        Self {
            cfgs: cfgs(&receiver.attrs),
            lints: lints(&receiver.attrs),
            bindings: vec![Binding {
                cfgs: Vec::new(),
                ident: Ident::new("self", receiver.self_token.span),
                mutability: receiver.mutability,
            }],
            written: written.into_token_stream(),
            ty: match &receiver.kind {
                ReceiverKind::Typed(_, ty) => Some((**ty).clone()),
                _ => None,
            },
            receiver: true,
            is_item: false,
            is_plain_name: true,
        }
    }

    /// Whether this is one of its bindings.
    pub(crate) fn binds(&self, ident: &Ident) -> bool {
        self.bindings.iter().any(|binding| binding.ident == *ident)
    }

    /// Whether this is `&self`.
    pub(crate) fn is_shared_self(&self) -> bool {
        let mut written = self.written.clone().into_iter();
        let is_ref = matches!(written.next(), Some(TokenTree::Punct(and)) if and.as_char() == '&');
        self.receiver && is_ref && !mentions(&self.written, &format_ident!("mut"))
    }

    pub(crate) fn place(&self) -> Place {
        Place::of(&self.written)
    }
}

fn cfgs(attrs: &[Attribute]) -> Vec<Attribute> {
    attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .cloned()
        .collect()
}

/// `#[allow(…)]`s and the like.
pub(crate) fn lints(attrs: &[Attribute]) -> Vec<Attribute> {
    let is_level = |attr: &&Attribute| {
        let levels = ["allow", "expect", "warn", "deny"];
        levels.iter().any(|level| attr.path().is_ident(level))
    };
    attrs.iter().filter(is_level).cloned().collect()
}

/// A type without the invisible groups and parentheses around it.
pub(crate) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        other => other,
    }
}

/// What a pattern was matched with, if it binds all of it.
fn as_expr(pat: &Pat) -> Option<TokenStream> {
    match pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            Some(pat.ident.to_token_stream())
        }
        Pat::Paren(pat) => as_expr(&pat.pat),
        Pat::Reference(pat) => {
            let (and, mutability) = (&pat.and_token, &pat.mutability);
            as_expr(&pat.pat).map(|expr| quote!(#and #mutability #expr))
        }
        Pat::Struct(pat) if pat.rest.is_none() && pat.qself.is_none() => {
            let path = &pat.path;
            let fields = pat.fields.iter().map(|field| {
                let (attrs, member) = (&field.attrs, &field.member);
                as_expr(&field.pat).map(|expr| quote!(#(#attrs)* #member: #expr))
            });
            let fields = fields.collect::<Option<Vec<_>>>()?;
            Some(quote!(#path { #(#fields),* }))
        }
        Pat::Tuple(pat) => {
            let elems = pat.elems.iter().map(as_expr).collect::<Option<Vec<_>>>()?;
            Some(quote!((#(#elems,)*)))
        }
        Pat::TupleStruct(pat) if pat.qself.is_none() => {
            let path = &pat.path;
            let elems = pat.elems.iter().map(as_expr).collect::<Option<Vec<_>>>()?;
            Some(quote!(#path(#(#elems),*)))
        }
        _ => None,
    }
}

/// The names that a pattern binds, in order, and the `#[cfg(…)]`s that they are under.
fn bindings_of(pat: &Pat, under: &[Attribute], out: &mut Vec<Binding>) {
    match pat {
        Pat::Ident(pat) => {
            out.push(Binding {
                cfgs: under.to_vec(),
                ident: pat.ident.clone(),
                mutability: pat.mutability,
            });
            if let Some((_, pat)) = &pat.subpat {
                bindings_of(pat, under, out);
            }
        }
        Pat::Guard(pat) => bindings_of(&pat.pat, under, out),
        // All alternatives bind the same names.
        Pat::Or(pat) => pat
            .cases
            .iter()
            .take(1)
            .for_each(|pat| bindings_of(pat, under, out)),
        Pat::Paren(pat) => bindings_of(&pat.pat, under, out),
        Pat::Reference(pat) => bindings_of(&pat.pat, under, out),
        Pat::Slice(pat) => pat
            .elems
            .iter()
            .for_each(|pat| bindings_of(pat, under, out)),
        Pat::Struct(pat) => pat.fields.iter().for_each(|field| {
            let cfgs: Vec<_> = under.iter().cloned().chain(cfgs(&field.attrs)).collect();
            bindings_of(&field.pat, &cfgs, out);
        }),
        Pat::Tuple(pat) => pat
            .elems
            .iter()
            .for_each(|pat| bindings_of(pat, under, out)),
        Pat::TupleStruct(pat) => pat
            .elems
            .iter()
            .for_each(|pat| bindings_of(pat, under, out)),
        Pat::Type(pat) => bindings_of(&pat.pat, under, out),
        _ => {}
    }
}

fn without_mut(pat: &mut Pat) {
    match pat {
        Pat::Ident(pat) => {
            if pat.by_ref.is_none() {
                pat.mutability = None;
            }
            if let Some((_, pat)) = &mut pat.subpat {
                without_mut(pat);
            }
        }
        Pat::Or(pat) => pat.cases.iter_mut().for_each(without_mut),
        Pat::Paren(pat) => without_mut(&mut pat.pat),
        Pat::Reference(pat) => without_mut(&mut pat.pat),
        Pat::Slice(pat) => pat.elems.iter_mut().for_each(without_mut),
        Pat::Struct(pat) => pat
            .fields
            .iter_mut()
            .for_each(|field| without_mut(&mut field.pat)),
        Pat::Tuple(pat) => pat.elems.iter_mut().for_each(without_mut),
        Pat::TupleStruct(pat) => pat.elems.iter_mut().for_each(without_mut),
        _ => {}
    }
}

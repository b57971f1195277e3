//! How a function is asynchronous, what it returns once awaited, and which part of it is the user's code.

use crate::types::{is_called, peel, type_arguments_mut};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::{GenericArgument, PathArguments, ReturnType, Signature, Token, Type, TypeParamBound};

/// How a function is asynchronous.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// `async fn … -> T { body }`
    Async,
    /// `fn … -> impl Future<Output = T> { body }`
    Future,
    /// `fn … -> Pin<Box<dyn Future<Output = T>>> { body }`, as `#[async_trait]` writes it
    Boxed,
}

/// The user's code.
#[derive(Clone)]
pub(crate) enum Body {
    /// Statements that run in an async block, and may `return` a value of the output's type.
    Async(TokenStream),
    /// Statements of a plain function that returns a future.
    Plain(TokenStream),
}

impl Form {
    /// None for a function that is not asynchronous.
    pub(super) fn of(sig: &Signature) -> Option<Self> {
        if sig.asyncness.is_some() {
            return Some(Self::Async);
        }
        match sig.output.clone() {
            ReturnType::Type(_, mut ty) => output_of(&mut ty).map(|(form, _)| form),
            ReturnType::Default => None,
        }
    }

    /// The user's code in a function's body.
    pub(super) fn code(self, body: TokenStream) -> Body {
        let block = match self {
            Self::Async => return Body::Async(body),
            Self::Future => async_move_block(&body),
            Self::Boxed => in_box_pin(&body).and_then(|inside| async_move_block(&inside)),
        };
        block.map_or_else(|| Body::Plain(body), Body::Async)
    }
}

/// The type that an awaited call returns.
pub(super) fn output_mut(sig: &mut Signature) -> Option<&mut Type> {
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
        Type::ImplTrait(ty) => {
            let output = ty.bounds.iter_mut().find_map(future_output);
            output.map(|output| (Form::Future, output))
        }
        Type::Path(path) => {
            let last = path.path.segments.last_mut()?;
            let name = last.ident.to_string();
            let inside = type_arguments_mut(last).next()?;
            match (name.as_str(), inside) {
                ("BoxFuture" | "LocalBoxFuture", output) => Some((Form::Boxed, output)),
                ("Pin", Type::Path(boxed)) if is_called(&boxed.path, "Box") => {
                    let inside = type_arguments_mut(boxed.path.segments.last_mut()?).next()?;
                    let Type::TraitObject(object) = inside else {
                        return None;
                    };
                    let output = object.bounds.iter_mut().find_map(future_output);
                    output.map(|output| (Form::Boxed, output))
                }
                _ => None,
            }
        }
        Type::Group(group) => output_of(&mut group.elem),
        Type::Paren(paren) => output_of(&mut paren.elem),
        _ => None,
    }
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

/// The return type, if it is a future whose type says that it borrows nothing.
pub(super) fn static_future(sig: &Signature) -> Option<&Type> {
    match &sig.output {
        ReturnType::Type(_, ty) if sig.asyncness.is_none() && is_static(ty) => Some(ty),
        _ => None,
    }
}

fn is_static(ty: &Type) -> bool {
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
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
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

//! The path of both attributes: read, merge, check, emit.

use crate::call::Call;
use crate::check::{self, Seen};
use crate::errors::Errors;
use crate::function::{Body, Function};
use crate::items::Items;
use crate::lints;
use crate::marker::{self, Marker};
use crate::options::{Attribute, Given, Options};
use crate::output::HandOut;
use crate::private::Private;
use crate::types::is_called;
use crate::{batch, dedup, fallback, siblings};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Meta, parse_quote};

pub(crate) fn expand(attribute: Attribute, tokens: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut options = Options::read(attribute, tokens.clone(), &mut errors);
    let mut function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            errors.push(not_a_function(attribute, &item, error));
            let errors = errors.into_tokens();
            return quote!(#errors #item);
        }
    };
    let mut other = read_other(attribute, &mut function, &mut errors);
    if let Some(other) = &mut other {
        options.merge(other, &mut errors);
    }
    let may_meet_other = other.is_none() && function.attrs.iter().any(marker::may_be_ours);
    let marker = may_meet_other.then(|| Marker::new(attribute, tokens, &function));
    let private = Private::new(options.krate.as_ref().map(|krate| &krate.value));
    let (dedup, batch) = match attribute {
        Attribute::Dedup => (Some(options), other),
        Attribute::Batch => (other, Some(options)),
    };
    let (dedup, batch) = (dedup.as_ref(), batch.as_ref());
    let items = batch.and_then(|batch| Items::find(&mut function, batch, &mut errors));
    let seen = Seen {
        function: &function,
        dedup,
        batch,
        items: items.as_ref(),
        hand_out: batch.map(|batch| hand_out(batch, &function)),
    };
    check::all(&seen, &mut errors);
    let imported = [dedup, batch].into_iter().flatten().find_map(in_use);
    let Emitted {
        attrs,
        function,
        siblings,
    } = match errors.is_empty() {
        true => emit(&seen, imported, &private),
        false => Emitted {
            function: fallback::function(&seen, imported.as_ref(), &private),
            siblings: fallback::siblings(&seen, &private),
            attrs: function.attrs.clone(),
        },
    };
    let errors = errors.into_tokens();
    match marker {
        Some(marker) => marker.mark(&attrs, errors, function, siblings, &private),
        None => quote!(#errors #(#attrs)* #function #siblings),
    }
}

struct Emitted {
    attrs: Vec<syn::Attribute>,
    function: TokenStream,
    siblings: TokenStream,
}

/// Expands from the inside out. `#[batch]` comes first, whichever attribute stands above: it turns the bulk function into
/// a function of one item. `#[dedup]` then sees that function: the single item is part of the key, the result of one
/// caller is shared, and the body takes a place in a batch. In the other order, `#[dedup]` would compare whole lists.
fn emit(seen: &Seen<'_>, imported: Option<TokenStream>, private: &Private) -> Emitted {
    let mut expansion = Expansion::of_body(seen, private);
    if let (Some(options), Some(items), Some(by)) = (seen.batch, seen.items, seen.hand_out) {
        expansion.batch(options, items, by, seen.dedup.is_some());
    }
    if let Some(options) = seen.dedup {
        expansion.dedup(options, seen.batch.is_some());
    }
    let Expansion {
        mut function,
        code,
        siblings,
        ..
    } = expansion;
    function.allow_unused();
    let attrs = std::mem::take(&mut function.attrs);
    let function = function.with_code(&quote!(#imported #code), private);
    Emitted {
        attrs,
        function,
        siblings,
    }
}

/// A function during its expansion.
struct Expansion<'a> {
    private: &'a Private,
    /// Its signature changes with each attribute.
    function: Function,
    /// The body that the next attribute wraps.
    code: TokenStream,
    /// The functions beside it.
    siblings: TokenStream,
    /// Whether the function of `direct` holds the user's code.
    is_held: bool,
}

impl<'a> Expansion<'a> {
    /// Starts with the user's code, or with a call of the function that `direct` adds for it.
    fn of_body(seen: &Seen<'_>, private: &'a Private) -> Self {
        let mut function = seen.function.clone();
        if function.ends_in_fragment() {
            // The compiler attributes the braces of a block fragment to this function.
            function.attrs.push(parse_quote!(#[allow(unused_braces)]));
        }
        let direct = seen.common().direct.as_ref();
        let (siblings, called) = match direct {
            Some(Given { value: direct, .. }) => {
                let options = [seen.dedup, seen.batch].into_iter().flatten();
                let used = options.flat_map(Options::expressions);
                siblings::direct(&function, direct, &quote!(#(#used;)*), private)
            }
            None => (TokenStream::new(), None),
        };
        let is_held = called.is_some();
        let code = match (called, &function.body) {
            (Some(called), _) => {
                lints::allow(&mut function.attrs);
                function.without_mut();
                called
            }
            (None, Body::Async(body)) => typed(&function, body, private),
            (None, Body::Plain(body)) => {
                let code = quote!(#private::future(move || { #body }).await);
                // The expanded function consists of an async block, whatever the original did.
                function
                    .attrs
                    .push(parse_quote!(#[allow(clippy::manual_async_fn)]));
                code
            }
        };
        Self {
            private,
            function,
            code,
            siblings,
            is_held,
        }
    }

    fn batch(&mut self, options: &Options, items: &Items, by: HandOut, has_dedup: bool) {
        let private = self.private;
        let mut items = items.clone();
        if self.is_held {
            items.by_name();
        }
        let one = self.function.output.one(by, &items.item(), private);
        let call = Call {
            private,
            attribute: Attribute::Batch,
            options,
            function: &self.function,
            has_both: has_dedup,
        };
        let body = std::mem::take(&mut self.code);
        self.code = batch::expand(&call, &items, by, &one, body);
        if let Some(Given { value: many, .. }) = &options.many {
            let many = siblings::many(&self.function, many, &items, &one, private);
            self.siblings.extend(many);
        }
        self.function.set_output(one);
        items.singular(&mut self.function);
        self.function.without_mut();
    }

    fn dedup(&mut self, options: &Options, has_batch: bool) {
        let private = self.private;
        let call = Call {
            private,
            attribute: Attribute::Dedup,
            options,
            function: &self.function,
            has_both: has_batch,
        };
        let body = std::mem::take(&mut self.code);
        self.code = dedup::expand(&call, body);
        if options.spawn.is_some() {
            self.function.without_mut();
        }
        self.function.allow_unused();
        if let Some(Given { value: forget, .. }) = &options.forget {
            let inner = siblings::inner(&self.function, &self.code, forget, private);
            let called = match inner {
                Some((name, inner, call)) => {
                    self.siblings.extend(inner);
                    self.code = call;
                    name
                }
                None => self.function.sig.ident.clone(),
            };
            let is_across = options.across.is_some();
            let forget = siblings::forget(&self.function, &called, forget, is_across, private);
            self.siblings.extend(forget);
        }
    }
}

/// Tells the compiler the type of a body, for which an async block has no syntax. Without it, errors in the body would
/// differ from those in a plain function.
//
// Input:  body
// Output: if false { return private::never::<R>(); }
//         body
fn typed(function: &Function, body: &TokenStream, private: &Private) -> TokenStream {
    let never = private.generic_at(function.output_place(), "never", &function.output.ty);
    quote! {
        if false {
            return #never;
        }
        #body
    }
}

fn not_a_function(attribute: Attribute, item: &TokenStream, error: syn::Error) -> syn::Error {
    let is_fn = |tree: proc_macro2::TokenTree| tree.to_string() == "fn";
    if item.clone().into_iter().any(is_fn) {
        return error;
    }
    let head = item.clone().into_iter().take(1).collect::<TokenStream>();
    let message = format!("`#[{}]` goes on an async function", attribute.name());
    syn::Error::new_spanned(head, message)
}

/// Reads the other attribute on the same function: the attribute that runs first expands both.
fn read_other(
    attribute: Attribute,
    function: &mut Function,
    errors: &mut Errors,
) -> Option<Options> {
    let twice = format!(
        "`#[{}]` is on this function twice; remove one of them",
        attribute.name()
    );
    let other = match Marker::take(function) {
        None => take(attribute.other(), function).map(|attr| {
            let path = attr.path().clone();
            let tokens = match attr.meta {
                Meta::List(list) => list.tokens,
                _ => TokenStream::new(),
            };
            let mut options = Options::read(attribute.other(), tokens, errors);
            options.taken = Some(path);
            options
        }),
        Some(expanded) if expanded.attribute == attribute => {
            errors.push(syn::Error::new(Span::call_site(), &twice));
            None
        }
        Some(expanded) if !expanded.is_unchanged(function) => {
            errors.push(syn::Error::new(Span::call_site(), format!(
                "an attribute between `#[{}]` and `#[{}]` has changed the function, so that they can't be expanded together; put the two next to each other",
                expanded.attribute.name(),
                attribute.name()
            )));
            None
        }
        Some(expanded) => match syn::parse2(expanded.original) {
            Ok(original) => {
                let attrs = std::mem::replace(function, original).attrs;
                function.attrs = attrs;
                Some(Options::read(attribute.other(), expanded.options, errors))
            }
            Err(error) => {
                errors.push(error);
                None
            }
        },
    };
    if let Some(again) = take(attribute, function) {
        errors.at(again.path(), twice);
    }
    other
}

/// Removes an attribute from a function.
fn take(attribute: Attribute, function: &mut Function) -> Option<syn::Attribute> {
    let is_it = |attr: &syn::Attribute| is_called(attr.path(), attribute.name());
    let index = function.attrs.iter().position(is_it)?;
    Some(function.attrs.remove(index))
}

/// Uses the import of an attribute that was removed, which the compiler would report as unused.
fn in_use(options: &Options) -> Option<TokenStream> {
    let path = options.taken.as_ref()?;
    Some(quote! {
        #[allow(unused_imports, clippy::all, clippy::pedantic)]
        use #path as _;
    })
}

fn hand_out(batch: &Options, function: &Function) -> HandOut {
    match (&batch.one_by, &batch.many_by, &batch.shared) {
        (Some(_), _, _) => HandOut::OneBy,
        (_, Some(_), _) => HandOut::ManyBy,
        (_, _, Some(_)) => HandOut::Shared,
        _ => function.output.by_order(),
    }
}

//! Reads both inputs, sees whether they fit together, and has the expansion written.

use crate::batch::Bulk;
use crate::errors::Errors;
use crate::items::Items;
use crate::options::{Attribute, Common, Given, Options};
use crate::other::{self, Expanded};
use crate::outcome::HandOut;
use crate::signature::{Argument, Body, Form, Function};
use crate::tokens::{Place, Private};
use crate::validate::{self, Seen};
use crate::{batch, beside, dedup, fallback, known};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{Expr, Meta, Type, parse_quote};

/// What both expansions need to know of the function.
pub(crate) struct Call<'a> {
    pub(crate) private: &'a Private,
    pub(crate) common: &'a Common,
    /// Those that are part of the key or of what the body uses; without a batch's items.
    pub(crate) arguments: Vec<Argument>,
    /// What the body gives, as it can be written in an expression: `_` for an `impl Trait`.
    pub(crate) output: TokenStream,
    pub(crate) output_place: Place,
    /// Whether the output may be a `Result`, as far as its name tells.
    pub(crate) may_be_result: bool,
    pub(crate) name: &'a Ident,
}

impl Call<'_> {
    /// The static beside the function, with what the function is called in stats.
    //
    // Output: static __PIGGYBACK: private::Site = private::Site::free(private::module_path!(), "user");
    pub(crate) fn beside(&self) -> TokenStream {
        let private = self.private;
        let new = if let Some(name) = &self.common.name {
            let name = &name.value;
            quote!(named(#name))
        } else {
            let name = self.name.unraw().to_string();
            if self.arguments.iter().any(|argument| argument.receiver) {
                quote!(method(#private::module_path!(), #name))
            } else {
                quote!(free(#private::module_path!(), #name))
            }
        };
        quote!(static __PIGGYBACK: #private::Site = #private::Site::#new;)
    }

    /// What a call gets that is refused.
    pub(crate) fn busy(&self, output: &TokenStream, busy: &Given<Expr>) -> TokenStream {
        let of = self.private.output_at(self.output_place, output);
        let (place, value) = (Place::of(&busy.value), &busy.value);
        self.private.call_at(place, "busy", quote!(#of, #value))
    }

    /// A lint that the user's own names in our code would set off.
    pub(crate) fn allow(&self, items: &[&Ident]) -> Option<TokenStream> {
        let arguments = self
            .arguments
            .iter()
            .flat_map(|argument| &argument.bindings);
        let names = arguments.map(|binding| &binding.ident);
        names
            .chain(items.iter().copied())
            .any(|name| name.to_string().starts_with('_'))
            .then(|| quote!(#[allow(clippy::used_underscore_binding)]))
    }
}

pub(crate) fn expand(attribute: Attribute, options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let as_given = options.clone();
    let mut options = Options::read(attribute, options, &mut errors);
    let mut function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            errors.push(not_a_function(attribute, &item, error));
            let errors = errors.into_tokens();
            return quote!(#errors #item);
        }
    };
    let expanded = Expanded::take(&mut function);
    let mut other = match expanded {
        Some(expanded) if expanded.attribute == attribute => {
            validate::given_once(attribute, TokenStream::new(), &mut errors);
            None
        }
        Some(expanded) if !expanded.is_unchanged(&function) => {
            errors.push(syn::Error::new(Span::call_site(), format!(
                "an attribute between `#[{}]` and `#[{}]` has changed the function, so that they can't be expanded together; put the two next to each other",
                expanded.attribute.name(),
                attribute.name()
            )));
            None
        }
        Some(expanded) => match syn::parse2(expanded.original) {
            Ok(original) => {
                let attrs = std::mem::replace(&mut function, original).attrs;
                function.attrs = attrs;
                Some(Options::read(
                    attribute.other(),
                    expanded.options,
                    &mut errors,
                ))
            }
            Err(error) => {
                errors.push(error);
                None
            }
        },
        None => take_other(attribute, &mut function, &mut errors),
    };
    if let Some(again) = take(attribute, &mut function) {
        validate::given_once(attribute, again.path(), &mut errors);
    }
    if let Some(other) = &mut other {
        options.common.contradictions(&other.common, &mut errors);
        options.common.fill_from(&other.common);
        other.common.fill_from(&options.common);
    }
    let may_meet_other = other.is_none() && function.attrs.iter().any(other::may_be_ours);
    let marker = may_meet_other.then(|| Expanded::new(attribute, as_given, &function));
    let (dedup, batch) = match attribute {
        Attribute::Dedup => (Some(options), other),
        Attribute::Batch => (other, Some(options)),
    };
    Plan {
        dedup,
        batch,
        function,
        marker,
    }
    .expand(errors)
}

fn not_a_function(attribute: Attribute, item: &TokenStream, error: syn::Error) -> syn::Error {
    let words: Vec<String> = item
        .clone()
        .into_iter()
        .map(|tree| tree.to_string())
        .collect();
    if words.iter().any(|word| word == "fn") {
        return error;
    }
    let head = item.clone().into_iter().take(1).collect::<TokenStream>();
    syn::Error::new_spanned(
        head,
        format!("`#[{}]` goes on an async function", attribute.name()),
    )
}

/// Takes the other attribute off the function, if it has it: whichever runs first expands both.
fn take_other(
    attribute: Attribute,
    function: &mut Function,
    errors: &mut Errors,
) -> Option<Options> {
    let other = attribute.other();
    let attr = take(other, function)?;
    let path = attr.path().clone();
    let tokens = match attr.meta {
        Meta::List(list) => list.tokens,
        _ => TokenStream::new(),
    };
    let mut options = Options::read(other, tokens, errors);
    options.taken = Some(path);
    Some(options)
}

/// The compiler never sees the attribute that was taken off, and would call its import unused.
fn in_use(options: &Options) -> Option<TokenStream> {
    let path = options.taken.as_ref()?;
    Some(quote! {
        #[allow(unused_imports, clippy::all, clippy::pedantic)]
        use #path as _;
    })
}

fn take(attribute: Attribute, function: &mut Function) -> Option<syn::Attribute> {
    let is_it = |attr: &syn::Attribute| {
        attr.path()
            .segments
            .last()
            .is_some_and(|last| last.ident == attribute.name())
    };
    let index = function.attrs.iter().position(is_it)?;
    Some(function.attrs.remove(index))
}

struct Plan {
    dedup: Option<Options>,
    batch: Option<Options>,
    function: Function,
    /// If there may be another attribute of ours on the function.
    marker: Option<Expanded>,
}

impl Plan {
    fn expand(self, mut errors: Errors) -> TokenStream {
        let Self {
            dedup,
            batch,
            function,
            marker,
        } = self;
        let common = dedup
            .as_ref()
            .or(batch.as_ref())
            .map(|options| options.common.clone())
            .unwrap_or_default();
        let private = Private::new(common.krate.as_ref().map(|krate| &krate.value));

        let form = function.form();
        if form.is_none() {
            let fn_token = &function.sig.fn_token;
            errors.at(
                fn_token,
                format!(
                    "this function is not async; write `async fn`, or return `impl Future<Output = …>`; if it is written as `async fn`, another attribute has already rewritten it: move `#[{}]` above that attribute",
                    if dedup.is_some() { "dedup" } else { "batch" }
                ),
            );
        }
        let mut function = function;
        let body = match form.as_ref().map(|form| function.body(form)) {
            Some(Body::Async(body)) if matches!(form, Some(Form::Boxed)) => {
                Some(Body::Async(function.take_moved_patterns(body)))
            }
            body => body,
        };
        let items = batch.as_ref().map(|batch| {
            let skipped = batch
                .common
                .skip
                .as_ref()
                .map(|skip| skip.value.clone())
                .unwrap_or_default();
            Items::find(
                &function,
                batch.items.as_ref(),
                &skipped,
                batch.by_ref.is_some(),
                &mut errors,
            )
        });
        let hand_out = batch.as_ref().map(|batch| hand_out(batch, &function));
        let forget = dedup.as_ref().and_then(|dedup| dedup.forget.as_ref());
        validate::common(&common, forget, &function, &mut errors);
        for (attribute, options) in [(Attribute::Dedup, &dedup), (Attribute::Batch, &batch)] {
            if let Some(options) = options {
                validate::options(attribute, options, &mut errors);
            }
        }
        let found = items.as_ref().and_then(Option::as_ref);
        if batch.is_none() || found.is_some() {
            let seen = Seen {
                function: &function,
                common: &common,
                items: found,
                hand_out,
                item_by: batch.as_ref().and_then(|batch| batch.item_by.as_ref()),
                split_on_err: batch.as_ref().and_then(|batch| batch.split_on_err.as_ref()),
                busy: [&dedup, &batch]
                    .into_iter()
                    .flatten()
                    .find_map(|options| Some(&options.busy.as_ref()?.name)),
                is_across: dedup.as_ref().is_some_and(|dedup| dedup.across.is_some()),
                across_err: dedup.as_ref().and_then(|dedup| dedup.across_err.as_ref()),
                is_batch: batch.is_some(),
                is_dedup: dedup.is_some(),
                spawns: dedup.as_ref().is_some_and(|dedup| dedup.spawn.is_some()),
            };
            validate::arguments(&seen, &mut errors);
        }
        if let Some(many) = batch.as_ref().and_then(|batch| batch.many.as_ref()) {
            validate::many(many, &common, &function, dedup.is_some(), &mut errors);
        }
        let has_batch = batch.is_some();
        if let Some(across) = dedup.as_ref().and_then(|dedup| dedup.across.as_ref()) {
            validate::across(across, has_batch, &mut errors);
        }
        let imported = [&dedup, &batch].into_iter().flatten().find_map(in_use);

        let (Some(form), Some(body), true) = (form, body, errors.is_empty()) else {
            let errors = errors.into_tokens();
            let mut siblings = fallback::siblings(&function, &common, dedup.as_ref(), &private);
            let many = batch.as_ref().and_then(|batch| batch.many.as_ref());
            if let (Some(many), Some(Some(items))) = (many, &items) {
                siblings.extend(fallback::many(
                    &function,
                    &many.value.ident,
                    items,
                    hand_out,
                    &private,
                ));
            }
            let attrs = std::mem::take(&mut function.attrs);
            let function = if has_batch {
                fallback::batch(
                    function,
                    items.flatten().as_ref(),
                    hand_out,
                    imported,
                    &private,
                )
            } else {
                fallback::dedup(function)
            };
            return match marker {
                Some(marker) => marker.mark(&attrs, errors, function, siblings, &private),
                None => quote!(#errors #(#attrs)* #function #siblings),
            };
        };

        if function.ends_in_fragment() {
            // The compiler takes the braces of a block that a macro was given for written here.
            function.attrs.push(parse_quote!(#[allow(unused_braces)]));
        }
        let held = common.direct.as_ref().map(|direct| {
            let used = [&dedup, &batch].into_iter().flatten();
            let used: TokenStream = used
                .flat_map(Options::expressions)
                .map(quote::ToTokens::to_token_stream)
                .collect();
            beside::direct(&function, &direct.value, &used, &form, &private)
        });
        let (mut siblings, held) = match held {
            Some(held) => (held.siblings, held.body),
            None => (TokenStream::new(), None),
        };
        let is_held = held.is_some();
        if is_held {
            beside::with_allowed(&mut function.attrs);
            function.without_mut();
        }
        let body = match (held, body) {
            (Some(call), _) => call,
            (None, Body::Async(body)) => typed(&function, &private, body),
            (None, Body::Plain(body)) => {
                // What we make of it is but an async block, whatever it was.
                function
                    .attrs
                    .push(parse_quote!(#[allow(clippy::manual_async_fn)]));
                quote!(#private::future(move || { #body }).await)
            }
        };
        let lists: Vec<usize> = match &items {
            Some(Some(items)) => items.lists.iter().map(|list| list.index).collect(),
            _ => Vec::new(),
        };
        let body = match (batch, items.flatten(), hand_out) {
            (Some(options), Some(mut items), Some(hand_out)) => {
                if is_held {
                    items.by_name();
                }
                let output = function.output().unwrap_or_else(|| parse_quote!(()));
                let one = hand_out.one(&output, &items.item(), &private);
                let has_other_keys = known::has_other_keys(&output, &items.item());
                let bulk = Bulk {
                    is_map: known::map(&output).is_some(),
                    has_other_keys,
                    items,
                    hand_out,
                    one,
                    is_deduplicated: dedup.is_some(),
                };
                let mut call = call(&function, &private, &options.common, &lists);
                call.arguments.retain(|argument| !argument.is_item);
                let code = batch::expand(&call, &options, &bulk, body);
                if let Some(many) = &options.many {
                    siblings.extend(beside::many(
                        &function,
                        &many.value,
                        &form,
                        &bulk.items,
                        &bulk.one,
                        &private,
                    ));
                }
                let Bulk { items, one, .. } = bulk;
                function.set_output(one);
                items.singular(&mut function);
                function.without_mut();
                code
            }
            _ => body,
        };
        let body = match dedup {
            Some(options) => {
                let call = call(&function, &private, &options.common, &lists);
                let code = dedup::expand(&call, &options, has_batch, body);
                if options.spawn.is_some() {
                    function.without_mut();
                }
                beside::with_uses(&mut function);
                match &options.forget {
                    None => code,
                    Some(Given { value: forget, .. }) => {
                        let inner = beside::inner(&function, &code, forget, &form, &private);
                        let (called, code) = match inner {
                            Some((name, inner, call)) => {
                                siblings.extend(inner);
                                (name, call)
                            }
                            None => (function.sig.ident.clone(), code),
                        };
                        siblings.extend(beside::forget(
                            &function,
                            &called,
                            forget,
                            options.across.is_some(),
                            &private,
                        ));
                        code
                    }
                }
            }
            None => body,
        };
        beside::with_uses(&mut function);
        let attrs = std::mem::take(&mut function.attrs);
        let function = function.with_code(&form, &quote!(#imported #body), &private);
        match marker {
            Some(marker) => marker.mark(&attrs, TokenStream::new(), function, siblings, &private),
            None => quote!(#(#attrs)* #function #siblings),
        }
    }
}

fn hand_out(batch: &Options, function: &Function) -> HandOut {
    match (&batch.one_by, &batch.many_by, &batch.shared) {
        (Some(_), _, _) => HandOut::OneBy,
        (_, Some(_), _) => HandOut::ManyBy,
        (_, _, Some(_)) => HandOut::Shared,
        _ => function
            .output()
            .map_or(HandOut::Each, |output| HandOut::by_order(&output)),
    }
}

fn call<'a>(
    function: &'a Function,
    private: &'a Private,
    common: &'a Common,
    lists: &[usize],
) -> Call<'a> {
    let output = function.output();
    let mut arguments = function.arguments();
    for list in lists {
        arguments[*list].is_item = true;
    }
    Call {
        private,
        common,
        arguments,
        output_place: output
            .as_ref()
            .map_or_else(|| Place::of(&function.sig.ident), Place::of),
        may_be_result: output.as_ref().is_some_and(known::is_called_result),
        output: in_expression(output.as_ref()),
        name: &function.sig.ident,
    }
}

/// A return type as it can be written in the function's body.
fn in_expression(output: Option<&Type>) -> TokenStream {
    output.map_or_else(|| quote!(()), |output| quote!(#output))
}

/// A body in an async block has no place to write its type, without which its errors would be other ones than in a
/// function.
//
// Input:  body
// Output: if false { return private::never::<R>(); }
//         body
fn typed(function: &Function, private: &Private, body: TokenStream) -> TokenStream {
    let output = function.output();
    let place = output
        .as_ref()
        .map_or_else(|| Place::of(&function.sig.ident), Place::of);
    let never = private.generic_at(place, "never", in_expression(output.as_ref()));
    quote! {
        if false {
            return #never;
        }
        #body
    }
}

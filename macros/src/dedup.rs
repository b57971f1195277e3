//! The expansion of `#[dedup]`. Nothing here can fail.

use crate::arguments::Arguments;
use crate::options::{Given, Options};
use crate::plan::Call;
use crate::signature::Function;
use crate::tokens::{Place, borrow_at, local, method_at, without_self};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::GenericParam;
use syn::ext::IdentExt;

// Input:  body
// Output: let call = {
//             static FLIGHTS: private::Flights = …;
//             private::Flights::enter(&FLIGHTS, || {}, key, private::cloned(private::ty::<R>()), private::Joining::new())
//         };
//         private::Call::run(call, async move { body }).await
//
// A loader's body, which is a place in a batch, gets the flight that it may lead: `let heir = private::Call::heir(&call);`
pub(crate) fn expand(
    call: &Call<'_>,
    options: &Options,
    is_loader: bool,
    body: TokenStream,
) -> TokenStream {
    let Call {
        private,
        common,
        arguments,
        output,
        ..
    } = call;
    let all = Arguments {
        all: arguments,
        common,
        private,
    };
    let started = local("call");

    let (function, flights, marker) = match &options.forget {
        None => (
            call.beside("Flights"),
            quote!(#private::Flights),
            quote!(|| {},),
        ),
        Some(_) => (quote!(), quote!(#private::Both), quote!()),
    };
    let this = match &options.forget {
        None => quote!(&__PIGGYBACK),
        Some(_) => both_of(call),
    };
    let (key, sharing) = (all.key(), sharing(call));
    let max_age_ms = options.max_age_ms.iter().map(|given| &given.value);
    let max_followers = options.max_followers.iter().map(|given| &given.value);
    let mut joining = quote!(#private::Joining::new());
    for ms in max_age_ms {
        joining = quote!(#private::Joining::max_age_ms(#joining, #ms));
    }
    for most in max_followers {
        joining = quote!(#private::Joining::max_followers(#joining, #most));
    }
    if options.busy.is_some() {
        joining = quote!(#private::Joining::or_busy(#joining));
    }
    let enter = match &common.scope {
        Some(scope) => {
            let scope = borrow_at(Place::of(&scope.value), &scope.value);
            quote!(#flights::enter_in(#this, #scope, #marker #key, #sharing, #joining))
        }
        None => quote!(#flights::enter(#this, #marker #key, #sharing, #joining)),
    };

    let run = if options.spawn.is_some() {
        let owned = all.owned(false, &joining);
        let own = owned.iter().map(|owned| &owned.own);
        let lend = owned.iter().map(|owned| &owned.lend);
        let body = without_self(body, &local("this"));
        let imports = private.probing(all.are_probed(true));
        quote!(#private::Call::spawn(#started, || {
            #imports
            #(#own)*
            async move { #(#lend)* #body }
        }))
    } else {
        quote!(#private::Call::run(#started, async move { #body }))
    };

    let heir = is_loader.then(|| {
        let heir = local("heir");
        quote!(let #heir = #private::Call::heir(&#started);)
    });
    // Output: if private::Call::is_refused(&call) { return private::busy(private::ty::<R>(), AppError::Busy); }
    let refused = options.busy.iter().map(|busy| {
        let (busy, allow) = (call.busy(output, busy), call.allow(&[]));
        quote! {
            #allow
            if #private::Call::is_refused(&#started) {
                return #busy;
            }
        }
    });
    let (allow, imports) = (call.allow(&[]), private.probing(all.are_probed(false)));
    quote! {
        #allow
        let #started = {
            #imports
            #function
            #enter
        };
        #(#refused)*
        #heir
        #run.await
    }
}

/// How one result becomes everybody's. Errors about it point at the option, or at the return type.
fn sharing(call: &Call<'_>) -> TokenStream {
    let Call {
        private,
        common,
        output,
        ..
    } = call;
    let of = private.output_at(call.output_place, output);
    let share = match (&common.share_err, &common.clone_with) {
        (Some(Given { value, .. }), _) => {
            private.call_at(Place::of(value), "share_err", quote!(#of, #value))
        }
        (None, Some(Given { value, .. })) => {
            private.call_at(Place::of(value), "clone_with", quote!(#of, #value))
        }
        (None, None) => cloned(call, of.clone()),
    };
    match &common.failed {
        None => share,
        Some(Given { value, .. }) => {
            let failed = private.call_at(Place::of(value), "failed", quote!(#of, #value));
            quote!(#private::Failed::new(#share, #failed))
        }
    }
}

/// By `Clone`. Of what may be a `Result`, each half is asked by itself, so that an error names the one that isn't.
//
// Output: private::cloned(of), private::cloned_as(of.__piggyback_kind())
pub(crate) fn cloned(call: &Call<'_>, of: TokenStream) -> TokenStream {
    if call.may_be_result {
        let kind = method_at(call.output_place, of, "kind", quote!());
        call.private.call_at(call.output_place, "cloned_as", kind)
    } else {
        call.private.call_at(call.output_place, "cloned", of)
    }
}

/// What a function with `forget` and its forgetting one have in common: the static, and the marker that tells
/// monomorphisations apart.
fn both_of(call: &Call<'_>) -> TokenStream {
    let name = both_name(call);
    let generics = call.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    });
    let on_self = call.is_method.then(|| quote!(Self::));
    quote!(#on_self #name::<#(#generics),*>())
}

/// Where this can't be found, because nothing shows that the function belongs to a `Self`, the compiler says the name.
fn both_name(call: &Call<'_>) -> Ident {
    let name = call.name.unraw();
    format_ident!(
        "__{name}_needs_Self_in_its_signature",
        span = Span::call_site()
    )
}

// Output: fn __user_needs_Self_in_its_signature() -> private::Both<impl Fn() + 'static> { static …; private::Both(&FLIGHTS, || {}) }
//         fn forget_user(same arguments) { private::Both::forget(__user_needs_Self_in_its_signature(), key, sharing) }
pub(crate) fn forget(call: &Call<'_>, forget: &Ident, function: &Function) -> TokenStream {
    let Call {
        private,
        common,
        arguments,
        ..
    } = call;
    let all = Arguments {
        all: arguments,
        common,
        private,
    };
    let (key, sharing) = (all.key(), sharing(call));
    let (name, both) = (both_name(call), both_of(call));
    let (flights, imports) = (
        call.beside("Flights"),
        private.probing(all.are_probed(false)),
    );
    let forgotten = match &common.scope {
        Some(scope) => {
            let scope = borrow_at(Place::of(&scope.value), &scope.value);
            quote!(#private::Both::forget_in(#both, #scope, #key, #sharing))
        }
        None => quote!(#private::Both::forget(#both, #key, #sharing)),
    };
    let cfgs: Vec<_> = function
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .collect();
    let Function { vis, sig, .. } = function;
    let (inputs, generics, where_clause) = (
        &sig.inputs,
        &sig.generics.params,
        &sig.generics.where_clause,
    );
    let doc = format!(
        "Calls of [`{0}`]({0}) that begin after this one don't join a flight that began before it.",
        call.name
    );
    let doc = if call.is_method {
        doc.replace("](", "](Self::")
    } else {
        doc
    };
    quote! {
        #(#cfgs)*
        #[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
        fn #name<#generics>() -> #private::Both<impl ::core::ops::Fn() + 'static> #where_clause {
            #flights
            #private::Both(&__PIGGYBACK, || {})
        }

        #(#cfgs)*
        #[doc = #doc]
        #[allow(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
        #vis fn #forget<#generics>(#inputs) #where_clause {
            #imports
            #forgotten
        }
    }
}

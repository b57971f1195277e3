//! The expansion of `#[dedup]`, which cannot fail: all mistakes have been found before.

use crate::call::{Call, copying};
use crate::options::Given;
use crate::private::{Place, borrow_at, method_at};
use crate::receiver::without_self;
use crate::tokens::local;
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

// Input:  body
// Output: let call = {
//             static __PIGGYBACK: private::Site = …;
//             private::enter(&__PIGGYBACK, || {}, key, private::cloned(private::ty::<R>()), private::Joining::new())
//         };
//         private::Call::run(call, async move { body }).await
//
// With `across`:
//
//         let (call, trip) = match private::fleet(&FLEET) {
//             across => { …; across.__piggyback_enter(…, (across.__piggyback_part(part), …), …, across.__piggyback_payload(kind)) }
//         };
//         private::Call::run(call, trip.__piggyback_across(async move { body })).await
//
// The body of a function with both attributes takes a place in a batch, and may hand it to a new leader: `let heir = private::Call::heir(&call);`
pub(crate) fn expand(call: &Call<'_>, body: TokenStream) -> TokenStream {
    let (private, options) = (call.private, call.options);
    let [started, heir] = ["call", "heir"].map(local);
    let heir = call
        .has_both
        .then(|| quote!(let #heir = #private::Call::heir(&#started);));
    // Output: if private::Call::is_refused(&call) { return private::busy(private::ty::<R>(), AppError::Busy); }
    let refused = options.busy.iter().map(|busy| {
        let (busy, allow) = (call.busy(&call.function.output.ty, busy), call.allow(&[]));
        quote! {
            #allow
            if #private::Call::is_refused(&#started) {
                return #busy;
            }
        }
    });
    let (handles, begun) = (call.handles(), begin(call));
    let run = run(call, body);
    quote! {
        #handles
        #begun
        #(#refused)*
        #heir
        #run.await
    }
}

/// Looks up the key, and joins a flight or opens one.
//
// Output: let call = { imports static enter };
//
// With `forget`:
//
//         let forgets = private::Forgets::take();
//         let Some(call) = ({ …; private::Forgets::enter(forgets, …) }) else { return private::pending().await };
fn begin(call: &Call<'_>) -> TokenStream {
    let (private, options) = (call.private, call.options);
    let [started, across, trip, forgets] = ["call", "across", "trip", "forgets"].map(local);
    let (allow, imports) = (call.allow(&[]), private.probing(call.are_probed(false)));
    let (function, enter) = (call.site(), enter(call));
    let enter = quote!({ #imports #function #enter });
    let (enter, begun) = match &options.across {
        None => (enter, quote!(#started)),
        Some(Given { value, .. }) => {
            let place = Place::of(value);
            let fleet = private.call_at(place, "fleet", borrow_at(place, value));
            // A `match` keeps the temporaries of the expression alive until the end.
            (
                quote!(match #fleet { #across => #enter }),
                quote!((#started, #trip)),
            )
        }
    };
    match &options.forget {
        None => quote!(#allow let #begun = #enter;),
        Some(_) => quote! {
            let #forgets = #private::Forgets::take();
            #allow
            let ::core::option::Option::Some(#begun) = (#enter) else {
                return #private::pending().await;
            };
        },
    }
}

fn enter(call: &Call<'_>) -> TokenStream {
    let (private, options) = (call.private, call.options);
    let [across, forgets] = ["across", "forgets"].map(local);
    let forgets = options.forget.as_ref().map(|_| quote!(#forgets,));
    let scope = options.scope.as_ref().map(|scope| {
        let scope = borrow_at(Place::of(&scope.value), &scope.value);
        quote!(#scope,)
    });
    let (sharing, joining) = (sharing(call), joining(call));
    let within = if scope.is_some() { "_in" } else { "" };
    let given = |key| quote!(#forgets &__PIGGYBACK, #scope || {}, #key, #sharing, #joining);
    if options.across.is_none() {
        let given = given(call.key());
        let owner = forgets.map(|_| quote!(Forgets::));
        let enter = Ident::new(&format!("enter{within}"), Span::call_site());
        return quote!(#private::#owner #enter(#given));
    }
    let place = call.function.output_place();
    let across = quote!(#across);
    let given = given(call.key_of(|place, part| method_at(place, across.clone(), "part", part)));
    let kind = method_at(place, call.output_with(), "kind", quote!());
    let payload = match &options.across_err {
        None => "payload",
        Some(_) => "payload_err",
    };
    let payload = method_at(place, across.clone(), payload, kind);
    let begin = if forgets.is_some() {
        "forgets"
    } else {
        "enter"
    };
    method_at(
        place,
        across,
        &format!("{begin}{within}"),
        quote!(#given, #payload),
    )
}

// Output: private::Joining::max_age_ms(private::Joining::new(), 5)
fn joining(call: &Call<'_>) -> TokenStream {
    let (private, options) = (call.private, call.options);
    let mut joining = quote!(#private::Joining::new());
    if let Some(Given { value: ms, .. }) = &options.max_age_ms {
        joining = quote!(#private::Joining::max_age_ms(#joining, #ms));
    }
    if let Some(Given { value: most, .. }) = &options.max_followers {
        joining = quote!(#private::Joining::max_followers(#joining, #most));
    }
    if options.busy.is_some() {
        joining = quote!(#private::Joining::or_busy(#joining));
    }
    joining
}

/// Runs the body, or waits for the leader to run it.
fn run(call: &Call<'_>, body: TokenStream) -> TokenStream {
    let (private, options) = (call.private, call.options);
    let [started, trip] = ["call", "trip"].map(local);
    let around = |body: TokenStream| match &options.across {
        None => body,
        Some(_) => quote!(#trip.__piggyback_across(#body)),
    };
    if options.spawn.is_none() {
        let run = around(quote!(async move { #body }));
        return quote!(#private::Call::run(#started, #run));
    }
    let (joining, fleet) = (
        joining(call),
        options.across.as_ref().map(|across| &across.value),
    );
    let owned = call.owned(false, false, &quote!(#joining #fleet));
    let own = owned.iter().map(|owned| &owned.own);
    let lend = owned.iter().map(|owned| &owned.lend);
    let body = without_self(body, &local("self"));
    let run = around(quote!(async move { #(#lend)* #body }));
    let imports = private.probing(call.are_probed(true));
    quote!(#private::Call::spawn(#started, || {
        #imports
        #(#own)*
        #run
    }))
}

/// Says how callers share one result. Errors about it point at the option, or at the return type.
fn sharing(call: &Call<'_>) -> TokenStream {
    let (private, options) = (call.private, call.options);
    let of = call.output();
    let share = match (&options.share_err, &options.clone_with) {
        (Some(Given { value, .. }), _) => {
            let of = call.output_with();
            private.call_at(Place::of(value), "share_err", quote!(#of, #value))
        }
        (None, Some(Given { value, .. })) => {
            let copy = copying(value);
            private.call_at(Place::of(value), "clone_with", quote!(#of, #copy))
        }
        (None, None) => call.cloned(call.output_with()),
    };
    match &options.failed {
        None => share,
        Some(Given { value, .. }) => {
            let failed = private.call_at(Place::of(value), "failed", quote!(#of, #value));
            quote!(#private::Failed::new(#share, #failed))
        }
    }
}

//! The expansion of `#[dedup]`. Nothing here can fail.

use crate::arguments::Arguments;
use crate::options::{Given, Options};
use crate::plan::Call;
use crate::receiver::without_self;
use crate::tokens::{Place, borrow_at, local, method_at};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, ExprPath};

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
        in_group: false,
    };
    let started = local("call");

    let function = call.beside();
    let across = options.across.as_ref().map(|_| local("across"));
    let key = match &across {
        None => all.key(),
        Some(across) => all.key_of(|place, part| method_at(place, quote!(#across), "part", part)),
    };
    let sharing = sharing(call);
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
    let forgets = local("forgets");
    let (owner, asked) = match &options.forget {
        None => (None, None),
        Some(_) => (Some(quote!(Forgets::)), Some(quote!(#forgets,))),
    };
    let scope = common.scope.as_ref().map(|scope| {
        let scope = borrow_at(Place::of(&scope.value), &scope.value);
        quote!(#scope,)
    });
    let entered = quote!(&__PIGGYBACK, #scope || {}, #key, #sharing, #joining);
    let enter = match &across {
        None if scope.is_some() => quote!(#private::#owner enter_in(#asked #entered)),
        None => quote!(#private::#owner enter(#asked #entered)),
        Some(across) => {
            let begin = match (&options.forget, &scope) {
                (None, None) => "enter",
                (None, Some(_)) => "enter_in",
                (Some(_), None) => "forgets",
                (Some(_), Some(_)) => "forgets_in",
            };
            let of = private.output_at(call.output_place, output);
            let kind = method_at(call.output_place, of, "kind", quote!());
            let payload = match &options.across_err {
                None => method_at(call.output_place, quote!(#across), "payload", kind),
                Some(_) => method_at(call.output_place, quote!(#across), "payload_err", kind),
            };
            let arguments = quote!(#asked #entered, #payload);
            method_at(call.output_place, quote!(#across), begin, arguments)
        }
    };

    let trip = local("trip");
    let around = |body: TokenStream| match &across {
        None => body,
        Some(_) => quote!(#trip.__piggyback_across(#body)),
    };
    let run = if options.spawn.is_some() {
        let fleet = options.across.as_ref().map(|across| &across.value);
        let owned = all.owned(false, false, &quote!(#joining #fleet));
        let own = owned.iter().map(|owned| &owned.own);
        let lend = owned.iter().map(|owned| &owned.lend);
        let body = without_self(body, &local("self"));
        let run = around(quote!(async move { #(#lend)* #body }));
        let imports = private.probing(all.are_probed(true));
        quote!(#private::Call::spawn(#started, || {
            #imports
            #(#own)*
            #run
        }))
    } else {
        let run = around(quote!(async move { #body }));
        quote!(#private::Call::run(#started, #run))
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
    let enter = quote!({ #imports #function #enter });
    let (enter, begun) = match &options.across {
        None => (enter, quote!(#started)),
        Some(Given { value, .. }) => {
            let place = Place::of(value);
            let fleet = private.call_at(place, "fleet", borrow_at(place, value));
            // In a `match`, what the expression makes lives for as long as it is needed.
            (
                quote!(match #fleet { #across => #enter }),
                quote!((#started, #trip)),
            )
        }
    };
    // Output: let forgets = private::Forgets::take();
    //         let Some(call) = ({ …; private::Forgets::enter(forgets, …) }) else { return private::pending().await };
    let begun = match &options.forget {
        None => quote!(#allow let #begun = #enter;),
        Some(_) => quote! {
            let #forgets = #private::Forgets::take();
            #allow
            let ::core::option::Option::Some(#begun) = (#enter) else {
                return #private::pending().await;
            };
        },
    };
    quote! {
        #begun
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
            let copy = copying(value);
            private.call_at(Place::of(value), "clone_with", quote!(#of, #copy))
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

/// The function of `clone_with`. `Clone::clone` is one of any type, and in a closure a type that has none is one error.
pub(crate) fn copying(value: &Expr) -> TokenStream {
    let is_clone = |path: &ExprPath| {
        let mut names = path.path.segments.iter().rev().map(|name| &name.ident);
        names.next().is_some_and(|name| name == "clone")
            && names.next().is_some_and(|name| name == "Clone")
    };
    match value {
        Expr::Path(path) if is_clone(path) => quote!(|value| #path(value)),
        other => quote!(#other),
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

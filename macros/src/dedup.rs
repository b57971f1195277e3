//! The expansion of `#[dedup]`. Nothing here can fail.

use crate::arguments::Arguments;
use crate::options::Options;
use crate::plan::Call;
use crate::tokens::{Place, local, without_self};
use proc_macro2::TokenStream;
use quote::quote;

// Input:  body
// Output: let flights: &'static private::Flights = { static … };
//         let call = { use …; flights.enter(||{}, key, private::Cloned::<R>::new(), private::Joining::new()) };
//         call.run(async move { body }).await
pub(crate) fn expand(call: &Call<'_>, options: &Options, body: TokenStream) -> TokenStream {
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
    let (flights, started) = (local("flights"), local("call"));

    let path = call.path();
    let key = all.key();
    let sharing = match (&common.share_err, &common.clone_with) {
        (Some(share), _) => {
            let expr = &share.value;
            private.call_at(
                Place::of(expr),
                "ShareErr",
                quote!(::<#output, _>),
                "new",
                quote!(#expr),
            )
        }
        (None, Some(clone)) => {
            let expr = &clone.value;
            private.call_at(
                Place::of(expr),
                "CloneWith",
                quote!(::<#output, _>),
                "new",
                quote!(#expr),
            )
        }
        (None, None) => private.call_at(
            call.output_place,
            "Cloned",
            quote!(::<#output>),
            "new",
            quote!(),
        ),
    };
    let max_age_ms = options.max_age_ms.iter().map(|given| &given.value);
    let max_followers = options.max_followers.iter().map(|given| &given.value);
    let joining = quote!(#private::Joining::new() #(.max_age_ms(#max_age_ms))* #(.max_followers(#max_followers))*);
    let enter = match &common.scope {
        Some(scope) => {
            let scope = &scope.value;
            quote!(enter_in(&(#scope), ||{}, #key, #sharing, #joining))
        }
        None => quote!(enter(||{}, #key, #sharing, #joining)),
    };

    let run = if options.spawn.is_some() {
        let owned = all.owned(None);
        let own = owned.iter().map(|owned| &owned.own);
        let lend = owned.iter().map(|owned| &owned.lend);
        let body = without_self(body, &local("self"));
        quote!(spawn(|| { use #private::{RefArg as _, ValueArg as _}; #(#own)* async move { #(#lend)* #body } }))
    } else {
        quote!(run(async move { #body }))
    };

    let allow = call.allow();
    quote! {
        let #flights: &'static #private::Flights = {
            static FLIGHTS: #private::Flights = #private::Flights::new(#path);
            &FLIGHTS
        };
        #allow
        let #started = {
            use #private::{RefPart as _, ValuePart as _};
            #flights.#enter
        };
        #started.#run.await
    }
}

//! The expansion of `#[batch]`. Nothing here can fail.

use crate::arguments::Arguments;
use crate::items::Items;
use crate::options::{Given, Options};
use crate::outcome::HandOut;
use crate::plan::Call;
use crate::tokens::{Place, Private, borrow_at, local, method_at, without_self};
use proc_macro2::TokenStream;
use quote::quote;

/// What is known of a bulk function beyond its options.
pub(crate) struct Bulk {
    pub(crate) items: Items,
    pub(crate) hand_out: HandOut,
    /// What each caller gets.
    pub(crate) one: TokenStream,
    /// Whether `#[dedup]` shares it too, and has its say about what can be shared.
    pub(crate) is_deduplicated: bool,
}

// Input:  body
// Output: let seat = {
//             static BATCHES: private::Batches = …;
//             let waker = private::Waker.await;
//             let open = || {
//                 let pool = private::own(…);
//                 private::shape(private::Each, …).share(private::ByClone).bulk(move |items: Vec<User>| async move {
//                     let pool = pool.lend();
//                     let users = &items[..];
//                     body
//                 })
//             };
//             BATCHES.join(waker, key, private::item(users), || private::Limits::new(size, delay_ms), open)
//         };
//         seat.await
pub(crate) fn expand(
    call: &Call<'_>,
    options: &Options,
    bulk: &Bulk,
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
    let (seat, waker, items) = (local("seat"), local("waker"), local("items"));

    let path = call.path();
    let key = all.key();
    let item_type = bulk.items.item();
    let value = item(options, bulk, private);
    let limits = limits(options, private);
    let sharing = sharing(call, bulk);
    let lent = lent(call, &limits);
    let owned = all.owned(Some(&lent));
    let own = owned.iter().map(|owned| &owned.own);
    let lend = owned.iter().map(|owned| &owned.lend);
    let lists = bulk.items.lists(&items, private);
    let body = without_self(body, &local("self"));
    let kind = private.value_at(call.output_place, bulk.hand_out.name());
    let place = call.output_place;
    let by = options
        .one_by
        .as_ref()
        .or(options.many_by.as_ref())
        .map(|given| &given.value);
    let of = private.output_at(place, quote!((#output, #item_type, _)));
    let shape = match by {
        None => private.call_at(place, "shape", quote!(#kind, #of)),
        Some(by) => private.call_at(place, "shape_by", quote!(#kind, #of, #by)),
    };
    let (share, bulk_call) = match &options.split_on_err {
        None => ("share", quote!(bulk)),
        Some(_) => ("share_split", quote!(split)),
    };
    let shape = match &options.split_on_err {
        None => shape,
        Some(_) => {
            let item = private.output_at(bulk.items.place, &item_type);
            let again = private.call_at(bulk.items.place, "again", item);
            method_at(place, again, "by", shape)
        }
    };
    let handing = method_at(place, shape, share, sharing);
    // A bulk call that may be split is made several times, each with its own copy of what it was lent.
    let copies = options.split_on_err.iter().map(|_| all.copies());
    let open = quote! {
        || {
            #(#own)*
            #handing.#bulk_call(move |#items: #private::Vec<#item_type>| {
                #(#copies)*
                async move { #(#lend)* #lists #body }
            })
        }
    };
    let join = match &common.scope {
        Some(scope) => {
            let scope = borrow_at(Place::of(&scope.value), &scope.value);
            quote!(join_in(#scope, #waker, #key, #value, || #limits, #open))
        }
        None => quote!(join(#waker, #key, #value, || #limits, #open)),
    };

    let (allow, imports) = (
        call.allow(),
        private.probing(&["RefArg", "RefPart", "ValueArg", "ValuePart"]),
    );
    quote! {
        #allow
        let #seat = {
            #imports
            static __PIGGYBACK: #private::Batches = #private::Batches::new(#path);
            let #waker = #private::Waker.await;
            __PIGGYBACK.#join
        };
        #seat.await
    }
}

/// What a caller hands in, weighed and told apart before it joins.
//
// Output: { let item: T = users; let weight = private::weight(&item, |row| …); private::item(item).weight(weight) }
fn item(options: &Options, bulk: &Bulk, private: &Private) -> TokenStream {
    let (value, item_type) = (bulk.items.value(private), bulk.items.item());
    if options.weight.is_none() && options.unique.is_none() {
        return private.call_at(bulk.items.place, "item", value);
    }
    let (item, weight, unique) = (local("item"), local("weight"), local("unique"));
    let (mut lets, mut methods) = (TokenStream::new(), TokenStream::new());
    if let Some(Given { value, .. }) = &options.weight {
        let weigh = private.call_at(Place::of(value), "weight", quote!(&#item, #value));
        lets.extend(quote!(let #weight = #weigh;));
        methods.extend(quote!(.weight(#weight)));
    }
    if let Some(Given { value, .. }) = &options.unique {
        let place = Place::of(value);
        let of = private.call_at(place, "of", quote!(&#item, #value));
        let part = method_at(place, private.call_at(place, "arg", of), "part", quote!());
        let told = private.call_at(place, "unique", part);
        lets.extend(quote!(let #unique = #told;));
        methods.extend(quote!(.unique(#unique)));
    }
    let new = private.call_at(bulk.items.place, "item", quote!(#item));
    quote!({ let #item: #item_type = #value; #lets #new #methods })
}

fn limits(options: &Options, private: &Private) -> TokenStream {
    let size = options.size.iter().map(|given| &given.value);
    let delay_ms = options.delay_ms.iter().map(|given| &given.value);
    let max_weight = options.max_weight.iter().map(|given| &given.value);
    let concurrency = options.concurrency.iter().map(|given| &given.value);
    let eager = options.eager.iter().map(|_| quote!(.eager()));
    quote! {
        #private::Limits::new(#(#size),*, #(#delay_ms),*)
            #(.max_weight(#max_weight))* #(.concurrency(#concurrency))* #(#eager)*
    }
}

/// How an error for all becomes one for each.
fn sharing(call: &Call<'_>, bulk: &Bulk) -> TokenStream {
    let Call {
        private, common, ..
    } = call;
    let of = private.output_at(call.output_place, &bulk.one);
    match (&common.share_err, &common.clone_with) {
        (Some(Given { value, .. }), _) => {
            private.call_at(Place::of(value), "shared_err", quote!(#of, #value))
        }
        (None, Some(Given { value, .. })) => {
            private.call_at(Place::of(value), "cloned_with", quote!(#of, #value))
        }
        // The same words at the same place as `#[dedup]` has for what is not `Clone`: the compiler says them once.
        (None, None) if bulk.is_deduplicated => {
            let cloned = private.call_at(call.output_place, "cloned", of);
            method_at(call.output_place, cloned, "of_batch", quote!())
        }
        (None, None) => private.value_at(call.output_place, "ByClone"),
    }
}

/// What the options' expressions may borrow from the arguments while a call joins its batch.
fn lent(call: &Call<'_>, limits: &TokenStream) -> TokenStream {
    let scope = call.common.scope.iter().map(|given| &given.value);
    let key = call
        .common
        .key
        .iter()
        .flat_map(|given| given.value.iter().map(|part| &part.expr));
    quote!(#limits #(#scope)* #(#key)*)
}

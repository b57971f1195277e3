//! The expansion of `#[batch]`. Nothing here can fail.

use crate::arguments::Arguments;
use crate::dedup;
use crate::items::Items;
use crate::known;
use crate::options::{Given, Options};
use crate::outcome::HandOut;
use crate::plan::Call;
use crate::receiver::without_self;
use crate::tokens::{Place, Private, borrow_at, local, mentions, method_at};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Expr;

/// What is known of a bulk function beyond its options.
pub(crate) struct Bulk {
    pub(crate) items: Items,
    pub(crate) hand_out: HandOut,
    /// What each caller gets.
    pub(crate) one: TokenStream,
    /// Whether it gives a map, as far as its name tells.
    pub(crate) is_map: bool,
    /// Whether it gives a map whose keys are written otherwise than the items.
    pub(crate) has_other_keys: bool,
    /// Whether `#[dedup]` shares it too, and has its say about what can be shared.
    pub(crate) is_deduplicated: bool,
}

// Input:  body
// Output: static __PIGGYBACK: private::Site = …;
//         let waker = private::Waker.await;
//         let open = || {
//             let limits = private::Limits::new(size, delay_ms);
//             let pool = private::own(…);
//             let bulk = private::shape(private::Each, …)
//                 .__piggyback_share(private::ByClone)
//                 .__piggyback_bulk(move |items: Vec<User>| async move {
//                     let pool = pool.__piggyback_lend();
//                     let users = &items[..];
//                     body
//                 });
//             (limits, bulk)
//         };
//         let seat = private::item(users).__piggyback_join(&__PIGGYBACK, waker, key, open);
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
        in_group: !bulk.is_deduplicated,
    };
    let [seat, waker, opening, bulk_call, read] =
        ["seat", "waker", "open", "bulk", "limits"].map(local);

    let batches = call.beside();
    let key = all.key();
    let item_type = bulk.items.item();
    let names: Vec<_> = bulk.items.lists.iter().map(|list| &list.name).collect();
    let allow = call.allow(&names);
    let given = bulk.items.value(private);
    let (weighed, value) = item(options, bulk, private, given, allow.as_ref());
    let limits = limits(options, private);
    // Only with a closure do the callers of a part share an error.
    let splits_on_all = options
        .split_on_err
        .as_ref()
        .is_some_and(|split| split.value.is_none());
    let sharing = sharing(call, bulk, splits_on_all);
    let limit = options.limit.as_ref().map(|limit| &limit.value);
    let owned = all.owned(
        true,
        options.many.is_some(),
        &quote!(#limits; #limit; #weighed),
    );
    let own = owned.iter().map(|owned| &owned.own);
    let lend = owned.iter().map(|owned| &owned.lend);
    let (said, items, lists) = bulk.items.lists(private);
    let body = without_self(body, &local("self"));
    let kind = private.value_at(call.output_place, bulk.hand_out.name());
    let place = call.output_place;
    let by = options
        .one_by
        .as_ref()
        .or(options.many_by.as_ref())
        .map(|given| &given.value);
    let (kind, run_output) = match (&options.item_by, bulk.hand_out) {
        (None, _) => (kind, output.clone()),
        (Some(_), HandOut::OneBy) => (
            private.value_at(place, "Each"),
            quote!(<#output as #private::Matched>::One),
        ),
        (Some(_), HandOut::ManyBy) => (
            private.value_at(place, "Each"),
            quote!(<#output as #private::Matched>::Many),
        ),
        (Some(_), _) => (
            private.value_at(place, "Each"),
            quote!(<#output as #private::MatchedMap>::Found),
        ),
    };
    let of = private.output_at(place, quote!((#run_output, #item_type)));
    let shape = match by.filter(|_| options.item_by.is_none()) {
        None => private.call_at(place, "shape", quote!(#kind, #of)),
        Some(by) if known::is_plain_access(by) => {
            private.call_at(Place::of(by), "shape_by_part", quote!(#kind, #of, #by))
        }
        Some(by) => private.call_at(place, "shape_by", quote!(#kind, #of, #by)),
    };
    let splits = options
        .split_on_err
        .as_ref()
        .and_then(|split| split.value.as_ref())
        .map(|splits| quote!(#splits,));
    let (share, made) = match &options.split_on_err {
        Some(_) if splits.is_some() => ("share", quote!(__piggyback_split_if)),
        None if bulk.has_other_keys && options.item_by.is_none() => {
            ("share_by_key", quote!(__piggyback_bulk))
        }
        None => ("share", quote!(__piggyback_bulk)),
        Some(_) => ("share_split", quote!(__piggyback_split)),
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
    let (items, run) = match &options.item_by {
        None => (
            quote!(#said #items),
            quote!(async move { #(#lend)* #lists #body }),
        ),
        Some(Given { value, .. }) => {
            let (all, parts) = (local("all"), local("parts"));
            let found = found(bulk.hand_out, by, &parts, body, private);
            let part = part_by(value, private);
            let parts = quote!(let #parts = #private::parts(&#all, #part););
            let run =
                quote!(async move { #parts #said let #items = #all; #(#lend)* #lists #found });
            (quote!(#all), run)
        }
    };
    let run = match (&options.split_on_err, all.copies()) {
        (Some(_), copies) if !copies.is_empty() => quote!({ #copies #run }),
        _ => run,
    };
    let called = quote!(#handing.#made(#splits move |#items: #private::Vec<#item_type>| #run));
    let called = match &options.sort_by {
        None => called,
        Some(_) => quote!(#private::sorted(#called)),
    };
    // Output: let permits = private::limit(&self.permits);
    //         …
    //         let bulk = private::limited(permits, …);
    let permits = local("permits");
    let (read_limit, called) = match limit {
        None => (None, called),
        Some(limit) => {
            let place = Place::of(limit);
            let of = private.call_at(place, "limit", borrow_at(place, limit));
            let limited = quote!(#private::limited(#permits, #called));
            (Some(quote!(let #permits = #of;)), limited)
        }
    };
    let open = quote! {
        || {
            let #read = #limits;
            #read_limit
            #(#own)*
            let #bulk_call = #called;
            (#read, #bulk_call)
        }
    };
    let heir = bulk.is_deduplicated.then(|| local("heir"));
    let heir = heir.map(|heir| quote!(#heir,));
    let suffix = if heir.is_some() { "_as" } else { "" };
    // Output: private::lazily(max_waiting, || item).__piggyback_try_join(&__PIGGYBACK, waker, key, open)
    let most = options.max_waiting.as_ref().map(|most| &most.value);
    let read_most = most.map(|most| {
        let (name, allow) = (local("max_waiting"), allow.as_ref());
        // Before the closure that may take what it is read from.
        quote!(#allow let #name: usize = #most;)
    });
    let (attempt, value) = match most {
        None if options.many.is_none() => ("", value),
        _ => {
            let most = match most {
                Some(_) => local("max_waiting").into_token_stream(),
                None => quote!(::core::primitive::usize::MAX),
            };
            let lazy = quote!(#most, || { #weighed #value });
            let lazy = private.call_at(bulk.items.place, "lazily", lazy);
            ("try_", lazy)
        }
    };
    // Output: let mut several = private::several(|other: User| private::item(other));
    let (several, other) = (local("several"), local("other"));
    let make = options.many.as_ref().map(|_| {
        let (weighed, value) = item(options, bulk, private, quote!(#other), allow.as_ref());
        quote!(let mut #several = #private::several(|#other: #item_type| { #weighed #value });)
    });
    let weighed = (most.is_none() && make.is_none()).then_some(weighed);
    let heir = match make {
        Some(_) => Some(quote!(&mut #several,)),
        None => heir,
    };
    let (attempt, suffix) = match make {
        Some(_) => ("", "_many"),
        None => (attempt, suffix),
    };
    let join = match &common.scope {
        Some(scope) => {
            let scope = borrow_at(Place::of(&scope.value), &scope.value);
            let given = quote!(&__PIGGYBACK, #heir #scope, #waker, #key, #opening);
            let join = format!("{attempt}join_in{suffix}");
            method_at(bulk.items.place, value, &join, given)
        }
        None => {
            let given = quote!(&__PIGGYBACK, #heir #waker, #key, #opening);
            let join = format!("{attempt}join{suffix}");
            method_at(bulk.items.place, value, &join, given)
        }
    };

    if let Some(make) = make {
        let join = Join {
            seat,
            several,
            make,
            join,
        };
        let join = join.expand(call, options, bulk, allow.as_ref());
        let imports = private.probing(true);
        return quote! {
            #imports
            #batches
            let #waker = #private::Waker.await;
            #read_most
            #allow
            let #opening = #open;
            #join
        };
    }

    // Output: let Some(seat) = … else { return private::busy(private::ty::<R>(), AppError::Busy) };
    let (refused, join) = match (&options.busy, &most) {
        (Some(busy), Some(_)) => {
            let busy = call.busy(&bulk.one, busy);
            let allow = allow.as_ref();
            let refused = quote! {
                #allow
                let ::core::option::Option::Some(#seat) = #join else {
                    return #busy;
                };
            };
            (Some(refused), quote!(#seat))
        }
        _ => (None, join),
    };
    let is_seated = refused.is_some() && common.failed.is_none();
    let seated = match &common.failed {
        None => join,
        Some(Given { value, .. }) => {
            let of = private.output_at(place, &bulk.one);
            let failed = private.call_at(Place::of(value), "failed", quote!(#of, #value));
            quote!(#private::or_failed(#join, #failed))
        }
    };

    let allow_seated = allow.as_ref();
    let seated = (!is_seated).then(|| quote!(#allow_seated let #seat = #seated;));
    let closures = [&options.unique, &options.sort_by, &options.item_by];
    let probed = all.are_probed(true) || closures.iter().any(|closure| closure.is_some());
    let imports = private.probing(probed);
    quote! {
        #imports
        #batches
        // First, so that nothing else is held over it.
        let #waker = #private::Waker.await;
        #read_most
        #weighed
        #allow
        let #opening = #open;
        #refused
        #seated
        #seat.await
    }
}

/// How a call of a function with `many` joins.
struct Join {
    seat: Ident,
    several: Ident,
    make: TokenStream,
    join: TokenStream,
}

impl Join {
    // Output: let mut several = …;
    //         let busy = || private::busy(private::ty::<R>(), AppError::Busy);
    //         let Some(seat) = … else { several.__piggyback_refuse(&busy); return busy(); };
    //         let failed = private::Arc::new(private::failed(private::ty::<R>(), AppError::Failed));
    //         several.__piggyback_wait_or(&failed);
    //         private::or_failed(seat, move |failure| failed(failure)).await
    fn expand(
        self,
        call: &Call<'_>,
        options: &Options,
        bulk: &Bulk,
        allow: Option<&TokenStream>,
    ) -> TokenStream {
        let Self {
            seat,
            several,
            make,
            join,
        } = self;
        let Call {
            private, common, ..
        } = call;
        let refused = local("busy");
        let (busy, otherwise) = match &options.busy {
            Some(busy) => {
                let busy = call.busy(&bulk.one, busy);
                (
                    quote!(let #refused = || #busy;),
                    quote!({ #several.__piggyback_refuse(&#refused); return #refused(); }),
                )
            }
            None => (
                TokenStream::new(),
                quote!({ ::core::unreachable!("without a limit, there is a place") }),
            ),
        };
        let wait = match &common.failed {
            None => quote! {
                #several.__piggyback_wait();
                #seat.await
            },
            Some(Given { value, .. }) => {
                let (place, failed) = (Place::of(value), local("failed"));
                let of = private.output_at(call.output_place, &bulk.one);
                let made = private.call_at(place, "failed", quote!(#of, #value));
                let failure = local("failure");
                quote! {
                    let #failed = #private::Arc::new(#made);
                    #several.__piggyback_wait_or(&#failed);
                    #private::or_failed(#seat, move |#failure| #failed(#failure)).await
                }
            }
        };
        quote! {
            #allow
            #make
            #busy
            #allow
            let ::core::option::Option::Some(#seat) = #join else #otherwise;
            #wait
        }
    }
}

/// A closure from an item, or a row, to what results are found by.
//
// Output: |part| private::matched(private::arg(private::of(part, |new| new.email)).__piggyback_part())
fn part_by(closure: &Expr, private: &Private) -> TokenStream {
    let (place, part) = (Place::of(closure), local("part"));
    let of = private.call_at(place, "of", quote!(#part, #closure));
    let arg = method_at(place, private.call_at(place, "arg", of), "part", quote!());
    let matched = private.call_at(place, "matched", arg);
    quote!(|#part| #matched)
}

/// The results of the body, in the order of the items.
fn found(
    hand_out: HandOut,
    by: Option<&Expr>,
    parts: &Ident,
    body: TokenStream,
    private: &Private,
) -> TokenStream {
    let output = quote!(async move { #body }.await);
    match (hand_out, by) {
        (HandOut::OneBy, Some(by)) => {
            let by = part_by(by, private);
            quote!(#private::Matched::one(#output, #parts, #by))
        }
        (HandOut::ManyBy, Some(by)) => {
            let by = part_by(by, private);
            quote!(#private::Matched::many(#output, #parts, #by))
        }
        _ => quote!(#private::MatchedMap::found(#output, #parts)),
    }
}

/// What a caller hands in, weighed and told apart before it joins: statements, and the item.
//
// Output: let item: T = users; let weight = private::weight(&item, |row| …);
//         private::Item::weight(private::item(item), weight)
fn item(
    options: &Options,
    bulk: &Bulk,
    private: &Private,
    value: TokenStream,
    allow: Option<&TokenStream>,
) -> (TokenStream, TokenStream) {
    let item_type = bulk.items.item();
    if options.weight.is_none() && options.unique.is_none() && options.sort_by.is_none() {
        let item = private.call_at(bulk.items.place, "item", value);
        return (TokenStream::new(), item);
    }
    let (item, weight, unique) = (local("item"), local("weight"), local("unique"));
    let mut lets = TokenStream::new();
    let mut new = private.call_at(bulk.items.place, "item", quote!(#item));
    if let Some(Given { value, .. }) = &options.weight {
        let weigh = private.call_at(Place::of(value), "weight", quote!(&#item, #value));
        lets.extend(quote!(let #weight = #weigh;));
        new = quote!(#private::Item::weight(#new, #weight));
    }
    if let Some(Given { value, .. }) = &options.unique {
        let place = Place::of(value);
        let of = private.call_at(place, "of", quote!(&#item, #value));
        let part = method_at(place, private.call_at(place, "arg", of), "part", quote!());
        let told = private.call_at(place, "unique", part);
        lets.extend(quote!(let #unique = #told;));
        new = quote!(#private::Item::unique(#new, #unique));
    }
    if let Some(Given { value, .. }) = &options.sort_by {
        let (place, order) = (Place::of(value), local("order"));
        let of = private.call_at(place, "of", quote!(&#item, #value));
        let part = method_at(place, private.call_at(place, "arg", of), "part", quote!());
        let told = private.call_at(place, "order", part);
        lets.extend(quote!(let #order = #told;));
        new = quote!(#private::Item::sort_by(#new, #order));
    }
    (quote!(#allow let #item: #item_type = #value; #lets), new)
}

fn limits(options: &Options, private: &Private) -> TokenStream {
    let size = options.size.iter().map(|given| &given.value);
    let delay_ms = options.delay_ms.iter().map(|given| &given.value);
    let max_weight = options.max_weight.iter().map(|given| &given.value);
    let concurrency = options.concurrency.iter().map(|given| &given.value);
    let mut limits = match options.delay_ms {
        Some(_) => quote!(#private::Limits::new(#(#size),*, #(#delay_ms),*)),
        None => quote!(#private::Limits::without_delay(#(#size),*)),
    };
    for most in max_weight {
        limits = quote!(#private::Limits::max_weight(#limits, #most));
    }
    for most in concurrency {
        limits = quote!(#private::Limits::concurrency(#limits, #most));
    }
    if options.eager.is_some() {
        limits = quote!(#private::Limits::eager(#limits));
    }
    limits
}

/// How an error for all becomes one for each.
fn sharing(call: &Call<'_>, bulk: &Bulk, splits_on_all: bool) -> TokenStream {
    let Call {
        private, common, ..
    } = call;
    let of = private.output_at(call.output_place, &bulk.one);
    // Of an alias, it is the runtime's trait that says what a caller gets; an error about that should be one.
    let one_is_known = !mentions(&bulk.one, &Ident::new("Outcome", Span::call_site()));
    let rows = |sharing| {
        if one_is_known && bulk.hand_out.finds_rows(bulk.is_map) {
            let row = method_at(call.output_place, of.clone(), "row", quote!());
            private.call_at(call.output_place, "rows", quote!(#row, #sharing))
        } else {
            sharing
        }
    };
    match (&common.share_err, &common.clone_with) {
        (Some(Given { value, .. }), _) => {
            rows(private.call_at(Place::of(value), "shared_err", quote!(#of, #value)))
        }
        (None, Some(Given { value, .. })) => {
            let copy = dedup::copying(value);
            private.call_at(Place::of(value), "cloned_with", quote!(#of, #copy))
        }
        // The same words at the same place as `#[dedup]` has for what is not `Clone`: the compiler says them once.
        (None, None) if bulk.is_deduplicated => {
            let cloned = dedup::cloned(call, of);
            method_at(call.output_place, cloned, "of_batch", quote!())
        }
        (None, None) if one_is_known && call.may_be_result && !splits_on_all => {
            let kind = method_at(call.output_place, of.clone(), "kind", quote!());
            rows(private.call_at(call.output_place, "by_clone", kind))
        }
        (None, None) => rows(private.value_at(call.output_place, "ByClone")),
    }
}

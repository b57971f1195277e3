//! The expansion of `#[batch]`, which cannot fail: all mistakes have been found before.

mod bulk_call;
mod joining;

use crate::call::Call;
use crate::items::Items;
use crate::options::Given;
use crate::output::HandOut;
use crate::private::{Place, Private, borrow_at, method_at};
use crate::tokens::local;
use proc_macro2::TokenStream;
use quote::quote;
use syn::Expr;

/// A bulk function, with what its callers pass and get.
struct Bulk<'a> {
    call: &'a Call<'a>,
    private: &'a Private,
    items: &'a Items,
    /// The type of a single item.
    item: TokenStream,
    hand_out: HandOut,
    /// What each caller gets.
    one: &'a TokenStream,
    /// Where the function's output is written.
    place: Place,
    /// Silences lints about the user's names in added statements.
    allow: Option<TokenStream>,
}

// Input:  body
// Output: static __PIGGYBACK: private::Site = …;
//         let waker = private::Waker.await;
//         let open = || {
//             let limits = private::Limits::new(size, delay_ms);
//             let pool = private::own(…);
//             let bulk = private::shape(private::Each, …)
//                 .__piggyback_share(private::BY_CLONE)
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
    items: &Items,
    hand_out: HandOut,
    one: &TokenStream,
    body: TokenStream,
) -> TokenStream {
    let (private, options) = (call.private, call.options);
    let bulk = Bulk {
        call,
        private,
        items,
        item: items.item(),
        hand_out,
        one,
        place: call.function.output_place(),
        allow: call.allow(&items.names()),
    };
    let [waker, opening] = ["waker", "open"].map(local);
    let open = bulk.open(body);
    let joining = bulk.joining();
    let closures = [&options.unique, &options.sort_by, &options.item_by];
    let is_probed = options.many.is_some() || closures.iter().any(|closure| closure.is_some());
    let imports = private.probing(is_probed || call.are_probed(true));
    let (batches, allow) = (call.site(), &bulk.allow);
    let (before, join) = (joining.before, joining.join);
    // `#[dedup]` on the same function has them.
    let handles = (!call.has_both).then(|| call.handles());
    quote! {
        #handles
        #imports
        #batches
        // This is the only `.await` before the call joins, so it comes before anything that would be held across it.
        let #waker = #private::Waker.await;
        #before
        #allow
        let #opening = #open;
        #join
    }
}

impl Bulk<'_> {
    /// The closure that opens a batch: its limits, and the bulk call.
    //
    // Output: || { let limits = …; let permits = private::limit(&self.permits); let pool = private::own(…);
    //         let bulk = private::limited(permits, …); (limits, bulk) }
    fn open(&self, body: TokenStream) -> TokenStream {
        let (private, options) = (self.private, self.call.options);
        let [limits, permits, bulk] = ["limits", "permits", "bulk"].map(local);
        let read = self.limits();
        let limit = options.limit.as_ref().map(|limit| &limit.value);
        let (weighed, _) = self.item(self.items.value(private));
        let others = quote!(#read; #limit; #weighed);
        let owned = self.call.owned(true, options.many.is_some(), &others);
        let own = owned.iter().map(|owned| &owned.own);
        let lend: TokenStream = owned.iter().map(|owned| owned.lend.clone()).collect();
        let mut made = self.bulk_call(&lend, body);
        if options.sort_by.is_some() {
            made = quote!(#private::sorted(#made));
        }
        let read_permits = limit.map(|limit| {
            made = quote!(#private::limited(#permits, #made));
            let place = Place::of(limit);
            let read = private.call_at(place, "limit", borrow_at(place, limit));
            quote!(let #permits = #read;)
        });
        quote! {
            || {
                let #limits = #read;
                #read_permits
                #(#own)*
                let #bulk = #made;
                (#limits, #bulk)
            }
        }
    }

    // Output: private::Limits::eager(private::Limits::concurrency(private::Limits::new(size, delay_ms), 1))
    fn limits(&self) -> TokenStream {
        let (private, options) = (self.private, self.call.options);
        let size = options.size.iter().map(|given| &given.value);
        let mut limits = match &options.delay_ms {
            Some(Given { value, .. }) => quote!(#private::Limits::new(#(#size),*, #value)),
            None => quote!(#private::Limits::without_delay(#(#size),*)),
        };
        if let Some(Given { value, .. }) = &options.max_weight {
            limits = quote!(#private::Limits::max_weight(#limits, #value));
        }
        if let Some(Given { value, .. }) = &options.concurrency {
            limits = quote!(#private::Limits::concurrency(#limits, #value));
        }
        if options.eager.is_some() {
            limits = quote!(#private::Limits::eager(#limits));
        }
        limits
    }
}

/// The value that a closure returns for an item or a row, as a part.
//
// Output: private::arg(private::of(&item, |row| row.id)).__piggyback_part()
fn part(of: &TokenStream, closure: &Expr, private: &Private) -> TokenStream {
    let place = Place::of(closure);
    let of = private.call_at(place, "of", quote!(#of, #closure));
    method_at(place, private.call_at(place, "arg", of), "part", quote!())
}

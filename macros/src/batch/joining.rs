//! How a call joins a batch: with one item or several, with or without a limit of waiting items.

use super::{Bulk, part};
use crate::options::Given;
use crate::private::{Place, borrow_at, method_at};
use crate::tokens::local;
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// The statements of a call.
pub(super) struct Statements {
    /// Statements that read arguments before the closure that opens a batch may move them.
    pub(super) before: TokenStream,
    pub(super) join: TokenStream,
}

impl Bulk<'_> {
    pub(super) fn joining(&self) -> Statements {
        let options = self.call.options;
        match (&options.many, &options.max_waiting) {
            (Some(_), _) => self.join_several(),
            (None, Some(_)) => self.join_one_or_busy(),
            (None, None) => self.join_one(),
        }
    }

    // Output: let seat = private::item(item).__piggyback_join(&__PIGGYBACK, waker, key, open);
    //         seat.await
    fn join_one(&self) -> Statements {
        let (before, item) = self.item(self.items.value(self.private));
        let (seat, allow) = (local("seat"), &self.allow);
        let joined = self.or_failed(self.join(item, "join"));
        let join = quote!(#allow let #seat = #joined; #seat.await);
        Statements { before, join }
    }

    /// With `max_waiting`, the item is made only once there is a place for it, so a refused call copies nothing.
    //
    // Output: let Some(seat) = private::lazily(max_waiting, || item).__piggyback_try_join(…) else {
    //             return private::busy(private::ty::<R>(), AppError::Busy);
    //         };
    fn join_one_or_busy(&self) -> Statements {
        let (before, lazy) = self.lazily();
        let (seat, allow) = (local("seat"), &self.allow);
        let joined = self.join(lazy, "try_join");
        let busy = self.call.options.busy.iter();
        let busy = busy.map(|busy| self.call.busy(self.one, busy));
        let seated = self.call.options.failed.as_ref().map(|_| {
            let seated = self.or_failed(quote!(#seat));
            quote!(#allow let #seat = #seated;)
        });
        let join = quote! {
            #allow
            let ::core::option::Option::Some(#seat) = #joined else {
                return #(#busy)*;
            };
            #seated
            #seat.await
        };
        Statements { before, join }
    }

    /// With `many`, a call may bring a list of items, the first of which is its own argument.
    //
    // Output: let mut several = private::several(|other: User| private::item(other));
    //         let busy = || private::busy(private::ty::<R>(), AppError::Busy);
    //         let Some(seat) = … else { several.__piggyback_refuse(&busy); return busy(); };
    //         let failed = private::Arc::new(private::failed(private::ty::<R>(), AppError::Failed));
    //         several.__piggyback_wait_or(&failed);
    //         private::or_failed(seat, move |failure| failed(failure)).await
    fn join_several(&self) -> Statements {
        let (private, item, allow) = (self.private, &self.item, &self.allow);
        let [seat, several, other, refused] = ["seat", "several", "other", "busy"].map(local);
        let (before, lazy) = self.lazily();
        let (weighed, made) = self.item(quote!(#other));
        let joined = self.join(lazy, "join_many");
        let busy = self.call.options.busy.as_ref().map(|busy| {
            let busy = self.call.busy(self.one, busy);
            quote!(let #refused = || #busy;)
        });
        let otherwise = match busy {
            Some(_) => quote!(#several.__piggyback_refuse(&#refused); return #refused();),
            None => quote!(::core::unreachable!("without a limit, there is a place")),
        };
        let [failed, failure] = ["failed", "failure"].map(local);
        let wait = match self.failed() {
            None => quote!(#several.__piggyback_wait(); #seat.await),
            Some(made) => quote! {
                let #failed = #private::Arc::new(#made);
                #several.__piggyback_wait_or(&#failed);
                #private::or_failed(#seat, move |#failure| #failed(#failure)).await
            },
        };
        let join = quote! {
            #allow
            let mut #several = #private::several(|#other: #item| { #weighed #made });
            #busy
            #allow
            let ::core::option::Option::Some(#seat) = #joined else { #otherwise };
            #wait
        };
        Statements { before, join }
    }

    /// `item.__piggyback_join(&__PIGGYBACK, …, waker, key, open)`, or another method of that kind.
    fn join(&self, item: TokenStream, method: &str) -> TokenStream {
        let [waker, opening, several, heir] = ["waker", "open", "several", "heir"].map(local);
        let (method, suffix, more) = match method.strip_suffix("_many") {
            Some(method) => (method, "_many", Some(quote!(&mut #several,))),
            None if self.call.has_both => (method, "_as", Some(quote!(#heir,))),
            None => (method, "", None),
        };
        let scope = self.call.options.scope.as_ref().map(|scope| {
            let scope = borrow_at(Place::of(&scope.value), &scope.value);
            quote!(#scope,)
        });
        let within = if scope.is_some() { "_in" } else { "" };
        let (method, key) = (format!("{method}{within}{suffix}"), self.call.key());
        let given = quote!(&__PIGGYBACK, #more #scope #waker, #key, #opening);
        method_at(self.items.place, item, &method, given)
    }

    /// Statements that evaluate `weight`, `unique` and `sort_by` for an item, and the item with their values.
    //
    // Output: let item: T = users; let weight = private::weight(&item, |row| …);
    //         private::Item::weight(private::item(item), weight)
    pub(super) fn item(&self, value: TokenStream) -> (TokenStream, TokenStream) {
        let (private, place, options) = (self.private, self.items.place, self.call.options);
        let (item, ty, allow) = (local("item"), &self.item, &self.allow);
        let (mut lets, mut made) = (
            TokenStream::new(),
            private.call_at(place, "item", quote!(#item)),
        );
        let mut add = |method: &str, name: &str, told: TokenStream| {
            let (name, method) = (local(name), Ident::new(method, Span::call_site()));
            lets.extend(quote!(let #name = #told;));
            made = quote!(#private::Item::#method(#made, #name));
        };
        if let Some(Given { value, .. }) = &options.weight {
            let weight = private.call_at(Place::of(value), "weight", quote!(&#item, #value));
            add("weight", "weight", weight);
        }
        let told = [
            ("unique", "unique", &options.unique),
            ("sort_by", "order", &options.sort_by),
        ];
        for (method, by, option) in told {
            if let Some(Given { value, .. }) = option {
                let part = part(&quote!(&#item), value, private);
                add(method, by, private.call_at(Place::of(value), by, part));
            }
        }
        match lets.is_empty() {
            true => (lets, private.call_at(place, "item", value)),
            false => (quote!(#allow let #item: #ty = #value; #lets), made),
        }
    }

    /// A statement that reads `max_waiting`, and an item that is made only once there is a place for it.
    fn lazily(&self) -> (TokenStream, TokenStream) {
        let (weighed, item) = self.item(self.items.value(self.private));
        let (name, allow) = (local("max_waiting"), &self.allow);
        let (read, most) = match &self.call.options.max_waiting {
            Some(Given { value, .. }) => (quote!(#allow let #name: usize = #value;), quote!(#name)),
            None => (TokenStream::new(), quote!(::core::primitive::usize::MAX)),
        };
        let lazy = quote!(#most, || { #weighed #item });
        (read, self.private.call_at(self.items.place, "lazily", lazy))
    }

    /// The function that turns a failure into a caller's result.
    fn failed(&self) -> Option<TokenStream> {
        let Given { value, .. } = self.call.options.failed.as_ref()?;
        let of = self.call.typed(self.one);
        Some(
            self.private
                .call_at(Place::of(value), "failed", quote!(#of, #value)),
        )
    }

    fn or_failed(&self, seat: TokenStream) -> TokenStream {
        let private = self.private;
        match self.failed() {
            None => seat,
            Some(failed) => quote!(#private::or_failed(#seat, #failed)),
        }
    }
}

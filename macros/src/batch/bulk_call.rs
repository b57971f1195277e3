//! The bulk call of a batch, and how its results reach the callers.

use super::{Bulk, part};
use crate::call::copying;
use crate::options::Given;
use crate::output::{HandOut, Map, Output};
use crate::private::{Place, Private, method_at};
use crate::receiver::without_self;
use crate::tokens::{local, mentions};
use crate::types::{self, is_plain_access};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::Expr;

impl Bulk<'_> {
    // Output: shape.__piggyback_share(…).__piggyback_bulk(move |items: Vec<User>| async move { lend lists body })
    pub(super) fn bulk_call(&self, lend: &TokenStream, body: TokenStream) -> TokenStream {
        let (private, item, options) = (self.private, &self.item, self.call.options);
        let body = without_self(body, &local("self"));
        let (said, items, lists) = self.items.lists(private);
        let (items, run) = match &options.item_by {
            None => (
                quote!(#said #items),
                quote!(async move { #lend #lists #body }),
            ),
            Some(Given { value, .. }) => {
                let [all, parts] = ["all", "parts"].map(local);
                let (part, found) = (part_by(value, private), self.found(&parts, body));
                let read = quote!(let #parts = #private::parts(&#all, #part););
                let run = quote!(async move { #read #said let #items = #all; #lend #lists #found });
                (quote!(#all), run)
            }
        };
        // A bulk call that may be split runs several times, each with its own copy of what it was lent.
        let run = match (&options.split_on_err, self.call.copies()) {
            (Some(_), copies) if !copies.is_empty() => quote!({ #copies #run }),
            _ => run,
        };
        let (method, splits) = match options.split_on_err.as_ref().map(|split| &split.value) {
            None => (quote!(__piggyback_bulk), None),
            Some(None) => (quote!(__piggyback_split), None),
            Some(Some(splits)) => (quote!(__piggyback_split_if), Some(quote!(#splits,))),
        };
        let handing = self.handing();
        quote!(#handing.#method(#splits move |#items: #private::Vec<#item>| #run))
    }

    /// Says how results are distributed, and how callers share one result or error.
    fn handing(&self) -> TokenStream {
        let (private, place, options) = (self.private, self.place, self.call.options);
        let (item, output) = (&self.item, &self.call.function.output);
        let ty = &output.ty;
        let (kind, run_output) = match (&options.item_by, self.hand_out) {
            (None, by) => (by.name(), quote!(#ty)),
            (Some(_), HandOut::OneBy) => ("Each", quote!(<#ty as #private::Matched>::One)),
            (Some(_), HandOut::ManyBy) => ("Each", quote!(<#ty as #private::Matched>::Many)),
            (Some(_), _) => ("Each", quote!(<#ty as #private::MatchedMap>::Found)),
        };
        let kind = private.value_at(place, kind);
        let of = self.call.typed(quote!((#run_output, #item)));
        let mut shape = match self.by().filter(|_| options.item_by.is_none()) {
            None => private.call_at(place, "shape", quote!(#kind, #of)),
            Some(by) if is_plain_access(by) => {
                private.call_at(Place::of(by), "shape_by_part", quote!(#kind, #of, #by))
            }
            Some(by) => private.call_at(place, "shape_by", quote!(#kind, #of, #by)),
        };
        if options.split_on_err.is_some() {
            let inside = types::inside_tokens(item);
            let item = private.output_with_at(self.items.place, item, inside);
            let again = private.call_at(self.items.place, "again", item);
            shape = method_at(place, again, "by", shape);
        }
        let has_other_keys = |map: &Map| map.has_other_keys(item);
        let share = match options.split_on_err.as_ref().map(|split| &split.value) {
            Some(None) => "share_split",
            None if options.item_by.is_none() && output.map().is_some_and(has_other_keys) => {
                "share_by_key"
            }
            _ => "share",
        };
        method_at(place, shape, share, self.sharing())
    }

    /// Says how callers share one result or error.
    fn sharing(&self) -> TokenStream {
        let (private, place, options) = (self.private, self.place, self.call.options);
        let of = self.call.typed(self.one);
        let one = || Some(Output::read(&syn::parse2(self.one.clone()).ok()?));
        // For an alias, a trait of the runtime says what a caller gets, and reports an error about it. Naming the type here would
        // repeat the error.
        let one_is_known = !mentions(self.one, &Ident::new("Outcome", Span::call_site()));
        // Only with a closure do the callers of a part share an error.
        let shares_errors = !matches!(&options.split_on_err, Some(Given { value: None, .. }));
        let may_fail = self.call.function.output.is_called_result();
        let sharing = match (&options.share_err, &options.clone_with) {
            (Some(Given { value, .. }), _) => {
                private.call_at(Place::of(value), "share_err_in_batch", quote!(#of, #value))
            }
            (None, Some(Given { value, .. })) => {
                let copy = copying(value);
                return private.call_at(Place::of(value), "clone_with", quote!(#of, #copy));
            }
            // `#[dedup]` makes the same call at the same place, so the compiler reports one error.
            (None, None) if self.call.has_both => {
                let inside = one().and_then(|one| one.inside());
                return self.call.cloned(self.call.typed_with(self.one, inside));
            }
            (None, None) if one_is_known && shares_errors && may_fail => {
                let kind = method_at(place, of.clone(), "kind", quote!());
                private.call_at(place, "by_clone", kind)
            }
            (None, None) => private.value_at(place, "BY_CLONE"),
        };
        if !one_is_known || !self.finds_rows() {
            return sharing;
        }
        let inside = one().and_then(|one| one.inside_row());
        let of = self.call.typed_with(self.one, inside);
        let row = method_at(place, of, "row", quote!());
        private.call_at(place, "rows", quote!(#row, #sharing))
    }

    /// Whether results are looked up by item, so that two callers may get the same row.
    fn finds_rows(&self) -> bool {
        let is_map = || self.call.function.output.map().is_some();
        self.hand_out.is_by_rows() || self.hand_out == HandOut::Each && is_map()
    }

    /// The closure that returns the item to which a row belongs.
    fn by(&self) -> Option<&Expr> {
        let options = self.call.options;
        let by = options.one_by.as_ref().or(options.many_by.as_ref());
        by.map(|given| &given.value)
    }

    /// The results of the body, in the order of the items.
    fn found(&self, parts: &Ident, body: TokenStream) -> TokenStream {
        let private = self.private;
        let output = quote!(async move { #body }.await);
        let by = self.by().map(|by| part_by(by, private));
        match (self.hand_out, by) {
            (HandOut::OneBy, Some(by)) => quote!(#private::Matched::one(#output, #parts, #by)),
            (HandOut::ManyBy, Some(by)) => quote!(#private::Matched::many(#output, #parts, #by)),
            _ => quote!(#private::MatchedMap::found(#output, #parts)),
        }
    }
}

/// A closure from an item or a row to the value by which results are found.
//
// Output: |part| private::matched(private::arg(private::of(part, |new| new.email)).__piggyback_part())
fn part_by(closure: &Expr, private: &Private) -> TokenStream {
    let name = local("part");
    let part = part(&quote!(#name), closure, private);
    let matched = private.call_at(Place::of(closure), "matched", part);
    quote!(|#name| #matched)
}

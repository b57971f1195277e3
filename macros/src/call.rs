//! What both expansions need to know of the function.

use crate::function::{Argument, Function};
use crate::options::{Attribute, Given, Options};
use crate::private::{Place, Private, method_at};
use crate::types::path_end;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::Expr;
use syn::ext::IdentExt;

/// A function and one of its attributes.
pub(crate) struct Call<'a> {
    pub(crate) private: &'a Private,
    pub(crate) attribute: Attribute,
    pub(crate) options: &'a Options,
    pub(crate) function: &'a Function,
    /// Whether it has the other attribute, too.
    pub(crate) has_both: bool,
}

impl Call<'_> {
    /// Whether its key is the group of a batch. With both attributes, `#[dedup]` speaks of the arguments.
    pub(crate) fn is_group(&self) -> bool {
        self.attribute == Attribute::Batch && !self.has_both
    }

    /// Whether an argument is one of the call. The items of a batch are not its caller's.
    pub(crate) fn takes(&self, argument: &Argument) -> bool {
        self.attribute == Attribute::Dedup || !argument.is_item
    }

    /// The static beside the function, with what the function is called in stats.
    //
    // Output: static __PIGGYBACK: private::Site = private::Site::free(private::module_path!(), "user");
    pub(crate) fn beside(&self) -> TokenStream {
        let private = self.private;
        let name = self.function.sig.ident.unraw().to_string();
        let new = match &self.options.name {
            Some(Given { value: name, .. }) => quote!(named(#name)),
            None if self.function.sig.receiver().is_some() => {
                quote!(method(#private::module_path!(), #name))
            }
            None => quote!(free(#private::module_path!(), #name)),
        };
        quote!(static __PIGGYBACK: #private::Site = #private::Site::#new;)
    }

    /// `private::ty::<R>()`, for the function's output.
    pub(crate) fn output(&self) -> TokenStream {
        self.typed(&self.function.output.ty)
    }

    /// The same for another type, shown where the output is.
    pub(crate) fn typed(&self, ty: impl ToTokens) -> TokenStream {
        self.private.output_at(self.function.output_place(), ty)
    }

    /// What a call gets that is refused, which is a `one`.
    pub(crate) fn busy(&self, one: impl ToTokens, busy: &Given<Expr>) -> TokenStream {
        let (of, value) = (self.typed(one), &busy.value);
        let place = Place::of(value);
        self.private.call_at(place, "busy", quote!(#of, #value))
    }

    /// A lint that the user's own names in our code would set off.
    pub(crate) fn allow(&self, items: &[&Ident]) -> Option<TokenStream> {
        let arguments = self.function.arguments.iter();
        let taken = arguments.filter(|argument| self.takes(argument));
        let names = taken.flat_map(|argument| &argument.bindings);
        names
            .map(|binding| &binding.ident)
            .chain(items.iter().copied())
            .any(|name| name.to_string().starts_with('_'))
            .then(|| quote!(#[allow(clippy::used_underscore_binding)]))
    }

    /// A sharing by `Clone`. Of what may be a `Result`, each half is asked by itself, so that an error names the one that
    /// isn't.
    //
    // Output: private::cloned(of), private::cloned_as(of.__piggyback_kind())
    pub(crate) fn cloned(&self, of: TokenStream) -> TokenStream {
        let (private, place) = (self.private, self.function.output_place());
        if self.function.output.is_called_result() {
            let kind = method_at(place, of, "kind", quote!());
            private.call_at(place, "cloned_as", kind)
        } else {
            private.call_at(place, "cloned", of)
        }
    }
}

/// The function of `clone_with`. `Clone::clone` is one of any type, and in a closure a type that has none is one error.
pub(crate) fn copying(value: &Expr) -> TokenStream {
    let is_clone = path_end(value).is_some_and(|[owner, name]| owner == "Clone" && name == "clone");
    match is_clone {
        true => quote!(|value| #value(value)),
        false => quote!(#value),
    }
}

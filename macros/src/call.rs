//! A function and one of its attributes: what both expansions need to know.

use crate::function::{Argument, Function};
use crate::options::{Attribute, Given, Options};
use crate::private::{Place, Private, method_at};
use crate::types::path_end;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Expr, Type};

pub(crate) struct Call<'a> {
    pub(crate) private: &'a Private,
    pub(crate) attribute: Attribute,
    pub(crate) options: &'a Options,
    pub(crate) function: &'a Function,
    /// Whether the function also has the other attribute.
    pub(crate) has_both: bool,
}

impl Call<'_> {
    /// Whether messages about the key call it a group. On a function with both attributes, the arguments belong to the key of
    /// `#[dedup]`.
    pub(crate) fn is_group(&self) -> bool {
        self.attribute == Attribute::Batch && !self.has_both
    }

    /// Whether an argument selects the group or the key. A batch's items do not select its group.
    pub(crate) fn takes(&self, argument: &Argument) -> bool {
        self.attribute == Attribute::Dedup || !argument.is_item
    }

    /// The static of the function, which holds its name in stats.
    //
    // Output: static __PIGGYBACK: private::Site = private::Site::free(private::module_path!(), "user");
    pub(crate) fn site(&self) -> TokenStream {
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

    /// The same, where messages about a container name the type in it.
    pub(crate) fn output_with(&self) -> TokenStream {
        let output = &self.function.output;
        self.typed_with(&output.ty, output.inside())
    }

    /// The same for another type.
    pub(crate) fn typed_with(&self, ty: impl ToTokens, inside: Option<Type>) -> TokenStream {
        let place = self.function.output_place();
        self.private.output_with_at(place, ty, inside)
    }

    /// The same for another type, shown where the output is.
    pub(crate) fn typed(&self, ty: impl ToTokens) -> TokenStream {
        self.private.output_at(self.function.output_place(), ty)
    }

    /// The result of a call that is refused; its type is `one`.
    pub(crate) fn busy(&self, one: impl ToTokens, busy: &Given<Expr>) -> TokenStream {
        let (of, value) = (self.typed(one), &busy.value);
        let place = Place::of(value);
        self.private.call_at(place, "busy", quote!(#of, #value))
    }

    /// Silences a lint that names with a leading underscore would set off in added code.
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

    /// Shares the output by `Clone`. If the output may be a `Result`, each half is checked separately, so that an error names
    /// the half that is not `Clone`.
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

/// The function of `clone_with`. `Clone::clone` fits every type, so a type that is not `Clone` would cause several errors;
/// inside a closure it causes one.
pub(crate) fn copying(value: &Expr) -> TokenStream {
    let is_clone = path_end(value).is_some_and(|[owner, name]| owner == "Clone" && name == "clone");
    match is_clone {
        true => quote!(|value| #value(value)),
        false => quote!(#value),
    }
}

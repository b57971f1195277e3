//! Finds the argument that holds the items of a bulk function, its list type, and the type that callers pass.

mod list;

pub(crate) use self::list::List;

use crate::errors::{Errors, no_argument};
use crate::function::Function;
use crate::lints;
use crate::options::Options;
use crate::private::Place;
use crate::tokens::{local, mentions};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Attribute;

/// The list of items, or several parallel lists.
#[derive(Clone)]
pub(crate) struct Items {
    pub(crate) lists: Vec<List>,
    pub(crate) by_ref: bool,
    /// Where errors about the items are shown.
    pub(crate) place: Place,
}

fn in_a_pattern(name: &str) -> String {
    format!(
        "the items can't be bound by a pattern, since callers pass one item; move the bulk call to a function of its own that takes `{name}` as a plain argument"
    )
}

/// The runtime takes apart tuples of at most this size.
const MOST_LISTS: usize = 24;

impl Items {
    /// Finds the items among the arguments.
    pub(crate) fn find(
        function: &mut Function,
        options: &Options,
        errors: &mut Errors,
    ) -> Option<Self> {
        let lists = match &options.items {
            Some(named) if named.value.len() > MOST_LISTS => {
                errors.at(
                    &named.value[MOST_LISTS],
                    format!("at most {MOST_LISTS} parallel lists are supported; use one list of tuples or of a struct instead"),
                );
                return None;
            }
            Some(named) => named
                .value
                .iter()
                .map(|name| Self::named(function, name, errors))
                .collect::<Option<Vec<_>>>()?,
            None => vec![Self::only(function, options, errors)?],
        };
        for list in &lists {
            function.arguments[list.index].is_item = true;
        }
        Some(Self {
            place: function.arguments[lists.first()?.index].place(),
            by_ref: options.by_ref.is_some(),
            lists,
        })
    }

    fn named(function: &Function, name: &Ident, errors: &mut Errors) -> Option<List> {
        let arguments = &function.arguments;
        let Some(index) = arguments.iter().position(|argument| argument.binds(name)) else {
            let bindings = arguments.iter().flat_map(|argument| &argument.bindings);
            let known: Vec<_> = bindings.map(|binding| binding.ident.to_string()).collect();
            errors.at(name, no_argument(&name.to_string(), &known));
            return None;
        };
        let list = List::read(function, index).or_else(|| List::behind_alias(function, index));
        if list.is_none() && !arguments[index].is_plain_name {
            errors.at(&arguments[index].written, in_a_pattern(&name.to_string()));
        } else if list.is_none() {
            errors.at(
                &arguments[index].written,
                format!("`{name}` can't be the items: write it as `Vec<T>`, `&[T]`, `&[&T]` or `impl IntoIterator<Item = T>`"),
            );
        }
        list
    }

    fn only(function: &Function, options: &Options, errors: &mut Errors) -> Option<List> {
        let arguments = &function.arguments;
        let skipped_names = || options.skip.iter().flat_map(|skip| &skip.value);
        let is_skipped =
            |list: &List| skipped_names().any(|name| arguments[list.index].binds(name));
        let lists = (0..arguments.len()).filter_map(|index| List::read(function, index));
        let (left_out, mut lists): (Vec<List>, Vec<List>) = lists.partition(is_skipped);
        if lists.len() > 1 {
            let names: Vec<String> = lists.iter().map(|list| list.name.to_string()).collect();
            let message = format!(
                "`{}` could be the items; write `items({})` for one of them, or `items({})` for parallel lists",
                names.join("`, `"),
                names[0],
                names.join(", ")
            );
            errors.at(&function.sig.inputs, message);
            return None;
        }
        let list = lists.pop();
        let in_pattern = arguments.iter().find(|argument| {
            let ty = argument.ty.to_token_stream();
            !argument.is_plain_name && mentions(&ty, &Ident::new("Vec", Span::call_site()))
        });
        if let (None, Some(argument)) = (&list, in_pattern) {
            let name = argument.bindings.first();
            let name = name.map(|binding| binding.ident.to_string());
            errors.at(&argument.written, in_a_pattern(&name.unwrap_or_default()));
        } else if let (None, [skipped]) = (&list, &left_out[..]) {
            let name = &skipped.name;
            let at = skipped_names().find(|skipped| *skipped == name);
            let message = format!(
                "`{name}` is the list of items, which is never part of the group; remove it from `skip`"
            );
            errors.at(at.unwrap_or(name), message);
        } else if list.is_none() {
            let message = "a bulk function takes its items as a list, and none of these arguments is one; write `Vec<T>`, `&[T]`, `&[&T]` or `impl IntoIterator<Item = T>`";
            if function.sig.inputs.is_empty() {
                errors.at(&function.sig.ident, message);
            } else {
                errors.at(&function.sig.inputs, message);
            }
        }
        list
    }

    /// Binds the lists by their names, for a body in another function.
    pub(crate) fn by_name(&mut self) {
        for list in &mut self.lists {
            list.pat = list.name.to_token_stream();
        }
    }

    /// The type of an item: a tuple for parallel lists.
    pub(crate) fn item(&self) -> TokenStream {
        match &self.lists[..] {
            [list] => list.item.clone(),
            lists => {
                let items = lists.iter().map(|list| &list.item);
                quote!((#(#items),*))
            }
        }
    }

    /// Makes the function take a single item.
    pub(crate) fn singular(&self, function: &mut Function) {
        for list in &self.lists {
            let lifetime = self
                .by_ref
                .then(|| function.lifetime_of_reference(list.index));
            let (item, lent) = (&list.item, &list.lent);
            let ty = match lifetime {
                Some(lifetime) => quote!(& #lifetime #lent),
                None => item.clone(),
            };
            function.set_item(list.index, &list.name, ty);
        }
        function.without_unused_lifetimes();
    }

    /// The names of a caller's single items.
    pub(crate) fn names(&self) -> Vec<&Ident> {
        self.lists.iter().map(|list| &list.name).collect()
    }

    /// The function of `many`: the same signature, with lists of items.
    pub(crate) fn plural(&self, function: &Function, name: &Ident, one: &TokenStream) -> Function {
        let mut plural = function.with_plain_names();
        plural.sig.ident = name.clone();
        plural.set_output(quote!(::std::vec::Vec<#one>));
        for List {
            index, name, item, ..
        } in &self.lists
        {
            plural.set_item(*index, name, quote!(::std::vec::Vec<#item>));
        }
        plural.without_unused_lifetimes();
        plural
    }

    /// A caller's item, as a value.
    pub(crate) fn value(&self, private: &impl ToTokens) -> TokenStream {
        let values = self
            .lists
            .iter()
            .map(|list| list.value(self.by_ref, private));
        let values: Vec<TokenStream> = values.collect();
        match &values[..] {
            [value] => value.clone(),
            values => quote!((#(#values),*)),
        }
    }

    /// The lint attributes and the name of the closure's argument, and `let`s that bind the lists that the body expects.
    //
    // Output: items
    //         let (ids, items1) = private::unzip(items); let names = &items1[..];
    pub(crate) fn lists(&self, private: &impl ToTokens) -> (TokenStream, TokenStream, TokenStream) {
        let items = local("items");
        let names = self.lists.iter().enumerate().map(|(n, list)| {
            if list.is_taken() {
                list.pat.clone()
            } else if self.lists.len() == 1 {
                items.to_token_stream()
            } else {
                local(&format!("items{n}")).into_token_stream()
            }
        });
        let names: Vec<TokenStream> = names.collect();
        let lets = self
            .lists
            .iter()
            .zip(&names)
            .map(|(list, name)| list.bind(name, private));
        let lets: TokenStream = lets.collect();
        let taken = self.lists.iter().filter(|list| list.is_taken());
        let mut said: Vec<Attribute> = taken.flat_map(|list| list.lints.clone()).collect();
        if let [name] = &names[..] {
            return (quote!(#(#said)*), name.clone(), lets);
        }
        // One pattern binds all lists, and a lint that is expected for one may not fire for another.
        lints::allow(&mut said);
        let unzip = quote!(#(#said)* let (#(#names),*) = #private::unzip(#items););
        (
            TokenStream::new(),
            items.to_token_stream(),
            quote!(#unzip #lets),
        )
    }
}

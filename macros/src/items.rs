//! The items of a bulk function: which argument they are, in which form it wants them, and what a caller gives instead.

use crate::errors::{Errors, no_argument};
use crate::function::Function;
use crate::lints;
use crate::options::Options;
use crate::output::{Output, Shape};
use crate::private::Place;
use crate::tokens::{local, mentions, without_lifetimes};
use crate::types::{arguments_of, item_of, peel};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute, FnArg, Pat, Type, TypeParamBound};

/// The lists of items: one, or several that go in step.
#[derive(Clone)]
pub(crate) struct Items {
    pub(crate) lists: Vec<List>,
    pub(crate) by_ref: bool,
    /// Where the function is given them.
    pub(crate) place: Place,
}

fn in_a_pattern(name: &str) -> String {
    format!(
        "the items can't be bound by a pattern, since callers pass one item; move the bulk call to a function of its own that takes `{name}` as a plain argument"
    )
}

/// As many as the runtime takes apart.
const MOST_LISTS: usize = 24;

/// One argument that takes a list.
#[derive(Clone)]
pub(crate) struct List {
    /// Its place among the arguments.
    pub(crate) index: usize,
    /// What a caller's single item is called.
    pub(crate) name: Ident,
    pat: TokenStream,
    /// What is said of lints.
    lints: Vec<Attribute>,
    form: ListForm,
    /// The type of an item.
    pub(crate) item: TokenStream,
    /// The `T` as it is written in the list.
    elem: TokenStream,
    /// What it is lent as, for `by_ref`: `str` for a `String`.
    lent: TokenStream,
}

/// How the function takes its list.
#[derive(Clone, Copy)]
enum ListForm {
    /// `Vec<T>`, or what else only a `Vec` can be
    Vec,
    /// `&[T]`
    Slice,
    /// `&[&T]`
    Refs,
    /// `impl IntoIterator<Item = T>`
    IntoIterator,
    /// `impl Iterator<Item = T>`
    Iterator,
}

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
        let skipped = || options.skip.iter().flat_map(|skip| &skip.value);
        let is_skipped = |list: &List| skipped().any(|name| arguments[list.index].binds(name));
        let mut lists: Vec<List> = (0..arguments.len())
            .filter_map(|index| List::read(function, index))
            .filter(|list| !is_skipped(list))
            .collect();
        if lists.len() > 1 {
            let names: Vec<String> = lists
                .iter()
                .map(|list| format!("`{}`", list.name))
                .collect();
            let inputs = &function.sig.inputs;
            let (first, all) = (
                &lists[0].name,
                lists
                    .iter()
                    .map(|list| list.name.to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            );
            errors.at(inputs, format!(
                "{} could be the items; write `items({first})` for one of them, or `items({all})` for parallel lists",
                names.join(", ")
            ));
            return None;
        }
        let list = lists.pop();
        let in_pattern = arguments.iter().find(|argument| {
            let ty = argument.ty.to_token_stream();
            !argument.is_plain_name && mentions(&ty, &Ident::new("Vec", Span::call_site()))
        });
        if let (None, Some(argument)) = (&list, in_pattern) {
            let name = argument
                .bindings
                .first()
                .map(|binding| binding.ident.to_string());
            errors.at(&argument.written, in_a_pattern(&name.unwrap_or_default()));
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

    /// Makes the lists bound by their names, for a body that is elsewhere.
    pub(crate) fn by_name(&mut self) {
        for list in &mut self.lists {
            list.pat = list.name.to_token_stream();
        }
    }

    /// The type of a batch's item: of one list, or a tuple.
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

    /// What a caller's single items are called.
    pub(crate) fn names(&self) -> Vec<&Ident> {
        self.lists.iter().map(|list| &list.name).collect()
    }

    /// The same function under another name, for a list of items.
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
        let values: Vec<TokenStream> = self
            .lists
            .iter()
            .map(
                |List {
                     name,
                     item,
                     lent,
                     form,
                     ..
                 }| {
                    let is_str = lent.to_string() == "str" && !matches!(form, ListForm::Refs);
                    if self.by_ref && is_str {
                        quote!(#private::lent_str::<#item>(#name))
                    } else if self.by_ref {
                        quote!(#private::lent(#name))
                    } else {
                        quote!(#name)
                    }
                },
            )
            .collect();
        match &values[..] {
            [value] => value.clone(),
            values => quote!((#(#values),*)),
        }
    }

    /// What the bulk call's closure takes, with attributes, and `let`s that give the function's body its lists out of that.
    //
    // Output: items
    //         let (ids, items1) = private::unzip(items); let names = &items1[..];
    pub(crate) fn lists(&self, private: &impl ToTokens) -> (TokenStream, TokenStream, TokenStream) {
        let items = local("items");
        let names = self.lists.iter().enumerate().map(|(n, list)| match list {
            List {
                pat,
                form: ListForm::Vec,
                ..
            } => pat.clone(),
            _ if self.lists.len() == 1 => items.to_token_stream(),
            _ => local(&format!("items{n}")).into_token_stream(),
        });
        let names: Vec<TokenStream> = names.collect();
        let taken = |list: &List| matches!(list.form, ListForm::Vec);
        let mut said: Vec<Attribute> = self
            .lists
            .iter()
            .filter(|list| taken(list))
            .flat_map(|list| list.lints.clone())
            .collect();
        let (said, taken, unzip) = match &names[..] {
            [name] => (quote!(#(#said)*), name.clone(), None),
            _ => {
                // They are bound together, so what is expected of one of them is not of another.
                lints::allow(&mut said);
                (
                    TokenStream::new(),
                    items.to_token_stream(),
                    Some(quote!(#(#said)* let (#(#names),*) = #private::unzip(#items);)),
                )
            }
        };
        let lets = self.lists.iter().zip(&names).map(
            |(
                List {
                    pat,
                    lints,
                    form,
                    elem,
                    ..
                },
                name,
            )| {
                let value = match form {
                    ListForm::Vec => return TokenStream::new(),
                    ListForm::IntoIterator => quote!(#private::into_iterator(#name)),
                    ListForm::Slice => quote!(&#name[..]),
                    ListForm::Refs => quote!(&#private::refs::<#elem, _>(&#name)[..]),
                    ListForm::Iterator => quote!(#private::IntoIterator::into_iter(#name)),
                };
                quote!(#(#lints)* let #pat = #value;)
            },
        );
        (said, taken, quote!(#unzip #(#lets)*))
    }
}

impl List {
    /// Reads argument number `index` as a list, if it is one.
    fn read(function: &Function, index: usize) -> Option<Self> {
        let FnArg::Typed(argument) = function.sig.inputs.iter().nth(index)? else {
            return None;
        };
        let (form, item) = list_of(peel(&argument.ty))?;
        let name = match &*argument.pat {
            Pat::Ident(pat) if pat.subpat.is_none() => pat.ident.clone(),
            _ => local("item"),
        };
        let pat = &argument.pat;
        let elem = without_lifetimes(item.to_token_stream());
        let (item, lent) = owned_and_lent(peel(item), form);
        Some(Self {
            index,
            name,
            pat: quote!(#pat),
            lints: lints::levels(&argument.attrs),
            form,
            item,
            elem,
            lent,
        })
    }
}

impl List {
    /// Reads argument number `index` as a list by another name. That it is a `Vec` is found out where the body has it.
    fn behind_alias(function: &Function, index: usize) -> Option<Self> {
        let FnArg::Typed(argument) = function.sig.inputs.iter().nth(index)? else {
            return None;
        };
        let (Type::Path(path), Pat::Ident(name)) = (peel(&argument.ty), &*argument.pat) else {
            return None;
        };
        if let Shape::Known | Shape::Map(_) = Output::read(&argument.ty).shape {
            return None;
        }
        let item = quote!(<#path as ::core::iter::IntoIterator>::Item);
        let pat = &argument.pat;
        Some(Self {
            index,
            name: name.ident.clone(),
            pat: quote!(#pat),
            lints: lints::levels(&argument.attrs),
            form: ListForm::Vec,
            elem: item.clone(),
            lent: item.clone(),
            item,
        })
    }
}

fn list_of(ty: &Type) -> Option<(ListForm, &Type)> {
    match ty {
        Type::Reference(reference) if reference.mutability.is_none() => match peel(&reference.elem)
        {
            Type::Slice(slice) => Some(match peel(&slice.elem) {
                Type::Reference(item) if item.mutability.is_none() && !is_static(item) => {
                    (ListForm::Refs, &item.elem)
                }
                item => (ListForm::Slice, item),
            }),
            _ => None,
        },
        Type::Path(path) => {
            let item = *arguments_of(path).first()?;
            let is_vec = path.path.segments.last()?.ident == "Vec";
            is_vec.then_some((ListForm::Vec, item))
        }
        Type::ImplTrait(ty) => ty.bounds.iter().find_map(|bound| {
            let TypeParamBound::Trait(bound) = bound else {
                return None;
            };
            let last = bound.path.segments.last()?;
            let form = match last.ident.to_string().as_str() {
                // With more bounds, these are a `Vec`'s business.
                "IntoIterator" if ty.bounds.len() > 1 => ListForm::Vec,
                "IntoIterator" => ListForm::IntoIterator,
                "Iterator" => ListForm::Iterator,
                _ => return None,
            };
            item_of(bound).map(|item| (form, item))
        }),
        _ => None,
    }
}

/// Whether a type may be that of the standard library: it has no path, or a path of it.
fn is_of_std(path: &syn::TypePath) -> bool {
    let first = path.path.segments.first();
    path.path.segments.len() == 1
        || first.is_some_and(|first| first.ident == "std" || first.ident == "alloc")
}

fn is_static(reference: &syn::TypeReference) -> bool {
    reference
        .lifetime
        .as_ref()
        .is_some_and(|lifetime| lifetime.ident == "static")
}

/// The type of an item, and what it is lent as: in a `&[&T]`, `str` comes from a `String`.
fn owned_and_lent(item: &Type, form: ListForm) -> (TokenStream, TokenStream) {
    let lent = without_lifetimes(item.to_token_stream());
    match (form, item) {
        (ListForm::Refs, Type::Slice(slice)) => {
            let elem = &slice.elem;
            (quote!(::std::vec::Vec<#elem>), lent)
        }
        (ListForm::Refs, Type::Path(path)) if path.path.is_ident("str") => {
            (quote!(::std::string::String), lent)
        }
        (_, Type::Path(path))
            if path
                .path
                .segments
                .last()
                .is_some_and(|last| last.ident == "String" && last.arguments.is_empty())
                && is_of_std(path) =>
        {
            (lent, quote!(str))
        }
        (_, Type::Path(path)) => {
            let is_vec = path
                .path
                .segments
                .last()
                .is_some_and(|last| last.ident == "Vec");
            match arguments_of(path).first().filter(|_| is_vec) {
                Some(elem) => (lent, quote!([#elem])),
                None => (lent.clone(), lent),
            }
        }
        _ => (lent.clone(), lent),
    }
}

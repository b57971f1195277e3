//! The options of the two attributes, as plain data with its spans.

mod lists;
mod numbers;
mod table;
mod values;

pub(crate) use self::table::{OPTIONS, Options};
pub(crate) use self::values::Sibling;

use crate::errors::{Errors, did_you_mean};
use crate::types::holds;
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::Expr;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};

/// One of the two attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Dedup,
    Batch,
}

impl Attribute {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dedup => "dedup",
            Self::Batch => "batch",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Dedup => Self::Batch,
            Self::Batch => Self::Dedup,
        }
    }

    /// Its options, starting with those of both attributes.
    fn options(self) -> impl Iterator<Item = &'static Row> {
        let all = || OPTIONS.iter().filter(move |option| option.of.is(self));
        let common = all().filter(|option| option.of == Of::Both);
        common.chain(all().filter(|option| option.of != Of::Both))
    }
}

/// An option as given. The name is the place of messages about the whole option.
#[derive(Clone)]
pub(crate) struct Given<T> {
    pub(crate) name: Ident,
    pub(crate) value: T,
}

/// Which attribute has an option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Dedup,
    Batch,
    /// Each attribute, with a value of its own.
    Each,
    /// Each attribute, and a value on one holds for both.
    Both,
}

impl Of {
    fn is(self, attribute: Attribute) -> bool {
        match self {
            Self::Dedup => attribute == Attribute::Dedup,
            Self::Batch => attribute == Attribute::Batch,
            Self::Each | Self::Both => true,
        }
    }
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) of: Of,
    pub(crate) example: &'static str,
    read: fn(&mut Options, Reading<'_, '_>) -> syn::Result<()>,
}

/// An option whose name has been read, and whose value follows.
struct Reading<'a, 'b> {
    input: ParseStream<'a>,
    name: &'b Ident,
    example: &'static str,
    errors: &'b mut Errors,
}

impl Options {
    /// Reads all options, and skips those that can't be read.
    pub(crate) fn read(attribute: Attribute, tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let parsed = (|input: ParseStream<'_>| {
            while !input.is_empty() {
                let name = input.fork().call(Ident::parse_any);
                if let Err(error) = options.read_one(attribute, input, errors) {
                    errors.push(error);
                    options.unread.extend(name);
                }
                values::skip_to_comma(input)?;
            }
            Ok(())
        })
        .parse2(tokens);
        if let Err(error) = parsed {
            errors.push(error);
        }
        options
    }

    fn read_one(
        &mut self,
        attribute: Attribute,
        input: ParseStream<'_>,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            let token: TokenTree = input.parse()?;
            // If one name is missing, the others usually are, too. That is one mistake.
            input.parse::<TokenStream>()?;
            let example = match attribute {
                Attribute::Dedup => "skip(pool)",
                Attribute::Batch => "size = 100, delay_ms = 10",
            };
            return Err(syn::Error::new_spanned(
                token,
                format!(
                    "expected the name of an option, as in `#[{}({example})]`",
                    attribute.name()
                ),
            ));
        }
        let name = Ident::parse_any(input)?;
        match attribute.options().find(|option| name == option.name) {
            Some(option) => {
                let (name, example) = (&name, option.example);
                (option.read)(
                    self,
                    Reading {
                        input,
                        name,
                        example,
                        errors,
                    },
                )
            }
            None => {
                let message = unknown_option(attribute, &name.to_string());
                Err(syn::Error::new_spanned(name, message))
            }
        }
    }

    /// Merges the options of both attributes on a function, in both directions.
    pub(crate) fn merge(&mut self, other: &mut Self, errors: &mut Errors) {
        let mut differs = |name: &Ident, here: String, there: String| {
            if here != there {
                errors.at(name, format!("the two attributes on this function have different values for `{name}`; set it on one of them only"));
            }
        };
        if let (Some(here), Some(there)) = (&self.direct, &other.direct) {
            let [one, other] = [here, there].map(|given| given.value.ident.to_string());
            differs(&here.name, one, other);
        }
        if let (Some(here), Some(there)) = (&self.name, &other.name) {
            differs(&here.name, here.value.value(), there.value.value());
        }
        self.fill_from(other);
        other.fill_from(self);
    }

    fn fill_from(&mut self, other: &Self) {
        // Both say how an error is shared, so either replaces the other.
        let shares = ["share_err", "clone_with"];
        let says_sharing = shares.iter().any(|name| self.given(name).is_some());
        for Row { name, .. } in OPTIONS.iter().filter(|option| option.of == Of::Both) {
            let is_said = self.given(name).is_some() || says_sharing && shares.contains(name);
            if !is_said {
                self.take(name, other);
            }
        }
        self.unread.extend(other.unread.iter().cloned());
    }

    /// The expression that replaces a binding in the key.
    pub(crate) fn key_expr(&self, binding: &Ident) -> Option<&Expr> {
        let parts = &self.key.as_ref()?.value;
        let part = parts.iter().find(|part| part.argument == *binding);
        part.map(|part| &part.expr)
    }

    /// Whether a binding is not in the key, because it is skipped or holds the scope.
    pub(crate) fn skips(&self, binding: &Ident, is_receiver: bool) -> bool {
        let skip = self.skip.as_ref();
        let scope = self.scope.as_ref();
        skip.is_some_and(|skip| skip.value.contains(binding))
            || scope.is_some_and(|scope| is_receiver || holds(&scope.value, binding))
    }

    /// Whether an option is given, but could not be read, and so must not be reported as missing.
    pub(crate) fn is_unread(&self, name: &str) -> bool {
        self.unread.iter().any(|unread| unread == name)
    }
}

fn unknown_option(attribute: Attribute, unknown: &str) -> String {
    let (this, other) = (attribute.name(), attribute.other());
    if other.options().any(|option| option.name == unknown) {
        let instead = of_the_other(unknown).map_or(String::new(), |instead| format!("; {instead}"));
        return format!(
            "`{unknown}` is an option of `#[{}]`, not of `#[{this}]`{instead}",
            other.name()
        );
    }
    if let Some(instead) = never_had(attribute, unknown) {
        return format!("`#[{this}]` has no option `{unknown}`; {instead}");
    }
    let known = || attribute.options().map(|option| option.name);
    match did_you_mean(unknown, known()) {
        Some(meant) => format!("`#[{this}]` has no option `{unknown}`; did you mean `{meant}`?"),
        None => {
            let all: Vec<_> = known().map(|name| format!("`{name}`")).collect();
            format!(
                "`#[{this}]` has no option `{unknown}`; its options are {}",
                all.join(", ")
            )
        }
    }
}
/// What to use instead of an option of the other attribute.
fn of_the_other(unknown: &str) -> Option<&'static str> {
    match unknown {
        "concurrency" => Some(
            "in a `#[dedup]` function, take a permit of a `tokio::sync::Semaphore` in the body",
        ),
        "max_waiting" => Some("the limit there is `max_followers`"),
        "max_followers" => Some("the limit there is `max_waiting`"),
        "spawn" => Some("a bulk call always runs in a task of its own"),
        _ => None,
    }
}

/// What to use instead of options that caches and other crates have.
fn never_had(attribute: Attribute, unknown: &str) -> Option<&'static str> {
    match (unknown, attribute) {
        (
            "ttl" | "ttl_ms" | "ttl_secs" | "cache" | "time_to_live" | "time" | "expire" | "expiry"
            | "max_entries" | "capacity",
            Attribute::Dedup,
        ) => Some(
            "nothing is cached, and a result is dropped as soon as its callers have it; to bound the age of an execution that a call joins, write `max_age_ms = 50`",
        ),
        (
            "ttl" | "ttl_ms" | "ttl_secs" | "cache" | "time_to_live" | "expire" | "expiry"
            | "max_entries",
            Attribute::Batch,
        ) => Some("nothing is cached, and a result is dropped as soon as its callers have it"),
        ("fleet" | "redis" | "distributed" | "cluster", Attribute::Dedup) => Some(
            "to share executions with other processes, write `across = FLEET` with a `piggyback::fleet::Fleet`",
        ),
        ("timeout" | "timeout_ms", _) => {
            Some("wrap the call, or what the body awaits, in `tokio::time::timeout`")
        }
        ("skip_args" | "skip_arg" | "skip_all" | "ignore" | "exclude" | "except", _) => {
            Some("write `skip(pool)` to leave out arguments that cannot change the result")
        }
        ("key_by" | "keys" | "convert", _) => {
            Some("to compare calls by part of an argument, write for example `key(user = user.id)`")
        }
        ("max_size" | "max_batch_size" | "batch_size", Attribute::Batch) => {
            Some("the maximum number of items in one bulk call is `size = 100`")
        }
        _ => None,
    }
}

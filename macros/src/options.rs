//! What may stand in the parentheses of the two attributes, as plain data with its spans.

use crate::errors::{Errors, did_you_mean};
use crate::known::in_words;
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprCall, ExprLit, Lit, LitStr, Path, Token};

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
}

/// An option as given: its name for messages about the whole of it, and its value.
#[derive(Clone)]
pub(crate) struct Given<T> {
    pub(crate) name: Ident,
    pub(crate) value: T,
}

/// The name of a function that is made beside the annotated one: `user_now`, or `Self::user_now` where nothing else shows
/// that the two belong to a `Self`.
#[derive(Clone)]
pub(crate) struct Sibling {
    pub(crate) on_self: bool,
    pub(crate) ident: Ident,
}

impl Parse for Sibling {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let on_self = input.peek(Token![Self]);
        if on_self {
            input.parse::<Token![Self]>()?;
            input.parse::<Token![::]>()?;
        }
        let ident = input.parse()?;
        Ok(Self { on_self, ident })
    }
}

/// `key(argument = expression)`.
#[derive(Clone)]
pub(crate) struct KeyPart {
    pub(crate) argument: Ident,
    pub(crate) expr: Expr,
}

/// All options of both attributes. What the attribute at hand does not have is never set.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) common: Common,
    /// The path of the attribute that these stood in, if it was taken off the function.
    pub(crate) taken: Option<Path>,
    // dedup
    pub(crate) spawn: Option<Given<()>>,
    pub(crate) across: Option<Given<Expr>>,
    pub(crate) across_err: Option<Given<()>>,
    pub(crate) max_age_ms: Option<Given<Expr>>,
    pub(crate) max_followers: Option<Given<Expr>>,
    pub(crate) forget: Option<Given<Sibling>>,
    /// Of either attribute: what calls get beyond `max_followers` or `max_waiting`.
    pub(crate) busy: Option<Given<Expr>>,
    // batch
    pub(crate) size: Option<Given<Expr>>,
    pub(crate) delay_ms: Option<Given<Expr>>,
    pub(crate) items: Option<Given<Vec<Ident>>>,
    pub(crate) by_ref: Option<Given<()>>,
    pub(crate) one_by: Option<Given<Expr>>,
    pub(crate) many_by: Option<Given<Expr>>,
    pub(crate) shared: Option<Given<()>>,
    pub(crate) eager: Option<Given<()>>,
    pub(crate) concurrency: Option<Given<Expr>>,
    pub(crate) limit: Option<Given<Expr>>,
    pub(crate) max_waiting: Option<Given<Expr>>,
    pub(crate) weight: Option<Given<Expr>>,
    pub(crate) max_weight: Option<Given<Expr>>,
    pub(crate) unique: Option<Given<Expr>>,
    pub(crate) sort_by: Option<Given<Expr>>,
    pub(crate) item_by: Option<Given<Expr>>,
    pub(crate) split_on_err: Option<Given<Option<Expr>>>,
    pub(crate) many: Option<Given<Sibling>>,
}

/// The options that both have; said on one, they hold for both.
#[derive(Default, Clone)]
pub(crate) struct Common {
    pub(crate) skip: Option<Given<Vec<Ident>>>,
    pub(crate) key: Option<Given<Vec<KeyPart>>>,
    pub(crate) scope: Option<Given<Expr>>,
    pub(crate) share_err: Option<Given<Expr>>,
    pub(crate) clone_with: Option<Given<Expr>>,
    pub(crate) failed: Option<Given<Expr>>,
    pub(crate) direct: Option<Given<Sibling>>,
    pub(crate) name: Option<Given<LitStr>>,
    pub(crate) krate: Option<Given<Path>>,
    /// Options of either attribute that are there, but could not be read: what they would say is not missing.
    pub(crate) unread: Vec<Ident>,
}

impl Common {
    pub(crate) fn is_unread(&self, name: &str) -> bool {
        self.unread.iter().any(|unread| unread == name)
    }

    /// Fills what is not said here with what the other attribute on the same function says.
    pub(crate) fn fill_from(&mut self, other: &Self) {
        fn fill<T: Clone>(here: &mut Option<T>, other: &Option<T>) {
            if here.is_none() {
                here.clone_from(other);
            }
        }
        let sharing_said = self.share_err.is_some() || self.clone_with.is_some();
        fill(&mut self.skip, &other.skip);
        fill(&mut self.key, &other.key);
        fill(&mut self.scope, &other.scope);
        fill(&mut self.failed, &other.failed);
        fill(&mut self.direct, &other.direct);
        fill(&mut self.name, &other.name);
        fill(&mut self.krate, &other.krate);
        self.unread.extend(other.unread.iter().cloned());
        if !sharing_said {
            fill(&mut self.share_err, &other.share_err);
            fill(&mut self.clone_with, &other.clone_with);
        }
    }

    /// What both attributes on a function say, though it can be but one.
    pub(crate) fn contradictions(&self, other: &Self, errors: &mut Errors) {
        let mut both = |name: &Ident, here: String, there: String| {
            if here != there {
                errors.at(name, format!("the two attributes on this function have different values for `{name}`; set it on one of them only"));
            }
        };
        if let (Some(here), Some(there)) = (&self.direct, &other.direct) {
            let [one, other] = [&here.value, &there.value].map(|sibling| sibling.ident.to_string());
            both(&here.name, one, other);
        }
        if let (Some(here), Some(there)) = (&self.name, &other.name) {
            both(&here.name, here.value.value(), there.value.value());
        }
    }
}

const COMMON: &[&str] = &[
    "skip",
    "key",
    "scope",
    "share_err",
    "clone_with",
    "failed",
    "direct",
    "name",
    "crate",
];
const DEDUP: &[&str] = &[
    "spawn",
    "across",
    "across_err",
    "max_age_ms",
    "max_followers",
    "busy",
    "forget",
];
const BATCH: &[&str] = &[
    "size",
    "delay_ms",
    "items",
    "by_ref",
    "one_by",
    "many_by",
    "item_by",
    "shared",
    "eager",
    "concurrency",
    "limit",
    "max_waiting",
    "busy",
    "weight",
    "max_weight",
    "unique",
    "sort_by",
    "split_on_err",
    "many",
];

fn own_names(attribute: Attribute) -> &'static [&'static str] {
    match attribute {
        Attribute::Dedup => DEDUP,
        Attribute::Batch => BATCH,
    }
}

impl Options {
    /// The options that may use arguments.
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let key = self.common.key.iter().flat_map(|key| &key.value);
        let others = [
            &self.common.scope,
            &self.across,
            &self.max_age_ms,
            &self.max_followers,
            &self.busy,
            &self.size,
            &self.delay_ms,
            &self.concurrency,
            &self.max_waiting,
            &self.weight,
            &self.max_weight,
            &self.unique,
            &self.sort_by,
        ];
        let others = others.into_iter().flatten().map(|given| &given.value);
        key.map(|part| &part.expr).chain(others)
    }

    /// Reads all options; what can't be read is noted and skipped.
    pub(crate) fn read(attribute: Attribute, tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let parsed = (|input: ParseStream<'_>| {
            while !input.is_empty() {
                let name = input.fork().call(Ident::parse_any);
                if let Err(error) = options.read_one(attribute, input) {
                    errors.push(error);
                    options.common.unread.extend(name);
                }
                skip_to_comma(input)?;
            }
            Ok(())
        })
        .parse2(tokens);
        if let Err(error) = parsed {
            errors.push(error);
        }
        options
    }

    fn read_one(&mut self, attribute: Attribute, input: ParseStream<'_>) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            let token: TokenTree = input.parse()?;
            // Whoever leaves one name out leaves out the others, too: one mistake.
            input.parse::<TokenStream>()?;
            return Err(syn::Error::new_spanned(
                token,
                format!(
                    "expected the name of an option, as in `#[{}({})]`",
                    attribute.name(),
                    example(attribute)
                ),
            ));
        }
        let name = Ident::parse_any(input)?;
        match name.to_string().as_str() {
            "skip" => set_list(&mut self.common.skip, name, input, |i, n| {
                list(i, n, "skip(pool)", Ident::parse_any)
            }),
            "key" => set_list(&mut self.common.key, name, input, |i, n| {
                list(i, n, "key(user = user.id)", KeyPart::parse)
            }),
            "scope" => set(&mut self.common.scope, name, input, |i, n| {
                value(i, n, "scope = self.scope")
            }),
            "share_err" => set(&mut self.common.share_err, name, input, |i, n| {
                value(i, n, "share_err = AppError::Shared")
            }),
            "clone_with" => set(&mut self.common.clone_with, name, input, |i, n| {
                value(i, n, "clone_with = copy_of")
            }),
            "failed" => set(&mut self.common.failed, name, input, |i, n| {
                value(i, n, "failed = AppError::Failed")
            }),
            "direct" => set(&mut self.common.direct, name, input, |i, n| {
                value(i, n, "direct = user_now")
            }),
            "name" => set(&mut self.common.name, name, input, |i, n| {
                value(i, n, "name = \"users.by_id\"")
            }),
            "crate" => set(&mut self.common.krate, name, input, |i, n| {
                equals(i, n, "crate = ::path::to::piggyback")?;
                i.call(Path::parse_mod_style).map_err(|error| {
                    syn::Error::new(error.span(), "`crate` takes a path without quotes, as in `crate = ::path::to::piggyback`")
                })
            }),
            "spawn" if attribute == Attribute::Dedup => set(&mut self.spawn, name, input, flag),
            "across" if attribute == Attribute::Dedup => {
                set(&mut self.across, name, input, |i, n| {
                    value(i, n, "across = FLEET")
                })
            }
            "across_err" if attribute == Attribute::Dedup => {
                set(&mut self.across_err, name, input, flag)
            }
            "max_age_ms" if attribute == Attribute::Dedup => {
                set(&mut self.max_age_ms, name, input, |i, n| {
                    number(i, n, "max_age_ms = 50")
                })
            }
            "max_followers" if attribute == Attribute::Dedup => {
                set(&mut self.max_followers, name, input, |i, n| {
                    number(i, n, "max_followers = 100")
                })
            }
            "forget" if attribute == Attribute::Dedup => {
                set(&mut self.forget, name, input, |i, n| {
                    value(i, n, "forget = forget_user")
                })
            }
            "size" if attribute == Attribute::Batch => set(&mut self.size, name, input, |i, n| {
                number(i, n, "size = 100")
            }),
            "delay_ms" if attribute == Attribute::Batch => {
                set(&mut self.delay_ms, name, input, |i, n| {
                    number(i, n, "delay_ms = 10")
                })
            }
            "items" if attribute == Attribute::Batch => {
                set_list(&mut self.items, name, input, |i, n| {
                    list(i, n, "items(users)", Ident::parse_any)
                })
            }
            "by_ref" if attribute == Attribute::Batch => set(&mut self.by_ref, name, input, flag),
            "one_by" if attribute == Attribute::Batch => {
                set(&mut self.one_by, name, input, |i, n| {
                    value(i, n, "one_by = |user| user.id")
                })
            }
            "many_by" if attribute == Attribute::Batch => {
                set(&mut self.many_by, name, input, |i, n| {
                    value(i, n, "many_by = |post| post.author")
                })
            }
            "item_by" if attribute == Attribute::Batch => {
                set(&mut self.item_by, name, input, |i, n| {
                    value(i, n, "item_by = |new| new.email")
                })
            }
            "shared" if attribute == Attribute::Batch => set(&mut self.shared, name, input, flag),
            "eager" if attribute == Attribute::Batch => set(&mut self.eager, name, input, flag),
            "concurrency" if attribute == Attribute::Batch => {
                set(&mut self.concurrency, name, input, |i, n| {
                    number(i, n, "concurrency = 1")
                })
            }
            "limit" if attribute == Attribute::Batch => {
                set(&mut self.limit, name, input, |i, n| {
                    value(i, n, "limit = self.permits")
                })
            }
            "max_waiting" if attribute == Attribute::Batch => {
                set(&mut self.max_waiting, name, input, |i, n| {
                    number(i, n, "max_waiting = 1_000")
                })
            }
            "busy" => set(&mut self.busy, name, input, |i, n| {
                value(i, n, "busy = AppError::Busy")
            }),
            "weight" if attribute == Attribute::Batch => {
                set(&mut self.weight, name, input, |i, n| {
                    value(i, n, "weight = |row| row.len()")
                })
            }
            "max_weight" if attribute == Attribute::Batch => {
                set(&mut self.max_weight, name, input, |i, n| {
                    number(i, n, "max_weight = 65_535")
                })
            }
            "sort_by" if attribute == Attribute::Batch => {
                set(&mut self.sort_by, name, input, |i, n| {
                    value(i, n, "sort_by = |row| row.id")
                })
            }
            "unique" if attribute == Attribute::Batch => {
                set(&mut self.unique, name, input, |i, n| {
                    value(i, n, "unique = |row| row.id")
                })
            }
            "many" if attribute == Attribute::Batch => set(&mut self.many, name, input, |i, n| {
                value(i, n, "many = save_users")
            }),
            "split_on_err" if attribute == Attribute::Batch => {
                set(&mut self.split_on_err, name, input, |i, n| {
                    if i.peek(Token![=]) {
                        value(i, n, "split_on_err = |error| error.is_about_a_row()").map(Some)
                    } else {
                        flag(i, n).map(|()| None)
                    }
                })
            }
            unknown => {
                let message = unknown_option(attribute, unknown);
                Err(syn::Error::new_spanned(name, message))
            }
        }
    }
}

fn unknown_option(attribute: Attribute, unknown: &str) -> String {
    let this = attribute.name();
    let other = attribute.other();
    if own_names(other).contains(&unknown) {
        let instead = of_the_other(unknown)
            .map(|instead| format!("; {instead}"))
            .unwrap_or_default();
        return format!(
            "`{unknown}` is an option of `#[{}]`, not of `#[{this}]`{instead}",
            other.name()
        );
    }
    if let Some(instead) = never_had(attribute, unknown) {
        return format!("`#[{this}]` has no option `{unknown}`; {instead}");
    }
    let known = || COMMON.iter().chain(own_names(attribute)).copied();
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

/// What does here what an option of the other attribute does there.
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

/// What people look for who know a cache, or another crate.
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

fn example(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Dedup => "skip(pool)",
        Attribute::Batch => "size = 100, delay_ms = 10",
    }
}

/// Reads the value of the option `name` into `slot`; a second one is a mistake.
fn set<T>(
    slot: &mut Option<Given<T>>,
    name: Ident,
    input: ParseStream<'_>,
    read: impl FnOnce(ParseStream<'_>, &Ident) -> syn::Result<T>,
) -> syn::Result<()> {
    let value = read(input, &name)?;
    if slot.is_some() {
        let message = format!("`{name}` is given twice; remove one of them");
        return Err(syn::Error::new_spanned(name, message));
    }
    *slot = Some(Given { name, value });
    Ok(())
}

/// The same for an option that takes a list: the two become one.
fn set_list<T: ToTokens>(
    slot: &mut Option<Given<Vec<T>>>,
    name: Ident,
    input: ParseStream<'_>,
    read: impl FnOnce(ParseStream<'_>, &Ident) -> syn::Result<Vec<T>>,
) -> syn::Result<()> {
    let list = read(input, &name)?;
    if let Some(before) = slot {
        let mut all: Vec<String> = Vec::new();
        for one in before.value.iter().chain(&list).map(in_words) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        let message = format!(
            "`{name}` is given twice; write one list, `{name}({})`",
            all.join(", ")
        );
        return Err(syn::Error::new_spanned(name, message));
    }
    *slot = Some(Given { name, value: list });
    Ok(())
}

fn flag(input: ParseStream<'_>, name: &Ident) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    let rest: TokenStream = std::iter::from_fn(|| tree_before_comma(input)).collect();
    Err(syn::Error::new_spanned(
        rest,
        format!("`{name}` takes no value; write `{name}`"),
    ))
}

fn equals(input: ParseStream<'_>, name: &Ident, example: &str) -> syn::Result<()> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if !input.is_empty() && !input.peek(Token![,]) {
            return Ok(());
        }
    }
    Err(syn::Error::new_spanned(
        name,
        format!("`{name}` needs a value, as in `{example}`"),
    ))
}

fn value<T: Parse>(input: ParseStream<'_>, name: &Ident, example: &str) -> syn::Result<T> {
    equals(input, name, example)?;
    let start = input.fork();
    input.parse().map_err(|_| {
        let wrong = start
            .parse::<TokenTree>()
            .map_or_else(|_| quote!(#name), |tree| quote!(#tree));
        syn::Error::new_spanned(
            wrong,
            format!("`{name}` can't have this value; write for example `{example}`"),
        )
    })
}

/// A number, as a literal or any other expression; literals are looked at, and a `Duration` is known by its name.
fn number(input: ParseStream<'_>, name: &Ident, example: &str) -> syn::Result<Expr> {
    let expr: Expr = value(input, name, example)?;
    let lit = match &expr {
        Expr::Lit(ExprLit { lit, .. }) => lit,
        Expr::Call(call) if is_duration(&call.func) => {
            return Err(syn::Error::new_spanned(
                &expr,
                not_a_duration(name, call, example),
            ));
        }
        _ => return Ok(expr),
    };
    let wrong = match lit {
        Lit::Int(int) if int.base10_digits() == "0" && name != "delay_ms" => {
            format!("`{name}` must be at least 1")
        }
        Lit::Int(int) if ["", "usize", "u64"].contains(&int.suffix()) => return Ok(expr),
        Lit::Int(int) => format!(
            "`{name}` takes a plain number; write `{name} = {}`",
            int.base10_digits()
        ),
        Lit::Str(text) => {
            let digits: String = text
                .value()
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            if digits.is_empty() {
                format!("`{name}` takes a number, not a string; write for example `{example}`")
            } else {
                format!("`{name}` takes a number, not a string; write `{name} = {digits}`")
            }
        }
        _ => format!("`{name}` takes a whole number; write for example `{example}`"),
    };
    Err(syn::Error::new_spanned(&expr, wrong))
}

/// `Duration::from_millis`, by whatever path.
fn is_duration(function: &Expr) -> bool {
    let Expr::Path(path) = function else {
        return false;
    };
    let mut names = path
        .path
        .segments
        .iter()
        .rev()
        .map(|segment| &segment.ident);
    names
        .next()
        .is_some_and(|name| name.to_string().starts_with("from_"))
        && names.next().is_some_and(|name| name == "Duration")
}

fn not_a_duration(name: &Ident, call: &ExprCall, example: &str) -> String {
    let in_ms = match (&*call.func, call.args.first()) {
        (
            Expr::Path(path),
            Some(Expr::Lit(ExprLit {
                lit: Lit::Int(n), ..
            })),
        ) => {
            let unit = path.path.segments.last().map(|last| last.ident.to_string());
            match (unit.as_deref(), n.base10_parse::<u64>()) {
                (Some("from_millis"), Ok(n)) => Some(n),
                (Some("from_secs"), Ok(n)) => n.checked_mul(1_000),
                _ => None,
            }
        }
        _ => None,
    };
    match in_ms {
        Some(n) if name.to_string().ends_with("_ms") => {
            format!(
                "`{name}` takes a number of milliseconds, not a `Duration`; write `{name} = {n}`"
            )
        }
        _ => format!("`{name}` takes a number, not a `Duration`; write for example `{example}`"),
    }
}

/// `name(a, b)`; also `name = a` for a single one would be understood by a reader, but is told apart here.
fn list<T>(
    input: ParseStream<'_>,
    name: &Ident,
    example: &str,
    item: fn(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<Vec<T>> {
    if !input.peek(syn::token::Paren) {
        let rest: Vec<TokenTree> = std::iter::from_fn(|| tree_before_comma(input)).collect();
        // `skip = pool` and `key = user.id` show what is meant.
        let example = match &rest[..] {
            [TokenTree::Punct(equals), TokenTree::Ident(one)]
                if equals.as_char() == '=' && name != "key" =>
            {
                format!("{name}({one})")
            }
            [TokenTree::Punct(equals), TokenTree::Ident(one), of @ ..]
                if equals.as_char() == '=' && name == "key" =>
            {
                format!("key({one} = {})", in_words(quote!(#one #(#of)*)))
            }
            _ => example.to_owned(),
        };
        return Err(syn::Error::new_spanned(
            quote!(#name #(#rest)*),
            format!("`{name}` takes a list in parentheses; write `{example}`"),
        ));
    }
    let content;
    syn::parenthesized!(content in input);
    let written: TokenStream = content.fork().parse()?;
    let items = match Punctuated::<T, Token![,]>::parse_terminated_with(&content, item) {
        Ok(items) => items,
        Err(error) => {
            // What is left would be another error.
            content.parse::<TokenStream>()?;
            if let Some((fields, message)) = part_in_list(name, &written) {
                return Err(syn::Error::new_spanned(fields, message));
            }
            return Err(syn::Error::new(
                error.span(),
                not_in_list(name, &written, example),
            ));
        }
    };
    if items.is_empty() {
        return Err(syn::Error::new_spanned(
            name,
            format!("`{name}` is empty; name at least one argument, as in `{example}`"),
        ));
    }
    Ok(items.into_iter().collect())
}

/// `self.pool` in `skip(…)`, and what to write instead: to skip all of `self` would be more than is meant.
fn part_in_list(name: &Ident, written: &TokenStream) -> Option<(TokenStream, String)> {
    if name != "skip" {
        return None;
    }
    let trees: Vec<TokenTree> = written.clone().into_iter().collect();
    let is = |tree: &TokenTree, char| match tree {
        TokenTree::Punct(punct) => punct.as_char() == char,
        _ => false,
    };
    trees.split(|tree| is(tree, ',')).find_map(|one| {
        let borrows = one.iter().take_while(|tree| is(tree, '&')).count();
        let [TokenTree::Ident(argument), dot, fields @ ..] = &one[borrows..] else {
            return None;
        };
        let is_path = fields
            .iter()
            .all(|tree| is(tree, '.') || !matches!(tree, TokenTree::Punct(_)));
        if !is(dot, '.') || fields.is_empty() || !is_path {
            return None;
        }
        let fields = in_words(quote!(#(#fields)*));
        let kept = match argument == "self" && fields != "tenant" {
            true => "tenant",
            false => "…",
        };
        let message = format!(
            "`skip` takes whole arguments; to compare `{argument}` by some of its fields, write `key({argument} = {argument}.{kept})`; write `skip({argument})` only if the result depends on no field but `{fields}`"
        );
        Some((quote!(#(#one)*), message))
    })
}

/// What to write instead of what was found in the list of the option `name`.
fn not_in_list(name: &Ident, written: &TokenStream, example: &str) -> String {
    let words = written.clone().into_iter();
    let argument = words.into_iter().find_map(|tree| match tree {
        TokenTree::Ident(ident) => Some(ident),
        _ => None,
    });
    let has_commas = written
        .clone()
        .into_iter()
        .any(|tree| matches!(tree, TokenTree::Punct(comma) if comma.as_char() == ','));
    match argument {
        Some(argument) if name == "key" && !has_commas => {
            let expr = in_words(written);
            if argument == expr.as_str() {
                format!(
                    "every argument is compared already; to put an expression in the place of `{argument}`, write `key({argument} = {argument}.…)`"
                )
            } else {
                format!(
                    "`key` names the argument that an expression stands for; write `key({argument} = {expr})`"
                )
            }
        }
        Some(argument) if name != "key" && !has_commas => {
            format!("`{name}` takes names of arguments; write `{name}({argument})`")
        }
        _ => format!("`{name}` is written like this: `{example}`"),
    }
}

impl ToTokens for KeyPart {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { argument, expr } = self;
        tokens.extend(quote!(#argument = #expr));
    }
}

impl KeyPart {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let argument = Ident::parse_any(input)?;
        input.parse::<Token![=]>()?;
        Ok(Self {
            argument,
            expr: input.parse()?,
        })
    }
}

fn tree_before_comma(input: ParseStream<'_>) -> Option<TokenTree> {
    if input.is_empty() || input.peek(Token![,]) {
        None
    } else {
        input.parse().ok()
    }
}

/// Over what is left of an option, and its comma.
fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while tree_before_comma(input).is_some() {}
    if input.peek(Token![,]) {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

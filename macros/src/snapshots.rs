//! What the attributes expand to, one snapshot a shape. `UPDATE_EXPECT=1 cargo test -p piggyback-macros` writes them
//! anew; each is to be read then. `P` is the runtime's private module.

use crate::expand::expand;
use crate::options::Attribute;
use expect_test::expect_file;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::quote;

macro_rules! snapshots {
    ($($name:ident, $lines:literal lines: $attribute:ident ($($options:tt)*) { $($item:tt)* })*) => {$(
        #[test]
        fn $name() {
            let expansion = expand(Attribute::$attribute, quote!($($options)*), quote!($($item)*));
            assert_eq!(methods_in(expansion.clone()), [""; 0], "called by path, no trait of the user's gets in the way");
            let expansion = expansion.to_string().replace(":: piggyback :: __private", "P");
            let file = syn::parse_str(&expansion).unwrap();
            let path = concat!("snapshots/", stringify!($name), ".rs");
            let text = prettyplease::unparse(&file);
            // The function's own lines are three.
            let beyond = text.lines().count() - 3;
            expect_file![path].assert_eq(&text);
            assert!(beyond <= $lines, "{beyond} lines beyond the body");
        }
    )*};
}

/// The methods that are called as such, but for those of a name that is ours alone. What the user writes in the
/// snapshots has none.
fn methods_in(tokens: TokenStream) -> Vec<String> {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found: Vec<String> = trees
        .windows(3)
        .filter_map(|trees| match trees {
            [TokenTree::Punct(dot), TokenTree::Ident(name), next] if dot.as_char() == '.' => {
                let is_call = match next {
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Parenthesis,
                    TokenTree::Punct(punct) => punct.as_char() == ':',
                    _ => false,
                };
                let name = name.to_string();
                (is_call && !name.starts_with("__piggyback_")).then_some(name)
            }
            _ => None,
        })
        .collect();
    for tree in trees {
        if let TokenTree::Group(group) = tree {
            found.extend(methods_in(group.stream()));
        }
    }
    found
}

snapshots! {
    dedup_function, 21 lines: Dedup (skip(pool), share_err = AppError::Shared) {
        async fn user(pool: &Pool, id: u64) -> Result<User, AppError> {
            body
        }
    }
    dedup_bare, 21 lines: Dedup () {
        pub async fn user(id: u64) -> User {
            body
        }
    }
    dedup_spawn, 29 lines: Dedup (spawn, skip(pool)) {
        async fn user(&self, pool: Pool, id: u64) -> User {
            self.body
        }
    }
    dedup_boxed, 27 lines: Dedup (scope = self.scope) {
        fn user<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = User> + Send + 'a>> {
            Box::pin(async move { body })
        }
    }
    dedup_direct, 30 lines: Dedup (direct = user_now, skip(self)) {
        pub async fn user(&self, Path(id): Path<u64>) -> User {
            body
        }
    }
    dedup_forget, 36 lines: Dedup (forget = forget_user, max_age_ms = 5) {
        async fn user<T>(id: T) -> User {
            body
        }
    }
    dedup_across, 45 lines: Dedup (across = FLEET, spawn, forget = forget_user) {
        async fn user(id: u64) -> Result<User, AppError> {
            body
        }
    }
    batch_slice, 22 lines: Batch (size = 10, delay_ms = 10, skip(pool), share_err = AppError::Shared) {
        async fn save(pool: &Pool, users: &[User]) -> Result<(), AppError> {
            body
        }
    }
    batch_lists, 30 lines: Batch (size = 10, delay_ms = 10, items(ids, names), by_ref, unique = |row| row.0) {
        async fn save(ids: Vec<u64>, names: &[&str]) -> Vec<u64> {
            body
        }
    }
    batch_split, 34 lines: Batch (size = 10, delay_ms = 10, split_on_err, key(self = self.tenant)) {
        async fn save(&self, users: &[User]) -> Result<(), AppError> {
            self.body
        }
    }
    batch_limits, 46 lines: Batch (size = 10, delay_ms = 10, scope = self.scope, weight = |row| row.1, max_weight = 5, concurrency = 2, eager, many_by = |row| row.0) {
        async fn save(&self, tag: Option<&str>, ids: impl IntoIterator<Item = (u64, u64)>) -> Vec<Row> {
            self.body
        }
    }
    batch_busy, 32 lines: Batch (size = 10, eager, by_ref, max_waiting = 100, busy = AppError::Busy) {
        async fn save(users: &[User]) -> Result<(), AppError> {
            body
        }
    }
    loader, 52 lines: Batch (size = 10, delay_ms = 10) {
        #[dedup]
        async fn user(ids: Vec<u64>) -> Result<HashMap<u64, User>, AppError> {
            body
        }
    }
}

/// An editor completes what stands in the body, so the function has to be there while that is not finished.
#[test]
fn an_unfinished_body_keeps_the_function_alive() {
    for (attribute, options) in [
        (Attribute::Dedup, quote!()),
        (Attribute::Batch, quote!(size = 10, delay_ms = 10)),
    ] {
        let item = quote!(async fn user(ids: Vec<u64>) -> Vec<u64> { if ids. });
        let expansion = expand(attribute, options, item).to_string();
        assert!(!expansion.contains("compile_error"), "{expansion}");
        assert!(expansion.starts_with("async fn user (ids :"), "{expansion}");
        assert!(expansion.contains("if ids ."), "{expansion}");
    }
}

/// Or its warnings would come twice.
#[test]
fn a_body_is_compiled_once() {
    for attribute in [Attribute::Dedup, Attribute::Batch] {
        let options = match attribute {
            Attribute::Dedup => quote!(direct = save_now, forget = forget_saved),
            Attribute::Batch => quote!(size = 10, eager, direct = save_now),
        };
        let item = quote! {
            #[instrument]
            pub async fn save(&self, Path(id): Path<u64>, mut ids: Vec<u64>) -> Vec<u64> {
                body
            }
        };
        let expansion = expand(attribute, options, item).to_string();
        assert_eq!(expansion.matches("{ body }").count(), 1, "{expansion}");
    }
}

/// Attributes are the function's; what the options add has no more of them than it needs.
#[test]
fn attributes_land_once() {
    let item = quote! {
        /// Finds a user.
        #[must_use]
        #[deprecated]
        #[doc(hidden)]
        #[inline]
        pub async fn user(id: u64) -> User {
            body
        }
    };
    let expansion = expand(Attribute::Dedup, quote!(forget = forget_user), item).to_string();
    for attribute in [
        "Finds a user.",
        "# [must_use]",
        "# [deprecated]",
        "# [inline]",
        "pub async fn user",
    ] {
        assert_eq!(expansion.matches(attribute).count(), 1, "{attribute}");
    }
    assert!(expansion.contains("pub fn forget_user"), "{expansion}");
}

/// As specialization has them.
#[test]
fn a_default_function_stays_one() {
    let item = quote!(default async fn user(&self, id: u64) -> u64 { body });
    let expansion = expand(Attribute::Dedup, quote!(skip(self)), item).to_string();
    assert!(
        expansion.starts_with("default async fn user"),
        "{expansion}"
    );
}

/// Who has made several gets to know them at once, and none of them twice.
#[test]
fn all_mistakes_are_told_at_once() {
    let item = quote!(
        async fn save(pool: &mut Pool, users: Vec<&str>) -> impl Display {
            body
        }
    );
    let expansion = expand(Attribute::Batch, quote!(siez = 10, delay_ms = "10"), item).to_string();
    for mistake in [
        "did you mean `size`",
        "write `delay_ms = 10`",
        "borrow `pool` mutably",
        "write `String`",
        "a hidden type",
    ] {
        assert_eq!(
            expansion.matches(mistake).count(),
            1,
            "{mistake}: {expansion}"
        );
    }
    assert_eq!(expansion.matches("compile_error").count(), 5, "{expansion}");
}

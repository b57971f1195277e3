//! The table of all options. It defines the fields of [`Options`], how they are read, the suggestions for misspelt names,
//! and which options two attributes on a function share. A test compares the tables of the documentation with it.

use super::lists::{names, parts};
use super::numbers::{count, number};
use super::values::{KeyPart, Sibling, Value, flag, flag_or_function, function, path, set, value};
use super::{Given, Of, Row};
use proc_macro2::Ident;
use syn::{Expr, LitStr, Path};

macro_rules! options {
    ($($of:ident $name:literal $field:ident: $ty:ty = $read:ident like $example:literal;)*) => {
        /// The options of one attribute. Those of the other attribute are never set.
        #[derive(Default, Clone)]
        pub(crate) struct Options {
            $(pub(crate) $field: Option<Given<$ty>>,)*
            /// The path of the attribute, if this was removed from the function.
            pub(crate) taken: Option<Path>,
            /// Options that are given, but could not be read, and so must not be reported as missing.
            pub(super) unread: Vec<Ident>,
        }

        pub(crate) const OPTIONS: &[Row] = &[$(Row {
            name: $name,
            of: Of::$of,
            example: $example,
            read: |options, reading| {
                let name = reading.name.clone();
                set(&mut options.$field, name, $read(reading)?)
            },
        },)*];

        impl Options {
            /// The name of an option as given.
            pub(crate) fn given(&self, name: &str) -> Option<&Ident> {
                match name {
                    $($name => self.$field.as_ref().map(|given| &given.name),)*
                    _ => None,
                }
            }

            /// The expressions of all options, which may use arguments.
            pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expr> {
                std::iter::empty()
                    $(.chain(self.$field.iter().flat_map(|given| given.value.expressions())))*
            }

            /// Copies an option from the other attribute.
            pub(super) fn take(&mut self, name: &str, other: &Self) {
                match name {
                    $($name => self.$field.clone_from(&other.$field),)*
                    _ => {}
                }
            }
        }
    };
}

options! {
    Both "skip" skip: Vec<Ident> = names like "skip(pool)";
    Both "key" key: Vec<KeyPart> = parts like "key(user = user.id)";
    Both "scope" scope: Expr = value like "scope = self.scope";
    Both "share_err" share_err: Expr = function like "share_err = AppError::Shared";
    Both "clone_with" clone_with: Expr = function like "clone_with = copy_of";
    Both "failed" failed: Expr = function like "failed = AppError::Failed";
    Both "direct" direct: Sibling = value like "direct = user_now";
    Both "name" name: LitStr = value like "name = \"users.by_id\"";
    Both "crate" krate: Path = path like "crate = ::path::to::piggyback";

    Dedup "spawn" spawn: () = flag like "spawn";
    Dedup "across" across: Expr = value like "across = FLEET";
    Dedup "across_err" across_err: () = flag like "across_err";
    Dedup "max_age_ms" max_age_ms: Expr = count like "max_age_ms = 50";
    Dedup "max_followers" max_followers: Expr = count like "max_followers = 100";
    Dedup "forget" forget: Sibling = value like "forget = forget_user";

    Batch "size" size: Expr = count like "size = 100";
    Batch "delay_ms" delay_ms: Expr = number like "delay_ms = 10";
    Batch "items" items: Vec<Ident> = names like "items(users)";
    Batch "by_ref" by_ref: () = flag like "by_ref";
    Batch "one_by" one_by: Expr = function like "one_by = |user| user.id";
    Batch "many_by" many_by: Expr = function like "many_by = |post| post.author";
    Batch "item_by" item_by: Expr = function like "item_by = |new| new.email";
    Batch "shared" shared: () = flag like "shared";
    Batch "eager" eager: () = flag like "eager";
    Batch "concurrency" concurrency: Expr = count like "concurrency = 1";
    Batch "limit" limit: Expr = value like "limit = self.permits";
    Batch "max_waiting" max_waiting: Expr = count like "max_waiting = 1_000";
    Each "busy" busy: Expr = value like "busy = AppError::Busy";
    Batch "weight" weight: Expr = function like "weight = |row| row.len()";
    Batch "max_weight" max_weight: Expr = count like "max_weight = 65_535";
    Batch "unique" unique: Expr = function like "unique = |row| row.id";
    Batch "sort_by" sort_by: Expr = function like "sort_by = |row| row.id";
    Batch "split_on_err" split_on_err: Option<Expr> = flag_or_function
        like "split_on_err = |error| error.is_about_a_row()";
    Batch "many" many: Sibling = value like "many = save_users";
}

#[cfg(test)]
mod tests {
    use super::OPTIONS;
    use crate::options::Attribute;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// The names in the first column of the table of options, where each starts a code span.
    fn documented(attribute: Attribute) -> BTreeSet<String> {
        let path = format!("../runtime/docs/{}.md", attribute.name());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = fs::read_to_string(path).unwrap();
        let rows = text
            .lines()
            .skip_while(|line| !line.starts_with("| option |"));
        let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
        let cells = rows.map(|row| row.split('|').nth(1).unwrap());
        let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let is_in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        names
            .map(|code| code.chars().take_while(|&c| is_in_name(c)).collect())
            .collect()
    }

    #[test]
    fn the_documentation_has_the_same_options() {
        for attribute in [Attribute::Dedup, Attribute::Batch] {
            let known: BTreeSet<String> = OPTIONS
                .iter()
                .filter(|option| option.of.is(attribute))
                .map(|option| option.name.to_owned())
                .collect();
            assert_eq!(known, documented(attribute), "`#[{}]`", attribute.name());
        }
    }
}

//! `item_by`: results are found by a part of an item. The parts are kept while the body has the items. Afterwards the return value
//! becomes a list in the order of the items, which is handed out like any other list.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

/// Rows in any order, or a `Result` of them.
#[diagnostic::on_unimplemented(
    message = "with `item_by`, rows can't be handed out of a `{Self}`",
    label = "not a `Vec` of rows that are `Clone`",
    note = "return a `Vec<Row>`, or a `Result` of one, and derive `Clone` for the row: two callers may ask for the same one"
)]
pub trait Matched: Sized {
    /// A row.
    type Row;
    /// For each item, its row.
    type One;
    /// For each item, its rows.
    type Many;
    /// Finds each item's row.
    fn one<V: Hash + Eq>(self, items: Vec<V>, of: impl Fn(&Self::Row) -> V) -> Self::One;
    /// Finds each item's rows.
    fn many<V: Hash + Eq>(self, items: Vec<V>, of: impl Fn(&Self::Row) -> V) -> Self::Many;
}

impl<R: Clone> Matched for Vec<R> {
    type Row = R;
    type One = Vec<Option<R>>;
    type Many = Vec<Self>;

    fn one<V: Hash + Eq>(self, items: Vec<V>, of: impl Fn(&R) -> V) -> Self::One {
        let mut rows = HashMap::with_capacity(self.len());
        for row in self {
            rows.entry(of(&row)).or_insert(row);
        }
        items.iter().map(|item| rows.get(item).cloned()).collect()
    }

    fn many<V: Hash + Eq>(self, items: Vec<V>, of: impl Fn(&R) -> V) -> Self::Many {
        let mut rows = HashMap::<V, Self>::with_capacity(items.len());
        for row in self {
            rows.entry(of(&row)).or_default().push(row);
        }
        let of_item = |item| rows.get(item).cloned().unwrap_or_default();
        items.iter().map(of_item).collect()
    }
}

impl<X: Matched, E> Matched for Result<X, E> {
    type Row = X::Row;
    type One = Result<X::One, E>;
    type Many = Result<X::Many, E>;

    fn one<V: Hash + Eq>(self, items: Vec<V>, of: impl Fn(&X::Row) -> V) -> Self::One {
        self.map(|rows| rows.one(items, of))
    }

    fn many<V: Hash + Eq>(self, items: Vec<V>, of: impl Fn(&X::Row) -> V) -> Self::Many {
        self.map(|rows| rows.many(items, of))
    }
}

/// A map, or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "with `item_by` alone, results can't be found in a `{Self}`",
    label = "not a `HashMap` or `BTreeMap` with values that are `Clone`",
    note = "return a map whose keys are what `item_by` gives; for rows in a `Vec`, add `one_by = …` or `many_by = …`"
)]
pub trait MatchedMap: Sized {
    /// The part by which results are found.
    type Key;
    /// For each item, what is found.
    type Found;
    /// Finds it.
    fn found(self, items: Vec<Self::Key>) -> Self::Found;
}

impl<K: Hash + Eq, R: Clone, B: BuildHasher> MatchedMap for HashMap<K, R, B> {
    type Key = K;
    type Found = Vec<Option<R>>;
    fn found(self, items: Vec<K>) -> Self::Found {
        items.iter().map(|item| self.get(item).cloned()).collect()
    }
}

impl<K: Ord, R: Clone> MatchedMap for BTreeMap<K, R> {
    type Key = K;
    type Found = Vec<Option<R>>;
    fn found(self, items: Vec<K>) -> Self::Found {
        items.iter().map(|item| self.get(item).cloned()).collect()
    }
}

impl<X: MatchedMap, E> MatchedMap for Result<X, E> {
    type Key = X::Key;
    type Found = Result<X::Found, E>;
    fn found(self, items: Vec<X::Key>) -> Self::Found {
        self.map(|map| map.found(items))
    }
}

/// Takes the part of each item by which its result is found.
pub fn parts<T, V>(items: &[T], part: impl Fn(&T) -> V) -> Vec<V> {
    items.iter().map(part).collect()
}

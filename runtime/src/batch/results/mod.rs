//! Splits the return value of a bulk call into one result per item.
//!
//! The options choose a strategy ([`Each`], [`Flat`], [`By`], [`Whole`]), and the return type implements [`HandOut`] for it:
//! [`shapes`] has the types that are not a `Result`, [`in_result`] has the others. [`Outcome`] is the part that signatures need,
//! the type that each caller gets. An expansion fits the two together with [`shaped`], and makes a [`bulk`] call from the body.
//! The bulk call may be made again with parts of a batch ([`split`]), and may get its items in order
//! ([`sorted`](mod@sorted)). [`matched`] is the option `item_by`.
//!
//! A bulk function may return rows in any order; what is made of them is in the order of the items: `by_item` in [`shapes`]
//! looks up each item. Nothing here locks, and nothing but the body waits.

mod bulk;
mod in_result;
pub(crate) mod matched;
mod shaped;
mod shapes;
mod sorted;
mod split;
#[cfg(test)]
mod tests;

pub use self::bulk::Bulk;
pub use self::shaped::{again, shape, shape_by, shape_by_part};
pub use self::sorted::sorted;

/// One result per item, in the order of the items.
pub type Results<R> = Result<Vec<R>, WrongNumber>;

/// A bulk call returned another number of results than it got items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongNumber {
    /// The number of items that it got.
    pub items: usize,
    /// The number of results that it returned.
    pub results: usize,
}

/// Results are in the order of the items, or in a map.
#[derive(Debug)]
pub struct Each;
/// The results of items are `Result`s themselves, within a `Result` for all.
#[derive(Debug)]
pub struct Flat;
/// An item gets the row that belongs to it, if there is one.
#[derive(Debug)]
pub struct OneBy;
/// An item gets all rows that belong to it.
#[derive(Debug)]
pub struct ManyBy;
/// Each caller gets the whole value.
#[derive(Debug)]
pub struct Whole;
/// `OneBy` or `ManyBy`, and the closure that returns the item to which a row belongs.
#[derive(Debug)]
pub struct By<K, F>(K, F);

/// A strategy that also applies to the success of a `Result`.
pub trait Nested {}
impl Nested for Each {}
impl Nested for OneBy {}
impl Nested for ManyBy {}
impl<K: Nested, F> Nested for By<K, F> {}

/// The type that each caller gets from a function that returns `Self`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be split among the callers of a batch",
    label = "not one result per item",
    note = "return `()`, a `Vec` with one result per item, a `HashMap` or `BTreeMap` keyed by item, or a `Result` of one of these",
    note = "for rows in any order add `one_by = |row| …` or `many_by = |row| …`; to give every caller the whole value, add `shared`"
)]
pub trait Outcome<T, K> {
    /// The type that each caller gets.
    type One;
    /// The strategy, fitted to `Self`.
    type Shaped;
}

/// Hands out a `Self`.
pub trait HandOut<T, H, S, One> {
    /// What is kept of the items while the bulk call has them.
    type Kept: Kept<T>;
    /// Makes one result per item. `sharing` copies values that more than one caller gets.
    fn hand_out(self, how: &H, kept: Self::Kept, sharing: &S) -> Results<One>;
}

/// A `Result` whose error splits the batch instead of being shared.
pub trait Split<T, H, S, One> {
    /// What is kept of the items while the bulk call has them.
    type Kept: Kept<T>;
    /// One result per item; or the error, in the form that the caller of a single bad item gets.
    fn split(self, how: &H, kept: Self::Kept, sharing: &S) -> Result<Results<One>, One>;
}

/// What is kept of the items: their number, or copies by which their results are found.
pub trait Kept<T>: Send + Sized {
    /// Keeps it.
    fn keep(items: &[T]) -> Self;
    /// The number of items.
    fn count(&self) -> usize;
}

impl<T> Kept<T> for usize {
    fn keep(items: &[T]) -> Self {
        items.len()
    }
    fn count(&self) -> usize {
        *self
    }
}

impl<T: Clone + Send> Kept<T> for Vec<T> {
    fn keep(items: &[T]) -> Self {
        items.to_vec()
    }
    fn count(&self) -> usize {
        self.len()
    }
}

/// A list of rows, or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "`one_by` and `many_by` need a function that returns its rows as a `Vec`, not as a `{Self}`",
    label = "not a `Vec` of rows"
)]
pub trait Rows {
    /// A row.
    type Row;
}

impl<R> Rows for Vec<R> {
    type Row = R;
}

#[diagnostic::do_not_recommend]
impl<X: Rows, E> Rows for Result<X, E> {
    type Row = X::Row;
}

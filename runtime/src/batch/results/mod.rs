//! How the results of a bulk call are handed out: from the value that the function returns to one result per item.
//!
//! A strategy says how ([`Each`], [`Flat`], [`By`], [`Whole`]); the function's own return type says the rest, as an
//! implementation of [`HandOut`]: [`shapes`] has those of what is not a `Result`, [`in_result`] the others. [`Outcome`] is the
//! part of it that signatures need: what each caller gets. [`shaped`] fits the two together for an expansion, which makes a
//! [`bulk`] call of the body. This may be made again with parts of a batch ([`split`]), or get its items in order ([`sorted`]).
//!
//! Nothing here waits or locks, but for running the body. Results go out in the order of the items.

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

/// Each item's own result, in the order of the items.
pub type Results<R> = Result<Vec<R>, WrongNumber>;

/// A bulk call gave another number of results than it got items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongNumber {
    /// What it got.
    pub items: usize,
    /// What it gave.
    pub results: usize,
}

/// By the order of the items, or by looking each up in a map.
#[derive(Debug)]
pub struct Each;
/// Each has a `Result` of its own, in one for all.
#[derive(Debug)]
pub struct Flat;
/// Each gets the row that belongs to it, if there is one.
#[derive(Debug)]
pub struct OneBy;
/// Each gets all rows that belong to it.
#[derive(Debug)]
pub struct ManyBy;
/// Each gets all of it.
#[derive(Debug)]
pub struct Whole;
/// `OneBy` or `ManyBy`, and the closure that tells to which item a row belongs.
#[derive(Debug)]
pub struct By<K, F>(K, F);

/// A strategy for what may stand in a `Result`.
pub trait Nested {}
impl Nested for Each {}
impl Nested for OneBy {}
impl Nested for ManyBy {}
impl<K: Nested, F> Nested for By<K, F> {}

/// What each caller of a function that returns `Self` gets.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be split among the callers of a batch",
    label = "not one result per item",
    note = "return `()`, a `Vec` with one result per item, a `HashMap` or `BTreeMap` keyed by item, or a `Result` of one of these",
    note = "for rows in any order add `one_by = |row| …` or `many_by = |row| …`; to give every caller the whole value, add `shared`"
)]
pub trait Outcome<T, K> {
    /// Each caller's.
    type One;
    /// The strategy, fitted to `Self`.
    type Shaped;
}

/// Hands out a `Self`.
pub trait HandOut<T, H, S, One> {
    /// What must be known of the items when they are gone.
    type Kept: Kept<T>;
    /// One result an item. `sharing` is asked only for what more than one caller gets.
    fn hand_out(self, how: &H, kept: Self::Kept, sharing: &S) -> Results<One>;
}

/// A `Result` whose error splits the batch instead of being shared.
pub trait Split<T, H, S, One> {
    /// What must be known of the items when they are gone.
    type Kept: Kept<T>;
    /// One result per item; or the error, in the form that the caller of a single bad item gets.
    fn split(self, how: &H, kept: Self::Kept, sharing: &S) -> Result<Results<One>, One>;
}

/// What is kept of the items while the bulk call has them.
pub trait Kept<T>: Send + Sized {
    /// Keeps it.
    fn keep(items: &[T]) -> Self;
    /// How many items there were.
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

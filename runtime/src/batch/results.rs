//! How the results of a bulk call are handed out: from what the function returns to one result an item.
//!
//! A strategy says how ([`Each`], [`Flat`], [`By`], [`Whole`]); the function's own return type says the rest, as an
//! implementation of [`HandOut`]. [`Outcome`] is the part of it that signatures need: what each caller gets.
//!
//! Nothing here waits or locks, but for running the body. Results go out in the order of the items.

use super::permit::Start;
use super::{Results, WrongNumber};
use crate::bounds::{Always, Never, Nothing, Output};
use crate::sharing::{Copies, Errors, IsResult};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

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
    type Kept: Send;
    /// Keeps it.
    fn keep(items: &[T]) -> Self::Kept;
    /// One result an item. `sharing` is asked only for what more than one caller gets.
    fn hand_out(self, how: &H, kept: Self::Kept, sharing: &S) -> Results<One>;
}

/// A `Result` whose error splits the batch instead of being shared.
pub trait Split<T, H, S, One> {
    /// What must be known of the items when they are gone.
    type Kept: Send;
    /// Keeps it.
    fn keep(items: &[T]) -> Self::Kept;
    /// One result an item; or the error, as the one caller gets it who may be left alone with it.
    fn split(self, how: &H, kept: Self::Kept, sharing: &S) -> Result<Results<One>, One>;
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

// ---- the table

/// An output that is not a `Result`. `One` is what belongs to an item, and `Top` what its caller gets: the
/// same, or a `Result` of it.
pub trait Shape<T, H, S, One, Top> {
    /// What must be known of the items when they are gone.
    type Kept: Send;
    /// Keeps it.
    fn keep(items: &[T]) -> Self::Kept;
    /// How many items there were.
    fn count(kept: &Self::Kept) -> usize;
    /// One for each.
    fn hand_out(self, how: &H, kept: Self::Kept, sharing: &S, top: fn(One) -> Top) -> Results<Top>;
}

impl<T, S, Top> Shape<T, Each, S, (), Top> for () {
    type Kept = usize;
    fn keep(items: &[T]) -> usize {
        items.len()
    }
    fn count(kept: &usize) -> usize {
        *kept
    }
    fn hand_out(self, _: &Each, items: usize, _: &S, top: fn(()) -> Top) -> Results<Top> {
        Ok((0..items).map(|_| top(())).collect())
    }
}

impl<T, S, Top, R> Shape<T, Each, S, R, Top> for Vec<R> {
    type Kept = usize;
    fn keep(items: &[T]) -> usize {
        items.len()
    }
    fn count(kept: &usize) -> usize {
        *kept
    }
    fn hand_out(self, _: &Each, items: usize, _: &S, top: fn(R) -> Top) -> Results<Top> {
        as_many(items, self.into_iter().map(top).collect())
    }
}

fn as_many<R>(items: usize, results: Vec<R>) -> Results<R> {
    if results.len() == items {
        Ok(results)
    } else {
        Err(WrongNumber {
            items,
            results: results.len(),
        })
    }
}

impl<T, S, Top, R, B> Shape<T, Each, S, Option<R>, Top> for HashMap<T, R, B>
where
    T: Eq + Hash + Clone + Send,
    S: Copies<Top>,
    B: BuildHasher,
{
    type Kept = Vec<T>;
    fn keep(items: &[T]) -> Vec<T> {
        items.to_vec()
    }
    fn count(kept: &Vec<T>) -> usize {
        kept.len()
    }
    fn hand_out(
        mut self,
        _: &Each,
        items: Vec<T>,
        sharing: &S,
        top: fn(Option<R>) -> Top,
    ) -> Results<Top> {
        let places = HashMap::<&T, Vec<usize>>::with_capacity(items.len());
        Ok(by_item(
            items.iter(),
            places,
            |item| top(self.remove(item)),
            sharing,
        ))
    }
}

impl<T, S, Top, R> Shape<T, Each, S, Option<R>, Top> for BTreeMap<T, R>
where
    T: Ord + Clone + Send,
    S: Copies<Top>,
{
    type Kept = Vec<T>;
    fn keep(items: &[T]) -> Vec<T> {
        items.to_vec()
    }
    fn count(kept: &Vec<T>) -> usize {
        kept.len()
    }
    fn hand_out(
        mut self,
        _: &Each,
        items: Vec<T>,
        sharing: &S,
        top: fn(Option<R>) -> Top,
    ) -> Results<Top> {
        let places = BTreeMap::<&T, Vec<usize>>::new();
        Ok(by_item(
            items.iter(),
            places,
            |item| top(self.remove(item)),
            sharing,
        ))
    }
}

impl<T, S, Top, R, F> Shape<T, By<OneBy, F>, S, Option<R>, Top> for Vec<R>
where
    T: Eq + Hash + Clone + Send,
    S: Copies<Top>,
    F: Fn(&R) -> T,
{
    type Kept = Vec<T>;
    fn keep(items: &[T]) -> Vec<T> {
        items.to_vec()
    }
    fn count(kept: &Vec<T>) -> usize {
        kept.len()
    }
    fn hand_out(
        self,
        By(_, item_of): &By<OneBy, F>,
        items: Vec<T>,
        sharing: &S,
        top: fn(Option<R>) -> Top,
    ) -> Results<Top> {
        let mut rows = HashMap::with_capacity(self.len());
        for row in self {
            rows.entry(item_of(&row)).or_insert(row);
        }
        let places = HashMap::<&T, Vec<usize>>::with_capacity(items.len());
        Ok(by_item(
            items.iter(),
            places,
            |item| top(rows.remove(item)),
            sharing,
        ))
    }
}

impl<T, S, Top, R, F> Shape<T, By<ManyBy, F>, S, Vec<R>, Top> for Vec<R>
where
    T: Eq + Hash + Clone + Send,
    S: Copies<Top>,
    F: Fn(&R) -> T,
{
    type Kept = Vec<T>;
    fn keep(items: &[T]) -> Vec<T> {
        items.to_vec()
    }
    fn count(kept: &Vec<T>) -> usize {
        kept.len()
    }
    fn hand_out(
        self,
        By(_, item_of): &By<ManyBy, F>,
        items: Vec<T>,
        sharing: &S,
        top: fn(Vec<R>) -> Top,
    ) -> Results<Top> {
        let mut rows = HashMap::<T, Vec<R>>::with_capacity(items.len());
        for row in self {
            rows.entry(item_of(&row)).or_default().push(row);
        }
        let places = HashMap::<&T, Vec<usize>>::with_capacity(items.len());
        Ok(by_item(
            items.iter(),
            places,
            |item| top(rows.remove(item).unwrap_or_default()),
            sharing,
        ))
    }
}

/// The places of equal items.
trait Places<'a, T: 'a>: IntoIterator<Item = (&'a T, Vec<usize>)> {
    fn of(&mut self, item: &'a T) -> &mut Vec<usize>;
}

impl<'a, T: Eq + Hash> Places<'a, T> for HashMap<&'a T, Vec<usize>> {
    fn of(&mut self, item: &'a T) -> &mut Vec<usize> {
        self.entry(item).or_default()
    }
}

impl<'a, T: Ord> Places<'a, T> for BTreeMap<&'a T, Vec<usize>> {
    fn of(&mut self, item: &'a T) -> &mut Vec<usize> {
        self.entry(item).or_default()
    }
}

/// Looks up each distinct item once; equal ones share what is found.
fn by_item<'a, T: 'a, O>(
    items: impl ExactSizeIterator<Item = &'a T>,
    mut places: impl Places<'a, T>,
    mut find: impl FnMut(&T) -> O,
    sharing: &impl Copies<O>,
) -> Vec<O> {
    let mut all: Vec<Option<O>> = (0..items.len()).map(|_| None).collect();
    for (place, item) in items.enumerate() {
        places.of(item).push(place);
    }
    for (item, places) in places {
        for (place, copy) in places.iter().zip(sharing.copies(find(item), places.len())) {
            all[*place] = Some(copy);
        }
    }
    all.into_iter().flatten().collect()
}

macro_rules! shapes {
    ($([$($generic:ident)*] $how:ty, $shape:ty => $one:ty;)*) => {$(
        impl<T, $($generic),*> Outcome<T, $how> for $shape {
            type One = $one;
            type Shaped = Shaped<Self, T, $how, $one>;
        }
        #[diagnostic::do_not_recommend]
        impl<T, S, $($generic),*> HandOut<T, $how, S, $one> for $shape
        where
            Self: Shape<T, $how, S, $one, $one>,
        {
            type Kept = <Self as Shape<T, $how, S, $one, $one>>::Kept;
            fn keep(items: &[T]) -> Self::Kept {
                <Self as Shape<T, $how, S, $one, $one>>::keep(items)
            }
            fn hand_out(self, how: &$how, kept: Self::Kept, sharing: &S) -> Results<$one> {
                Shape::hand_out(self, how, kept, sharing, |one| one)
            }
        }
    )*};
}

shapes! {
    [] Each, () => ();
    [R] Each, Vec<R> => R;
    // By whatever keys, here: with the wrong ones, what is missing is told of by `Shares`, once.
    [K R B] Each, HashMap<K, R, B> => Option<R>;
    [K R] Each, BTreeMap<K, R> => Option<R>;
}

impl<T, R> Outcome<T, OneBy> for Vec<R> {
    type One = Option<R>;
    type Shaped = Shaped<Self, T, OneBy, Option<R>>;
}

#[diagnostic::do_not_recommend]
impl<T, S, R, F> HandOut<T, By<OneBy, F>, S, Option<R>> for Vec<R>
where
    Self: Shape<T, By<OneBy, F>, S, Option<R>, Option<R>>,
{
    type Kept = <Self as Shape<T, By<OneBy, F>, S, Option<R>, Option<R>>>::Kept;
    fn keep(items: &[T]) -> Self::Kept {
        <Self as Shape<T, By<OneBy, F>, S, Option<R>, Option<R>>>::keep(items)
    }
    fn hand_out(self, how: &By<OneBy, F>, kept: Self::Kept, sharing: &S) -> Results<Option<R>> {
        Shape::hand_out(self, how, kept, sharing, |one| one)
    }
}

impl<T, R> Outcome<T, ManyBy> for Vec<R> {
    type One = Vec<R>;
    type Shaped = Shaped<Self, T, ManyBy, Vec<R>>;
}

#[diagnostic::do_not_recommend]
impl<T, S, R, F> HandOut<T, By<ManyBy, F>, S, Vec<R>> for Vec<R>
where
    Self: Shape<T, By<ManyBy, F>, S, Vec<R>, Vec<R>>,
{
    type Kept = <Self as Shape<T, By<ManyBy, F>, S, Vec<R>, Vec<R>>>::Kept;
    fn keep(items: &[T]) -> Self::Kept {
        <Self as Shape<T, By<ManyBy, F>, S, Vec<R>, Vec<R>>>::keep(items)
    }
    fn hand_out(self, how: &By<ManyBy, F>, kept: Self::Kept, sharing: &S) -> Results<Vec<R>> {
        Shape::hand_out(self, how, kept, sharing, |one| one)
    }
}

// ---- in a `Result`

impl<T, K: Nested, X: Outcome<T, K>, E> Outcome<T, K> for Result<X, E> {
    type One = Result<X::One, E>;
    type Shaped = Shaped<Self, T, K, Result<X::One, E>>;
}

#[diagnostic::do_not_recommend]
impl<T, H, S, O, X, E> HandOut<T, H, S, Result<O, E>> for Result<X, E>
where
    H: Nested,
    X: Shape<T, H, S, O, Result<O, E>>,
    S: Errors<O, E>,
{
    type Kept = X::Kept;
    fn keep(items: &[T]) -> X::Kept {
        X::keep(items)
    }
    fn hand_out(self, how: &H, kept: X::Kept, sharing: &S) -> Results<Result<O, E>> {
        match self {
            Ok(output) => output.hand_out(how, kept, sharing, Ok),
            Err(error) => Ok(sharing.errors(error, X::count(&kept))),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T, H, S, O, X, E> Split<T, H, S, Result<O, E>> for Result<X, E>
where
    H: Nested,
    X: Shape<T, H, S, O, Result<O, E>>,
{
    type Kept = X::Kept;
    fn keep(items: &[T]) -> X::Kept {
        X::keep(items)
    }
    fn split(
        self,
        how: &H,
        kept: X::Kept,
        sharing: &S,
    ) -> Result<Results<Result<O, E>>, Result<O, E>> {
        match self {
            Ok(output) => Ok(output.hand_out(how, kept, sharing, Ok)),
            Err(error) => Err(Err(error)),
        }
    }
}

impl<T, R, E> Outcome<T, Flat> for Result<Vec<Result<R, E>>, E> {
    type One = Result<R, E>;
    type Shaped = Shaped<Self, T, Flat, Result<R, E>>;
}

#[diagnostic::do_not_recommend]
impl<T, S: Errors<R, E>, R, E> HandOut<T, Flat, S, Result<R, E>> for Result<Vec<Result<R, E>>, E> {
    type Kept = usize;
    fn keep(items: &[T]) -> usize {
        items.len()
    }
    fn hand_out(self, _: &Flat, items: usize, sharing: &S) -> Results<Result<R, E>> {
        match self {
            Ok(results) => as_many(items, results),
            Err(error) => Ok(sharing.errors(error, items)),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T, S, R, E> Split<T, Flat, S, Result<R, E>> for Result<Vec<Result<R, E>>, E> {
    type Kept = usize;
    fn keep(items: &[T]) -> usize {
        items.len()
    }
    fn split(self, _: &Flat, items: usize, _: &S) -> Result<Results<Result<R, E>>, Result<R, E>> {
        self.map(|results| as_many(items, results)).map_err(Err)
    }
}

impl<T, X> Outcome<T, Whole> for X {
    type One = X;
    type Shaped = Shaped<X, T, Whole, X>;
}

#[diagnostic::do_not_recommend]
impl<T, X, S: Copies<X>> HandOut<T, Whole, S, X> for X {
    type Kept = usize;
    fn keep(items: &[T]) -> usize {
        items.len()
    }
    fn hand_out(self, _: &Whole, items: usize, sharing: &S) -> Results<X> {
        Ok(sharing.copies(self, items))
    }
}

// ---- what an expansion writes

/// A strategy for an output `X` of which each caller gets an `O`.
#[derive(Debug)]
pub struct Shaped<X, T, H, O>(H, PhantomData<fn(T, X, O)>);

/// Fits a strategy to the output `X` for items `T`.
///
/// It returns what the trait says of the output: where that says nothing, there is one error, and no more of what is
/// done with this.
pub fn shape<X, T, H, O>(how: H, _: Output<(X, T)>) -> X::Shaped
where
    X: Outcome<T, H, One = O, Shaped = Shaped<X, T, H, O>>,
{
    Shaped(how, PhantomData)
}

/// The same, by the closure that tells to which item a row belongs.
pub fn shape_by<X, T, K, F>(
    kind: K,
    _: Output<(X, T)>,
    item_of: F,
) -> Shaped<X, T, By<K, F>, X::One>
where
    X: Rows + Outcome<T, K>,
    F: Fn(&X::Row) -> T,
{
    Shaped(By(kind, item_of), PhantomData)
}

/// What a closure, which needs nothing to be known of what it returns, says to which item a row belongs. See
/// [`bounds`](crate::bounds) for `M`.
#[diagnostic::on_unimplemented(
    message = "this closure must return the item that a row belongs to, a `{T}`, and it returns a `{Self}`",
    label = "returns a `{Self}`, but the items are `{T}`",
    note = "to compare a part of each item with it, add `item_by = |item| …`, which returns that part of an item"
)]
pub trait ItemOf<T, M> {
    /// `X`.
    type If<X>;
    /// `X`.
    fn then<X>(x: X) -> Self::If<X>;
}

/// Only `T` itself.
pub trait Is<T> {}
impl<T> Is<T> for T {}

#[diagnostic::do_not_recommend]
impl<T, V: Is<T>> ItemOf<T, Always> for V {
    type If<X> = X;
    fn then<X>(x: X) -> X {
        x
    }
}

#[diagnostic::do_not_recommend]
impl<T, V: Nothing> ItemOf<T, Never> for V {
    type If<X> = X;
    fn then<X>(x: X) -> X {
        x
    }
}

/// The same as [`shape_by`], with an error that is about the closure.
pub fn shape_by_part<X, T, K, F, V, M>(
    kind: K,
    _: Output<(X, T)>,
    item_of: F,
) -> V::If<Shaped<X, T, By<K, F>, X::One>>
where
    X: Rows + Outcome<T, K>,
    F: Fn(&X::Row) -> V,
    V: ItemOf<T, M>,
{
    V::then(Shaped(By(kind, item_of), PhantomData))
}

// Methods, since these make the compiler resolve what has been said so far; and the traits are `S`'s, which is resolved
// last: with anything still unknown, there would be but one implementation to choose from.
impl<X, T, H, O> Shaped<X, T, H, O> {
    /// Says how what several callers get is shared by them. See [`bounds`](crate::bounds) for `M`.
    pub fn __piggyback_share<S: Shares<X, T, H, O, M>, M>(self, sharing: S) -> S::Handing {
        sharing.handing(self.0)
    }

    /// The same for a map whose keys are called something else than the items.
    pub fn __piggyback_share_by_key<S: SharesByKey<X, T, H, O, M>, M>(
        self,
        sharing: S,
    ) -> S::Handing {
        sharing.handing(self.0)
    }

    /// The same for a batch that is split by its errors.
    pub fn __piggyback_share_split<S: SharesParts<X, T, H, O, M>, M>(
        self,
        sharing: S,
    ) -> S::Handing {
        sharing.handing(self.0)
    }
}

/// An item that may be tried more than once. See [`bounds`](crate::bounds) for `M`.
#[diagnostic::on_unimplemented(
    message = "`{T}` must be `Clone`, since `split_on_err` runs the items of a failed batch again",
    label = "`{T}` is not `Clone`",
    note = "derive `Clone` for `{T}` (for a type parameter, add the bound), put the items in an `Arc`, or remove `split_on_err`"
)]
pub trait Again<T, M> {
    /// What knows it.
    type Items;
    /// What knows it.
    fn items() -> Self::Items;
}

/// Items of which parts may be tried again.
#[derive(Debug)]
pub struct Items<T>(PhantomData<fn() -> T>);

#[diagnostic::do_not_recommend]
impl<T: Clone> Again<T, Always> for Output<T> {
    type Items = Items<T>;
    fn items() -> Items<T> {
        Items(PhantomData)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Nothing> Again<T, Never> for Output<T> {
    type Items = ();
    fn items() {}
}

/// States that items may be tried again. An expansion calls it with their span, so that errors point there.
pub fn again<T, M>(_: Output<T>) -> <Output<T> as Again<T, M>>::Items
where
    Output<T>: Again<T, M>,
{
    <Output<T> as Again<T, M>>::items()
}

impl<T> Items<T> {
    /// By this strategy.
    pub fn __piggyback_by<X, H, O>(self, shaped: Shaped<X, T, H, O>) -> Shaped<X, T, H, O> {
        shaped
    }
}

/// How a bulk call's output is handed out.
#[derive(Debug)]
pub struct Handing<X, T, H, S, O>(H, S, PhantomData<fn(T, X, O)>);

/// States of a sharing that it goes with an output: a trait for each way to say what is missing. See
/// [`bounds`](crate::bounds) for `M`.
macro_rules! states {
    ($($(#[$attribute:meta])* $states:ident: $needs:ident;)*) => {$(
        $(#[$attribute])*
        pub trait $states<X, T, H, O, M> {
            /// Both.
            type Handing;
            /// Both.
            fn handing(self, how: H) -> Self::Handing;
        }

        #[diagnostic::do_not_recommend]
        impl<X: $needs<T, H, S, O>, T, H, S, O> $states<X, T, H, O, Always> for S {
            type Handing = Handing<X, T, H, S, O>;
            fn handing(self, how: H) -> Self::Handing {
                Handing(how, self, PhantomData)
            }
        }

        #[diagnostic::do_not_recommend]
        impl<X, T, H, S: Nothing, O> $states<X, T, H, O, Never> for S {
            type Handing = Handing<X, T, H, S, O>;
            fn handing(self, _: H) -> Self::Handing {
                unreachable!("nothing is `Nothing`")
            }
        }
    )*};
}

states! {
    /// States that `sharing` shares what several callers get.
    #[diagnostic::on_unimplemented(
        message = "`{X}` can't be split among the callers of a batch whose items are `{T}`",
        label = "each caller would get a `{O}`",
        note = "if this is a `Result` whose error is not `Clone`, add `share_err = …`",
        note = "results that are found by their item need `{T}: Hash + Eq + Clone` (`Ord` for a `BTreeMap`), and a map must be keyed by `{T}`",
        note = "a result that several callers can get must be `Clone`, or copied by `clone_with = …`"
    )]
    Shares: HandOut;
    /// States the same where results are looked up by what may be another type than the items.
    #[diagnostic::on_unimplemented(
        message = "the map that a bulk function returns must be keyed by its item type, `{T}`, and this is a `{X}`",
        label = "not a map keyed by `{T}`, or `{T}` is not `Hash + Eq + Clone` (`Ord + Clone` for a `BTreeMap`)",
        note = "change the keys to `{T}`; if they are the same type under another name, derive the traits named above for it"
    )]
    SharesByKey: HandOut;
    /// States the same where errors split the batch.
    #[diagnostic::on_unimplemented(
        message = "`split_on_err` needs a `Result` whose `Ok` can be split among the callers, not a `{X}`",
        label = "not a `Result`, or its `Ok` can't be split",
        note = "results that are found by their item need `{T}: Hash + Eq + Clone` (`Ord` for a `BTreeMap`), and a map must be keyed by `{T}`"
    )]
    SharesParts: Split;
}

/// What an expansion gives a batch: the bulk call, and how its results are handed out.
pub trait Bulk<T, R>: Start + Send + 'static {
    /// The body's closure: its type is one for each monomorphisation.
    type Body: 'static;
    /// Makes the call.
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<R>> + Send + 'static
    where
        T: Send + 'static;
}

/// A bulk call that is made once.
#[derive(Debug)]
pub struct Once<X, T, H, S, O, B>(Handing<X, T, H, S, O>, B);

/// A bulk call that is made again with parts of a batch.
#[derive(Debug)]
pub struct InParts<X, T, H, S, O, B>(Handing<X, T, H, S, O>, B);

// The compiler shows the lines of these bounds, with their ends, if a body does not meet them.
impl<X, T, H, S, O> Handing<X, T, H, S, O> {
    /// What one call returns is handed out.
    pub fn __piggyback_bulk<B, F>(self, body: B) -> Once<X, T, H, S, O, B>
    where
        B: FnOnce(Vec<T>) -> F + Send + 'static,
        F: Future<Output = X> + Send + 'static, // since the bulk call runs in its own task
    {
        Once(self, body)
    }

    /// Where a call returns an error, its halves are tried.
    pub fn __piggyback_split<B, F>(self, body: B) -> InParts<X, T, H, S, O, B>
    where
        T: Clone,
        B: FnMut(Vec<T>) -> F + Send + 'static,
        F: Future<Output = X> + Send + 'static, // since the bulk call runs in its own task
    {
        InParts(self, body)
    }

    /// The same, but only after errors for which `splits` says so: the callers of a part that gets another share that.
    pub fn __piggyback_split_if<P, B, F>(self, splits: P, body: B) -> InPartsIf<X, T, H, S, O, P, B>
    where
        T: Clone,
        X: IsResult,
        P: Fn(&X::Err) -> bool + Send + 'static,
        B: FnMut(Vec<T>) -> F + Send + 'static,
        F: Future<Output = X> + Send + 'static, // since the bulk call runs in its own task
    {
        InPartsIf(self, splits, body)
    }
}

/// A bulk call that is made again with parts of a batch, after some errors.
#[derive(Debug)]
pub struct InPartsIf<X, T, H, S, O, P, B>(Handing<X, T, H, S, O>, P, B);

impl<X, T, H, S, O, P, B, F> Bulk<T, O> for InPartsIf<X, T, H, S, O, P, B>
where
    X: HandOut<T, H, S, O> + Split<T, H, S, O> + IsResult + 'static,
    T: Clone + 'static,
    H: Send + 'static,
    S: Send + 'static,
    O: Send + 'static,
    P: Fn(&X::Err) -> bool + Send + 'static,
    B: FnMut(Vec<T>) -> F + Send + 'static,
    F: Future<Output = X> + Send + 'static,
{
    type Body = B;
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<O>> + Send + 'static
    where
        T: Send + 'static,
    {
        let Self(handing, splits, body) = self;
        split(
            handing,
            items,
            body,
            move |output: X, items, how: &H, sharing: &S| match output.into_result() {
                Err(error) if !splits(&error) => {
                    let kept = <X as HandOut<T, H, S, O>>::keep(items);
                    Err(X::from_result(Err(error)).hand_out(how, kept, sharing))
                }
                output => Ok(X::from_result(output)),
            },
        )
    }
}

impl<X, T, H, S, O, B, F> Bulk<T, O> for Once<X, T, H, S, O, B>
where
    X: HandOut<T, H, S, O> + 'static,
    T: 'static,
    H: Send + 'static,
    S: Send + 'static,
    O: 'static,
    B: FnOnce(Vec<T>) -> F + Send + 'static,
    F: Future<Output = X> + Send + 'static,
{
    type Body = B;
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<O>> + Send + 'static
    where
        T: Send + 'static,
    {
        let Self(handing, body) = self;
        bulk(handing, items, body)
    }
}

impl<X, T, H, S, O, B, F> Bulk<T, O> for InParts<X, T, H, S, O, B>
where
    X: Split<T, H, S, O> + 'static,
    T: Clone + 'static,
    H: Send + 'static,
    S: Send + 'static,
    O: Send + 'static,
    B: FnMut(Vec<T>) -> F + Send + 'static,
    F: Future<Output = X> + Send + 'static,
{
    type Body = B;
    fn run(self, items: Vec<T>) -> impl Future<Output = Results<O>> + Send + 'static
    where
        T: Send + 'static,
    {
        let Self(handing, body) = self;
        split(handing, items, body, |output, _, _, _| Ok(output))
    }
}

impl<X, T, H, S, O, B> Start for Once<X, T, H, S, O, B> {}
impl<X, T, H, S, O, B> Start for InParts<X, T, H, S, O, B> {}
impl<X, T, H, S, O, P, B> Start for InPartsIf<X, T, H, S, O, P, B> {}
impl<B> Start for Sorted<B> {}

/// A bulk call that gets its items in order. They come with what they are sorted by.
#[derive(Debug)]
pub struct Sorted<B>(B);

/// A bulk call for items in order.
pub fn sorted<B>(bulk: B) -> Sorted<B> {
    Sorted(bulk)
}

impl<O, T, R, B> Bulk<(O, T), R> for Sorted<B>
where
    O: Ord + Send + 'static,
    T: Send + 'static,
    R: Send + 'static,
    B: Bulk<T, R>,
{
    type Body = B::Body;
    fn run(self, items: Vec<(O, T)>) -> impl Future<Output = Results<R>> + Send + 'static {
        in_order(self.0, items)
    }
}

/// Sorts within the future, whose panics reach the callers: comparing is user code.
async fn in_order<O, T, R, B>(bulk: B, items: Vec<(O, T)>) -> Results<R>
where
    O: Ord,
    T: Send + 'static,
    B: Bulk<T, R>,
{
    let (places, items) = sort(items);
    Ok(put_back(&places, bulk.run(items).await?))
}

/// Items in order, equal ones as they came; and the place that each had before.
fn sort<O: Ord, T>(items: Vec<(O, T)>) -> (Vec<usize>, Vec<T>) {
    let mut items: Vec<_> = items.into_iter().enumerate().collect();
    items.sort_by(|(_, (a, _)), (_, (b, _))| a.cmp(b));
    items
        .into_iter()
        .map(|(place, (_, item))| (place, item))
        .unzip()
}

/// Results in the order in which the items came.
fn put_back<R>(places: &[usize], results: Vec<R>) -> Vec<R> {
    let mut results: Vec<_> = places.iter().zip(results).collect();
    results.sort_unstable_by_key(|&(place, _)| place);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs the body on the items, and hands out what it returns.
fn bulk<X, T, H, S, O, B, F>(
    handing: Handing<X, T, H, S, O>,
    items: Vec<T>,
    body: B,
) -> impl Future<Output = Results<O>>
where
    X: HandOut<T, H, S, O>,
    B: FnOnce(Vec<T>) -> F,
    F: Future<Output = X>,
{
    Handed::Begins {
        handing,
        items,
        body,
    }
}

pin_project! {
    /// One call, whose output is handed out. By hand, since an `async fn` would have room for the items twice.
    #[project = Doing]
    #[project_replace = Did]
    enum Handed<X, T, H, S, O, B, F, K> {
        Begins { handing: Handing<X, T, H, S, O>, items: Vec<T>, body: B },
        Runs { #[pin] body: F, handing: Handing<X, T, H, S, O>, kept: K },
        Ended,
    }
}

impl<X, T, H, S, O, B, F> Future for Handed<X, T, H, S, O, B, F, X::Kept>
where
    X: HandOut<T, H, S, O>,
    B: FnOnce(Vec<T>) -> F,
    F: Future<Output = X>,
{
    type Output = Results<O>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Results<O>> {
        if matches!(*self, Self::Begins { .. }) {
            if let Did::Begins {
                handing,
                items,
                body,
            } = self.as_mut().project_replace(Self::Ended)
            {
                let kept = X::keep(&items);
                let body = body(items);
                self.set(Self::Runs {
                    body,
                    handing,
                    kept,
                });
            }
        }
        let output = match self.as_mut().project() {
            Doing::Runs { body, .. } => ready!(body.poll(cx)),
            _ => panic!("polled again after it had ended"),
        };
        match self.project_replace(Self::Ended) {
            Did::Runs {
                handing: Handing(how, sharing, _),
                kept,
                ..
            } => Poll::Ready(output.hand_out(&how, kept, &sharing)),
            _ => unreachable!("it ran"),
        }
    }
}

/// Runs the body on the items, and, where it fails, on the halves, down to those that fail alone. For one bad item of
/// n these are at most 1 + 2·log2(n) calls: when the first half is fine, the second is known to hold the bad one, and
/// is not tried as a whole.
///
/// `look` takes those errors out that are for all callers of a part.
async fn split<X, T, H, S, O, B, F, L>(
    handing: Handing<X, T, H, S, O>,
    items: Vec<T>,
    mut body: B,
    look: L,
) -> Results<O>
where
    L: Fn(X, &[T], &H, &S) -> Result<X, Results<O>>,
    X: Split<T, H, S, O>,
    T: Clone,
    B: FnMut(Vec<T>) -> F,
    F: Future<Output = X>,
{
    let Handing(how, sharing, _) = handing;
    let mut results: Vec<Option<O>> = items.iter().map(|_| None).collect();
    let mut todo = vec![Part {
        range: 0..items.len(),
        side: Side::All,
    }];
    while let Some(Part { range, side }) = todo.pop() {
        if side == Side::SecondOfBad && range.len() > 1 {
            todo.extend(halves(range));
            continue;
        }
        let part = &items[range.clone()];
        let kept = X::keep(part);
        let output = body(part.to_vec()).await;
        let output = match look(output, &items[range.clone()], &how, &sharing) {
            Ok(output) => output,
            Err(for_all) => {
                for (place, one) in range.zip(for_all?) {
                    results[place] = Some(one);
                }
                continue;
            }
        };
        match output.split(&how, kept, &sharing) {
            Ok(handed_out) => {
                for (place, one) in range.zip(handed_out?) {
                    results[place] = Some(one);
                }
                if let (Side::First, Some(second)) = (side, todo.last_mut()) {
                    second.side = Side::SecondOfBad;
                }
            }
            Err(error) if range.len() == 1 => results[range.start] = Some(error),
            Err(_) => todo.extend(halves(range)),
        }
    }
    Ok(results.into_iter().flatten().collect())
}

/// Items yet to be tried.
struct Part {
    range: Range<usize>,
    side: Side,
}

/// What is known of them.
#[derive(PartialEq)]
enum Side {
    All,
    First,
    /// The first half is not yet known to be fine.
    Second,
    /// It is.
    SecondOfBad,
}

/// The first half is the last to be pushed, and so the next to be tried.
fn halves(Range { start, end }: Range<usize>) -> [Part; 2] {
    let middle = start + (end - start) / 2;
    [
        Part {
            range: middle..end,
            side: Side::Second,
        },
        Part {
            range: start..middle,
            side: Side::First,
        },
    ]
}

/// A weight, as a closure gives it.
#[diagnostic::on_unimplemented(
    message = "`weight` takes a closure that returns an integer, for example `|row| row.len()`, not a `{Self}`",
    label = "not an integer"
)]
pub trait Weight {
    /// In the unit of `max_weight`.
    fn weight(self) -> u64;
}

macro_rules! weights {
    ($($int:ty)*) => {$(
        impl Weight for $int {
            fn weight(self) -> u64 {
                u64::try_from(self).unwrap_or(0)
            }
        }
    )*};
}
weights!(u8 u16 u32 u64 usize i32);

/// An item's weight.
pub fn weight<T, W: Weight>(item: &T, weight: impl FnOnce(&T) -> W) -> u64 {
    weight(item).weight()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::output;
    use crate::sharing::{BY_CLONE, Cloned, clone_with, share_err_in_batch};
    use std::future::ready;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    /// In the order in which an expansion says it.
    async fn bulk<X, T, H, S, F>(
        how: H,
        sharing: S,
        items: Vec<T>,
        body: impl FnOnce(Vec<T>) -> F,
    ) -> Results<<X as Outcome<T, H>>::One>
    where
        X: Outcome<T, H> + HandOut<T, H, S, <X as Outcome<T, H>>::One>,
        F: Future<Output = X>,
    {
        super::bulk(
            Shaped::<X, T, H, X::One>(how, PhantomData).__piggyback_share(sharing),
            items,
            body,
        )
        .await
    }

    async fn bulk_by<X, T, K: Send, C, S, F>(
        kind: K,
        by: C,
        sharing: S,
        items: Vec<T>,
        body: impl FnOnce(Vec<T>) -> F,
    ) -> Results<<X as Outcome<T, K>>::One>
    where
        X: Rows + Outcome<T, K> + HandOut<T, By<K, C>, S, <X as Outcome<T, K>>::One>,
        C: Fn(&X::Row) -> T + Send,
        F: Future<Output = X>,
    {
        super::bulk(
            shape_by(kind, output::<(X, T)>(), by).__piggyback_share(sharing),
            items,
            body,
        )
        .await
    }

    async fn split<X, T: Clone, F>(
        items: Vec<T>,
        body: impl FnMut(Vec<T>) -> F,
    ) -> Results<<X as Outcome<T, Each>>::One>
    where
        X: Outcome<T, Each> + Split<T, Each, Cloned, <X as Outcome<T, Each>>::One>,
        F: Future<Output = X>,
    {
        super::split(
            Shaped::<X, T, Each, X::One>(Each, PhantomData).__piggyback_share_split(BY_CLONE),
            items,
            body,
            |output, _, _, _| Ok(output),
        )
        .await
    }

    /// Bodies here never wait.
    fn now<F: Future>(future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("not ready"),
        }
    }

    #[derive(Debug, PartialEq)]
    struct NotClone(u32);

    #[test]
    fn a_list_is_handed_out_in_order() {
        let ones = now(bulk(Each, BY_CLONE, vec![1, 2, 3], |items| {
            ready(items.into_iter().map(NotClone).collect::<Vec<_>>())
        }));
        assert_eq!(ones.unwrap(), [NotClone(1), NotClone(2), NotClone(3)]);
    }

    #[test]
    fn nothing_is_handed_out_to_each() {
        assert_eq!(
            now(bulk(Each, BY_CLONE, vec![1, 2], |_| ready(()))).unwrap(),
            [(), ()]
        );
    }

    #[test]
    fn a_wrong_number_says_both_numbers() {
        let wrong = now(bulk(Each, BY_CLONE, vec![1, 2, 3], |_| ready(vec![0]))).unwrap_err();
        assert_eq!((wrong.items, wrong.results), (3, 1));
        let wrong = now(bulk(Each, BY_CLONE, vec![1], |_| {
            ready(Ok::<_, u8>(vec![0, 1]))
        }))
        .unwrap_err();
        assert_eq!((wrong.items, wrong.results), (1, 2));
    }

    #[test]
    fn maps_are_looked_up_and_equal_items_share() {
        let ones = now(bulk(Each, BY_CLONE, vec![1, 2, 1, 3], |_| {
            ready(HashMap::from([(1, "a"), (3, "c")]))
        }));
        assert_eq!(ones.unwrap(), [Some("a"), None, Some("a"), Some("c")]);
        let ones = now(bulk(Each, BY_CLONE, vec![2, 2], |_| {
            ready(Ok::<_, u8>(BTreeMap::from([(2, "b")])))
        }));
        assert_eq!(ones.unwrap(), [Ok(Some("b")), Ok(Some("b"))]);
    }

    #[test]
    fn rows_are_handed_out_by_their_items() {
        let rows = || vec![(3, "c"), (1, "a"), (3, "d")];
        let ones = now(bulk_by(
            OneBy,
            |row: &(i32, _)| row.0,
            BY_CLONE,
            vec![1, 2, 3],
            |_| ready(rows()),
        ));
        assert_eq!(ones.unwrap(), [Some((1, "a")), None, Some((3, "c"))]);
        let many = now(bulk_by(
            ManyBy,
            |row: &(i32, _)| row.0,
            BY_CLONE,
            vec![1, 2, 3, 3],
            |_| ready(Ok::<_, u8>(rows())),
        ));
        let [one, none, three, also_three] = &many.unwrap()[..] else {
            panic!("four items")
        };
        assert_eq!((one, none), (&Ok(vec![(1, "a")]), &Ok(vec![])));
        assert_eq!(
            (three, also_three),
            (&Ok(vec![(3, "c"), (3, "d")]), &Ok(vec![(3, "c"), (3, "d")]))
        );
    }

    #[test]
    fn one_answer_is_for_all() {
        assert_eq!(
            now(bulk(Whole, BY_CLONE, vec![1, 2], |items| ready(
                items.len()
            )))
            .unwrap(),
            [2, 2]
        );
        assert_eq!(
            now(bulk(Whole, BY_CLONE, vec![1, 2], |_| ready(Err::<u8, _>(
                "no"
            ))))
            .unwrap(),
            [Err("no"), Err("no")]
        );
    }

    #[test]
    fn results_within_a_result_are_flat() {
        let ones = now(bulk(Flat, BY_CLONE, vec![1, 2], |_| {
            ready(Ok(vec![Ok(NotClone(1)), Err("two")]))
        }));
        assert_eq!(ones.unwrap(), [Ok(NotClone(1)), Err("two")]);
        let ones = now(bulk(Flat, BY_CLONE, vec![1, 2], |_| {
            ready(Err::<Vec<Result<u8, _>>, _>("all"))
        }));
        assert_eq!(ones.unwrap(), [Err("all"), Err("all")]);
    }

    #[test]
    fn an_error_reaches_each_whatever_a_success_would_have_been() {
        let items = || vec![1, 2];
        let hashed = |_| ready(Err::<HashMap<i32, u8>, _>("no"));
        let sorted = |_| ready(Err::<BTreeMap<i32, u8>, _>("no"));
        let rows = |_| ready(Err::<Vec<i32>, _>("no"));
        let all = [
            now(bulk(Each, BY_CLONE, items(), hashed)).unwrap(),
            now(bulk(Each, BY_CLONE, items(), sorted)).unwrap(),
        ];
        assert_eq!(all, [[Err("no"), Err("no")], [Err("no"), Err("no")]]);
        let one = now(bulk_by(OneBy, |&row: &i32| row, BY_CLONE, items(), rows));
        assert_eq!(one.unwrap(), [Err("no"), Err("no")]);
        let many = now(bulk_by(ManyBy, |&row: &i32| row, BY_CLONE, items(), rows));
        assert_eq!(many.unwrap(), [Err("no"), Err("no")]);
    }

    #[test]
    fn one_answer_is_copied_by_clone_with() {
        let copy = |NotClone(n): &NotClone| NotClone(*n);
        let all = now(bulk(
            Whole,
            clone_with(output(), copy),
            vec![1, 2],
            |items| ready(NotClone(items.len() as u32)),
        ));
        assert_eq!(all.unwrap(), [NotClone(2), NotClone(2)]);
    }

    #[test]
    fn results_within_a_result_are_flat_after_a_split_too() {
        type Saved = Result<Vec<Result<u32, &'static str>>, &'static str>;
        let flat = Shaped::<Saved, u32, Flat, Result<u32, &'static str>>(Flat, PhantomData);
        let save = |items: Vec<u32>| {
            ready(if items.contains(&3) {
                Err("three")
            } else {
                let save = |item| if item == 2 { Err("two") } else { Ok(item) };
                Ok(items.into_iter().map(save).collect())
            })
        };
        let each = now(super::split(
            flat.__piggyback_share_split(BY_CLONE),
            vec![1, 2, 3, 4],
            save,
            |output, _, _, _| Ok(output),
        ));
        assert_eq!(each.unwrap(), [Ok(1), Err("two"), Err("three"), Ok(4)]);
    }

    #[derive(Debug, PartialEq)]
    enum Error {
        Own(u32),
        Shared(Arc<Error>),
    }

    #[test]
    fn who_shares_with_nobody_gets_the_original_error() {
        let fail = |_| ready(Err::<(), _>(Error::Own(1)));
        assert_eq!(
            now(bulk(
                Each,
                share_err_in_batch(output::<Result<(), _>>(), Error::Shared),
                vec![1],
                fail
            ))
            .unwrap(),
            [Err(Error::Own(1))]
        );
        let both = now(bulk(
            Each,
            share_err_in_batch(output::<Result<(), _>>(), Error::Shared),
            vec![1, 2],
            fail,
        ))
        .unwrap();
        assert_eq!(
            both,
            [
                Err(Error::Shared(Arc::new(Error::Own(1)))),
                Err(Error::Shared(Arc::new(Error::Own(1))))
            ]
        );
    }

    #[test]
    fn the_last_gets_the_original_by_clone_and_by_clone_with() {
        static CLONES: AtomicUsize = AtomicUsize::new(0);
        fn again(result: &Result<(), NotClone>) -> Result<(), NotClone> {
            CLONES.fetch_add(1, Ordering::Relaxed);
            result
                .as_ref()
                .map(|&()| ())
                .map_err(|error| NotClone(error.0))
        }
        let all = now(bulk(
            Each,
            clone_with(output(), again),
            vec![1, 2, 3],
            |_| ready(Err::<(), _>(NotClone(5))),
        ))
        .unwrap();
        assert_eq!(all, [Err(NotClone(5)), Err(NotClone(5)), Err(NotClone(5))]);
        assert_eq!(CLONES.load(Ordering::Relaxed), 2);
    }

    /// The calls that it takes, with these items bad.
    fn split_calls(n: usize, bad: &[usize]) -> usize {
        let mut calls = 0;
        let mut saved = vec![0; n];
        let results = now(split((0..n).collect(), |items: Vec<usize>| {
            calls += 1;
            assert!(!items.is_empty());
            let error = items.iter().find(|item| bad.contains(item));
            ready(match error {
                Some(&bad) => Err(NotClone(u32::try_from(bad).unwrap())),
                None => {
                    items.iter().for_each(|&item| saved[item] += 1);
                    Ok(items)
                }
            })
        }));
        for (item, result) in results.unwrap().into_iter().enumerate() {
            let is_bad = bad.contains(&item);
            assert_eq!(result.is_err(), is_bad);
            assert_eq!(
                result.unwrap_or_else(|NotClone(bad)| bad as usize),
                item,
                "each gets its own"
            );
            assert_eq!(saved[item], usize::from(!is_bad), "each is saved once");
        }
        calls
    }

    #[test]
    fn one_bad_item_costs_few_calls() {
        for n in 1..=130_usize {
            assert_eq!(split_calls(n, &[]), 1);
            for bad in 0..n {
                let calls = split_calls(n, &[bad]);
                assert!(
                    calls as f64 <= 1.0 + 2.0 * (n as f64).log2() + 1e-9,
                    "{calls} calls for {bad} of {n}"
                );
            }
        }
    }

    #[test]
    fn each_bad_item_fails_its_own_caller() {
        for bad in 0..(1_usize << 9) {
            let bad: Vec<usize> = (0..9).filter(|item| bad >> item & 1 == 1).collect();
            split_calls(9, &bad);
        }
    }

    #[test]
    fn a_wrong_number_is_not_split() {
        let wrong = now(split(vec![1, 2], |_| ready(Ok::<_, NotClone>(vec![1])))).unwrap_err();
        assert_eq!((wrong.items, wrong.results), (2, 1));
    }
}

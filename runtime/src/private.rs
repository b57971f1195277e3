//! All that an expansion may name. Not for users: it changes without notice.

pub use crate::batch::many::{Many, Several, many, several};
pub use crate::batch::permit::{Limited, limit, limited};
pub use crate::batch::results::matched::{Matched, MatchedMap, parts};
pub use crate::batch::results::{
    Bulk, Each, Flat, ManyBy, OneBy, Outcome, Whole, again, shape, shape_by, shape_by_part, sorted,
};
pub use crate::batch::{
    Grant, Groups, Heir, Inherited, Item, Limits, OrFailed, Permit, Pollable, Results, Seat, Start,
    WrongNumber, item, lazily, or_failed, weight,
};
pub use crate::bounds::{Always, Never, Nothing, output as ty, output_with as ty_with};
pub use crate::busy::busy;
pub use crate::dedup::{Call, Forgets, Joining, Run, Spawned, Table, enter, enter_in, forget};
pub use crate::fixed::Fixed;
#[cfg(feature = "fleet")]
pub use crate::fleet::{Forgotten, Trip, fleet, forget as forget_across};
pub use crate::key::needs::{
    HashInGroup, HashOf, group_part, group_part_with, item_part, item_part_with, part, part_with,
    self_group_part, self_part, unordered_group_part_with, unordered_part_with,
};
pub use crate::key::owned::{arg, matched, order, own, own_arc, own_self, own_with, unique};
pub use crate::key::{About, ByRef, ByValue, Key, Part};
pub use crate::sharing::{
    BY_CLONE, CloneWith, Cloned, Failed, IsResult, Share, ShareErr, by_clone, clone_with, cloned,
    cloned_as, failed, rows, share_err, share_err_in_batch,
};
pub use crate::site::Site;

pub use piggyback_macros::__piggyback_expanded;

// By these paths, since the user's prelude may be another one.
pub use std::boxed::Box;
pub use std::clone::Clone;
pub use std::future::{Pending, pending};
pub use std::iter::IntoIterator;
pub use std::module_path;
pub use std::sync::Arc;
pub use std::vec::Vec;

/// By what arguments are told apart: traits without names, so that expansions bring no name into the user's code.
pub mod probing {
    pub use crate::key::owned::{RefArg as _, ValueArg as _};
    pub use crate::key::{AsPart as _, RefPart as _, ValuePart as _};
}

use crate::bounds::Output;
use std::borrow::Borrow;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of a function that is not an `async fn` but returns one.
pub fn future<F: Future>(function: impl FnOnce() -> F) -> F {
    function()
}

/// Names the type of an `async` block's body, in a `return` that is never reached.
pub fn never<R>() -> R {
    unreachable!("this stands behind `if false`")
}

/// The fleet that `across` gives.
#[cfg(not(feature = "fleet"))]
#[diagnostic::on_unimplemented(
    message = "`across` needs the feature `fleet` of the crate `piggyback`",
    label = "the feature `fleet` is not on",
    note = "in Cargo.toml, write `piggyback = {{ version = \"…\", features = [\"fleet\"] }}`"
)]
pub trait InFleet {
    /// There is none.
    type Of;
}

/// The same.
#[cfg(not(feature = "fleet"))]
pub fn fleet<T: InFleet>(_: &T) -> T::Of {
    unreachable!("nothing is `InFleet`")
}

/// The return type of a function that forgets across a fleet.
#[cfg(not(feature = "fleet"))]
pub type Forgotten = Pending<Result<(), std::convert::Infallible>>;

/// The same.
#[cfg(not(feature = "fleet"))]
pub fn forget_across<F: Future>(_: F) -> Forgotten {
    pending()
}

/// A list of references, as `&[&T]` is made of.
pub fn refs<B: ?Sized, T: Borrow<B>>(items: &[T]) -> Vec<&B> {
    items.iter().map(Borrow::borrow).collect()
}

/// States that an item can be copied. The module `bounds` explains `M`.
#[diagnostic::on_unimplemented(
    message = "`{B}` must be `Clone`, since with `by_ref` callers lend their items, and the batch takes copies",
    label = "`{B}` is not `Clone`",
    note = "derive `Clone` for `{B}` (for a type parameter, add the bound), or remove `by_ref`"
)]
pub trait LentOf<B: ?Sized, M> {
    /// The copy.
    type Owned;
    /// Copies it.
    fn copied(self) -> Self::Owned;
}

/// An item that a caller lends.
#[derive(Debug)]
pub struct Lent<'a, B: ?Sized>(&'a B);

#[diagnostic::do_not_recommend]
impl<B: ?Sized + ToOwned, Named: ?Sized> LentOf<Named, Always> for Lent<'_, B> {
    type Owned = B::Owned;
    #[inline]
    fn copied(self) -> B::Owned {
        self.0.to_owned()
    }
}

#[diagnostic::do_not_recommend]
impl<B: ?Sized + Nothing, Named: ?Sized> LentOf<Named, Never> for Lent<'_, B> {
    type Owned = ();
    fn copied(self) {}
}

/// The value that a caller lends with `by_ref`.
#[inline]
pub fn lent<'a, B: ?Sized, M>(item: &'a B) -> <Lent<'a, B> as LentOf<B, M>>::Owned
where
    Lent<'a, B>: LentOf<B, M>,
{
    Lent(item).copied()
}

/// The same for a container, whose elements lack what it lacks: `A` is the type that can be changed.
#[inline]
pub fn lent_with<'a, A, B: ?Sized, M>(
    _: Output<A>,
    item: &'a B,
) -> <Lent<'a, B> as LentOf<A, M>>::Owned
where
    Lent<'a, B>: LentOf<A, M>,
{
    Lent(item).copied()
}

/// The owned form of a `str`, as an attribute knows it by its name.
#[diagnostic::on_unimplemented(
    message = "this `String` is not that of the standard library, so with `by_ref` callers can't pass a `&str` for it; write its path, for example `crate::String`",
    label = "another `String`"
)]
pub trait StdString {
    /// Copies it.
    fn copied(text: &str) -> Self;
}

impl StdString for String {
    #[inline]
    fn copied(text: &str) -> Self {
        text.to_owned()
    }
}

/// The same for a `str`, which is lent for a `String`.
#[inline]
pub fn lent_str<S: StdString>(text: &str) -> S {
    S::copied(text)
}

/// Calls a closure with an item. The result may borrow from the item.
pub fn of<'a, T, V>(item: &'a T, closure: impl FnOnce(&'a T) -> V) -> V {
    closure(item)
}

/// The waker of the task that is being polled. A type with a name, which costs the compiler less than an `async fn`.
#[derive(Debug)]
pub struct Waker;

impl Future for Waker {
    type Output = std::task::Waker;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::task::Waker> {
        Poll::Ready(cx.waker().clone())
    }
}

/// A list that the body only knows to be iterable, as it is declared: lints about a `Vec` are not about it.
pub fn into_iterator<T>(
    items: Vec<T>,
) -> impl IntoIterator<Item = T, IntoIter = std::vec::IntoIter<T>> {
    items
}

/// Rows of parallel lists.
pub trait Rows {
    /// The lists.
    type Lists;
    /// Takes them apart.
    fn unzip(self) -> Self::Lists;
    /// Puts them together.
    fn zip(lists: Self::Lists) -> Self;
}

macro_rules! rows {
    ($_:ident $one:ident $each:ident) => {};
    ($T:ident $list:ident $each:ident $($Ts:ident $lists:ident $eachs:ident)*) => {
        impl<$T, $($Ts),*> Rows for Vec<($T, $($Ts),*)> {
            type Lists = (Vec<$T>, $(Vec<$Ts>),*);
            fn unzip(self) -> Self::Lists {
                let n = self.len();
                let mut $list = Vec::with_capacity(n);
                $(let mut $lists = Vec::with_capacity(n);)*
                for ($each, $($eachs),*) in self {
                    $list.push($each);
                    $($lists.push($eachs);)*
                }
                ($list, $($lists),*)
            }
            fn zip(lists: Self::Lists) -> Self {
                let ($list, $($lists),*) = lists;
                let n = $list.len();
                assert!(
                    [$($lists.len()),*].iter().all(|&len| len == n),
                    "parallel lists of items must have the same length"
                );
                $(let mut $lists = $lists.into_iter();)*
                $list
                    .into_iter()
                    .map(|$each| ($each, $($lists.next().expect("it is as long"),)*))
                    .collect()
            }
        }
        rows!($($Ts $lists $eachs)*);
    };
}
rows! {
    A list_a a B list_b b C list_c c D list_d d E list_e e F list_f f
    G list_g g H list_h h I list_i i J list_j j K list_k k L list_l l
    M list_m m N list_n n O list_o o P list_p p Q list_q q R list_r r
    S list_s s T list_t t U list_u u V list_v v W list_w w X list_x x
}

/// Lists to rows.
pub fn zip<R: Rows>(lists: R::Lists) -> R {
    R::zip(lists)
}

/// Rows to lists.
pub fn unzip<R: Rows>(rows: R) -> R::Lists {
    rows.unzip()
}

//! Fits a strategy, the return type and the way of sharing together, and states what is missing if they do not fit.

use std::marker::PhantomData;

use super::bulk::Handing;
use super::{By, HandOut, Outcome, Rows, Split};
use crate::bounds::{Always, Name, Never, Nothing, Output, gives_back};

/// A strategy for an output `X` of which each caller gets an `O`.
#[derive(Debug)]
pub struct Shaped<X, T, H, O>(pub(super) H, pub(super) PhantomData<fn(T, X, O)>);

/// Fits a strategy to the output `X` for items `T`.
///
/// It returns an associated type of the output. If the output does not implement the trait, this is the only error, since the
/// compiler says no more about uses of the missing type.
pub fn shape<X, T, H, O>(how: H, _: Output<(X, T)>) -> X::Shaped
where
    X: Outcome<T, H, One = O, Shaped = Shaped<X, T, H, O>>,
{
    Shaped(how, PhantomData)
}

/// The same, with the closure that returns the item to which a row belongs.
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

/// The item that a row belongs to, as a closure returns it. The closure's return type need not be known beforehand. See
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

gives_back! {
    ItemOf<T, Always>, V: [T, V: Is<T>];
    ItemOf<T, Never>, V: [T, V: Nothing];
}

/// The same as [`shape_by`], with an error that points at the closure.
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

// These are methods, since a method call makes the compiler resolve all types before it. The traits are implemented for `S`,
// which is resolved last: with a type still unknown, the compiler would see only one implementation, and take it.
impl<X, T, H, O> Shaped<X, T, H, O> {
    /// Sets how callers share a value that several of them get. See [`bounds`](crate::bounds) for `M`.
    pub fn __piggyback_share<S: Shares<X, T, H, O, M>, M>(self, sharing: S) -> S::Handing {
        sharing.handing(self.0)
    }

    /// The same for a map whose key type is written differently from the item type.
    pub fn __piggyback_share_by_key<S: SharesByKey<X, T, H, O, M>, M>(
        self,
        sharing: S,
    ) -> S::Handing {
        sharing.handing(self.0)
    }

    /// The same for a batch that is split after an error.
    pub fn __piggyback_share_split<S: SharesParts<X, T, H, O, M>, M>(
        self,
        sharing: S,
    ) -> S::Handing {
        sharing.handing(self.0)
    }
}

/// An item that may be passed to more than one bulk call. See [`bounds`](crate::bounds) for `M`.
#[diagnostic::on_unimplemented(
    message = "`{T}` must be `Clone`, since `split_on_err` runs the items of a failed batch again",
    label = "`{T}` is not `Clone`",
    note = "derive `Clone` for `{T}` (for a type parameter, add the bound), put the items in an `Arc`, or remove `split_on_err`"
)]
pub trait Again<T, M> {
    /// The type that states it.
    type Items;
    /// The type that states it.
    fn items() -> Self::Items;
}

/// States that items may be passed to more than one bulk call.
#[derive(Debug)]
pub struct Items<T>(PhantomData<fn() -> T>);

#[diagnostic::do_not_recommend]
impl<T: Clone, A> Again<A, Always> for Output<T> {
    type Items = Items<T>;
    fn items() -> Items<T> {
        Items(PhantomData)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Nothing, A> Again<A, Never> for Output<T> {
    type Items = ();
    fn items() {}
}

/// Checks that items may be passed to more than one bulk call. An expansion calls this with their span, so that errors point
/// there.
pub fn again<T, L: Name<T>, M>(_: Output<T, L>) -> <Output<T> as Again<L::Name, M>>::Items
where
    Output<T>: Again<L::Name, M>,
{
    <Output<T> as Again<L::Name, M>>::items()
}

impl<T> Items<T> {
    /// By this strategy.
    pub fn __piggyback_by<X, H, O>(self, shaped: Shaped<X, T, H, O>) -> Shaped<X, T, H, O> {
        shaped
    }
}

/// Traits that state that a way of sharing fits an output, one for each message about what is missing. See
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
    /// States that the output can be handed out with this way of sharing.
    #[diagnostic::on_unimplemented(
        message = "`{X}` can't be split among the callers of a batch whose items are `{T}`",
        label = "each caller would get a `{O}`",
        note = "if this is a `Result` whose error is not `Clone`, add `share_err = …`",
        note = "results that are found by their item need `{T}: Hash + Eq + Clone` (`Ord` for a `BTreeMap`), and a map must be keyed by `{T}`",
        note = "a result that several callers can get must be `Clone`, or copied by `clone_with = …`"
    )]
    Shares: HandOut;
    /// The same for a map whose key type may not be the item type.
    #[diagnostic::on_unimplemented(
        message = "the map that a bulk function returns must be keyed by its item type, `{T}`, and this is a `{X}`",
        label = "not a map keyed by `{T}`, or `{T}` is not `Hash + Eq + Clone` (`Ord + Clone` for a `BTreeMap`)",
        note = "change the keys to `{T}`; if they are the same type under another name, derive the traits named above for it"
    )]
    SharesByKey: HandOut;
    /// The same for a batch that is split after an error.
    #[diagnostic::on_unimplemented(
        message = "`split_on_err` needs a `Result` whose `Ok` can be split among the callers, not a `{X}`",
        label = "not a `Result`, or its `Ok` can't be split",
        note = "results that are found by their item need `{T}: Hash + Eq + Clone` (`Ord` for a `BTreeMap`), and a map must be keyed by `{T}`"
    )]
    SharesParts: Split;
}

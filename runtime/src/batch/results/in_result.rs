//! Return types: a shape, a `Result` of a shape, or one value for all callers.

use std::collections::{BTreeMap, HashMap};

use super::shaped::Shaped;
use super::shapes::{Shape, as_many};
use super::{By, Each, Flat, HandOut, Kept, ManyBy, Nested, OneBy, Outcome, Results, Split, Whole};
use crate::sharing::{Copies, Errors};

/// Shapes by themselves. Signatures name the kind of a strategy, and results are handed out by the strategy, which may have a
/// closure.
macro_rules! shapes {
    ($([$($generic:ident)*] $kind:ty $(, [$closure:ident] $how:ty)?: $shape:ty => $one:ty;)*) => {$(
        impl<T, $($generic),*> Outcome<T, $kind> for $shape {
            type One = $one;
            type Shaped = Shaped<Self, T, $kind, $one>;
        }
        shapes!(@hands_out [$($generic)* $($closure)?] [$kind $(, $how)?] $shape => $one);
    )*};
    (@hands_out [$($generic:ident)*] [$kind:ty, $how:ty] $shape:ty => $one:ty) => {
        shapes!(@hands_out [$($generic)*] [$how] $shape => $one);
    };
    (@hands_out [$($generic:ident)*] [$how:ty] $shape:ty => $one:ty) => {
        #[diagnostic::do_not_recommend]
        impl<T, S, $($generic),*> HandOut<T, $how, S, $one> for $shape
        where
            Self: Shape<T, $how, S, $one, $one>,
        {
            type Kept = <Self as Shape<T, $how, S, $one, $one>>::Kept;
            fn hand_out(self, how: &$how, kept: Self::Kept, sharing: &S) -> Results<$one> {
                Shape::hand_out(self, how, kept, sharing, |one| one)
            }
        }
    };
}

shapes! {
    [] Each: () => ();
    [R] Each: Vec<R> => R;
    // For any keys: if they are wrong, `Shares` says what is missing, once.
    [K R B] Each: HashMap<K, R, B> => Option<R>;
    [K R] Each: BTreeMap<K, R> => Option<R>;
    [R] OneBy, [F] By<OneBy, F>: Vec<R> => Option<R>;
    [R] ManyBy, [F] By<ManyBy, F>: Vec<R> => Vec<R>;
}

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
    fn hand_out(self, how: &H, kept: X::Kept, sharing: &S) -> Results<Result<O, E>> {
        match self {
            Ok(output) => output.hand_out(how, kept, sharing, Ok),
            Err(error) => Ok(sharing.errors(error, kept.count())),
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
    fn hand_out(self, _: &Whole, items: usize, sharing: &S) -> Results<X> {
        Ok(sharing.copies(self, items))
    }
}

//! Whether a result is a `Result`, told apart by method resolution, since an alias may hide it.

use std::marker::PhantomData;

use crate::bounds::{Output, Plain};

/// A result that is not a `Result`.
#[derive(Debug)]
pub struct Whole<R>(PhantomData<fn() -> R>);

/// A `Result`, each half of which is asked by itself.
#[derive(Debug)]
pub struct Halves<T, E>(PhantomData<fn() -> (T, E)>);

/// One of the two.
pub trait Kind {
    /// Itself.
    type Output;
    /// A type that is not a `Result`.
    type Whole;
    /// The success of a `Result`.
    type Ok;
    /// Its error.
    type Err;
    /// The success, or the whole.
    type First;
}

impl<R> Kind for Whole<R> {
    type Output = R;
    type Whole = R;
    type Ok = ();
    type Err = ();
    type First = R;
}

impl<T, E> Kind for Halves<T, E> {
    type Output = Result<T, E>;
    type Whole = ();
    type Ok = T;
    type Err = E;
    type First = T;
}

// These have no bounds: method resolution must not depend on what a type lacks.
impl<R> Plain<R> {
    /// What it is.
    pub fn __piggyback_kind(&self) -> Whole<R> {
        Whole(PhantomData)
    }
}

impl<T, E> Output<Result<T, E>> {
    /// What it is.
    pub fn __piggyback_kind(&self) -> Halves<T, E> {
        Halves(PhantomData)
    }
}

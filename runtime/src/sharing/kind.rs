//! Whether a result is a `Result`, told apart by method resolution, since an alias may hide it.

use std::marker::PhantomData;

use crate::bounds::{Name, Output, Plain};

/// A result that is not a `Result`.
#[derive(Debug)]
pub struct Whole<R, L>(PhantomData<fn() -> (R, L)>);

/// A `Result`, each half of which is asked by itself.
#[derive(Debug)]
pub struct Halves<T, E, L>(PhantomData<fn() -> (T, E, L)>);

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
    /// What messages about the success, or the whole, name.
    type Named;
}

impl<R, L: Name<R>> Kind for Whole<R, L> {
    type Output = R;
    type Whole = R;
    type Ok = ();
    type Err = ();
    type First = R;
    type Named = L::Name;
}

impl<T, E, L: Name<T>> Kind for Halves<T, E, L> {
    type Output = Result<T, E>;
    type Whole = ();
    type Ok = T;
    type Err = E;
    type First = T;
    type Named = L::Name;
}

// These have no bounds: method resolution must not depend on what a type lacks.
impl<R, L> Plain<R, L> {
    /// What it is.
    pub fn __piggyback_kind(&self) -> Whole<R, L> {
        Whole(PhantomData)
    }
}

impl<T, E, L> Output<Result<T, E>, L> {
    /// What it is.
    pub fn __piggyback_kind(&self) -> Halves<T, E, L> {
        Halves(PhantomData)
    }
}

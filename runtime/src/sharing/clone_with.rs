//! By `clone_with`.

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use super::{Copies, Errors, Share, copies};
use crate::bounds::{Always, Never, Nothing, Output};

/// By `clone_with`. The mutex makes up for a result that is not `Sync`: its callers copy it one after another.
#[derive(Debug)]
pub struct CloneWith<R, F>(F, PhantomData<fn() -> R>);

impl<R, F: Fn(&R) -> R> CloneWith<R, F> {
    /// For results of type `R`.
    pub const fn new(copy: F) -> Self {
        Self(copy, PhantomData)
    }
}

impl<R: Send + 'static, F: Fn(&R) -> R> Share for CloneWith<R, F> {
    type Output = R;
    type Stored = Mutex<R>;
    fn store(output: R) -> Mutex<R> {
        Mutex::new(output)
    }
    fn hand(&self, stored: &Mutex<R>) -> R {
        (self.0)(&stored.lock().unwrap_or_else(PoisonError::into_inner))
    }
    fn sole(&self, stored: Mutex<R>) -> R {
        stored.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O, R, F: Fn(&O) -> O> Copies<O> for CloneWith<R, F> {
    fn copies(&self, one: O, n: usize) -> Vec<O> {
        copies(one, n, &self.0)
    }
}

#[diagnostic::do_not_recommend]
impl<V, E, R, F: Fn(&Result<V, E>) -> Result<V, E>> Errors<V, E> for CloneWith<R, F> {
    fn errors(&self, error: E, n: usize) -> Vec<Result<V, E>> {
        copies(Err(error), n, &self.0)
    }
}

/// The function that copies a result.
#[diagnostic::on_unimplemented(
    message = "`clone_with` takes a function from `&{R}` to `{R}`",
    label = "not a function from `&{R}` to `{R}`"
)]
pub trait CopyOf<R, M>: Fn(&R) -> R + Sized {
    /// The function.
    type Itself: Fn(&R) -> R;
    /// The function.
    fn itself(self) -> Self::Itself;
}

function!(CopyOf<R> &R);

/// By `clone_with`.
pub fn clone_with<R, F: CopyOf<R, M>, M>(_: Output<R>, copy: F) -> CloneWith<R, F::Itself> {
    CloneWith::new(copy.itself())
}

//! How one result becomes everybody's: by `Clone`, through an error's `Arc` (`share_err`), or by a function (`clone_with`).

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use crate::failure::Failure;

/// A way to keep a result and to hand it to each caller.
pub trait Share {
    /// What the function returns.
    type Output;
    /// What the flight keeps until the last caller has its own.
    type Stored: Send + Sync + 'static;
    /// Keeps a result.
    fn store(output: Self::Output) -> Self::Stored;
    /// Makes one caller's result. Runs user code: never under a lock of the map or the flight.
    fn hand(&self, stored: &Self::Stored) -> Self::Output;
    /// Makes the result of a caller that shares with nobody: the original.
    fn sole(&self, stored: Self::Stored) -> Self::Output;
    /// Makes the result of a caller whose execution came to nothing, or panics.
    fn failed(&self, failure: Failure) -> Self::Output {
        panic!("{failure}")
    }
}

/// A `Result`, by whatever alias.
pub trait IsResult {
    /// Its success.
    type Ok;
    /// Its error.
    type Err;
    /// Itself.
    fn into_result(self) -> Result<Self::Ok, Self::Err>;
    /// Itself.
    fn from_result(result: Result<Self::Ok, Self::Err>) -> Self;
}

impl<T, E> IsResult for Result<T, E> {
    type Ok = T;
    type Err = E;
    fn into_result(self) -> Self {
        self
    }
    fn from_result(result: Self) -> Self {
        result
    }
}

/// By `Clone`.
pub struct Cloned<R>(PhantomData<fn() -> R>);

impl<R> Cloned<R> {
    /// For results of type `R`.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Clone + Send + Sync + 'static> Share for Cloned<R> {
    type Output = R;
    type Stored = R;
    fn store(output: R) -> R {
        output
    }
    fn hand(&self, stored: &R) -> R {
        stored.clone()
    }
    fn sole(&self, stored: R) -> R {
        stored
    }
}

/// By `share_err`: the success is cloned, the error goes into an `Arc` from which each caller's is made.
pub struct ShareErr<R, F>(F, PhantomData<fn() -> R>);

impl<R: IsResult, F: Fn(Arc<R::Err>) -> R::Err> ShareErr<R, F> {
    /// For results of type `R`.
    pub const fn new(wrap: F) -> Self {
        Self(wrap, PhantomData)
    }
}

impl<R, F> Share for ShareErr<R, F>
where
    R: IsResult<Ok: Clone + Send + Sync + 'static, Err: Send + Sync + 'static>,
    F: Fn(Arc<R::Err>) -> R::Err,
{
    type Output = R;
    type Stored = Result<R::Ok, Arc<R::Err>>;
    fn store(output: R) -> Self::Stored {
        output.into_result().map_err(Arc::new)
    }
    fn hand(&self, stored: &Self::Stored) -> R {
        R::from_result(match stored {
            Ok(value) => Ok(value.clone()),
            Err(error) => Err((self.0)(error.clone())),
        })
    }
    fn sole(&self, stored: Self::Stored) -> R {
        R::from_result(stored.map_err(|error| Arc::try_unwrap(error).unwrap_or_else(&self.0)))
    }
}

/// By `clone_with`. The mutex makes up for a result that is not `Sync`: its callers copy it one after another.
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

/// By any of these; a failure becomes an error by `failed`.
pub struct Failed<S, F> {
    share: S,
    failed: F,
}

impl<S, F> Failed<S, F> {
    /// `share`, and what makes an error of a failure.
    pub const fn new(share: S, failed: F) -> Self {
        Self { share, failed }
    }
}

impl<S, F> Share for Failed<S, F>
where
    S: Share<Output: IsResult>,
    F: Fn(Failure) -> <S::Output as IsResult>::Err,
{
    type Output = S::Output;
    type Stored = S::Stored;
    fn store(output: S::Output) -> S::Stored {
        S::store(output)
    }
    #[inline]
    fn hand(&self, stored: &S::Stored) -> S::Output {
        self.share.hand(stored)
    }
    fn sole(&self, stored: S::Stored) -> S::Output {
        self.share.sole(stored)
    }
    fn failed(&self, failure: Failure) -> S::Output {
        IsResult::from_result(Err((self.failed)(failure)))
    }
}

impl<S, F> fmt::Debug for Failed<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failed")
    }
}

impl<R> fmt::Debug for Cloned<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cloned")
    }
}

impl<R, F> fmt::Debug for ShareErr<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareErr")
    }
}

impl<R, F> fmt::Debug for CloneWith<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloneWith")
    }
}

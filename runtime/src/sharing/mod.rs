//! How several callers get one result: by `Clone`, through an error's `Arc` (`share_err`), or by a function (`clone_with`).
//! With `failed`, a call whose execution came to nothing gets an error; without it, the call panics.
//!
//! Both attributes have the same ways. `#[dedup]` keeps the result of a flight, and makes a caller's own when that caller is
//! polled: [`Share`]. `#[batch]` makes one copy per caller when the bulk call ends: [`Copies`] and [`Errors`].
//!
//! An expansion names a way by a function, whose bounds say what the way needs; [`bounds`](crate::bounds) explains how.

use crate::failure::Failure;

/// The two implementations of a trait that states that a type is a function.
macro_rules! function {
    ($trait:ident<$t:ident> $arg:ty) => {
        function!(of $trait<$t> $arg, Always []);
        function!(of $trait<$t> $arg, Never [+ Nothing]);
    };
    (of $trait:ident<$t:ident> $arg:ty, $m:ident [$($nothing:tt)*]) => {
        #[diagnostic::do_not_recommend]
        impl<$t, F: Fn($arg) -> $t $($nothing)*> $trait<$t, $m> for F {
            type Itself = Self;
            fn itself(self) -> Self {
                self
            }
        }
    };
}

mod by_clone;
mod clone_with;
mod failed;
pub(crate) mod kind;
#[cfg(any(feature = "anyhow", feature = "eyre"))]
pub(crate) mod ready_made;
mod rows;
mod share_err;
pub(crate) mod steps;

pub use self::by_clone::{BY_CLONE, Cloned, by_clone, cloned, cloned_as};
pub use self::clone_with::{CloneWith, clone_with};
pub use self::failed::{Failed, failed};
pub use self::rows::rows;
pub use self::share_err::{ShareErr, share_err, share_err_in_batch};

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

/// Makes one value several.
pub trait Copies<O> {
    /// As many as `n`, at least one; the last is the original.
    fn copies(&self, one: O, n: usize) -> Vec<O>;
}

/// Makes one error several, as `Err`s.
pub trait Errors<V, E> {
    /// As many as `n`, at least one; the last is the original where that can be.
    fn errors(&self, error: E, n: usize) -> Vec<Result<V, E>>;
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

fn copies<O>(one: O, n: usize, copy: impl Fn(&O) -> O) -> Vec<O> {
    let mut all = Vec::with_capacity(n);
    all.extend((1..n).map(|_| copy(&one)));
    all.push(one);
    all
}

//! Bounds whose violation is one error, in our own words, where the user can mend it.
//!
//! A bound on a function is usually reported once for the function, once more for the type that it returns, and again
//! by all that is done with that. If a trait isn't implemented *at all*, though, what a function returns through it is
//! an error itself, of which the compiler says no more. An implementation whose own bounds fail does not count as none,
//! unless there is another one to choose from. So each trait here has two: the real one, and one for [`Never`], whose
//! bound nothing meets; the `M` that tells them apart is always inferred.

use std::marker::PhantomData;

/// The `M` of implementations that are never chosen.
#[derive(Debug)]
pub struct Never(());

/// Another.
#[derive(Debug)]
pub struct Nowhere(());

/// The `M` of implementations that are.
#[derive(Debug)]
pub struct Always(());

/// Implemented by nothing.
pub trait Nothing {}

/// A type, where a value is wanted: a bound on an argument's type is reported once, one on a type that is written out is
/// reported there and where the function is.
#[derive(Debug)]
pub struct Output<R>(Plain<R>);

/// The same for a type that is not a `Result`: method resolution gets here from [`Output`] only then.
#[derive(Debug)]
pub struct Plain<R>(PhantomData<fn() -> R>);

impl<R> std::ops::Deref for Output<R> {
    type Target = Plain<R>;
    fn deref(&self) -> &Plain<R> {
        &self.0
    }
}

/// Names a type.
pub const fn output<R>() -> Output<R> {
    Output(Plain(PhantomData))
}

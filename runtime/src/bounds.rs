//! Bounds whose violation is one error, in our own words, where the user can mend it.
//!
//! rustc usually reports a missing bound several times: for the function, for the type that it returns, and for each use of
//! that type. If no implementation of a trait applies, however, the return type that is computed through the trait is an
//! error type, about which rustc reports nothing further. With a single implementation, rustc selects it and reports the
//! bounds of that implementation; with two, it selects neither. So each trait here has two implementations: the real one,
//! and one for [`Never`] with a bound that nothing meets. The parameter `M` that tells them apart is always inferred.

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

//! Bounds whose violation is one error, in our own words, where the user can mend it.
//!
//! A bound on a function is usually reported once for the function, once more for the type that it returns, and again
//! by all that is done with that. If a trait isn't implemented *at all*, though, what a function returns through it is
//! an error itself, of which the compiler says no more. An implementation whose own bounds fail does not count as none,
//! unless there is another one to choose from. So each trait here has two: the real one, and one for [`Never`], whose
//! bound nothing meets; the `M` that tells them apart is always inferred.

use crate::dedup::{CloneWith, Cloned, Share, ShareErr};
use std::sync::Arc;

/// The `M` of implementations that are never chosen.
#[derive(Debug)]
pub struct Never(());

/// The `M` of implementations that are.
#[derive(Debug)]
pub struct Always(());

/// Implemented by nothing.
pub trait Nothing {}

/// A result of which each caller gets a clone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be shared by several callers",
    label = "not `Clone + Send + Sync + 'static`",
    note = "if its error is what isn't `Clone`: add `share_err = AppError::Shared`, with a variant `Shared(Arc<AppError>)`, or return an `Arc` of the error",
    note = "otherwise derive `Clone`, return an `Arc`, or add `clone_with = …` with a function that copies it"
)]
pub trait Shareable<M> {
    /// How.
    type By: Share<Output = Self>;
    /// How.
    fn by() -> Self::By;
}

#[diagnostic::do_not_recommend]
impl<R: Clone + Send + Sync + 'static> Shareable<Always> for R {
    type By = Cloned<R>;
    fn by() -> Cloned<R> {
        Cloned::new()
    }
}

#[diagnostic::do_not_recommend]
impl<R: Send + Nothing + 'static> Shareable<Never> for R {
    type By = CloneWith<R, fn(&R) -> R>;
    fn by() -> Self::By {
        unreachable!("nothing is `Nothing`")
    }
}

/// By `Clone`.
pub fn cloned<R: Shareable<M>, M>() -> R::By {
    R::by()
}

/// A result whose error goes through an `Arc`.
#[diagnostic::on_unimplemented(
    message = "`share_err` needs a `Result<T, E>` with `T: Clone`, and both of them `Send + Sync + 'static`, not a `{Self}`",
    label = "its error can't be shared through an `Arc`",
    note = "without `share_err`, an output that is `Clone` is shared as it is; with `clone_with = …`, one that a function copies"
)]
pub trait Fallible<M> {
    /// Its error.
    type Err;
}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static, E: Send + Sync + 'static> Fallible<Always> for Result<T, E> {
    type Err = E;
}

#[diagnostic::do_not_recommend]
impl<R: Nothing> Fallible<Never> for R {
    type Err = Never;
}

/// What makes an error of a shared one.
#[diagnostic::on_unimplemented(
    message = "`share_err` takes a function from `Arc<E>` to `E`, where `E` is the error that this function returns",
    label = "not from `Arc<E>` to `E`",
    note = "give it a variant of the error, `share_err = AppError::Shared` with `Shared(Arc<AppError>)`, or a closure: `share_err = |error| …`"
)]
pub trait ErrOf<E, R, M>: Fn(Arc<E>) -> E + Sized {
    /// How.
    type By;
    /// How.
    fn by(self) -> Self::By;
}

#[diagnostic::do_not_recommend]
impl<T, E, F: Fn(Arc<E>) -> E> ErrOf<E, Result<T, E>, Always> for F {
    type By = ShareErr<Result<T, E>, F>;
    fn by(self) -> Self::By {
        ShareErr::new(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T, E, F: Fn(Arc<E>) -> E + Nothing> ErrOf<E, Result<T, E>, Never> for F {
    type By = Never;
    fn by(self) -> Never {
        unreachable!("nothing is `Nothing`")
    }
}

/// By `share_err`.
pub fn share_err<R: Fallible<N>, N, F: ErrOf<R::Err, R, M>, M>(share: F) -> F::By {
    share.by()
}

/// What copies a result.
#[diagnostic::on_unimplemented(
    message = "`clone_with` takes a function that makes another `{R}` from a `&{R}`",
    label = "not from `&{R}` to `{R}`"
)]
pub trait CopyOf<R, M>: Fn(&R) -> R + Sized {
    /// How.
    type By;
    /// How.
    fn by(self) -> Self::By;
}

#[diagnostic::do_not_recommend]
impl<R, F: Fn(&R) -> R> CopyOf<R, Always> for F {
    type By = CloneWith<R, F>;
    fn by(self) -> Self::By {
        CloneWith::new(self)
    }
}

#[diagnostic::do_not_recommend]
impl<R, F: Fn(&R) -> R + Nothing> CopyOf<R, Never> for F {
    type By = Never;
    fn by(self) -> Never {
        unreachable!("nothing is `Nothing`")
    }
}

/// By `clone_with`.
pub fn clone_with<R, F: CopyOf<R, M>, M>(copy: F) -> F::By {
    copy.by()
}

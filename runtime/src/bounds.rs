//! Bounds whose violation is one error, in our own words, where the user can mend it.
//!
//! A bound on a function is usually reported once for the function, once more for the type that it returns, and again
//! by all that is done with that. If a trait isn't implemented *at all*, though, what a function returns through it is
//! an error itself, of which the compiler says no more. An implementation whose own bounds fail does not count as none,
//! unless there is another one to choose from. So each trait here has two: the real one, and one for [`Never`], whose
//! bound nothing meets; the `M` that tells them apart is always inferred.

use crate::dedup::{CloneWith, Cloned, Share, ShareErr};
use crate::failure::Failure;
use std::marker::PhantomData;
use std::sync::Arc;

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

/// A result of which each caller gets a clone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be shared by several callers",
    label = "not `Clone + Send + Sync + 'static`",
    note = "if its error is what isn't `Clone`: add `share_err = AppError::Shared`, with a variant `Shared(Arc<AppError>)`, or return an `Arc` of the error; for `anyhow` and `eyre`: `share_err = piggyback::anyhow::shared`, with the feature of that name",
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

/// A type, where a value is wanted: a bound on an argument's type is reported once, one on a type that is written out is
/// reported there and where the function is.
#[derive(Debug)]
pub struct Output<R>(PhantomData<fn() -> R>);

/// Names a type.
pub const fn output<R>() -> Output<R> {
    Output(PhantomData)
}

/// By `Clone`.
pub fn cloned<R: Shareable<M>, M>(_: Output<R>) -> R::By {
    R::by()
}

/// A result whose error goes through an `Arc`.
#[diagnostic::on_unimplemented(
    message = "`share_err` needs a `Result<T, E>` with `T: Clone`, and both of them `Send + Sync + 'static`, not a `{Self}`",
    label = "not such a `Result`",
    note = "without `share_err`, an output that is `Clone` is shared as it is; with `clone_with = …`, one that a function copies",
    note = "an error in a box is `Box<dyn Error + Send + Sync>`, not `Box<dyn Error>`"
)]
pub trait Fallible<M> {
    /// Its error.
    type Err;
    /// How.
    type By<F>;
    /// How.
    fn by<F: Fn(Arc<Self::Err>) -> Self::Err>(share: F) -> Self::By<F>;
}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static, E: Send + Sync + 'static> Fallible<Always> for Result<T, E> {
    type Err = E;
    type By<F> = ShareErr<Self, F>;
    fn by<F: Fn(Arc<E>) -> E>(share: F) -> Self::By<F> {
        ShareErr::new(share)
    }
}

/// A `Result`, of whatever.
#[diagnostic::on_unimplemented(
    message = "`share_err` is about the error of a `Result`, but each caller gets a `{Self}`",
    label = "not a `Result`",
    note = "what is `Clone` is shared as it is; `clone_with = …` takes a function that copies what a caller gets"
)]
pub trait Failing<M> {
    /// Its error.
    type Err;
}

impl<T, E> Failing<Always> for Result<T, E> {
    type Err = E;
}

macro_rules! never {
    // Two, since the real implementation does not apply to what is not a `Result`.
    ($($m:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<R: Nothing> Fallible<$m> for R {
            type Err = Never;
            type By<F> = Never;
            fn by<F>(_: F) -> Never {
                unreachable!("nothing is `Nothing`")
            }
        }

        #[diagnostic::do_not_recommend]
        impl<R: Nothing> Failing<$m> for R {
            type Err = Never;
        }

        #[diagnostic::do_not_recommend]
        impl<R: Nothing> Fails<$m> for R {
            type Err = Never;
        }
    )*};
}
never!(Never Nowhere);

/// What makes an error of a shared one.
#[diagnostic::on_unimplemented(
    message = "`share_err` takes a function from `Arc<{E}>` to `{E}`",
    label = "not from `Arc<{E}>` to `{E}`",
    note = "give it a variant of the error, `share_err = AppError::Shared` with `Shared(Arc<AppError>)`, or a closure, `share_err = |error| …`"
)]
pub trait ErrOf<E, M>: Fn(Arc<E>) -> E + Sized {
    /// The function.
    type Itself: Fn(Arc<E>) -> E;
    /// The function.
    fn itself(self) -> Self::Itself;
}

/// A `Result` whose error says that something failed.
#[diagnostic::on_unimplemented(
    message = "`failed` makes an `Err` of a failure, but each caller gets a `{Self}`",
    label = "not a `Result`",
    note = "return a `Result`, or remove `failed`: a caller then panics if what it shares fails"
)]
pub trait Fails<M> {
    /// Its error.
    type Err;
}

impl<T, E> Fails<Always> for Result<T, E> {
    type Err = E;
}

/// What makes an error of a failure.
#[diagnostic::on_unimplemented(
    message = "`failed` takes a function from `piggyback::Failure` to `{E}`",
    label = "not from `piggyback::Failure` to `{E}`",
    note = "give it a variant of the error, `failed = AppError::Failed` with `Failed(piggyback::Failure)`, or a closure, `failed = |failure| …`"
)]
pub trait ErrOfFailure<E, M>: Fn(Failure) -> E + Sized {
    /// The function.
    type Itself: Fn(Failure) -> E;
    /// The function.
    fn itself(self) -> Self::Itself;
}

/// `failed`, for callers that get an `R`.
pub fn failed<R: Fails<N>, N, F: ErrOfFailure<R::Err, M>, M>(_: Output<R>, failed: F) -> F::Itself {
    failed.itself()
}

/// What copies a result.
#[diagnostic::on_unimplemented(
    message = "`clone_with` takes a function that makes another `{R}` from a `&{R}`",
    label = "not from `&{R}` to `{R}`"
)]
pub trait CopyOf<R, M>: Fn(&R) -> R + Sized {
    /// The function.
    type Itself: Fn(&R) -> R;
    /// The function.
    fn itself(self) -> Self::Itself;
}

/// What a caller of a batch hands in.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` can't be an item of a batch",
    label = "not `Send`: another caller's task may take it to the bulk call",
    note = "give items something that may go to another thread, such as an `Arc` instead of an `Rc`"
)]
pub trait Sendable: Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> Sendable for T {}

macro_rules! functions {
    ($($trait:ident<$t:ident> $arg:ty, $m:ident [$($nothing:tt)*];)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$t, F: Fn($arg) -> $t $($nothing)*> $trait<$t, $m> for F {
            type Itself = Self;
            fn itself(self) -> Self {
                self
            }
        }
    )*};
}
functions! {
    ErrOf<E> Arc<E>, Always [];
    ErrOf<E> Arc<E>, Never [+ Nothing];
    ErrOfFailure<E> Failure, Always [];
    ErrOfFailure<E> Failure, Never [+ Nothing];
    CopyOf<R> &R, Always [];
    CopyOf<R> &R, Never [+ Nothing];
}

/// By `share_err`.
pub fn share_err<R: Fallible<N>, N, F: ErrOf<R::Err, M>, M>(
    _: Output<R>,
    share: F,
) -> R::By<F::Itself> {
    R::by(share.itself())
}

/// By `clone_with`.
pub fn clone_with<R, F: CopyOf<R, M>, M>(_: Output<R>, copy: F) -> CloneWith<R, F::Itself> {
    CloneWith::new(copy.itself())
}

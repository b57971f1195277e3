//! `failed`: a call whose execution came to nothing gets an error that is made of the [`Failure`].

use super::{IsResult, Share};
use crate::bounds::{Always, Never, Nothing, Nowhere, Output};
use crate::failure::Failure;

/// By any of these; a failure becomes an error by `failed`.
#[derive(Debug)]
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

/// A `Result` whose error says that something failed.
#[diagnostic::on_unimplemented(
    message = "`failed` needs a `Result`, but each caller gets a `{Self}`",
    label = "not a `Result`",
    note = "return a `Result`, or remove `failed`; a caller then panics if the execution that it shares fails"
)]
pub trait Fails<M> {
    /// Its error.
    type Err;
}

impl<T, E> Fails<Always> for Result<T, E> {
    type Err = E;
}

macro_rules! never {
    // Two, since the real implementation does not apply to what is not a `Result`.
    ($($m:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<R: Nothing> Fails<$m> for R {
            type Err = Never;
        }
    )*};
}
never!(Never Nowhere);

/// The function that makes an error from a failure.
#[diagnostic::on_unimplemented(
    message = "`failed` takes a function from `piggyback::Failure` to `{E}`",
    label = "not a function from `piggyback::Failure` to `{E}`",
    note = "write `failed = {E}::Failed` for a variant `Failed(piggyback::Failure)`, or a closure, `failed = |failure| …`"
)]
pub trait ErrOfFailure<E, M>: Fn(Failure) -> E + Sized {
    /// The function.
    type Itself: Fn(Failure) -> E;
    /// The function.
    fn itself(self) -> Self::Itself;
}

function!(ErrOfFailure<E> Failure);

/// `failed`, for callers that get an `R`.
pub fn failed<R: Fails<N>, N, F: ErrOfFailure<R::Err, M>, M>(_: Output<R>, failed: F) -> F::Itself {
    failed.itself()
}

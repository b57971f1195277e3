//! By `share_err`: the success is cloned, and each caller's error is made of an `Arc` of the original.

use std::marker::PhantomData;
use std::sync::Arc;

use super::steps::{If, Next, OkOf, ThreadsOf};
use super::{Copies, Errors, IsResult, Share, copies};
use crate::bounds::{Always, Name, Never, Nothing, Nowhere, Output};

/// By `share_err`: the success is cloned, the error goes into an `Arc` from which each caller's is made.
#[derive(Debug)]
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

impl<V: Clone, E, R, F: Fn(Arc<E>) -> E> Copies<Result<V, E>> for ShareErr<R, F> {
    fn copies(&self, one: Result<V, E>, n: usize) -> Vec<Result<V, E>> {
        match one {
            Ok(value) => copies(value, n, V::clone).into_iter().map(Ok).collect(),
            Err(error) => self.errors(error, n),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<V, E, R, F: Fn(Arc<E>) -> E> Errors<V, E> for ShareErr<R, F> {
    fn errors(&self, error: E, n: usize) -> Vec<Result<V, E>> {
        if n == 1 {
            return vec![Err(error)];
        }
        let error = Arc::new(error);
        (0..n).map(|_| Err((self.0)(Arc::clone(&error)))).collect()
    }
}

/// A `Result` of any types.
#[diagnostic::on_unimplemented(
    message = "`share_err` needs a `Result`, but each caller gets a `{Self}`",
    label = "not a `Result`",
    note = "a result that is `Clone` needs no `share_err`; `clone_with = …` takes a function that copies what a caller gets"
)]
pub trait Failing<M> {
    /// Its success.
    type Ok;
    /// Its error.
    type Err;
    /// By `share_err`.
    type By<F>;
    /// By `share_err`.
    fn by<F: Fn(Arc<Self::Err>) -> Self::Err>(share: F) -> Self::By<F>;
}

impl<T, E> Failing<Always> for Result<T, E> {
    type Ok = T;
    type Err = E;
    type By<F> = ShareErr<Self, F>;
    fn by<F: Fn(Arc<E>) -> E>(share: F) -> Self::By<F> {
        ShareErr::new(share)
    }
}

macro_rules! never {
    // Two, since the real implementation does not apply to what is not a `Result`.
    ($($m:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<R: Nothing> Failing<$m> for R {
            type Ok = Never;
            type Err = Never;
            type By<F> = Never;
            fn by<F>(_: F) -> Never {
                unreachable!("nothing is `Nothing`")
            }
        }
    )*};
}
never!(Never Nowhere);

/// The function that makes an error from a shared one.
#[diagnostic::on_unimplemented(
    message = "`share_err` takes a function from `Arc<{E}>` to `{E}`",
    label = "not a function from `Arc<{E}>` to `{E}`",
    note = "write `share_err = {E}::Shared` for a variant `Shared(Arc<{E}>)`, or a closure that takes an `Arc<{E}>`"
)]
pub trait ErrOf<E, M>: Fn(Arc<E>) -> E + Sized {
    /// The function.
    type Itself: Fn(Arc<E>) -> E;
    /// The function.
    fn itself(self) -> Self::Itself;
}

function!(ErrOf<E> Arc<E>);

type AfterOk<R, A, M> = <Output<R> as OkOf<A, M>>::Next;

/// By `share_err`, for callers on several threads, which share a result for as long as it takes each to get its own.
pub fn share_err<R: Failing<N>, L: Name<R::Ok>, N, F: ErrOf<R::Err, M>, M, A, B, C>(
    _: Output<R, L>,
    share: F,
) -> If<AfterOk<R::Ok, L::Name, A>, L::Name, B, If<Next<R::Err>, R::Err, C, R::By<F::Itself>>>
where
    Output<R::Ok>: OkOf<L::Name, A>,
    AfterOk<R::Ok, L::Name, A>: ThreadsOf<L::Name, B>,
    Next<R::Err>: ThreadsOf<R::Err, C>,
{
    AfterOk::<R::Ok, L::Name, A>::then(Next::<R::Err>::then(R::by(share.itself())))
}

/// By `share_err`, for callers that get an `R` each when their bulk call ends.
pub fn share_err_in_batch<R: Failing<N>, N, F: ErrOf<R::Err, M>, M>(
    _: Output<R>,
    share: F,
) -> R::By<F::Itself> {
    R::by(share.itself())
}

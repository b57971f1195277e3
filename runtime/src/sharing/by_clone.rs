//! By `Clone`.

use std::marker::PhantomData;

use super::kind::Kind;
use super::steps::{CloneOf, ErrorOf, If, Next, OkOf, ThreadsOf};
use super::{Copies, Errors, Share, copies};
use crate::bounds::{Name, Output};

/// By `Clone`. A batch, which copies what its callers get, does not ask for `R`.
#[derive(Debug)]
pub struct Cloned<R = ()>(PhantomData<fn() -> R>);

/// The same for a batch, where nothing needs to be known of what is copied.
pub const BY_CLONE: Cloned = Cloned::new();

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

impl<O: Clone, R> Copies<O> for Cloned<R> {
    fn copies(&self, one: O, n: usize) -> Vec<O> {
        copies(one, n, O::clone)
    }
}

#[diagnostic::do_not_recommend]
impl<V, E: Clone, R> Errors<V, E> for Cloned<R> {
    fn errors(&self, error: E, n: usize) -> Vec<Result<V, E>> {
        copies(error, n, E::clone).into_iter().map(Err).collect()
    }
}

type AfterClone<R, A, M> = <Output<R> as CloneOf<A, M>>::Next;

/// By `Clone`.
pub fn cloned<R, L: Name<R>, M, N>(
    _: Output<R, L>,
) -> If<AfterClone<R, L::Name, M>, L::Name, N, Cloned<R>>
where
    Output<R>: CloneOf<L::Name, M>,
    AfterClone<R, L::Name, M>: ThreadsOf<L::Name, N>,
{
    AfterClone::<R, L::Name, M>::then(Cloned::new())
}

type First<K, N, X> = If<Next<<K as Kind>::First>, <K as Kind>::Named, N, X>;
type Second<K, P, X> = If<Next<<K as Kind>::Err>, <K as Kind>::Err, P, X>;
type Whether<K, M, X> = <Output<<K as Kind>::Whole> as CloneOf<<K as Kind>::Named, M>>::If<X>;
type Success<K, O, X> = <Output<<K as Kind>::Ok> as OkOf<<K as Kind>::Named, O>>::If<X>;
type FailureOf<K, Q, X> = <Output<<K as Kind>::Err> as ErrorOf<<K as Kind>::Err, Q>>::If<X>;

/// By `Clone`, where it is not plain to see whether the output is a `Result`.
pub fn cloned_as<K: Kind, M, O, Q, N, P>(
    _: K,
) -> Whether<K, M, Success<K, O, FailureOf<K, Q, First<K, N, Second<K, P, Cloned<K::Output>>>>>>
where
    Output<K::Whole>: CloneOf<K::Named, M>,
    Output<K::Ok>: OkOf<K::Named, O>,
    Output<K::Err>: ErrorOf<K::Err, Q>,
    Next<K::First>: ThreadsOf<K::Named, N>,
    Next<K::Err>: ThreadsOf<K::Err, P>,
{
    let cloned = Next::<K::First>::then(Next::<K::Err>::then(Cloned::new()));
    let cloned =
        <Output<K::Ok> as OkOf<_, O>>::then(<Output<K::Err> as ErrorOf<_, Q>>::then(cloned));
    <Output<K::Whole> as CloneOf<_, M>>::then(cloned)
}

/// An error of a batch, by `Clone`.
pub fn by_clone<K: Kind, M>(_: K) -> FailureOf<K, M, Cloned<K::Output>>
where
    Output<K::Err>: ErrorOf<K::Err, M>,
{
    <Output<K::Err> as ErrorOf<_, M>>::then(Cloned::new())
}

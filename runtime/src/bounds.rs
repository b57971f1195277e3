//! Bounds whose violation is one error, in our own words, where the user can mend it.
//!
//! A bound on a function is usually reported once for the function, once more for the type that it returns, and again
//! by all that is done with that. If a trait isn't implemented *at all*, though, what a function returns through it is
//! an error itself, of which the compiler says no more. An implementation whose own bounds fail does not count as none,
//! unless there is another one to choose from. So each trait here has two: the real one, and one for [`Never`], whose
//! bound nothing meets; the `M` that tells them apart is always inferred.

use crate::batch::results::ByClone;
use crate::dedup::{CloneWith, Cloned, IsResult, ShareErr};
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

/// States a bound in two steps, so that the message can name the one that is missing: the value of the first step is
/// what the second one is asked of. A step that fails gives an error type, of which the compiler says no more.
macro_rules! clone_steps {
    ($($(#[$attribute:meta])* $step:ident;)*) => {$(
        $(#[$attribute])*
        pub trait $step<R, M> {
            /// What the next step is asked of.
            type Next;
            /// `X`.
            type If<X>;
            /// `X`.
            fn then<X>(x: X) -> Self::If<X>;
        }

        #[diagnostic::do_not_recommend]
        impl<R: Clone> $step<R, Always> for Output<R> {
            type Next = Next<R>;
            type If<X> = X;
            fn then<X>(x: X) -> X {
                x
            }
        }

        #[diagnostic::do_not_recommend]
        impl<R: Nothing> $step<R, Never> for Output<R> {
            type Next = Next<R>;
            type If<X> = X;
            fn then<X>(x: X) -> X {
                x
            }
        }
    )*};
}

clone_steps! {
    /// A result that each caller gets a clone of.
    #[diagnostic::on_unimplemented(
        message = "`{R}` must be `Clone`, since several callers can get this result",
        label = "`{R}` is not `Clone`",
        note = "if this is a `Result` whose error is not `Clone`, add `share_err = …`",
        note = "derive `Clone` for `{R}` (for a type parameter, add the bound), return an `Arc`, or add `clone_with = …` with a function that copies the result"
    )]
    CloneOf;
    /// The success of such a result.
    #[diagnostic::on_unimplemented(
        message = "`{R}`, the success type of this `Result`, must be `Clone`, since several callers can get it",
        label = "`{R}` is not `Clone`",
        note = "derive `Clone` for `{R}` (for a type parameter, add the bound), return an `Arc<{R}>`, or add `clone_with = …` with a function that copies the result"
    )]
    OkOf;
    /// The error of such a result.
    #[diagnostic::on_unimplemented(
        message = "`{R}`, the error type of this `Result`, must be `Clone`, since several callers can get it",
        label = "`{R}` is not `Clone`",
        note = "if you can change `{R}`, derive `Clone`, or add a variant `Shared(Arc<{R}>)` and `share_err = {R}::Shared`; if it has a catch-all variant, for example `Other(anyhow::Error)`, write `share_err = |error| {R}::Other(error.into())`",
        note = "if it is from another crate, return `Arc<{R}>` as the error, or an error type of your own that holds one; `piggyback::guide::errors` has recipes"
    )]
    ErrorOf;
    /// The row that a caller of a batch gets.
    #[diagnostic::on_unimplemented(
        message = "`{R}` must be `Clone`, since two callers can ask for the same item",
        label = "`{R}` is not `Clone`",
        note = "derive `Clone` for `{R}` (for a type parameter, add the bound), or put the rows in an `Arc`"
    )]
    RowOf;
}

/// What is left to be asked of a type.
#[derive(Debug)]
pub struct Next<R>(PhantomData<fn() -> R>);

/// A result that may reach callers on other threads.
#[diagnostic::on_unimplemented(
    message = "`{R}` must be `Send + Sync + 'static`, since callers on other threads can share it",
    label = "`{R}` is not `Send + Sync + 'static`",
    note = "use types that may be shared between threads, for example `Arc` instead of `Rc`, `Mutex` instead of `RefCell`, `Box<dyn Error + Send + Sync>` instead of `Box<dyn Error>`; for a type parameter, add the bounds"
)]
pub trait ThreadsOf<R, M> {
    /// `X`.
    type If<X>;
    /// `X`.
    fn then<X>(x: X) -> Self::If<X>;
}

#[diagnostic::do_not_recommend]
impl<R: Send + Sync + 'static> ThreadsOf<R, Always> for Next<R> {
    type If<X> = X;
    fn then<X>(x: X) -> X {
        x
    }
}

#[diagnostic::do_not_recommend]
impl<R: Nothing> ThreadsOf<R, Never> for Next<R> {
    type If<X> = X;
    fn then<X>(x: X) -> X {
        x
    }
}

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

type AfterClone<R, M> = <Output<R> as CloneOf<R, M>>::Next;
type AfterOk<R, M> = <Output<R> as OkOf<R, M>>::Next;
type If<After, R, M, X> = <After as ThreadsOf<R, M>>::If<X>;

/// By `Clone`.
pub fn cloned<R, M, N>(_: Output<R>) -> If<AfterClone<R, M>, R, N, Cloned<R>>
where
    Output<R>: CloneOf<R, M>,
    AfterClone<R, M>: ThreadsOf<R, N>,
{
    AfterClone::<R, M>::then(Cloned::new())
}

/// A result that is not a `Result`.
#[derive(Debug)]
pub struct Whole<R>(PhantomData<fn() -> R>);

/// A `Result`, each half of which is asked by itself.
#[derive(Debug)]
pub struct Halves<T, E>(PhantomData<fn() -> (T, E)>);

/// One of the two.
pub trait Kind {
    /// Itself.
    type Output;
    /// What is not a `Result`.
    type Whole;
    /// The success of a `Result`.
    type Ok;
    /// Its error.
    type Err;
    /// The success, or the whole.
    type First;
}

impl<R> Kind for Whole<R> {
    type Output = R;
    type Whole = R;
    type Ok = ();
    type Err = ();
    type First = R;
}

impl<T, E> Kind for Halves<T, E> {
    type Output = Result<T, E>;
    type Whole = ();
    type Ok = T;
    type Err = E;
    type First = T;
}

// These have no bounds: method resolution must not depend on what a type lacks.
impl<R> Plain<R> {
    /// What it is.
    pub fn __piggyback_kind(&self) -> Whole<R> {
        Whole(PhantomData)
    }
}

impl<T, E> Output<Result<T, E>> {
    /// What it is.
    pub fn __piggyback_kind(&self) -> Halves<T, E> {
        Halves(PhantomData)
    }
}

type First<K, N, X> = If<Next<<K as Kind>::First>, <K as Kind>::First, N, X>;
type Second<K, P, X> = If<Next<<K as Kind>::Err>, <K as Kind>::Err, P, X>;
type Whether<K, M, X> = <Output<<K as Kind>::Whole> as CloneOf<<K as Kind>::Whole, M>>::If<X>;
type Success<K, O, X> = <Output<<K as Kind>::Ok> as OkOf<<K as Kind>::Ok, O>>::If<X>;
type FailureOf<K, Q, X> = <Output<<K as Kind>::Err> as ErrorOf<<K as Kind>::Err, Q>>::If<X>;

/// By `Clone`, where it is not plain to see whether the output is a `Result`.
pub fn cloned_as<K: Kind, M, O, Q, N, P>(
    _: K,
) -> Whether<K, M, Success<K, O, FailureOf<K, Q, First<K, N, Second<K, P, Cloned<K::Output>>>>>>
where
    Output<K::Whole>: CloneOf<K::Whole, M>,
    Output<K::Ok>: OkOf<K::Ok, O>,
    Output<K::Err>: ErrorOf<K::Err, Q>,
    Next<K::First>: ThreadsOf<K::First, N>,
    Next<K::Err>: ThreadsOf<K::Err, P>,
{
    let cloned = Next::<K::First>::then(Next::<K::Err>::then(Cloned::new()));
    let cloned =
        <Output<K::Ok> as OkOf<_, O>>::then(<Output<K::Err> as ErrorOf<_, Q>>::then(cloned));
    <Output<K::Whole> as CloneOf<_, M>>::then(cloned)
}

/// An error of a batch, by `Clone`.
pub fn by_clone<K: Kind, M>(_: K) -> FailureOf<K, M, ByClone>
where
    Output<K::Err>: ErrorOf<K::Err, M>,
{
    <Output<K::Err> as ErrorOf<_, M>>::then(ByClone)
}

impl<R> Plain<R> {
    /// The row in it, if there is one: none is known.
    pub fn __piggyback_row(&self) -> Output<()> {
        output()
    }
}

macro_rules! rows {
    ($([$($e:ident)*] $one:ty;)*) => {$(
        impl<R, $($e)*> Output<$one> {
            /// The row in it.
            pub fn __piggyback_row(&self) -> Output<R> {
                output()
            }
        }
    )*};
}
rows! {
    [] Option<R>;
    [] Vec<R>;
    [E] Result<Option<R>, E>;
    [E] Result<Vec<R>, E>;
}

/// A sharing of rows, which must be `Clone`.
pub fn rows<R, S, M>(_: Output<R>, sharing: S) -> <Output<R> as RowOf<R, M>>::If<S>
where
    Output<R>: RowOf<R, M>,
{
    <Output<R> as RowOf<R, M>>::then(sharing)
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
    label = "not a function from `Arc<{E}>` to `{E}`",
    note = "write `share_err = {E}::Shared` for a variant `Shared(Arc<{E}>)`, or a closure that takes an `Arc<{E}>`"
)]
pub trait ErrOf<E, M>: Fn(Arc<E>) -> E + Sized {
    /// The function.
    type Itself: Fn(Arc<E>) -> E;
    /// The function.
    fn itself(self) -> Self::Itself;
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

/// What makes an error of a failure.
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

/// `failed`, for callers that get an `R`.
pub fn failed<R: Fails<N>, N, F: ErrOfFailure<R::Err, M>, M>(_: Output<R>, failed: F) -> F::Itself {
    failed.itself()
}

/// What copies a result.
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

/// What a caller of a batch hands in.
#[diagnostic::on_unimplemented(
    message = "`{T}`, the item type of this batch, must be `Send + 'static`, since the bulk call runs in its own task",
    label = "`{T}` is not `Send + 'static`",
    note = "use types that may be sent to other threads, for example `Arc` instead of `Rc`; for a type parameter, add the bounds `Send + 'static`"
)]
pub trait SendableOf<T, M> {
    /// The item.
    type Item;
    /// The item.
    fn item(self) -> Self::Item;
}

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
pub fn share_err<R: Failing<N>, N, F: ErrOf<R::Err, M>, M, A, B, C>(
    _: Output<R>,
    share: F,
) -> If<AfterOk<R::Ok, A>, R::Ok, B, If<Next<R::Err>, R::Err, C, R::By<F::Itself>>>
where
    Output<R::Ok>: OkOf<R::Ok, A>,
    AfterOk<R::Ok, A>: ThreadsOf<R::Ok, B>,
    Next<R::Err>: ThreadsOf<R::Err, C>,
{
    AfterOk::<R::Ok, A>::then(Next::<R::Err>::then(R::by(share.itself())))
}

/// By `clone_with`.
pub fn clone_with<R, F: CopyOf<R, M>, M>(_: Output<R>, copy: F) -> CloneWith<R, F::Itself> {
    CloneWith::new(copy.itself())
}

/// The error of a call that is refused: a value, or a function that makes one.
#[diagnostic::on_unimplemented(
    message = "`busy` takes a value of type `{E}`, the error type of this `Result`, or a function that returns one, and this is a `{Self}`",
    label = "not a value of type `{E}`, nor a function without arguments that returns one",
    note = "write for example `busy = AppError::Busy`, or `busy = || AppError::Busy`"
)]
pub trait Busy<E, M> {
    /// Makes it. Every type has this method, so by a plain name the compiler would suggest it for a misspelt one.
    fn __piggyback_busy(self) -> E;
}

/// The `M` of functions.
#[derive(Debug)]
pub struct ByCall(());

#[diagnostic::do_not_recommend]
impl<E> Busy<E, Always> for E {
    fn __piggyback_busy(self) -> E {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<E, F: Fn() -> E> Busy<E, ByCall> for F {
    fn __piggyback_busy(self) -> E {
        self()
    }
}

/// What a call gets that is refused.
pub fn busy<R: IsResult, B: Busy<R::Err, M>, M>(_: Output<R>, busy: B) -> R {
    R::from_result(Err(busy.__piggyback_busy()))
}

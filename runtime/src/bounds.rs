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

/// Implementations of steps that give back what they are given: `If<X>` is `X`. The first of a step is the real one, and those
/// for [`Never`] and [`Nowhere`] have a bound that nothing meets.
macro_rules! gives_back {
    ($($Step:path, $For:ty: [$($of:tt)*] $($Next:ty)?;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$($of)*> $Step for $For {
            $(type Next = $Next;)?
            type If<X> = X;
            fn then<X>(x: X) -> X {
                x
            }
        }
    )*};
}
pub(crate) use gives_back;

/// A type, where a value is wanted: a bound on an argument's type is reported once, one on a type that is written out is
/// reported there and where the function is. `L` says what messages about it name.
#[derive(Debug)]
pub struct Output<R, L = Itself>(Plain<R, L>);

/// The same for a type that is not a `Result`: method resolution gets here from [`Output`] only then.
#[derive(Debug)]
pub struct Plain<R, L = Itself>(PhantomData<fn() -> (R, L)>);

impl<R, L> std::ops::Deref for Output<R, L> {
    type Target = Plain<R, L>;
    fn deref(&self) -> &Plain<R, L> {
        &self.0
    }
}

/// Names a type.
pub const fn output<R>() -> Output<R> {
    named()
}

/// Names a type that contains others, and the one in it that messages name: a `Vec` lacks what its elements lack, and nobody
/// can derive a trait for `Vec`.
pub const fn output_with<R, A>() -> Output<R, Inside<A>> {
    named()
}

/// Names a type.
pub(crate) const fn named<R, L>() -> Output<R, L> {
    Output(Plain(PhantomData))
}

/// Messages name the type itself.
#[derive(Debug)]
pub struct Itself(());

/// Messages name a type in it.
#[derive(Debug)]
pub struct Inside<A>(PhantomData<fn() -> A>);

/// What messages about an `R` name.
pub trait Name<R> {
    /// The type that is named.
    type Name;
}

impl<R> Name<R> for Itself {
    type Name = R;
}

impl<R, A> Name<R> for Inside<A> {
    type Name = A;
}

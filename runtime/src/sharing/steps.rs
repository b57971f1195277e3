//! What a result must be for several callers to get it, a trait for each thing that may be missing.
//!
//! The parameter `R` of a step is what its message names: the type itself, or for a container the type in it that lacks what
//! the container lacks, and that can be changed.

use std::marker::PhantomData;

use crate::bounds::{Always, Never, Nothing, Output, gives_back};

/// States a bound in two steps, so that the message can name the one that is missing: the value of the first step is
/// what the second one is asked of. A step that fails gives an error type, of which the compiler says no more.
macro_rules! clone_steps {
    ($($(#[$attribute:meta])* $step:ident;)*) => {$(
        $(#[$attribute])*
        pub trait $step<R, M> {
            /// The subject of the next step.
            type Next;
            /// `X`.
            type If<X>;
            /// `X`.
            fn then<X>(x: X) -> Self::If<X>;
        }

        gives_back! {
            $step<Named, Always>, Output<R>: [R: Clone, Named] Next<R>;
            $step<Named, Never>, Output<R>: [R: Nothing, Named] Next<R>;
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
        message = "`{R}` must be `Clone`, since several callers can get the success of this `Result`",
        label = "`{R}` is not `Clone`",
        note = "derive `Clone` for `{R}` (for a type parameter, add the bound), put it in an `Arc`, or add `clone_with = …` with a function that copies the result"
    )]
    OkOf;
    /// The error of such a result.
    #[diagnostic::on_unimplemented(
        message = "`{R}`, the error type of this `Result`, must be `Clone`, since several callers can get it",
        label = "`{R}` is not `Clone`",
        note = "if you can change `{R}`, derive `Clone`, or add a variant `Shared(Arc<{R}>)` and `share_err = {R}::Shared`; if `{R}` has to stay as it is, give `share_err` a function that makes a copy and keeps the cases your code matches on: `piggyback::guide::errors` has recipes",
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

/// The bounds of a type that are still to be checked.
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

gives_back! {
    ThreadsOf<Named, Always>, Next<R>: [R: Send + Sync + 'static, Named];
    ThreadsOf<Named, Never>, Next<R>: [R: Nothing, Named];
}

pub(super) type If<After, R, M, X> = <After as ThreadsOf<R, M>>::If<X>;

//! The option `busy`: what a call gets that is refused.

use crate::bounds::{Always, Output};
use crate::sharing::IsResult;

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

/// The error of a refused call.
pub fn busy<R: IsResult, B: Busy<R::Err, M>, M>(_: Output<R>, busy: B) -> R {
    R::from_result(Err(busy.__piggyback_busy()))
}

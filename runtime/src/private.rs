//! All that an expansion may name. Not for users: it changes without notice.

pub use crate::batch::results::{
    Bulk, ByClone, Each, Flat, ManyBy, OneBy, Outcome, Whole, again, cloned_with, shape, shape_by,
    shared_err, weight,
};
pub use crate::batch::{Batches, Groups, Limits, Results, Seat, WrongNumber, item};
pub use crate::bounds::{clone_with, cloned, output, share_err};
pub use crate::dedup::{
    Call, CloneWith, Cloned, Flights, Foreseen, IsResult, Joining, Run, Share, ShareErr, Spawned,
    Table,
};
pub use crate::fixed::Fixed;
pub use crate::key::owned::{RefArg, ValueArg, arg, own, own_self, unique};
pub use crate::key::{Key, Part, RefPart, ValuePart, part, self_part};
pub use crate::path::Path;

// By these paths, since the user's prelude may be another one.
pub use std::boxed::Box;
pub use std::clone::Clone;
pub use std::iter::IntoIterator;
pub use std::vec::Vec;

use std::borrow::Borrow;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The future of a function that is not an `async fn` but returns one.
pub fn future<F: Future>(function: impl FnOnce() -> F) -> F {
    function()
}

/// Names the type of an `async` block's body, in a `return` that is never reached.
pub fn never<R>() -> R {
    unreachable!("this stands behind `if false`")
}

/// A list of references, as `&[&T]` is made of.
pub fn refs<B: ?Sized, T: Borrow<B>>(items: &[T]) -> Vec<&B> {
    items.iter().map(Borrow::borrow).collect()
}

/// What a caller lends with `by_ref`.
pub fn lent<B: ?Sized + ToOwned>(item: &B) -> B::Owned {
    item.to_owned()
}

/// What a closure says of an item; it may borrow from it.
pub fn of<'a, T, V>(item: &'a T, closure: impl FnOnce(&'a T) -> V) -> V {
    closure(item)
}

/// The waker of the task that is being polled. A type with a name, which costs the compiler less than an `async fn`.
#[derive(Debug)]
pub struct Waker;

impl Future for Waker {
    type Output = std::task::Waker;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::task::Waker> {
        Poll::Ready(cx.waker().clone())
    }
}

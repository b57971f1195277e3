//! Waking, dropping and other calls of user code that must not keep the rest of the work from being done.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Runs user code whose panic must not stop the caller. The panic hook has reported it.
#[inline]
pub(crate) fn guarded(user: impl FnOnce()) {
    #[cfg(test)]
    crate::sync::held::assert_none();
    if let Err(payload) = catch_unwind(AssertUnwindSafe(user)) {
        swallow(payload);
    }
}

/// Drops what a panic carried. Compiled once, while [`guarded`] is compiled for each use in each annotated function.
#[cold]
fn swallow(payload: Box<dyn Any + Send>) {
    // It may panic in its own `Drop`; once is enough.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(payload);
    }
}

/// Drops a value whose `Drop` is user code.
#[inline]
pub(crate) fn drop_guarded<T>(value: T) {
    if mem::needs_drop::<T>() {
        guarded(|| drop(value));
    }
}

/// Wakes a task, even if its waker panics.
pub(crate) fn wake(waker: Waker) {
    guarded(|| waker.wake());
}

/// Wakes all, even if a waker panics.
#[inline]
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        wake(waker);
    }
}

/// Drops a waker, which is user code.
#[inline]
pub(crate) fn discard(waker: Option<Waker>) {
    if let Some(waker) = waker {
        discard_one(waker);
    }
}

fn discard_one(waker: Waker) {
    guarded(|| drop(waker));
}

/// Stores the offered waker in `place`, unless the stored one wakes the same task (`does`). Leaves a waker that was replaced
/// in `offered`, to be dropped after unlocking. Returns `false` if a waker is needed and none was offered.
#[inline]
pub(crate) fn offer<W>(
    place: &mut Option<W>,
    does: impl FnOnce(&W) -> bool,
    offered: &mut Option<W>,
) -> bool {
    if place.as_ref().is_some_and(does) {
        return true;
    }
    let any = offered.is_some();
    if any {
        mem::swap(place, offered);
    }
    any
}

/// The message of a panic, if it is a string.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(message) = payload.downcast_ref::<&str>() {
        message
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message
    } else {
        "(a payload that is not a string)"
    }
}

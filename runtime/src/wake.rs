//! Waking, dropping and other calls of user code that must not keep the rest of the work from being done.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Runs user code whose panic must not stop the caller. The panic hook has reported it.
pub(crate) fn guarded(user: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(user)) {
        // A payload may panic in its own `Drop`; once is enough.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(payload);
        }
    }
}

/// Wakes all, even if a waker panics.
#[inline]
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        guarded(|| waker.wake());
    }
}

/// Drops a waker, which is user code.
#[inline]
pub(crate) fn discard(waker: Option<Waker>) {
    if let Some(waker) = waker {
        guarded(|| drop(waker));
    }
}

/// What a panic said, if it said it in words.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(message) = payload.downcast_ref::<&str>() {
        message
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message
    } else {
        "(a payload that is not a string)"
    }
}

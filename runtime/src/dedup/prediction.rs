//! Whether the calls of a function wait, as far as the last ones tell.
//!
//! A call that waits leaves its waker in the map. If it is known before, the waker can be put there as the call begins, under
//! the lock that is held anyway; but a call whose body is ready at once would clone and drop one for nothing.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use crate::fixed::Fixed;

/// One bit a function: what the last call did that did not do as predicted.
#[derive(Debug)]
pub(crate) struct Prediction(AtomicBool);

impl Prediction {
    pub(crate) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    #[inline]
    fn foresees(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// A call waited for which no waker had been taken.
    #[cold]
    pub(super) fn waits(&self) {
        self.0.store(true, Relaxed);
    }

    /// A call did not wait, although a waker had been taken.
    #[cold]
    pub(super) fn is_ready(&self) {
        self.0.store(false, Relaxed);
    }
}

/// The waker of the task that is being polled, if the call is going to need it.
#[derive(Debug)]
pub struct Foreseen(pub(super) Fixed<Prediction>);

impl Future for Foreseen {
    type Output = Option<Waker>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Waker>> {
        Poll::Ready(self.0.foresees().then(|| cx.waker().clone()))
    }
}

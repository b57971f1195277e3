//! The future of a call that polls the body where it stands.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Call, Next, Role};
use crate::dedup::state::Body;
use crate::dedup::table::{Table, TableRef};
use crate::sharing::Share;

pin_project! {
    /// A call that runs the body, or waits for another that does.
    ///
    /// The body is dropped before the call: no other execution begins while one that was given up still holds something.
    pub struct Run<T: Deref<Target = Table<K, V>>, K, V, S, F> {
        #[pin]
        body: F,
        call: Call<T, K, V, S>,
    }
}

impl<T: TableRef<K, V>, K, V, S: Share<Stored = V>> Call<T, K, V, S> {
    /// Runs the body, or waits for another call that does.
    #[inline(always)]
    pub fn run<F: Future<Output = S::Output>>(self, body: F) -> Run<T, K, V, S, F> {
        if !matches!(self.role, Role::Follows { .. }) {
            self.table.function.begins(self.began);
        }
        Run { body, call: self }
    }
}

#[cfg(test)]
impl<T: Deref<Target = Table<K, V>>, K, V, S, F> Run<T, K, V, S, F> {
    pub(crate) fn role(&self) -> &Role<V> {
        &self.call.role
    }
}

impl<T, K, V, S, F> Future for Run<T, K, V, S, F>
where
    T: TableRef<K, V>,
    S: Share<Stored = V>,
    F: Future<Output = S::Output>,
{
    type Output = S::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<S::Output> {
        let this = self.project();
        if let Role::Follows { .. } = this.call.role {
            if let Next::Return(output) = ready!(this.call.follow(Body::Mine, cx)) {
                return Poll::Ready(output);
            }
        }
        this.call.lead(this.body, cx)
    }
}

impl<T: Deref<Target = Table<K, V>>, K, V, S, F> fmt::Debug for Run<T, K, V, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

//! The handle of a table in the global scope. In any other scope the handle is an `Arc`.

use std::ops::Deref;

/// A `&'static`.
///
/// A type of its own because a bare `&'static` inside a future loses its `'static` where the compiler looks for `Send`.
#[derive(Debug)]
pub struct Fixed<T: ?Sized + 'static>(pub(crate) &'static T);

impl<T: ?Sized> Clone for Fixed<T> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<T: ?Sized> Deref for Fixed<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        self.0
    }
}

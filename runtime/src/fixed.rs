//! Handles of tables: in the global scope a [`Fixed`], in any other scope an `Arc`.

use std::ops::Deref;

use crate::sync::Arc;

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

/// A handle of a table in any scope. What is not called for each item holds this one, so that it is compiled once for both.
#[derive(Debug)]
pub(crate) enum InScope<T: 'static> {
    Fixed(Fixed<T>),
    Scoped(Arc<T>),
}

impl<T> Clone for InScope<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Fixed(table) => Self::Fixed(table.clone()),
            Self::Scoped(table) => Self::Scoped(table.clone()),
        }
    }
}

impl<T> Deref for InScope<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match self {
            Self::Fixed(table) => table,
            Self::Scoped(table) => table,
        }
    }
}

//! Handles of tables: in the global scope a [`Fixed`], in any other scope an `Arc`.

use std::ops::Deref;

use crate::sync::Arc;
use crate::watch::{self, Watched};

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
    Global(Fixed<T>),
    Other(Arc<T>),
}

impl<T: Watched> InScope<T> {
    /// There is something in the table that the watch has to look at from now on.
    pub(crate) fn arm(&self) {
        match self {
            Self::Global(table) => watch::arm(table),
            Self::Other(table) => watch::arm(table),
        }
    }
}

impl<T> Clone for InScope<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Global(table) => Self::Global(table.clone()),
            Self::Other(table) => Self::Other(table.clone()),
        }
    }
}

impl<T> Deref for InScope<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        match self {
            Self::Global(table) => table,
            Self::Other(table) => table,
        }
    }
}

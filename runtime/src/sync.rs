//! Locks: std's, or the model checker's under `--cfg piggyback_loom`. The only `cfg` of its kind, but for the models' own.
//!
//! Shared ownership is std's in either case: the checker's `Arc` can't be one of a trait object, and what is ours to prove
//! is what happens under the locks.

pub(crate) use std::sync::Arc;

#[cfg(piggyback_loom)]
use loom::sync as imp;
#[cfg(not(piggyback_loom))]
use std::sync as imp;

pub(crate) use imp::MutexGuard;

/// A mutex without poisoning. What user code may run under one of ours (a key's `Eq` and `to_owned`) runs before
/// anything is changed, so a panic there leaves nothing half done and is no reason to refuse everybody else.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

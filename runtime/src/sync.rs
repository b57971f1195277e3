//! Locks and shared ownership: std's, or the model checker's under `--cfg piggyback_loom`. The only `cfg` of its kind.

#[cfg(piggyback_loom)]
pub(crate) use loom::sync::{Arc, MutexGuard};
#[cfg(not(piggyback_loom))]
pub(crate) use std::sync::{Arc, MutexGuard};

#[cfg(piggyback_loom)]
use loom::sync as imp;
#[cfg(not(piggyback_loom))]
use std::sync as imp;

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

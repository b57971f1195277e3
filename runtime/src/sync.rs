//! Locks and atomics: std's, or the model checker's under `--cfg piggyback_loom`. The only `cfg` of its kind, but for the models' own.
//!
//! Shared ownership is std's in either case: the checker's `Arc` can't be one of a trait object, and what is ours to prove
//! is what happens under the locks.

pub(crate) use std::sync::Arc;
use std::sync::{PoisonError, TryLockError};

#[cfg(all(test, piggyback_loom))]
use loom::sync as imp;
#[cfg(not(all(test, piggyback_loom)))]
use std::sync as imp;

pub(crate) use imp::MutexGuard;
pub(crate) use imp::atomic::{AtomicBool, AtomicU32};

/// For statics: the checker's atomics have no constant constructor.
pub(crate) use std::sync::atomic::AtomicU32 as StaticU32;

/// A mutex without poisoning. What user code may run under one of ours (a key's `Eq` and `to_owned`) runs before
/// anything is changed, so a panic there leaves nothing half done and is no reason to refuse everybody else.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

/// How long a thread keeps away from a lock that is taken, in spins, before each further look at it. Then it sleeps.
///
/// Who looks again and again takes the lock's cache line from the one who holds it, and makes the other slow just where
/// others wait for it. Ours are held for some dozen nanoseconds, so it is free after a moment, unless many come for it:
/// then one who stays away for longer lets another take it several times, at the speed of one who is alone.
const KEEPS_AWAY: &[u32] = if cfg!(all(test, piggyback_loom)) {
    &[]
} else {
    &[8, 64, 128, 256]
};

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.try_lock().unwrap_or_else(|| self.lock_taken())
    }

    #[cold]
    fn lock_taken(&self) -> MutexGuard<'_, T> {
        for &spins in KEEPS_AWAY {
            for _ in 0..spins {
                std::hint::spin_loop();
            }
            if let Some(guard) = self.try_lock() {
                return guard;
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

//! Locks and atomics: std's, or the model checker's under `--cfg piggyback_loom`.
//!
//! # Lock order
//!
//! A thread that holds one of these locks takes only locks that stand below it:
//!
//! 1. a shard of a table (`dedup/table/`, `batch/table/`);
//! 2. a batch's cell (`batch/shared.rs`), or the spans of a flight's callers (`observe/spans.rs`);
//! 3. the graph of waits (`reentrancy/waits.rs`), or the list of threads and then a thread's deep frames
//!    (`reentrancy/frames.rs`).
//!
//! All others are locked alone: the list of armed tables (`watch/threads.rs`), a scope's tables (`scope.rs`), the seats that
//! loaders leave (`batch/inherit.rs`), the task of a place in a queue for permits (`batch/start.rs`), and the locks of `fleet/`.
//! A batch that waits for a permit polls tokio's semaphore, which has a lock of its own, under its shard's lock.
//!
//! User code that may run under a lock:
//!
//! - under a table's shard: a key's `Eq`, a unique value's `Eq`, and the `Clone` of a small key (one that owns nothing, or a
//!   `String` or `Vec<u8>`, up to 4 KiB);
//! - under the lock around a result of `clone_with` (`sharing/clone_with.rs`): the user's function, one caller after another.
//!
//! All other user code runs before locking or after unlocking: `Hash` and the `Clone` of a large key before, and wakers, the
//! `Clone` of results, and the drop of items, keys, permits and results after. Unit tests check this: see `held`.
//!
//! `Arc` is std's in either case: the checker's `Arc` can't hold a trait object, and what there is to prove happens under
//! the locks.

pub(crate) use std::sync::Arc;
use std::sync::{PoisonError, TryLockError};

#[cfg(all(test, piggyback_loom))]
use loom::sync as imp;
#[cfg(not(all(test, piggyback_loom)))]
use std::sync as imp;

#[cfg(test)]
pub(crate) use self::held::{MutexGuard, counted};
#[cfg(not(test))]
pub(crate) use imp::MutexGuard;
pub(crate) use imp::atomic::{AtomicBool, AtomicU32};
#[cfg(not(test))]
use std::convert::identity as counted;

/// For statics: the checker's atomics have no constant constructor.
pub(crate) use std::sync::atomic::AtomicU32 as StaticU32;

/// A mutex without poisoning. The user code that may run under it (see the opening of this file) runs before anything is
/// changed, so a panic there leaves nothing half done and is no reason to fail other callers.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

/// The number of spins for which a thread waits before each further attempt to take a lock that is held. After the last one it sleeps.
///
/// Retrying a held lock steals its cache line and slows the critical section that everyone is waiting for. These locks are
/// held for some dozen nanoseconds, so a short wait is enough unless many threads compete. Then a longer wait lets another
/// thread take the lock several times in a row, at the speed of a thread that is alone.
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
        counted(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(counted(guard)),
            Err(TryLockError::Poisoned(poisoned)) => Some(counted(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// In unit tests, threads count the locks that they hold, so that user code that runs under one is found.
#[cfg(test)]
pub(crate) mod held {
    use std::cell::Cell;
    use std::ops::{Deref, DerefMut};

    use super::imp;

    thread_local! {
        static HELD: Cell<usize> = const { Cell::new(0) };
    }

    /// Called wherever user code is about to run.
    #[track_caller]
    pub(crate) fn assert_none() {
        // The model checker runs all of its threads on one thread of the system, so there the count says nothing.
        let held = if cfg!(piggyback_loom) {
            0
        } else {
            HELD.try_with(Cell::get).unwrap_or(0)
        };
        assert!(
            held == 0 || std::thread::panicking(),
            "user code runs under a lock"
        );
    }

    pub(crate) struct MutexGuard<'a, T>(imp::MutexGuard<'a, T>);

    /// A guard that is counted while it is held.
    pub(crate) fn counted<T>(guard: imp::MutexGuard<'_, T>) -> MutexGuard<'_, T> {
        HELD.with(|held| held.set(held.get() + 1));
        MutexGuard(guard)
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            let _ = HELD.try_with(|held| held.set(held.get() - 1));
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }
}

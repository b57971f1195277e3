//! What a bulk call needs to start, besides its turn: a permit, if its function has the option `limit`.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::reentrancy::Execution;
use crate::sync::{Arc, Mutex};
use crate::wake::{discard, wake};

/// What a bulk call needs to start, besides its turn. Most need nothing.
pub trait Start {
    /// Whether bulk calls of this type may need a permit.
    const MAY_NEED_PERMIT: bool = false;

    /// How it stands with its permit.
    #[inline]
    fn permit(&self) -> Permit {
        Permit::Unneeded
    }

    /// Takes a place in the queue for a permit, unless it has one.
    #[inline]
    fn ask(&mut self) {}

    /// Gives up its place, or its permit: to be dropped after unlocking.
    #[inline]
    fn give_up(&mut self) -> Option<Box<dyn Send>> {
        None
    }

    /// What tells the batch's task about its permit.
    #[inline]
    fn grant(&self) -> Option<Arc<Grant>> {
        None
    }

    /// The address of the semaphore, or 0.
    #[inline]
    fn semaphore(&self) -> usize {
        0
    }

    /// How long it has waited for its permit.
    #[inline]
    fn waited(&self) -> Option<Duration> {
        None
    }
}

/// How a batch stands with its permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// It needs none.
    Unneeded,
    /// It has no place in the queue.
    NotAsked,
    /// It has a place in the queue.
    Waits,
    /// It has one, or there never will be one: the semaphore was closed.
    Has,
}

/// Notes that a place in the queue got a permit, and wakes the batch's task.
#[derive(Debug, Default)]
pub struct Grant {
    granted: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Grant {
    /// Whether there is nothing to wait for any more.
    pub(super) fn is_granted(&self) -> bool {
        self.granted.load(SeqCst)
    }

    /// Sets the task that waits. Returns whether there is nothing to wait for any more.
    pub(super) fn wakes(&self, task: Waker) -> bool {
        let old = self.task.lock().replace(task);
        discard(old);
        self.is_granted()
    }
}

impl Wake for Grant {
    fn wake(self: Arc<Self>) {
        self.granted.store(true, SeqCst);
        let task = self.task.lock().take();
        if let Some(task) = task {
            // tokio wakes several in one go: a panic would keep it from waking the others.
            wake(task);
        }
    }
}

/// The permits of a semaphore in the graph of waits: batches wait for them, and bulk calls hold them.
pub(crate) fn limiter(semaphore: usize) -> Execution {
    Execution::limiter(semaphore, u64::MAX)
}

/// For models, whose bulk calls are nothing.
#[cfg(test)]
impl Start for () {}
